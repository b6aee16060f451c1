package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"docspace-nats/poller"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
)

const (
	kills   = 15
	history = 12_000
)

// The process dies at any instruction: with it dies the NATS server inside it.
func TestAfterAnyKillEveryRowIsStoredOnceInOrder(t *testing.T) {
	t.Parallel()
	town := newTown(t, rand.Uint64(), history)
	dir := t.TempDir()
	env := town.environment("NATS_DATA_DIR="+dir, "NATS_URL=")
	for range kills {
		p := start(t, exec.Command(program(t), "run"), env...)
		town.wait(t, p)
		p.kill()
	}
	town.rest()
	start(t, exec.Command(program(t), "run", "--once"), env...).finish(t)

	local, err := publisher.StartLocal(publisher.LocalOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(local.Shutdown)
	town.holds(t, local.URL())
}

// Two processes publish the same folders, and one of them dies at any moment.
func TestTwoProcessesOnTheSameFoldersStoreEachRowOnceWhileOneIsKilled(t *testing.T) {
	t.Parallel()
	for _, mode := range []publisher.Mode{publisher.Atomic, publisher.Dedup} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			killOneOfTwo(t, mode)
		})
	}
}

func killOneOfTwo(t *testing.T, mode publisher.Mode) {
	town := newTown(t, rand.Uint64(), history)
	server := natstest.Process(t)
	env := town.environment("NATS_URL="+server.URL(), "NATS_COMMIT="+string(mode))
	processes := [2]*process{}
	for i := range processes {
		processes[i] = start(t, exec.Command(program(t), "run"), env...)
	}
	for range kills {
		victim := town.rng.IntN(2)
		town.wait(t, processes[victim])
		processes[victim].kill()
		processes[victim] = start(t, exec.Command(program(t), "run"), env...)
	}
	for _, p := range processes {
		p.kill()
	}
	town.rest()
	start(t, exec.Command(program(t), "run", "--once"), env...).finish(t)
	town.holds(t, server.URL())
}

// A town is a portal with a long history and people at work, and the dice that
// decide when processes die.
type town struct {
	portal  *docspacetest.Portal
	history int // rows there were before
	address string
	rng     *rand.Rand
	pages   atomic.Int64
	page    chan struct{}
	quiet   context.CancelFunc
	traffic chan struct{}
}

func newTown(t *testing.T, seed uint64, history int) *town {
	t.Logf("seed %d", seed)
	w := &town{history: history, rng: rand.New(rand.NewPCG(seed, 1)), page: make(chan struct{}, 1), traffic: make(chan struct{})}
	w.portal = docspacetest.New(docspacetest.Options{Seed: seed})
	w.portal.Fill(w.portal.CreateRoom(nil, "Long history"), history, seed)
	server := httptest.NewServer(w.portal)
	t.Cleanup(server.Close)
	w.address = server.URL
	w.portal.OnRequest(func(*http.Request) {
		w.pages.Add(1)
		select {
		case w.page <- struct{}{}:
		default:
		}
	})
	ctx, quiet := context.WithCancel(t.Context())
	w.quiet = quiet
	go func() {
		defer close(w.traffic)
		w.portal.Traffic(ctx, docspacetest.TrafficOptions{Seed: seed, Rate: 40, Rooms: 5})
	}()
	return w
}

func (w *town) environment(more ...string) []string {
	return append([]string{
		"DOCSPACE_URL=" + w.address, "DOCSPACE_API_KEY=" + w.portal.APIKey(),
		"POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=1s", "POLL_REQUESTS_PER_MINUTE=0", "HTTP_ADDR=", "LOG_LEVEL=error",
	}, more...)
}

// wait lets the connectors work for a random number of requests and then some
// random time, which may fall anywhere in a commit.
func (w *town) wait(t *testing.T, p *process) {
	t.Helper()
	until := w.pages.Load() + 2 + w.rng.Int64N(24)
	for w.pages.Load() < until {
		select {
		case <-w.page:
		case <-p.ended:
			t.Fatalf("ended by itself: %v\n%s", p.err, p.stderr.String())
		}
	}
	select {
	case <-time.After(time.Duration(w.rng.Int64N(int64(40 * time.Millisecond)))):
	case <-p.ended:
		t.Fatalf("ended by itself: %v\n%s", p.err, p.stderr.String())
	}
}

// rest ends the traffic.
func (w *town) rest() {
	w.quiet()
	<-w.traffic
}

// holds compares what a consumer reads from the stream with the portal's rows.
func (w *town) holds(t *testing.T, server string) {
	t.Helper()
	r, err := readStream(t.Context(), server, "DOCSPACE", "docspace.folder.>", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := r.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	var watched []poller.Standing
	c := compare(w.portal, watched, r)
	t.Logf("rows made %d, events stored %d", c.made, c.stored)
	if c.made < w.history || c.stored != c.made || c.lost+c.duplicated+c.disordered > 0 {
		t.Fatalf("%+v", c)
	}
}

//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
)

var (
	chaosFor        = flag.Duration("chaos", 0, "let TestChaos break things for so long; 0 skips it")
	chaosSeed       = flag.Uint64("chaos-seed", 0, "what TestChaos breaks, and when; 0: something else every time")
	chaosMode       = flag.String("chaos-mode", string(publisher.Atomic), "how connectors commit in TestChaos: atomic or dedup")
	chaosLongPauses = flag.Bool("chaos-long-pauses", false, "in TestChaos with -chaos-mode dedup, pause connectors for longer than that mode can bear")
)

const (
	chaosServers  = 3
	chaosReplicas = 3
	// chaosPatience is how long the connectors may take to catch up once all
	// is well again.
	chaosPatience = 5 * time.Minute
)

// Three connectors, each with links of its own to a cluster of three servers,
// while all of them are killed, paused, cut off and filled up at random.
func TestChaosLosesRepeatsAndSwapsNothing(t *testing.T) {
	if *chaosFor == 0 || testing.Short() {
		t.Skip("takes a while: go test ./cmd/docspace-nats -run TestChaos -v -chaos 45s")
	}
	t.Parallel()
	s := newStorm(t, *chaosFor)
	s.rage(t)
	s.calm(t)
	s.judge(t)
}

// A storm is everything TestChaos breaks.
type storm struct {
	seed     uint64
	lasts    time.Duration
	mode     publisher.Mode
	town     *town
	cluster  *natstest.ProcessCluster
	disk     disk
	nc       *nats.Conn // of an onlooker, without a link
	replicas []*replica
	tally    *stormTally
}

func newStorm(t *testing.T, lasts time.Duration) *storm {
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	s := &storm{seed: seed, lasts: lasts, mode: publisher.Mode(*chaosMode), tally: newStormTally()}
	if s.mode != publisher.Atomic && s.mode != publisher.Dedup {
		t.Fatalf("-chaos-mode %s: must be atomic or dedup", s.mode)
	}
	t.Logf("chaos: %s, mode %s; repeat its faults with -chaos-seed %d", lasts, s.mode, seed)
	s.disk = newDisk(t, lasts)
	t.Logf("full disks are %s", s.disk)
	s.cluster = natstest.Processes(t, s.disk.dirs(), s.disk.args()...)
	s.nc = s.cluster.Conn(t)
	// About as much history as the connectors can read in half the time.
	s.town = newTown(t, seed, int(max(2000, min(50_000, 60*lasts.Seconds()))))
	for i := range chaosReplicas {
		s.replicas = append(s.replicas, s.newReplica(t, i))
	}
	return s
}

func (s *storm) newReplica(t *testing.T, i int) *replica {
	r := &replica{name: fmt.Sprintf("connector %d", i+1), path: program(t), tally: s.tally}
	urls := ""
	for _, server := range s.cluster.Servers {
		link := natstest.NewLink(t, server.URL())
		r.links = append(r.links, link)
		urls += "," + link.URL()
	}
	r.env = s.town.environment("NATS_URL="+urls[1:], fmt.Sprintf("NATS_REPLICAS=%d", chaosServers), "NATS_COMMIT="+string(s.mode),
		"POLL_REQUESTS_PER_MINUTE=1500", "HTTP_ADDR=127.0.0.1:0", "LOG_LEVEL=info", "LOG_FORMAT=json")
	return r
}

// rage breaks things until the time is over. Every fault ends with it.
func (s *storm) rage(t *testing.T) {
	t.Helper()
	for _, r := range s.replicas {
		r.begin(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.lasts)
	defer cancel()
	var parts sync.WaitGroup
	for i, lane := range s.lanes() {
		rng := rand.New(rand.NewPCG(s.seed, uint64(i)))
		parts.Go(func() { s.deal(ctx, t, rng, lane) })
	}
	parts.Go(func() { s.lateRows(ctx) })
	parts.Go(func() { s.watch(ctx) })
	parts.Wait()
}

// lateRows lets rows become visible after later ones.
func (s *storm) lateRows(ctx context.Context) {
	rng := rand.New(rand.NewPCG(s.seed, 100))
	for wait(ctx, time.Duration(rng.ExpFloat64()*float64(time.Second))) {
		rooms := s.town.portal.Rooms()
		room := rooms[rng.IntN(len(rooms))]
		publish := s.town.portal.Reserve(docspacetest.Action{Code: 5070, Folder: room, Entry: room, Title: "late"})
		wait(ctx, time.Duration(rng.Int64N(int64(3*time.Second))))
		publish()
	}
}

// watch reads what the connectors count, because it is gone when they are.
func (s *storm) watch(ctx context.Context) {
	for wait(ctx, time.Second) {
		for _, r := range s.replicas {
			r.scrape(ctx)
		}
	}
}

// calm waits until the connectors have caught up by themselves, stops them, and
// lets another one look for what they missed.
func (s *storm) calm(t *testing.T) {
	t.Helper()
	s.town.rest()
	ctx, cancel := context.WithTimeout(t.Context(), chaosPatience)
	defer cancel()
	if err := s.cluster.WaitCurrent(ctx, s.nc, "DOCSPACE"); err != nil {
		t.Errorf("the cluster does not recover (seed %d): %v", s.seed, err)
	}
	if err := s.catchUp(ctx); err != nil {
		t.Errorf("the connectors do not catch up (seed %d): %v", s.seed, err)
		for _, r := range s.replicas {
			t.Log(r.lastWords())
		}
	}
	for _, r := range s.replicas {
		natstest.Eventually(t, r.name+" serves its state", r.serves) // the others may have caught up without it
		r.scrape(t.Context())
		if err := r.end(); err != nil {
			t.Errorf("%v (seed %d)", err, s.seed)
		}
	}
	start(t, exec.Command(program(t), "run", "--once"), append(s.replicas[0].env, "HTTP_ADDR=")...).finish(t)
}

// catchUp waits until as many events are stored as there are rows.
func (s *storm) catchUp(ctx context.Context) error {
	for {
		made := 0
		for _, room := range s.town.portal.Rooms() {
			made += s.town.portal.Count(room)
		}
		stored, err := s.stored(ctx)
		if err == nil && stored >= made {
			return nil
		}
		if !wait(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%d of %d rows are stored after %s (%w)", stored, made, chaosPatience, context.Cause(ctx))
		}
	}
}

func (s *storm) stored(ctx context.Context) (int, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return 0, err
	}
	stream, err := js.Stream(ctx, "DOCSPACE")
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("docspace.folder.>"))
	if err != nil {
		return 0, err
	}
	stored := 0
	for _, n := range info.State.Subjects {
		stored += int(n)
	}
	return stored, nil
}

// wait waits, and reports whether ctx lasted as long.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// data is where a server stores below its own directory.
func data(dir string) string { return filepath.Join(dir, "data") }

package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/schema"
)

// config is that of a command beside the stream.
func (r *tailRig) config() config.NATS {
	return config.NATS{URL: config.ServerURL(r.server.URL()), Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: "_INBOX"}
}

// replayLine is what a command line says.
func replayLine(t *testing.T, args ...string) *replayOptions {
	t.Helper()
	var o replayOptions
	cmd := replayCommand()
	cmd.ResetFlags()
	o.register(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := o.check(time.Now()); err != nil {
		t.Fatal(err)
	}
	return &o
}

// replay runs a command line to its end.
func (r *tailRig) replay(args ...string) (stdout, stderr string, err error) {
	r.t.Helper()
	return r.replayWithin(r.t.Context(), args...)
}

func (r *tailRig) replayWithin(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	r.t.Helper()
	var out, told tailBuffer
	err = runReplay(ctx, r.config(), replayLine(r.t, args...), &out, &told)
	return out.String(), told.String(), err
}

// replayTold is the summary of --json.
type replayTold struct {
	replayTotals
	Finished bool   `json:"finished"`
	Next     uint64 `json:"next"`
}

func toldBy(t *testing.T, stdout string) (told replayTold) {
	t.Helper()
	if err := json.Unmarshal([]byte(stdout), &told); err != nil {
		t.Fatalf("%v: %q", err, stdout)
	}
	return told
}

// A webhook is a receiver of batches that fails as told: before or after it has
// taken the events, with an answer or by cutting the connection.
type webhook struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	rng      *rand.Rand
	fails    float64 // share of requests
	got      []string
	requests int
	failed   int
	confirms int            // events of requests that were answered with success
	refused  int            // events of those that failed
	most     int            // after so many events it answers nobody
	sender   string         // who is answered, by the header Sender; what a killed process has sent may come late
	busy     map[string]int // requests under way, of each folder
	taken    chan struct{}  // has an element once events were taken
	full     chan struct{}  // closed once it answers nobody
	shut     chan struct{}  // requests wait until it is closed
	came     chan struct{}  // has an element once a request came
}

func newWebhook(t *testing.T, seed uint64, fails float64) *webhook {
	t.Helper()
	h := &webhook{t: t, rng: rand.New(rand.NewPCG(seed, 2)), fails: fails, busy: make(map[string]int), taken: make(chan struct{}, 1), full: make(chan struct{}), most: math.MaxInt,
		shut: make(chan struct{}), came: make(chan struct{}, 1)}
	close(h.shut)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL + "/events?token=hunter2"
	return h
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ids, folder := h.read(r)
	select {
	case h.came <- struct{}{}:
	default:
	}
	<-h.shut
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Header.Get("Sender") != h.sender {
		panic(http.ErrAbortHandler)
	}
	h.requests++
	if h.busy[folder]++; h.busy[folder] > 1 {
		h.t.Errorf("two requests of folder %s are under way", folder)
	}
	h.mu.Unlock() // so that others come meanwhile
	h.mu.Lock()
	h.busy[folder]--
	if r.Header.Get("Sender") != h.sender {
		panic(http.ErrAbortHandler)
	}
	if len(h.got) >= h.most {
		select {
		case <-h.full:
		default:
			close(h.full)
		}
		h.mu.Unlock()
		<-r.Context().Done()
		h.mu.Lock()
		panic(http.ErrAbortHandler)
	}
	fails, after, cuts := h.rng.Float64() < h.fails, h.rng.IntN(2) == 0, h.rng.IntN(3) == 0
	if !fails || after {
		h.got = append(h.got, ids...)
		select {
		case h.taken <- struct{}{}:
		default:
		}
	}
	if fails {
		h.failed++
		h.refused += len(ids)
	}
	switch {
	case !fails:
		h.confirms += len(ids)
		w.WriteHeader(http.StatusAccepted)
	case cuts:
		panic(http.ErrAbortHandler)
	default:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader([]int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests}[h.rng.IntN(3)])
	}
}

// read checks a request and returns the ids in it and their folder.
func (h *webhook) read(r *http.Request) (ids []string, folder string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "" // its sender was killed
	}
	if got := r.Header.Get("Content-Type"); got != "application/cloudevents-batch+json; charset=utf-8" {
		h.t.Errorf("Content-Type is %q", got)
	}
	if got := r.Header.Get("Docspace-Ingest-Mode"); got != schema.Backfill {
		h.t.Errorf("Docspace-Ingest-Mode is %q", got)
	}
	var batch []jsontext.Value
	if err := json.UnmarshalRead(bytes.NewReader(body), &batch); err != nil || len(batch) == 0 {
		h.t.Errorf("batch of %d: %v", len(batch), err)
	}
	for _, text := range batch {
		e, err := schema.Decode(text)
		if err != nil {
			h.t.Error(err)
		}
		if folder != "" && e.PartitionKey != folder {
			h.t.Errorf("a batch of folder %s holds an event of folder %s", folder, e.PartitionKey)
		}
		ids, folder = append(ids, e.ID), e.PartitionKey
	}
	return ids, folder
}

// close keeps all requests waiting until open is called. The first must not have come.
func (h *webhook) close() (open func()) {
	h.shut = make(chan struct{})
	open = sync.OnceFunc(func() { close(h.shut) })
	h.t.Cleanup(open) // before the server is closed, which waits for requests
	return open
}

// received is a copy of the ids that were taken.
func (h *webhook) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.got...)
}

// stopAfter answers nobody after so many events.
func (h *webhook) stopAfter(events int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = events
}

// again answers another sender as before, and counts anew.
func (h *webhook) again(sender string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sender = sender
	h.most, h.requests, h.failed, h.confirms, h.refused = math.MaxInt, 0, 0, 0, 0
}

//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"docspace-nats/publisher/natstest"
)

// What a collector does with requests.
type collectorMood int

const (
	wellDisposed collectorMood = iota
	busy                       // 503, as with full queues
	hanging                    // no answer until the client leaves
	forgetful                  // takes the events and drops the connection
)

// A collector stands for Splunk's HTTP Event Collector: it checks the token
// and each event, and answers with Splunk's words.
type collector struct {
	t     *testing.T
	token string
	addr  string

	mu     sync.Mutex
	server *http.Server
	mood   collectorMood
	met    int // requests met in a mood other than wellDisposed
	events []collected
	change chan struct{} // closed at the next change of what can be waited for
}

// A collected is one event as the collector takes it.
type collected struct {
	Time       float64        `json:"time"`
	Host       string         `json:"host"`
	Source     string         `json:"source"`
	Sourcetype string         `json:"sourcetype"`
	Index      string         `json:"index,omitzero"`
	Event      jsontext.Value `json:"event"`
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t, token: "5a7b1f0e-hunter2", addr: "127.0.0.1:0", change: make(chan struct{})}
	c.open()
	t.Cleanup(c.close)
	return c
}

// open listens, at the same address as before. Should somebody else have taken
// it meanwhile, it tries again for a while.
func (c *collector) open() {
	c.t.Helper()
	var listener net.Listener
	var err error
	for deadline := time.Now().Add(natstest.Patience); time.Now().Before(deadline); {
		if listener, err = net.Listen("tcp", c.addr); err == nil {
			break
		}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.addr = listener.Addr().String()
	c.server = &http.Server{Handler: c}
	go func(s *http.Server) { _ = s.Serve(listener) }(c.server)
}

// close makes it refuse connections.
func (c *collector) close() { _ = c.server.Close() }

func (c *collector) url() string { return "http://" + c.addr }

func (c *collector) be(mood collectorMood) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mood, c.met = mood, 0
}

// meets waits until so many requests met the mood.
func (c *collector) meets(n int) {
	c.t.Helper()
	c.await("requests to be turned away", func() bool { return c.met >= n })
}

// holds waits for so many events, whether new or not.
func (c *collector) holds(n int) {
	c.t.Helper()
	c.await("events", func() bool { return len(c.events) >= n })
}

func (c *collector) await(what string, enough func() bool) {
	c.t.Helper()
	timeout := time.NewTimer(siemPatience())
	defer timeout.Stop()
	for {
		c.mu.Lock()
		done, change, held := enough(), c.change, len(c.events)
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-change:
		case <-timeout.C:
			c.t.Fatalf("the collector waits for %s in vain, with %d events", what, held)
		}
	}
}

// ids lists the events in the order they came.
func (c *collector) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idsLocked()
}

func (c *collector) idsLocked() []string {
	ids := make([]string, len(c.events))
	for i, e := range c.events {
		var event struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(e.Event, &event); err != nil {
			c.t.Errorf("event %d: %v", i, err)
		}
		ids[i] = event.ID
	}
	return ids
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/services/collector/event" {
		reply(w, http.StatusNotFound, `{"text":"The requested URL was not found on this server.","code":404}`)
		return
	}
	if r.Header.Get("Authorization") != "Splunk "+c.token {
		reply(w, http.StatusForbidden, `{"text":"Invalid token","code":4}`)
		return
	}
	events, err := collect(r.Body)
	if err != nil || len(events) == 0 {
		c.t.Errorf("the collector refuses a request with %d events: %v", len(events), err)
		reply(w, http.StatusBadRequest, `{"text":"Invalid data format","code":6}`)
		return
	}
	switch c.take(events) {
	case busy:
		reply(w, http.StatusServiceUnavailable, `{"text":"Server is busy","code":9}`)
	case hanging:
		<-r.Context().Done()
	case forgetful:
		panic(http.ErrAbortHandler)
	default:
		reply(w, http.StatusOK, `{"text":"Success","code":0}`)
	}
}

// take stores the events, unless the mood forbids it.
func (c *collector) take(events []collected) collectorMood {
	c.mu.Lock()
	defer c.mu.Unlock()
	mood := c.mood
	if mood != wellDisposed {
		c.met++
	}
	if mood == wellDisposed || mood == forgetful {
		c.events = append(c.events, events...)
	}
	close(c.change)
	c.change = make(chan struct{})
	return mood
}

// collect reads events written one after the other.
func collect(body io.Reader) (events []collected, err error) {
	decoder := jsontext.NewDecoder(io.LimitReader(body, 8<<20))
	for {
		var e collected
		err := json.UnmarshalDecode(decoder, &e, json.RejectUnknownMembers(true))
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		if len(e.Event) == 0 || e.Sourcetype == "" {
			return events, errors.New("an event without event or sourcetype")
		}
		events = append(events, e)
	}
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.Copy(w, strings.NewReader(body))
}

// holdsEvents compares what the collector holds with the stream.
func (s *siemSource) holdsEvents(t *testing.T, c *collector) {
	t.Helper()
	byID := make(map[string]storedEvent, len(s.events))
	for _, e := range s.events {
		byID[e.event.ID] = e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, id := range c.idsLocked() {
		want, got := byID[id], c.events[i]
		if err := sameJSON(want.data, got.Event); err != nil {
			t.Errorf("event %s changed on its way: %v", id, err)
		}
		if at := float64(want.event.Time.UnixMilli()) / 1000; got.Time != at {
			t.Errorf("event %s: time %f, want %f", id, got.Time, at)
		}
		if got.Host != want.event.Data.Portal || got.Source != want.event.Source || got.Sourcetype != "docspace:activity" {
			t.Errorf("event %s: host %q, source %q, sourcetype %q", id, got.Host, got.Source, got.Sourcetype)
		}
		if t.Failed() {
			return
		}
	}
}

func sameJSON(want, got []byte) error {
	a, b := jsontext.Value(want).Clone(), jsontext.Value(got).Clone()
	if err := errors.Join(a.Canonicalize(), b.Canonicalize()); err != nil {
		return err
	}
	if string(a) != string(b) {
		return fmt.Errorf("got %s, want %s", b, a)
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// tailTexts are texts of strangers who try to be something else.
var tailTexts = []string{
	"Budget 2026.xlsx", "a|b=c\\d", "x\nCEF:0|Evil|x|1|2|3|10|externalId=7-7 ", "\"]}[x y=\"z\"]", "\x1b[31mred\x1b[0m", "exe.\u202egpj", "nul\x00nul",
	"<13>1 - evil - - - - x", "17 <13>1 - evil - - - - x", "ü€🙂", "\u009b31m", "two\r\nlines", `{"id":"7-7"}`,
}

// A tailRig is a stream of events, as another program could have written them.
type tailRig struct {
	t      *testing.T
	server *natstest.ServerProcess
	js     jetstream.JetStream
	rng    *rand.Rand
	ids    []string // of the events, in the order of the stream

	folders int
}

// stored returns a message of the stream.
func (r *tailRig) stored(seq uint64) *jetstream.RawStreamMsg {
	r.t.Helper()
	stream, err := r.js.Stream(r.t.Context(), "DOCSPACE")
	if err != nil {
		r.t.Fatal(err)
	}
	msg, err := stream.GetMsg(r.t.Context(), seq)
	if err != nil {
		r.t.Fatal(err)
	}
	return msg
}

func newTailRig(t *testing.T, events int) *tailRig {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := &tailRig{t: t, server: natstest.Process(t), rng: rand.New(rand.NewPCG(seed, 1)), folders: 7}
	var err error
	if r.js, err = jetstream.New(r.server.Conn(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE", Subjects: []string{"docspace.folder.>", "docspace.checkpoint.*"}}); err != nil {
		t.Fatal(err)
	}
	r.store(events)
	return r
}

// store adds events with hostile texts, about some folders, in order.
func (r *tailRig) store(n int) {
	r.t.Helper()
	for range n {
		r.add(r.event())
	}
	r.flush()
}

func (r *tailRig) event() *schema.Event {
	number := len(r.ids) + 1
	folder := 1 + r.rng.IntN(r.folders)
	any := func() string { return tailTexts[r.rng.IntN(len(tailTexts))] }
	e := &schema.Event{SpecVersion: "1.0", ID: fmt.Sprintf("%d-%d", folder, number), Source: "https://docs.example.com/", Type: "com.onlyoffice.docspace.file.moved.v1",
		Time: time.Date(2026, 9, 20, 10, 15, 3, 0, time.UTC), DataContentType: "application/json", PartitionKey: fmt.Sprint(folder), IngestMode: schema.Live}
	e.Data = schema.Data{
		SchemaVersion: "1.0", Portal: "docs.example.com", AuditID: fmt.Sprint(number), Outcome: schema.Success, Severity: 1,
		Feed:   schema.Feed{FolderID: fmt.Sprint(folder), Title: any()},
		Action: schema.ActionRef{Code: 5015, Key: "FileMoved", Category: "file", Name: "moved", Known: true},
		Actor:  schema.Actor{ID: "c7e1", Name: any()},
		Target: &schema.Target{Kind: "file", ID: fmt.Sprint(number), Name: any() + any()},
		ECS:    schema.ECS{Kind: "event", Category: []string{"file"}, Type: []string{"change"}, Action: "file-moved"},
	}
	return e
}

func (r *tailRig) add(e *schema.Event) {
	r.t.Helper()
	if _, err := r.js.PublishAsync(e.NATSSubject("docspace"), e.Encode()); err != nil {
		r.t.Fatal(err)
	}
	if r.ids = append(r.ids, e.ID); len(r.ids)%1000 == 0 {
		r.flush()
	}
}

func (r *tailRig) flush() {
	r.t.Helper()
	select {
	case <-r.js.PublishAsyncComplete():
	case <-time.After(natstest.Patience):
		r.t.Fatal("the stream does not take the events")
	}
}

// holds compares the ids a receiver has, in the order in which it got them,
// with the events: each is there, and those of a folder came in order, but for
// repetitions of what had come before.
func (r *tailRig) holds(got []string) {
	r.t.Helper()
	last := make(map[string]string)
	seen := make(map[string]bool)
	place := make(map[string]int)
	for i, id := range r.ids {
		place[id] = i
	}
	for _, id := range got {
		at, known := place[id]
		if !known {
			r.t.Fatalf("%q is no event of the stream", id)
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		folder, _, _ := strings.Cut(id, "-")
		if before := last[folder]; before != "" && place[before] > at {
			r.t.Fatalf("%s came after %s", id, before)
		}
		last[folder] = id
	}
	missing := slices.DeleteFunc(slices.Clone(r.ids), func(id string) bool { return seen[id] })
	r.t.Logf("%d events, %d received", len(r.ids), len(got))
	if len(missing) > 0 {
		r.t.Fatalf("%d of %d events are missing, the first is %s", len(missing), len(r.ids), missing[0])
	}
}

// options are those of a command line.
func tailLine(t *testing.T, args ...string) tailOptions {
	t.Helper()
	var o tailOptions
	cmd := tailCommand()
	cmd.ResetFlags()
	o.register(cmd.Flags())
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := o.check(time.Now(), new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	return o
}

// tail runs until the command line is satisfied, and returns what it printed.
func (r *tailRig) tail(args ...string) (stdout, stderr string) {
	r.t.Helper()
	is := r.start(args...)
	is.finish()
	return is.stdout.String(), is.stderr.String()
}

// A tailing is tail at work in this process.
type tailing struct {
	t              *testing.T
	stdout, stderr tailBuffer
	stop           context.CancelFunc
	ended          chan error
}

func (r *tailRig) start(args ...string) *tailing {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.t.Context())
	is := &tailing{t: r.t, stop: stop, ended: make(chan error, 1)}
	cfg := config.NATS{URL: config.ServerURL(r.server.URL()), Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: "_INBOX"}
	o := tailLine(r.t, args...)
	go func() { is.ended <- runTail(ctx, cfg, o, &is.stdout, &is.stderr) }()
	r.t.Cleanup(func() {
		stop()
		err := <-is.ended
		is.ended <- err
	})
	return is
}

func (is *tailing) finish() {
	is.t.Helper()
	select {
	case err := <-is.ended:
		is.ended <- err
		if err != nil {
			is.t.Fatalf("%v\n%s", err, is.stderr.String())
		}
	case <-time.After(natstest.Patience):
		is.t.Fatalf("it does not end\n%s", is.stderr.String())
	}
}

// says waits until standard error has a text.
func (is *tailing) says(text string) {
	is.t.Helper()
	natstest.Eventually(is.t, "standard error says "+text, func() bool { return strings.Contains(is.stderr.String(), text) })
}

// A tailBuffer is written by one goroutine while another reads.
type tailBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// idsOf are the ids of events, one in each line.
func idsOf(t *testing.T, lines string) (ids []string) {
	t.Helper()
	if lines != "" && !strings.HasSuffix(lines, "\n") {
		t.Fatal("the last line is torn")
	}
	for line := range strings.Lines(lines) {
		e, err := schema.Decode([]byte(line))
		if err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

var idleFor = flag.Duration("idle", 5*time.Second, "how long folders are idle in the test of a stream with max_age, which is a tenth of it there")

// generations is how many times all events of the stream expire while folders
// are idle.
const generations = 10

// Events go when they are old, marks stay: a folder that was idle for ten times
// as long goes on where it was.
func TestMarksOfIdleFoldersOutliveTheEvents(t *testing.T) {
	t.Parallel()
	h := newHamlet(t, *idleFor/generations)
	h.program = start(t, exec.Command(program(t), "run"), h.env...)
	h.waitRead(t)
	before := h.marks(t)
	for range generations {
		h.portal.Upload(nil, h.busy, "note.txt")
		h.waitRead(t)
		h.waitExpired(t)
	}
	for folder, mark := range h.marks(t) {
		if folder != h.busy && mark.Revision != before[folder].Revision {
			t.Errorf("the mark of idle folder %d lies at sequence %d, was at %d", folder, mark.Revision, before[folder].Revision)
		}
	}

	published, err := h.nc.SubscribeSync("docspace.folder.>")
	if err != nil {
		t.Fatal(err)
	}
	want := h.awake(t)
	h.waitRead(t)
	h.program.kill()
	h.program = nil
	start(t, exec.Command(program(t), "run", "--once"), h.env...).finish(t)
	if diff := cmp.Diff(want, h.received(t, published)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}

	// A server that starts drops all that is older than max_age, marks, too.
	h.waitExpired(t)
	h.waitCopied(t)
	h.server.Restart()
	want = h.awake(t)
	start(t, exec.Command(program(t), "run", "--once"), h.env...).finish(t)
	if diff := cmp.Diff(want, h.received(t, published)); diff != "" {
		t.Errorf("published after a restart of the server (-want +got):\n%s", diff)
	}
}

// awake lets something happen in every idle room and returns the events of it.
func (h *hamlet) awake(t *testing.T) (ids []string) {
	t.Helper()
	h.waitConnected(t)
	for _, room := range h.idle {
		h.portal.Upload(nil, room, "after a long time.txt")
		rows := h.portal.Rows(room)
		ids = append(ids, fmt.Sprintf("%d-%d", room, rows[len(rows)-1].ID))
	}
	return ids
}

// received are the ids of the events that were published so far, ascending.
func (h *hamlet) received(t *testing.T, published *nats.Subscription) (ids []string) {
	t.Helper()
	if err := h.nc.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	for {
		if n, _, err := published.Pending(); err != nil || n == 0 {
			slices.Sort(ids)
			return ids
		}
		msg, err := published.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if len(msg.Data) == 0 {
			continue // the program tried whether it may publish
		}
		e, err := schema.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
}

// A hamlet is a portal with idle rooms and a busy one, and a server whose
// events do not last.
type hamlet struct {
	portal *docspacetest.Portal
	idle   []int
	busy   int
	env    []string
	server *natstest.ServerProcess
	nc     *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	ledger *publisher.JetStream

	program *process // nil once it was killed
}

func newHamlet(t *testing.T, lasts time.Duration) *hamlet {
	h := &hamlet{portal: docspacetest.New(docspacetest.Options{Seed: 1})}
	for i := range 5 {
		room := h.portal.CreateRoom(nil, fmt.Sprint("Idle room ", i))
		h.portal.Fill(room, 50*i*i, uint64(i)) // the last has some more than a mark remembers
		h.idle = append(h.idle, room)
	}
	h.busy = h.portal.CreateRoom(nil, "Busy room")
	web := httptest.NewServer(h.portal)
	t.Cleanup(web.Close)
	h.server = natstest.Process(t)
	h.nc = h.server.Conn(t)
	var err error
	if h.ledger, err = publisher.Open(t.Context(), h.nc, publisher.Options{MaxAge: lasts}); err != nil {
		t.Fatal(err)
	}
	if h.js, err = jetstream.New(h.nc); err != nil {
		t.Fatal(err)
	}
	if h.stream, err = h.js.Stream(t.Context(), h.ledger.Stream()); err != nil {
		t.Fatal(err)
	}
	// The stream is there already: the program itself creates none whose events
	// last less than a minute.
	h.env = append(environment(web.URL, h.portal.APIKey(), h.server.URL()), "POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=1s")
	return h
}

// waitRead waits until the marks account for every row, and say that it was the last.
func (h *hamlet) waitRead(t *testing.T) {
	t.Helper()
	h.wait(t, func() bool {
		for _, room := range h.portal.Rooms() {
			mark, err := h.ledger.Mark(t.Context(), room)
			if err != nil {
				t.Fatal(err)
			}
			if mark.Accounted < h.portal.Count(room) || mark.State != checkpoint.Watching {
				return false
			}
		}
		return true
	})
}

// waitCopied waits until the server has copied the newest mark of each folder, which it
// does in its own time.
func (h *hamlet) waitCopied(t *testing.T) {
	t.Helper()
	copies, err := h.js.Stream(t.Context(), h.ledger.Stream()+"_MARKS")
	if err != nil {
		t.Fatal(err)
	}
	h.wait(t, func() bool {
		for _, room := range h.portal.Rooms() {
			subject := fmt.Sprintf("docspace.checkpoint.%d", room)
			mark, err := h.stream.GetLastMsgForSubject(t.Context(), subject)
			if err != nil {
				t.Fatal(err)
			}
			copied, err := copies.GetLastMsgForSubject(t.Context(), subject)
			if err != nil || !bytes.Equal(copied.Data, mark.Data) {
				return false
			}
		}
		return true
	})
}

// waitConnected waits until the server that runs now knows who listens. That the
// connection is lost to the one before may not have been noticed yet.
func (h *hamlet) waitConnected(t *testing.T) {
	t.Helper()
	h.wait(t, func() bool { return h.nc.FlushTimeout(natstest.Patience) == nil })
}

// waitExpired waits until the stream has marks only.
func (h *hamlet) waitExpired(t *testing.T) {
	t.Helper()
	h.wait(t, func() bool {
		info, err := h.stream.Info(t.Context(), jetstream.WithSubjectFilter(h.ledger.EventSubjects()))
		if err != nil {
			t.Fatal(err)
		}
		return len(info.State.Subjects) == 0
	})
}

func (h *hamlet) wait(t *testing.T, until func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var ended chan struct{}
	if h.program != nil {
		ended = h.program.ended
	}
	for !until() {
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("ended by itself: %v\n%s", h.program.err, h.program.stderr.String())
		}
	}
}

// marks are those that lie in the stream. Unlike the program it puts none back.
func (h *hamlet) marks(t *testing.T) map[int]checkpoint.Mark {
	t.Helper()
	all, err := h.ledger.Marks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	marks := make(map[int]checkpoint.Mark, len(all))
	for _, m := range all {
		marks[m.Folder] = m
	}
	return marks
}

// What was watched before, and since when, is known from the copies of marks that
// a restart of the server has dropped.
func TestARoomMadeBetweenTwoRunsIsReadFromItsFirstRowThoughNoMarkIsLeft(t *testing.T) {
	t.Parallel()
	const lasts = time.Second
	h := newHamlet(t, lasts)
	h.env = append(h.env, "DOCSPACE_START=now")
	start(t, exec.Command(program(t), "run", "--once"), h.env...).finish(t)
	ended := time.Now()
	h.waitCopied(t)
	h.wait(t, func() bool { return time.Since(ended) > lasts })
	h.server.Restart()
	h.waitConnected(t)
	info, err := h.stream.Info(t.Context(), jetstream.WithSubjectFilter("docspace.checkpoint.*"))
	if err != nil || len(info.State.Subjects) != 0 {
		t.Fatalf("marks are left: %v, %v", info, err)
	}
	room := h.portal.CreateRoom(nil, "A new room")
	h.portal.Upload(nil, room, "plan.txt")
	made := time.Now()
	h.wait(t, func() bool { return time.Since(made) > 2*time.Second }) // dates are told in seconds
	start(t, exec.Command(program(t), "run", "--once"), h.env...).finish(t)
	if mark, err := h.ledger.Mark(t.Context(), room); err != nil || mark.Accounted != h.portal.Count(room) {
		t.Fatalf("Mark = %v, %v, want %d rows", mark, err, h.portal.Count(room))
	}
}

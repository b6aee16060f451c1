package publisher

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
)

// plainStream is a stream as an operator makes it who knows nothing of us, or
// whose server is too old for more.
func plainStream(t *testing.T, nc *nats.Conn, name, prefix string, change ...func(*jetstream.StreamConfig)) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config := jetstream.StreamConfig{Name: name, Subjects: []string{prefix + ".>"}}
	for _, f := range change {
		f(&config)
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func TestAPlainStreamIsAStore(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	exercise(t, nc, Options{}, func(t *testing.T, o Options) { plainStream(t, nc, o.Stream, o.Prefix) })
}

func TestAutoIsAtomicWhereThatIsPossible(t *testing.T) {
	t.Parallel()
	atomic, plain := &jetstream.StreamConfig{AllowAtomicPublish: true}, &jetstream.StreamConfig{}
	for _, c := range []struct {
		asked  Mode
		level  int
		stream *jetstream.StreamConfig
		want   Mode
	}{
		{Auto, apiLevel, nil, Atomic},
		{Auto, apiLevel, atomic, Atomic},
		{Auto, apiLevel, plain, Dedup},
		{Auto, apiLevel - 1, nil, Dedup},
		{Auto, apiLevel - 1, plain, Dedup},
		{Atomic, apiLevel - 1, plain, Atomic},
		{Dedup, apiLevel, atomic, Dedup},
	} {
		if got := (facts{level: c.level, stream: c.stream}).modeFor(c.asked); got != c.want {
			t.Errorf("asked for %s at API level %d with stream %+v: %s, want %s", c.asked, c.level, c.stream, got, c.want)
		}
	}
}

func TestAPlainStreamIsUsedAndTheWayToTheBetterModeIsTold(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	plainStream(t, nc, "DOCSPACE", "docspace")
	is, err := Inspect(t.Context(), nc, Options{}, false)
	found := is.Findings
	if err != nil || is.Mode != Dedup || found.Err() != nil {
		t.Fatalf("Inspect = %+v, %v, want dedup and nothing that is broken", is, err)
	}
	if !slices.ContainsFunc(found.Of(Warning), func(f Finding) bool { return f.Setting == "allow_atomic" && f.Need == "true" }) {
		t.Errorf("findings %v do not tell how to get the better mode", found)
	}
	j := open(t, nc, Options{})
	if n := stream(t, j).CachedInfo().State.Msgs; n != 0 || j.Mode() != Dedup {
		t.Errorf("mode %s, and looking stored %d messages", j.Mode(), n)
	}
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	push(t, j, mark, 2)
	if now := checkInvariants(t, j, 7); now.Accounted != 5 {
		t.Errorf("%d events are accounted for, want 5", now.Accounted)
	}
	if marks, err := j.Marks(t.Context()); err != nil || len(marks) != 1 || marks[0].Accounted != 5 {
		t.Errorf("Marks = %v, %v, want the newest of those that lie there", marks, err)
	}
}

// An older server has other settings for a new stream: it refuses those it
// does not know. A server of today cannot be made to be one, so the request is
// what is looked at.
func TestAStreamOnAnOlderServerIsCreatedWithoutWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t, func(o *server.Options) { o.JetStream = false }).Conn(t)
	answer := func(subject, text string) {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(text)) }); err != nil {
			t.Fatal(err)
		}
	}
	answer("$JS.API.INFO", `{"type":"io.nats.jetstream.api.v1.account_info_response","limits":{"max_storage":-1},"api":{"total":1,"errors":0}}`)
	answer("$JS.API.STREAM.INFO.DOCSPACE", `{"type":"io.nats.jetstream.api.v1.stream_info_response","error":{"code":404,"err_code":10059,"description":"stream not found"}}`)
	requests := make(chan string, 1)
	if _, err := nc.Subscribe("$JS.API.STREAM.CREATE.DOCSPACE", func(m *nats.Msg) {
		requests <- string(m.Data)
		_ = m.Respond([]byte(`{"error":{"code":400,"err_code":10052,"description":"not here"}}`))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), nc, Options{}); err == nil || !strings.Contains(err.Error(), "create stream DOCSPACE") {
		t.Fatalf("Open = %v, want the refusal to create the stream", err)
	}
	if request := <-requests; strings.Contains(request, "allow_atomic") || strings.Contains(request, "allow_msg_ttl") {
		t.Errorf("asked for %s", request)
	}
	if _, err := Open(t.Context(), nc, Options{MaxAge: time.Hour}); err == nil || !strings.Contains(err.Error(), "nats-server 2.11 or later), or no max_age") {
		t.Errorf("Open with an age limit = %v, want what would save the marks from it", err)
	}
}

// begin starts a dedup commit of n events that a test carries on by hand.
func begin(t *testing.T, j *JetStream, prev checkpoint.Mark, n int) *commit {
	t.Helper()
	events := following(prev, n)
	b, err := j.encode(prev.Folder, events, prev, checkpointtest.After(prev, events))
	if err != nil {
		t.Fatal(err)
	}
	return &commit{j: j, b: b, prev: prev, next: checkpointtest.After(prev, events), connection: j.nc.Stats().Reconnects}
}

// sendEvents sends some of the events of a commit.
func sendEvents(t *testing.T, c *commit, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := c.sendEvent(t.Context(), i); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
}

// storeForgotten stores events whose ids the server does not remember, as after
// the duplicate window.
func storeForgotten(t *testing.T, j *JetStream, prev checkpoint.Mark, from, to int) {
	t.Helper()
	c := begin(t, j, prev, to)
	for i := from; i < to; i++ {
		msg := c.b.eventMessage(i)
		msg.Header.Del(headerMsgID)
		if _, _, err := j.store(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsLeftWithoutTheirMarkByACrashAreNotStoredAgainAfterAnyTime(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	for _, mode := range []Mode{Dedup, Atomic} { // also when the operator allows batches meanwhile
		name := string(mode)
		for _, stored := range []int{1, 5, 10} {
			o := Options{Stream: name + "-" + string(rune('a'+stored)), Prefix: name + string(rune('a'+stored)), Commit: Dedup}
			crashed := open(t, server.Conn(t), o)
			mark := push(t, crashed, checkpoint.Mark{Folder: 7}, 3)
			storeForgotten(t, crashed, mark, 0, stored)

			o.Commit = mode
			other := open(t, server.Conn(t), o)
			mark, err := other.Mark(t.Context(), 7)
			if err != nil || mark.Accounted != 3 {
				t.Fatalf("Mark = %+v, %v, want 3 rows", mark, err)
			}
			push(t, other, mark, 10)
			if now := checkInvariants(t, other, 7); now.Accounted != 13 {
				t.Fatalf("%d events are accounted for, want 13", now.Accounted)
			}
		}
	}
}

func TestWhatAnotherProcessStoresAfterTheLookIsNotStoredAgain(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	j := open(t, nc, Options{Commit: Dedup})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	slow, quick := begin(t, j, mark, 20), begin(t, j, mark, 20)
	sendEvents(t, slow, 0, 2)
	sendEvents(t, quick, 0, 12)
	sendEvents(t, slow, 2, 15)
	sendEvents(t, quick, 12, 20)
	if _, err := quick.sendMark(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.sendEvent(t.Context(), 15); !refusedBy(err, codeWrongLastSequence) {
		t.Errorf("an event after the mark was moved: %v, want it refused", err)
	}
	if _, err := slow.sendMark(t.Context()); err == nil {
		t.Error("the second mark is stored too")
	}
	if now := checkInvariants(t, j, 7); now.Accounted != 23 {
		t.Fatalf("%d events are accounted for, want 23", now.Accounted)
	}
}

func TestAProcessThatWasPausedForLongLooksAgainBeforeItGoesOn(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	j := open(t, nc, Options{Commit: Dedup})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	paused := begin(t, j, mark, 20)
	sendEvents(t, paused, 0, 2)
	storeForgotten(t, j, mark, 2, 12)
	paused.looked = paused.looked.Add(-j.window/2 - time.Second)
	sendEvents(t, paused, 2, 14)

	// Another process goes on from what it left, and finishes.
	push(t, j, mark, 20)
	paused.looked = paused.looked.Add(-j.window/2 - time.Second)
	if _, err := paused.sendEvent(t.Context(), 14); !errors.Is(err, checkpoint.ErrConflict) {
		t.Errorf("the next event after the mark was moved: %v, want a conflict", err)
	}
	if now := checkInvariants(t, j, 7); now.Accounted != 23 {
		t.Fatalf("%d events are accounted for, want 23", now.Accounted)
	}
}

// Its message may be on its way for any time: no id is remembered any more.
func TestAnEventThatArrivesAfterTheMarkWasMovedIsRefusedWithoutItsID(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{Commit: Dedup})
	for _, before := range []int{0, 3} { // a folder's first commit, and a later one
		mark := checkpoint.Mark{Folder: 7 + before}
		if before > 0 {
			mark = push(t, j, mark, before)
		}
		held := begin(t, j, mark, 20)
		sendEvents(t, held, 0, 2)
		push(t, j, mark, 20)
		msg := held.b.eventMessage(14)
		msg.Header.Del(headerMsgID)
		if _, _, err := j.store(t.Context(), msg); !refusedBy(err, codeWrongLastSequence) {
			t.Errorf("the event: %v, want it refused", err)
		}
		checkInvariants(t, j, mark.Folder)
	}
}

func TestADedupProcessStopsOnceAnotherCommitsAtomically(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	atomic := open(t, nc, Options{})
	push(t, atomic, checkpoint.Mark{Folder: 7}, 3)
	dedup := open(t, nc, Options{Commit: Dedup})
	mark, err := dedup.Mark(t.Context(), 7)
	if err != nil {
		t.Fatalf("Mark = %v; nobody commits atomically any more", err)
	}
	mark = push(t, dedup, mark, 2)
	held := begin(t, dedup, mark, 5)
	sendEvents(t, held, 0, 2)
	push(t, atomic, mark, 5)
	if _, err := held.sendEvent(t.Context(), 2); !refusedBy(err, codeWrongLastSequence) {
		t.Errorf("the next event: %v, want it refused", err)
	}
	if _, err := dedup.Mark(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "same NATS_COMMIT") {
		t.Errorf("Mark = %v, want what to do", err)
	}
	checkInvariants(t, atomic, 7)
	if mark, err = open(t, nc, Options{Commit: Dedup}).Mark(t.Context(), 7); err != nil || mark.Accounted != 10 {
		t.Errorf("after a restart Mark = %+v, %v", mark, err)
	}
}

// An older server would take the fence for one of the event's own subject.
func TestEventsOnServersWithoutSuchAFenceCarryNone(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{Commit: Dedup})
	j.level = apiLevelTTL - 1
	msg := begin(t, j, checkpoint.Mark{Folder: 7, Revision: 5}, 1).b.eventMessage(0)
	if msg.Header.Get(headerFence) != "" || msg.Header.Get(headerFenceOf) != "" {
		t.Errorf("headers %v", msg.Header)
	}
	push(t, j, push(t, j, checkpoint.Mark{Folder: 7}, 3), 3)
	checkInvariants(t, j, 7)
}

func refusedBy(err error, code int) bool {
	var refused *StoreError
	return errors.As(err, &refused) && refused.Code == code
}

func TestAProcessWhoseMarkWasReplacedStoresNothing(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{Commit: Dedup})
	old := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	push(t, j, old, 0)
	events := following(old, 5)
	if _, err := j.Commit(t.Context(), 7, events, old, checkpointtest.After(old, events)); !errors.Is(err, checkpoint.ErrConflict) {
		t.Fatalf("Commit = %v, want a conflict", err)
	}
	checkInvariants(t, j, 7)
}

// The server remembers the ids of messages that an operator has removed.
func TestAnEventThatWasRemovedIsNotTakenForStored(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{Commit: Dedup})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSubject("docspace.folder.7.>")); err != nil {
		t.Fatal(err)
	}
	events := checkpointtest.Events(7, 1, 3)
	_, err := j.Commit(t.Context(), 7, events, mark, checkpoint.Mark{Folder: 7, Accounted: 3})
	var refused *StoreError
	if !errors.As(err, &refused) || !refused.Temporary() || !strings.Contains(err.Error(), "duplicate_window") {
		t.Fatalf("Commit = %v, want to be told that it can go on later", err)
	}
}

func TestAMachineThatSleptCountsTheTime(t *testing.T) {
	t.Parallel()
	if got := elapsed(time.Now().Round(0).Add(-time.Hour)); got < time.Hour {
		t.Errorf("an hour by the clock on the wall counts as %v", got)
	}
	if got := elapsed(time.Time{}); got < time.Hour {
		t.Errorf("never counts as %v ago", got)
	}
}

// A server that comes back without its newest messages may have said that they
// were stored.
func TestEventsLostByAServerBeforeTheirMarkAreStoredAgain(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	link := natstest.NewLink(t, server.URL())
	watcher := open(t, server.Conn(t), Options{Commit: Dedup})
	j := open(t, link.Conn(t), Options{Commit: Dedup})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	c := begin(t, j, mark, 20)
	sendEvents(t, c, 0, 20)
	if err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := j.nc.Stats().Reconnects
	link.Cut()
	natstest.Eventually(t, "the connection is back", func() bool { return j.nc.Stats().Reconnects > before && j.nc.IsConnected() })
	if _, err := c.sendMark(t.Context()); err == nil {
		t.Fatal("the mark of events that were sent on a lost connection is stored")
	}
	for seq := mark.Revision + 1; seq <= mark.Revision+20; seq++ {
		if err := stream(t, watcher).DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	server.Shutdown() // the ids of what it lost are not remembered either
	server.Restart()
	natstest.Eventually(t, "an attempt succeeds", func() bool { return c.attempt(t.Context()) == nil && watcher.nc.IsConnected() })
	if now := checkInvariants(t, watcher, 7); now.Accounted != 23 {
		t.Fatalf("%d events are accounted for, want 23", now.Accounted)
	}
}

func TestADedupCommitWhoseContextEndsAnywhereIsGoneOnWith(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	j := open(t, nc, Options{Commit: Dedup})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	events := following(mark, 400)
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
		next, err := j.Commit(ctx, 7, events, mark, checkpointtest.After(mark, events))
		cancel()
		switch {
		case err == nil:
			mark = next
			events = following(mark, 400)
		case errors.Is(err, context.DeadlineExceeded):
			awaitSent(t, j)
			if mark, err = j.Mark(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
			events = following(mark, 400)
		default:
			t.Fatal(err)
		}
	}
	push(t, j, mark, 400)
	checkInvariants(t, j, 7)
}

func TestDedupEventsCarryTheirIDAndAMarkDoesNot(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	j := open(t, nc, Options{Commit: Dedup})
	events := following(checkpoint.Mark{Folder: 7}, 2)
	push(t, j, checkpoint.Mark{Folder: 7}, 2)
	n := 0
	err := eachMessage(t.Context(), j, "docspace.>", func(msg jetstream.Msg) error {
		want := ""
		if n < len(events) {
			want = events[n].MsgID()
		}
		if got := msg.Headers().Get(headerMsgID); got != want {
			t.Errorf("message %d on %s has id %q, want %q", n, msg.Subject(), got, want)
		}
		n++
		return nil
	})
	if err != nil || n != 3 {
		t.Fatalf("%d messages: %v", n, err)
	}
}

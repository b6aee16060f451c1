package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

func TestACommitWhoseAnswerIsLostIsStoredOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t)
		link := natstest.NewLink(t, server.URL())
		watcher := open(t, server.Conn(t), o)
		j := open(t, link.Conn(t), o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
		for range 5 {
			link.DropAnswersFrom(fmt.Sprintf(`"seq":%d`, mark.Revision+51)) // of the new mark
			done := make(chan checkpoint.Mark)
			go func() {
				defer close(done)
				events := following(mark, 50)
				next, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				done <- next
			}()
			natstest.Eventually(t, "the commit is stored", func() bool {
				now, err := watcher.Mark(t.Context(), 7)
				return err == nil && now.Revision != mark.Revision
			})
			link.Cut()
			mark = <-done
			if now := checkInvariants(t, watcher, 7); now.Revision != mark.Revision {
				t.Fatalf("Commit returned revision %d, stored is %d", mark.Revision, now.Revision)
			}
		}
	})
}

func TestACommitCutAtAnyByteIsStoredOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t)
		link := natstest.NewLink(t, server.URL())
		watcher := open(t, server.Conn(t), o)
		j := open(t, link.Conn(t), o)
		const perCommit = 20
		mark := push(t, j, checkpoint.Mark{Folder: 7}, perCommit)
		b, err := j.encode(7, following(mark, perCommit), mark, mark)
		if err != nil {
			t.Fatal(err)
		}
		size := len(b.body) + perCommit*250 // with headers; beyond the end nothing is cut
		for cut := 1; cut < size+2000; cut += size / 17 {
			link.CutAfter(cut)
			mark = push(t, j, mark, perCommit)
			checkInvariants(t, watcher, 7)
		}
	})
}

func TestACommitWaitsForARestartingServer(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t)
		j := open(t, server.Conn(t), o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
		for range 3 {
			server.Shutdown()
			done := make(chan checkpoint.Mark)
			go func() {
				defer close(done)
				events := following(mark, 500)
				next, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				done <- next
			}()
			server.Restart()
			mark = <-done
		}
		if now := checkInvariants(t, j, 7); now.Accounted != 1510 {
			t.Fatalf("%d events are accounted for, want 1510", now.Accounted)
		}
	})
}

// Two writers that know nothing of each other publish the same rows, while the
// server is killed again and again.
func TestTwoWritersAndAServerKilledUnderThemStoreEveryRowOnceInOrder(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Process(t)
		var writers sync.WaitGroup
		var killed atomic.Bool // for the last time
		for range 2 {
			j := open(t, server.Conn(t), o)
			writers.Go(func() {
				for rows := 500; !t.Failed(); rows += 500 {
					last := killed.Load()
					publishUpTo(t, j, 7, rows)
					if last {
						return
					}
				}
			})
		}
		watcher := open(t, server.Conn(t), o)
		mark := checkpoint.Mark{Folder: 7}
		for range 6 {
			natstest.Eventually(t, "more rows are published", func() bool {
				now, err := watcher.Mark(t.Context(), 7)
				more := err == nil && now.Accounted > mark.Accounted+100
				if more {
					mark = now
				}
				return more
			})
			server.Restart()
		}
		killed.Store(true)
		writers.Wait()
		checkInvariants(t, open(t, server.Conn(t), o), 7)
	})
}

// publishUpTo does what a poller does: start from the mark, commit, and start
// again from the mark after a conflict. The folder has so many rows, or more.
func publishUpTo(t *testing.T, j *JetStream, folder, rows int) {
	for size := 1; ; size = size%97 + 13 {
		mark, err := j.Mark(t.Context(), folder)
		if err != nil {
			t.Errorf("mark: %v", err)
			return
		}
		if mark.Accounted >= rows {
			return
		}
		events := following(mark, min(size, rows-mark.Accounted))
		_, err = j.Commit(t.Context(), folder, events, mark, checkpointtest.After(mark, events))
		if err != nil && !errors.Is(err, checkpoint.ErrConflict) {
			t.Errorf("commit: %v", err)
			return
		}
	}
}

func TestALeaderStoppedUnderTwoWritersCostsNoRow(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		cluster := natstest.Cluster(t, 3)
		const rows = 2000
		o.Replicas = 3
		var writers sync.WaitGroup
		for range 2 {
			j := open(t, cluster.Conn(t), o)
			writers.Go(func() { publishUpTo(t, j, 7, rows) })
		}
		watcher := open(t, cluster.Conn(t), o)
		natstest.Eventually(t, "some rows are published", func() bool {
			mark, err := watcher.Mark(t.Context(), 7)
			return err == nil && mark.Accounted > 100
		})
		var leader *natstest.Server
		natstest.Eventually(t, "a server leads the stream", func() bool {
			leader = cluster.StreamLeader("DOCSPACE")
			return leader != nil
		})
		leader.Restart()
		writers.Wait()
		checkInvariants(t, watcher, 7)
	})
}

func TestNothingOfACommitIsVisibleBeforeItsMark(t *testing.T) {
	t.Parallel()
	// The server must not forget the batch before it was looked for.
	j := open(t, natstest.Run(t, func(o *server.Options) { o.JetStreamLimits.MaxBatchTimeout = natstest.Patience }).Conn(t), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 2)
	events := following(mark, 100)
	b, err := j.encode(7, events, mark, checkpointtest.After(mark, events))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.sendEvents(t.Context(), j.nc, "half", nil); err != nil {
		t.Fatal(err)
	}
	if err := j.nc.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, j, 7)
	reply, err := j.nc.RequestMsg(b.commitMessage("half", 101), natstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := parseAck(reply.Data, "half", 101); err != nil || a.Error != nil {
		t.Fatalf("ack %+v, %v", a, err)
	}
	if now := checkInvariants(t, j, 7); now.Accounted != 102 {
		t.Fatalf("%d events, want 102", now.Accounted)
	}
}

// Why the README tells consumers to read from the stream.
func TestAPlainSubscriptionSeesEventsThatAreNeverStored(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 2)
	plain, err := j.nc.SubscribeSync(j.EventSubjects())
	if err != nil {
		t.Fatal(err)
	}
	stale := checkpoint.Mark{Folder: 7, Revision: mark.Revision - 1}
	events := following(mark, 1)
	if _, err := j.Commit(t.Context(), 7, events, stale, checkpointtest.After(mark, events)); !errors.Is(err, checkpoint.ErrConflict) {
		t.Fatalf("commit over a stale mark: %v", err)
	}
	if msg, err := plain.NextMsg(natstest.Patience); err != nil || msg.Subject != events[0].NATSSubject("docspace") {
		t.Fatalf("a plain subscription received %v, %v", msg, err)
	}
	if now := checkInvariants(t, j, 7); now.Accounted != 2 {
		t.Fatalf("%d events stored, want 2", now.Accounted)
	}
}

func TestACommitWhoseContextEndsInTheMiddleStoresAllOrNothing(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	mark := checkpoint.Mark{Folder: 7}
	for i := range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*300*time.Microsecond)
		events := following(mark, 400)
		_, err := j.Commit(ctx, 7, events, mark, checkpointtest.After(mark, events))
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("commit: %v", err)
		}
		awaitSent(t, j)
		now := checkInvariants(t, j, 7)
		if err == nil && now.Revision == mark.Revision {
			t.Fatal("a commit that succeeded is not stored")
		}
		mark = now
	}
}

// awaitSent waits until the stream has taken or refused all that was sent: a commit
// that was given up may still be on its way, and what is sent later comes after it.
func awaitSent(t *testing.T, j *JetStream) {
	t.Helper()
	if err := j.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheMarkOutlivesTheAgeLimitOfTheEvents(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{MaxAge: time.Second})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 5)
	natstest.Eventually(t, "the events expire", func() bool {
		stream, err := j.js.Stream(t.Context(), j.o.Stream)
		return err == nil && stream.CachedInfo().State.Msgs == 1
	})
	now, err := j.Mark(t.Context(), 7)
	if err != nil || now.Revision != mark.Revision || now.Accounted != 5 {
		t.Fatalf("Mark = %v, %v, want %v", now, err, mark)
	}
	push(t, j, now, 5)
}

func TestAFullStreamThatKeepsOldMessagesSaysSoAndGoesOnWhenThereIsRoom(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		nc := natstest.Run(t).Conn(t)
		config := (&JetStream{o: Options{}.withDefaults()}).wanted(apiLevel)
		config.Discard, config.MaxMsgs = jetstream.DiscardNew, 100
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		j := open(t, nc, o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 80)

		events := following(mark, 40)
		_, err = j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
		var full *StoreError
		if !errors.As(err, &full) || !full.Temporary() || full.Code != 10077 || !strings.Contains(err.Error(), "make room") {
			t.Fatalf("Commit = %v, want a temporary StoreError 10077 that tells what to do", err)
		}
		if o.Commit == Atomic {
			checkInvariants(t, j, 7)
		}

		config.MaxMsgs = 1000
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		push(t, j, mark, 40)
		checkInvariants(t, j, 7)
	})
}

// The server stops in the middle of a batch at this limit, so that events lie
// in the stream without their mark.
func TestAServerAtItsStorageLimitCostsNoRowAndRepeatsNone(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t, func(o *server.Options) { o.JetStreamMaxStore = 256 << 10 })
		nc := server.Conn(t)
		drop := ballast(t, nc, 168<<10) // the limit lies well inside a commit, in both modes
		j := open(t, nc, o)
		// The copy of the marks grows in its own time, which would move the limit.
		if err := j.js.DeleteStream(t.Context(), j.copyName()); err != nil {
			t.Fatal(err)
		}
		mark, full := fill(t, j)
		if !full.Temporary() || !strings.Contains(full.Error(), "make room") {
			t.Fatalf("Commit = %v, want a temporary error that tells what to do", full)
		}
		before, err := storedIDs(t.Context(), j, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(before) == mark.Accounted {
			t.Fatal("the server stored no part of the refused commit: the case is not covered")
		}
		drop()
		// Another process, which knows nothing of the attempt, goes on.
		other := open(t, server.Conn(t), o)
		push(t, other, mark, 70)
		checkInvariants(t, other, 7)
	})
}

// ballast takes room of the server, and returns what gives it back.
func ballast(t *testing.T, nc *nats.Conn, size int) (drop func()) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "BALLAST", Subjects: []string{"ballast"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "ballast", make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := js.DeleteStream(t.Context(), "BALLAST"); err != nil {
			t.Fatal(err)
		}
	}
}

// fill commits until the stream refuses, and returns the last mark.
func fill(t *testing.T, j *JetStream) (checkpoint.Mark, *StoreError) {
	t.Helper()
	mark := checkpoint.Mark{Folder: 7}
	for range 200 {
		events := following(mark, 50)
		next, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
		var full *StoreError
		if errors.As(err, &full) {
			return mark, full
		}
		if err != nil {
			t.Fatal(err)
		}
		mark = next
	}
	t.Fatal("the limit was never reached")
	return mark, nil
}

func TestMoreEventsThanACommitTakesAreRefusedWithTheNumberThatFits(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		mark := checkpoint.Mark{Folder: 7}
		events := following(mark, MaxEvents+1)
		_, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
		var large *TooLargeError
		if !errors.As(err, &large) || large.Fit != MaxEvents {
			t.Fatalf("Commit = %v, want a TooLargeError with room for %d", err, MaxEvents)
		}

		raw := strings.Repeat("x", 50<<10)
		for i := range events {
			events[i].Data.Raw = fmt.Sprintf(`{"id":%d,"x":%q}`, i, raw)
		}
		_, err = j.Commit(t.Context(), 7, events[:MaxEvents], mark, checkpointtest.After(mark, events[:MaxEvents]))
		if !errors.As(err, &large) || large.Fit < 250 || large.Fit > 400 {
			t.Fatalf("Commit = %v, want a TooLargeError with room for about 16 MiB", err)
		}
		fit := events[:large.Fit]
		if _, err := j.Commit(t.Context(), 7, fit, mark, checkpointtest.After(mark, fit)); err != nil {
			t.Fatalf("commit what fits: %v", err)
		}
		checkInvariants(t, j, 7)
	})
}

func TestAServerThatTakesSmallBatchesGetsSmallCommits(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t, func(o *server.Options) { o.JetStreamLimits.MaxBatchSize = 100 }).Conn(t), Options{})
	mark := checkpoint.Mark{Folder: 7}
	events := following(mark, 300)
	for range 2 { // the second time without asking the server
		_, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
		var large *TooLargeError
		if !errors.As(err, &large) || large.Fit != 99 {
			t.Fatalf("Commit = %v, want a TooLargeError with room for 99", err)
		}
	}
	push(t, j, push(t, j, mark, 99), 99)
	checkInvariants(t, j, 7)
}

func TestACommitOfAnotherFoldersEventsOrMarksIsRefused(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		seven, eight := checkpoint.Mark{Folder: 7}, checkpoint.Mark{Folder: 8}
		for _, c := range []struct {
			folder     int
			events     []schema.Event
			prev, next checkpoint.Mark
		}{
			{7, checkpointtest.Events(8, 1, 1), seven, seven},
			{7, checkpointtest.Events(7, 1, 1), eight, seven},
			{7, checkpointtest.Events(7, 1, 1), seven, eight},
			{0, nil, checkpoint.Mark{}, checkpoint.Mark{}},
		} {
			if _, err := j.Commit(t.Context(), c.folder, c.events, c.prev, c.next); err == nil {
				t.Errorf("commit of folder %d with an event of folder 8 or marks %d and %d succeeded", c.folder, c.prev.Folder, c.next.Folder)
			}
		}
		checkInvariants(t, j, 7)
	})
}

func TestEventsCarryWhatConsumersNeedAndNoMessageIDUnlessAskedFor(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	for _, ids := range []bool{false, true} {
		j := open(t, nc, Options{Stream: fmt.Sprintf("S%t", ids), Prefix: fmt.Sprintf("p%t", ids), MessageIDs: ids})
		mark := checkpoint.Mark{Folder: 7}
		events := following(mark, 2)
		events[1].IngestMode = schema.Backfill
		if _, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events)); err != nil {
			t.Fatal(err)
		}
		n := 0
		err := eachMessage(t.Context(), j, j.EventSubjects(), func(msg jetstream.Msg) error {
			e := &events[n]
			n++
			h := msg.Headers()
			if msg.Subject() != e.NATSSubject(j.o.Prefix) || h.Get("Content-Type") != schema.ContentType || h.Get("Docspace-Ingest-Mode") != e.IngestMode {
				t.Errorf("subject %s, headers %v", msg.Subject(), h)
			}
			if got := h.Get("Nats-Msg-Id"); (got == e.MsgID()) != ids || (got == "") == ids {
				t.Errorf("Nats-Msg-Id %q, asked for %t", got, ids)
			}
			return nil
		})
		if err != nil || n != 2 {
			t.Fatalf("%d events: %v", n, err)
		}
	}
}

func TestWithMessageIDsALostAnswerIsStillResolved(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	link := natstest.NewLink(t, server.URL())
	j := open(t, link.Conn(t), Options{MessageIDs: true})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 20)
	for range 4 {
		link.CutAfter(12_000)
		mark = push(t, j, mark, 20)
		checkInvariants(t, j, 7)
	}
}

package publisher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// reset has a folder read again, as an operator does.
func reset(t *testing.T, j *JetStream, prev checkpoint.Mark) checkpoint.Mark {
	t.Helper()
	next := prev.Reset(time.Time{})
	mark, err := j.Commit(t.Context(), prev.Folder, []schema.Event{checkpointtest.Change(prev, next)}, prev, next)
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

// rowCounts returns how often each row of a folder is stored.
func rowCounts(t *testing.T, j *JetStream, folder int) map[string]int {
	t.Helper()
	ids, err := storedIDs(t.Context(), j, folder)
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, id := range ids {
		if !strings.Contains(id, schema.MarkChanged) {
			counts[id]++
		}
	}
	return counts
}

// holdsTimes holds that the rows from 1 on are stored so often.
func holdsTimes(t *testing.T, j *JetStream, folder int, times ...int) {
	t.Helper()
	counts := rowCounts(t, j, folder)
	var got []int
	for range counts {
		got = append(got, counts[schema.EventID(folder, int64(len(got)+1))])
	}
	if !slices.Equal(got, times) {
		t.Fatalf("rows are stored %v times, want %v", got, times)
	}
}

// A batch with an id the server has seen is refused as a whole.
func TestRowsPublishedAgainAreNotTakenForThoseTheServerRemembers(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{Commit: Atomic, MessageIDs: true})
	mark := push(t, j, reset(t, j, push(t, j, checkpoint.Mark{Folder: 7}, 3)), 3)
	if mark.Accounted != 3 {
		t.Fatalf("%+v", mark)
	}
	holdsTimes(t, j, 7, 2, 2, 2)
}

// Another process was in the middle of a commit: what it has stored no mark
// accounts for, and the announcement does not count it.
func TestEventsOfACommitThatAChangeOvertookAreNotStoredAgain(t *testing.T) {
	t.Parallel()
	for name, overtake := range map[string]func(t *testing.T, j *JetStream, mark checkpoint.Mark) checkpoint.Mark{
		"before the change looked": func(t *testing.T, j *JetStream, mark checkpoint.Mark) checkpoint.Mark {
			sendEvents(t, begin(t, j, mark, 4), 0, 2)
			return reset(t, j, mark)
		},
		"after the change looked": func(t *testing.T, j *JetStream, mark checkpoint.Mark) checkpoint.Mark {
			next := mark.Reset(time.Time{})
			b, err := j.encode(7, []schema.Event{checkpointtest.Change(mark, next)}, mark, next)
			if err != nil {
				t.Fatal(err)
			}
			c := &commit{j: j, b: b, prev: mark, next: next, connection: j.nc.Stats().Reconnects}
			sendEvents(t, c, 0, 1)
			sendEvents(t, begin(t, j, mark, 4), 0, 2)
			if _, err := c.sendMark(t.Context()); err != nil {
				t.Fatal(err)
			}
			now, err := j.Mark(t.Context(), 7)
			if err != nil {
				t.Fatal(err)
			}
			return now
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := natstest.Run(t)
			j := open(t, server.Conn(t), Options{Commit: Dedup})
			mark := overtake(t, j, push(t, j, checkpoint.Mark{Folder: 7}, 3))
			mark = push(t, j, push(t, open(t, server.Conn(t), Options{Commit: Dedup}), mark, 2), 5)
			holdsTimes(t, j, 7, 2, 2, 2, 1, 1, 1, 1)
			if mark.Unsettled != 0 {
				t.Fatalf("%+v: nothing is left to look for", mark)
			}
		})
	}
}

// An operator puts a mark back again, before the rows of such a commit were reached:
// what each announcement counts is stored again, and nothing else. The last mark that
// was put back is the one furthest on, or not.
func TestEventsOfACommitThatAChangeOvertookAreNotStoredAgainAfterMoreChanges(t *testing.T) {
	t.Parallel()
	for name, on := range map[string][]int{"further on each time": {1, 2, 3}, "less far each time": {3, 2, 1}, "to and fro": {2, 1, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := natstest.Run(t)
			j := open(t, server.Conn(t), Options{Commit: Dedup})
			mark := push(t, j, checkpoint.Mark{Folder: 7}, 4)
			want := []int{2, 2, 2, 2, 1, 1, 1, 1, 1, 1}
			sendEvents(t, begin(t, j, mark, 4), 0, 3) // rows 5 to 7
			mark = reset(t, j, mark)
			for i, n := range on {
				mark = push(t, j, mark, n)
				for row := range n {
					want[row]++
				}
				sendEvents(t, begin(t, j, mark, 2), 0, 1) // is owed, and counted by nobody again
				mark = reset(t, open(t, server.Conn(t), Options{Commit: Dedup}), mark)
				if i%2 == 0 { // by one that has looked before, or not
					j = open(t, server.Conn(t), Options{Commit: Dedup})
				}
			}
			mark = push(t, j, push(t, j, mark, 6), 4)
			holdsTimes(t, j, 7, want...)
			if mark.Unsettled != 0 || mark.Overtaken != nil {
				t.Fatalf("%+v: nothing is left to look for", mark)
			}
		})
	}
}

// Of a mark that is moved on over them, they count as skipped, and are there.
func TestEventsOfACommitThatWasSkippedAreStoredOnceAtMost(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{Commit: Dedup})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	slow := begin(t, j, mark, 4)
	sendEvents(t, slow, 0, 2)
	next := mark.MovedOn(7).Remember(4, 5, 6, 7)
	moved, err := j.Commit(t.Context(), 7, []schema.Event{checkpointtest.Change(mark, next)}, mark, next)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.sendEvent(t.Context(), 2); !refusedBy(err, codeWrongLastSequence) {
		t.Errorf("the next event of the commit: %v, want it refused", err)
	}
	if now := push(t, j, moved, 2); now.Unsettled != 0 {
		t.Fatalf("%+v: nothing is left to look for", now)
	}
	counts := rowCounts(t, j, 7)
	if got := fmt.Sprint(counts); got != "map[7-1:1 7-2:1 7-3:1 7-4:1 7-5:1 7-8:1 7-9:1]" {
		t.Fatal(got)
	}
}

// A mark that was lost is read again with what is stored left out; put back, it
// means that what it accounted for by then is to be stored again.
func TestAResetOfAMarkThatWasLostPublishesWhatItAccountsFor(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		push(t, j, checkpoint.Mark{Folder: 7}, 6)
		loseMarks(t, j)
		mark, err := j.Mark(t.Context(), 7)
		if err != nil || mark.Unsettled != 1 {
			t.Fatalf("%+v, %v", mark, err)
		}
		mark = push(t, j, mark, 4)
		push(t, j, reset(t, j, mark), 6)
		holdsTimes(t, j, 7, 2, 2, 2, 2, 1, 1)
	})
}

func TestAResetIsGoneOnWithWhenItsMarkIsLost(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		for _, copied := range []bool{false, true} { // the mark before
			j := open(t, natstest.Run(t).Conn(t), o)
			before := push(t, j, checkpoint.Mark{Folder: 7}, 6)
			if copied {
				waitCopied(t, j, before)
				stopCopying(t, j)
			}
			push(t, j, reset(t, j, before), 2)
			if copied {
				purge(t, j, jetstream.WithPurgeSubject(j.markSubjects()))
			} else {
				loseMarks(t, j)
			}
			mark, err := j.Mark(t.Context(), 7)
			if err != nil || mark.Revision != 0 || mark.Changes != 1 || mark.Reason == "" {
				t.Fatalf("%+v, %v", mark, err)
			}
			push(t, j, mark, 8)
			holdsTimes(t, j, 7, 2, 2, 2, 2, 2, 2, 1, 1)
		}
	})
}

// stopCopying leaves the copy as it is.
func stopCopying(t *testing.T, j *JetStream) {
	t.Helper()
	still := j.wantedCopy()
	still.Sources = nil
	if _, err := j.js.UpdateStream(t.Context(), still); err != nil {
		t.Fatal(err)
	}
}

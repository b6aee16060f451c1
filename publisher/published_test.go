package publisher

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// A consumer may live on a replica that hears of a commit later than whoever
// made it.
func TestWhatIsPublishedIsCompleteRightAfterACommitToThreeServers(t *testing.T) {
	t.Parallel()
	cluster := natstest.Cluster(t, 3)
	j := open(t, cluster.Conn(t), Options{Replicas: 3})
	var folders sync.WaitGroup
	for folder := 1; folder <= 6; folder++ {
		folders.Go(func() {
			mark := checkpoint.Mark{Folder: folder}
			for range 6 {
				events := following(mark, 300)
				next, err := j.Commit(t.Context(), folder, events, mark, checkpointtest.After(mark, events))
				if err != nil {
					t.Error(err)
					return
				}
				mark = next
				so, err := j.Published(t.Context(), mark, checkpoint.Published{})
				if err != nil || len(so.IDs) != mark.Accounted {
					t.Errorf("folder %d: %d rows, %d are stored: %v", folder, len(so.IDs), mark.Accounted, err)
					return
				}
			}
		})
	}
	folders.Wait()
}

func TestEventsAboveTheMarkAreNotPublished(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
	stray := following(mark, 1)[0]
	if _, err := j.js.Publish(t.Context(), stray.NATSSubject(j.o.Prefix), stray.Encode()); err != nil {
		t.Fatal(err)
	}
	if so := published(t, j, mark, checkpoint.Published{}); len(so.IDs) != 10 || so.UpTo != mark.Revision {
		t.Fatalf("%+v", so)
	}
}

func TestRowsTheStreamHasDroppedAreBelowTheFloor(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{MaxBytes: 256 << 10})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 100)
	before := published(t, j, mark, checkpoint.Published{})
	for range 10 {
		mark = push(t, j, mark, 100)
	}
	stored, err := storedIDs(t.Context(), j, 7)
	if err != nil || len(stored) == mark.Accounted {
		t.Fatalf("nothing was dropped: %d events, %v", len(stored), err)
	}
	so := published(t, j, mark, checkpoint.Published{})
	if len(so.IDs) != len(stored) || so.Floor(mark.Accounted) != so.IDs[0] {
		t.Fatalf("%d rows from %d on, floor %d; %d events are stored", len(so.IDs), so.IDs[0], so.Floor(mark.Accounted), len(stored))
	}
	// What was read an hour ago has a hole between then and now.
	so = published(t, j, mark, before)
	if floor := so.Floor(mark.Accounted); so.Has(floor-1) && so.Has(1) && floor <= 100 {
		t.Fatalf("floor %d, of rows up to 100 and from %s on", floor, stored[0])
	}
	for id := so.Floor(mark.Accounted); id <= int64(mark.Accounted); id++ {
		if !so.Has(id) {
			t.Fatalf("row %d is above the floor and said not to be stored", id)
		}
	}
}

func TestALateRowIsNoFloor(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7, Accounted: 50}, 100)
	late := checkpointtest.Events(7, 1, 3)
	for i := range late {
		late[i].Data.Late = true
	}
	mark, err := j.Commit(t.Context(), 7, late, mark, checkpointtest.After(mark, late))
	if err != nil {
		t.Fatal(err)
	}
	dropUpTo := mark.Revision - uint64(len(late))
	mark = push(t, j, mark, 20)
	if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSequence(dropUpTo)); err != nil {
		t.Fatal(err)
	}
	so := published(t, j, mark, checkpoint.Published{})
	if len(so.IDs) != 23 || so.IDs[0] != 1 || so.Floor(mark.Accounted) != so.IDs[3] {
		t.Fatalf("%v, floor %d", so.IDs, so.Floor(mark.Accounted))
	}
}

func TestALongFolderIsReadInPortions(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 950)
	j.portion = 100
	var so checkpoint.Published
	calls := 0
	for ; so.UpTo != mark.Revision; calls++ {
		if calls > 20 {
			t.Fatalf("%d calls and only %d rows", calls, len(so.IDs))
		}
		var err error
		if so, err = j.Published(t.Context(), mark, so); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 10 || len(so.IDs) != 950 || so.Floor(950) != 0 {
		t.Fatalf("%d calls, %d rows", calls, len(so.IDs))
	}
}

func TestReadingWhatIsPublishedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 900)
	published(t, j, mark, checkpoint.Published{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Published(ctx, mark, checkpoint.Published{}); err == nil {
		t.Fatal("no error under an ended context")
	}
	if n := stream(t, j).CachedInfo().State.Consumers; n != 0 {
		t.Fatalf("%d consumers are left", n)
	}
}

func TestAnEventThatCannotBeReadIsAnErrorAndNoMissingRow(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
	event := following(mark, 1)
	event[0].Sequence = "x"
	mark, err := j.Commit(t.Context(), 7, event, mark, mark)
	if err != nil {
		t.Fatal(err)
	}
	if so, err := j.Published(t.Context(), mark, checkpoint.Published{}); err == nil {
		t.Fatalf("Published = %+v", so)
	}
}

// published reads to the end.
func published(t testing.TB, j *JetStream, mark checkpoint.Mark, so checkpoint.Published) checkpoint.Published {
	t.Helper()
	for so.UpTo != mark.Revision {
		var err error
		if so, err = j.Published(t.Context(), mark, so); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSorted(so.IDs) {
		t.Fatal("ids are not in order")
	}
	return so
}

// BenchmarkPublished reads rows of 1 KiB back from a server in its own process.
func BenchmarkPublished(b *testing.B) {
	const rows = 200 * MaxEvents
	j := open(b, natstest.Process(b).Conn(b, nats.NoReconnect()), Options{})
	mark := checkpoint.Mark{Folder: 7}
	for range rows / MaxEvents {
		events := kibibyteEvents(7, MaxEvents)
		for i := range events {
			id := int64(mark.Accounted + i + 1)
			events[i].ID, events[i].Sequence = schema.EventID(7, id), schema.Sequence(id)
		}
		var err error
		if mark, err = j.Commit(b.Context(), 7, events, mark, checkpointtest.After(mark, events)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if so := published(b, j, mark, checkpoint.Published{}); len(so.IDs) != rows {
			b.Fatalf("%d rows", len(so.IDs))
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}

package publisher

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"docspace-nats/poller/queue"
	"docspace-nats/publisher/natstest"
)

// Pulling fails while folders that were pulled ahead wait for a worker, and
// fails again before the first failure was looked at.
func TestALaneThatFailsTwiceBehindPulledFoldersIsServedOn(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	for folder := range 12 {
		if err := q.Put(t.Context(), folder+1, queue.Active); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		for range 40 {
			ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
			l, err := q.Take(ctx, queue.Active)
			stuck := ctx.Err()
			cancel()
			if stuck != nil {
				ended <- stuck
				return
			}
			if err == nil {
				_ = l.Return(t.Context(), queue.Active, 0)
			}
			_ = q.j.js.DeleteConsumer(t.Context(), q.j.queueName(), string(queue.Active))
		}
		ended <- nil
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("a folder is due, and none was handed out: %v", err)
		}
	case <-time.After(2 * natstest.Patience):
		t.Fatal("Take neither hands out a folder nor ends with its context")
	}
	q.Close()
}

// Close may come when nobody looked at a failure.
func TestAQueueIsClosedThoughNobodySawThatPullingFailed(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	q.lanes[queue.Active].failed <- context.Canceled
	if err := q.open(t.Context(), queue.Active, q.lanes[queue.Active]); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { q.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(natstest.Patience):
		t.Fatal("the queue is not closed")
	}
}

// A replica that takes nothing any more, because it has no portal or all its
// workers are busy, lives all the same.
func TestWhatAReplicaPulledAndDoesNotTakeIsLeftToOthers(t *testing.T) {
	t.Parallel()
	url := natstest.Run(t).URL()
	busy, idle := join(t, url, Options{}), join(t, url, Options{})
	const all = 12
	for folder := range all {
		if err := busy.Put(t.Context(), folder+1, queue.Quiet); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := busy.Take(t.Context(), queue.Quiet); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	seen := make(map[int]bool)
	for len(seen) < all-1 {
		l, err := idle.Take(ctx, queue.Quiet)
		if err != nil {
			t.Fatalf("%d of %d folders were handed out: %v", len(seen), all-1, err)
		}
		seen[l.Folder()] = true
	}
}

// A later version may have had lanes that this one does not serve.
func TestAFolderInALaneNobodyServesIsNotInTheQueue(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	if _, err := q.Folders(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.put(t.Context(), 7, "urgent", note{}, 0); err != nil {
		t.Fatal(err)
	}
	there, err := q.Folders(t.Context())
	if err != nil || there[7] {
		t.Errorf("in the queue: %v, %v", there, err)
	}
}

// The clock of the process that moved the folder is an hour ahead.
func TestAFolderThatChangesItsLaneWaitsNoLongerThanItIsToForAWrongClock(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	if _, err := q.Folders(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.put(t.Context(), 7, queue.Quiet, note{Due: time.Now().Add(time.Hour), Wait: 1000}, 0); err != nil { // Return(…, 1 s) there
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	if _, err := q.Take(ctx, queue.Quiet); err != nil {
		t.Errorf("not handed out: %v", err)
	}
}

func TestClosingAQueueWithoutNATSWaitsForNoAnswer(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	q := join(t, server.URL(), Options{})
	for folder := range 3 {
		if err := q.Put(t.Context(), folder+1, queue.Active); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Take(t.Context(), queue.Active); err != nil {
		t.Fatal(err)
	}
	server.Shutdown()
	began := time.Now()
	q.Close()
	if took := time.Since(began); took >= answerWait {
		t.Errorf("it took %s", took)
	}
}

// Strangers fill the list of replicas; one that is not on it speaks.
func TestAReplicaThatDoesNotFitTheListIsNotAnswered(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	said, err := q.nc.SubscribeSync(q.j.o.Stream + replicasSuffix)
	if err != nil {
		t.Fatal(err)
	}
	r := q.j.Replicas("", func(int) {})
	for i := range maxReplicas + 1 {
		text, err := json.Marshal(presence{ID: fmt.Sprint("stranger ", i)})
		if err != nil {
			t.Fatal(err)
		}
		r.hear(&nats.Msg{Data: text})
	}
	if err := q.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := said.Pending(); n != maxReplicas || err != nil {
		t.Errorf("%d strangers were answered, want %d: %v", n, maxReplicas, err)
	}
}

func TestAReplicaDoesNotKeepWhatIsNoName(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	r := q.j.Replicas("", func(int) {})
	text, _ := json.Marshal(presence{ID: strings.Repeat("x", 1<<20)})
	r.hear(&nats.Msg{Data: text})
	if n := r.Count(); n != 1 {
		t.Errorf("%d replicas, one of them a name of a million letters", n)
	}
}

// Folders with a long history come back at once, again and again; what was just
// put into the lane must not wait until none of them does.
func TestAFolderThatIsNewInABusyLaneGetsItsTurn(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	const all = 12
	for folder := range all {
		if err := q.Put(t.Context(), folder+1, queue.History); err != nil {
			t.Fatal(err)
		}
	}
	turns := make(map[int]int)
	for range 30 * all {
		l, err := q.Take(t.Context(), queue.History)
		if err != nil {
			t.Fatal(err)
		}
		turns[l.Folder()]++
		if err := l.Return(t.Context(), queue.History, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(turns) < all {
		t.Errorf("of %d turns, %d of %d folders got one: %v", 30*all, len(turns), all, turns)
	}
}

// More is due than can be polled: the folders take turns, and all get one.
func TestWhereMoreIsDueThanIsPolledEveryFolderGetsItsTurn(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	const all, poll, interval = 30, 20 * time.Millisecond, 100 * time.Millisecond
	for folder := range all {
		if err := q.Put(t.Context(), folder+1, queue.Quiet); err != nil {
			t.Fatal(err)
		}
	}
	turns := make(map[int]int)
	for range 8 * all {
		l, err := q.Take(t.Context(), queue.Quiet)
		if err != nil {
			t.Fatal(err)
		}
		turns[l.Folder()]++
		<-time.After(poll)
		if err := l.Return(t.Context(), queue.Quiet, interval); err != nil {
			t.Fatal(err)
		}
	}
	least := 8 * all
	for folder := range all {
		least = min(least, turns[folder+1])
	}
	if least < 3 {
		t.Errorf("of %d turns, %d of %d folders got one, one of them %d: %v", 8*all, len(turns), all, least, turns)
	}
}

func TestAReplicaThatCannotHearOthersDoesNotSayThatAllAreAlike(t *testing.T) {
	t.Parallel()
	q := join(t, natstest.Run(t).URL(), Options{})
	r := q.j.Replicas("rooms", func(int) {})
	if r.Alike() {
		t.Error("nothing was heard, and all are alike")
	}
	text, err := json.Marshal(r.me)
	if err != nil {
		t.Fatal(err)
	}
	r.hear(&nats.Msg{Data: text})
	if r.Alike() {
		t.Error("others had no time to answer, and all are alike")
	}
	r.heard = r.heard.Add(-2 * replicaBeat)
	if !r.Alike() {
		t.Error("nobody else is there, and not all are alike")
	}
}

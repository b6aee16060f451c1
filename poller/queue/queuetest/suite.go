package queuetest

import (
	"context"
	"testing"
	"time"

	"docspace-nats/poller/queue"
)

// A Member is a queue as one process sees it, which can die.
type Member interface {
	queue.Queue
	Kill()
}

// A Bench is a queue under test. Join returns it as one more process sees it.
type Bench struct {
	Join  func(t *testing.T) Member
	Lasts time.Duration // a lease whose holder died
}

// Exercise holds a queue to its contract. Open returns an empty one.
func Exercise(t *testing.T, open func(t *testing.T) Bench) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Bench)
	}{
		{"a folder is put into a lane once", putOnce},
		{"folders are handed out in the order in which they became due", inOrder},
		{"a folder given back comes when it is due, and not before", comesWhenDue},
		{"a folder that changes its lane leaves the other", changesLane},
		{"a folder that lies in another lane stays there as it was", staysInLane},
		{"a folder that is removed does not come back", removed},
		{"a hint is handed out with its rows and tries, beside the other lane", hinted},
		{"a replica that dies loses its lease", dies},
		{"a replica that lives keeps its lease", lives},
		{"what a busy replica did not ask for is left to others", shares},
		{"a holder that lost its lease can neither keep nor lose the folder for the other", wakesUp},
		{"who waits ends with the context", waits},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func put(t *testing.T, q queue.Queue, lane queue.Lane, folders ...int) {
	t.Helper()
	for _, folder := range folders {
		if err := q.Put(t.Context(), folder, lane); err != nil {
			t.Fatal(err)
		}
	}
}

func take(t *testing.T, q queue.Queue, lane queue.Lane, want int) queue.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	l, err := q.Take(ctx, lane)
	for ; err != nil; l, err = q.Take(ctx, lane) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		t.Logf("trouble with the queue: %v; the next call tries again", err)
		<-time.After(10 * time.Millisecond)
	}
	if l.Lane() != lane || want != 0 && l.Folder() != want {
		t.Fatalf("folder %d of lane %s is handed out, want %d of %s", l.Folder(), l.Lane(), want, lane)
	}
	return l
}

func giveBack(t *testing.T, l queue.Lease, lane queue.Lane, after time.Duration) {
	t.Helper()
	if err := l.Return(t.Context(), lane, after); err != nil {
		t.Fatal(err)
	}
}

// nothing holds that a lane hands out nothing for a while.
func nothing(t *testing.T, q queue.Queue, lane queue.Lane, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if l, err := q.Take(ctx, lane); err == nil {
		t.Fatalf("folder %d of lane %s is handed out, want none", l.Folder(), lane)
	}
}

func folders(t *testing.T, q queue.Queue, want ...int) {
	t.Helper()
	got, err := q.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range want {
		if !got[folder] {
			t.Errorf("folder %d is not in the queue: %v", folder, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v are in the queue, want %v", got, want)
	}
}

func putOnce(t *testing.T, b Bench) {
	q := b.Join(t)
	put(t, q, queue.Quiet, 7, 7, 7)
	l := take(t, q, queue.Quiet, 7)
	put(t, q, queue.Quiet, 7)
	nothing(t, q, queue.Quiet, b.Lasts/4)
	giveBack(t, l, queue.Quiet, 0)
	giveBack(t, take(t, q, queue.Quiet, 7), queue.Quiet, time.Hour)
	put(t, q, queue.Quiet, 7)
	nothing(t, q, queue.Quiet, b.Lasts/4)
	folders(t, q, 7)
}

func inOrder(t *testing.T, b Bench) {
	q := b.Join(t)
	put(t, q, queue.Active, 5, 3, 4)
	put(t, q, queue.Quiet, 9)
	var leases []queue.Lease
	for _, want := range []int{5, 3, 4} {
		leases = append(leases, take(t, q, queue.Active, want))
	}
	giveBack(t, leases[2], queue.Active, 0)
	take(t, q, queue.Active, 4)
	giveBack(t, leases[0], queue.Active, b.Lasts/4)
	giveBack(t, leases[1], queue.Active, 0)
	take(t, q, queue.Active, 3)
	take(t, q, queue.Active, 5)
}

func comesWhenDue(t *testing.T, b Bench) {
	comesBack(t, b.Join(t), queue.Active, queue.Active, b.Lasts/2)
}

func changesLane(t *testing.T, b Bench) {
	q := b.Join(t)
	comesBack(t, q, queue.History, queue.Quiet, b.Lasts/2)
	nothing(t, q, queue.History, 2*b.Lasts)
	folders(t, q, 7)
}

// comesBack takes folder 7 from one lane, gives it back to one, and takes it
// again, not before it is due.
func comesBack(t *testing.T, q queue.Queue, from, to queue.Lane, after time.Duration) {
	t.Helper()
	put(t, q, from, 7)
	l := take(t, q, from, 7)
	began := time.Now()
	giveBack(t, l, to, after)
	take(t, q, to, 7)
	if early := after - time.Since(began); early > 0 {
		t.Errorf("%s too early", early)
	}
}

func staysInLane(t *testing.T, b Bench) {
	q := b.Join(t)
	put(t, q, queue.Active, 7)
	put(t, q, queue.Quiet, 7)
	giveBack(t, take(t, q, queue.Active, 7), queue.Quiet, time.Hour)
	giveBack(t, take(t, q, queue.Quiet, 7), queue.Quiet, time.Hour)
	nothing(t, q, queue.Active, b.Lasts/4)
	folders(t, q, 7)
}

func removed(t *testing.T, b Bench) {
	q := b.Join(t)
	put(t, q, queue.Quiet, 7, 8)
	if err := take(t, q, queue.Quiet, 7).Remove(); err != nil {
		t.Fatal(err)
	}
	take(t, q, queue.Quiet, 8)
	nothing(t, q, queue.Quiet, 2*b.Lasts)
	folders(t, q, 8)
}

func hinted(t *testing.T, b Bench) {
	q := b.Join(t)
	put(t, q, queue.Quiet, 7)
	giveBack(t, take(t, q, queue.Quiet, 7), queue.Quiet, time.Hour)
	for _, want := range []bool{true, false} {
		if taken, err := q.Hurry(t.Context(), 7, 3); taken != want || err != nil {
			t.Fatalf("the hint is taken: %t, %v", taken, err)
		}
	}
	for want := 1; want <= 3; want++ {
		l := take(t, q, queue.Hinted, 7)
		if rows, tries := l.Hint(); rows != 3 || tries != want {
			t.Errorf("%d rows, %d tries; want 3 and %d", rows, tries, want)
		}
		if want < 3 {
			giveBack(t, l, queue.Hinted, 0)
			continue
		}
		giveBack(t, l, queue.Quiet, time.Hour)
	}
	nothing(t, q, queue.Hinted, b.Lasts/4)
	nothing(t, q, queue.Quiet, b.Lasts/4)
	if rows, _ := take(t, withPut(t, q, 8), queue.Quiet, 8).Hint(); rows != 0 {
		t.Errorf("%d rows were announced of a folder nobody told about", rows)
	}
	folders(t, q, 7, 8)
}

func withPut(t *testing.T, q queue.Queue, folder int) queue.Queue {
	t.Helper()
	put(t, q, queue.Quiet, folder)
	return q
}

func dies(t *testing.T, b Bench) {
	victim, heir := b.Join(t), b.Join(t)
	put(t, heir, queue.Active, 7)
	began := time.Now()
	take(t, victim, queue.Active, 7)
	victim.Kill()
	take(t, heir, queue.Active, 7)
	if took := time.Since(began); took < b.Lasts/2 {
		t.Errorf("the folder of a dead replica is handed out after %s", took)
	}
}

func lives(t *testing.T, b Bench) {
	holder, other := b.Join(t), b.Join(t)
	put(t, holder, queue.History, 7)
	l := take(t, holder, queue.History, 7)
	nothing(t, other, queue.History, 3*b.Lasts)
	giveBack(t, l, queue.Active, 0)
	take(t, other, queue.Active, 7)
}

func shares(t *testing.T, b Bench) {
	busy, idle := b.Join(t), b.Join(t)
	const all = 30
	for folder := range all {
		put(t, busy, queue.Quiet, folder+1)
	}
	take(t, busy, queue.Quiet, 1)
	for range all / 2 { // some may be on their way to the busy one
		take(t, idle, queue.Quiet, 0)
	}
}

func wakesUp(t *testing.T, b Bench) {
	sleeper, heir := b.Join(t), b.Join(t)
	put(t, heir, queue.Active, 7)
	l := take(t, sleeper, queue.Active, 7)
	sleeper.Kill()
	now := take(t, heir, queue.Active, 7)
	_ = l.Return(t.Context(), queue.Active, time.Hour)
	_ = now.Return(t.Context(), queue.Quiet, 0)
	take(t, heir, queue.Quiet, 7)
	folders(t, heir, 7)
}

func waits(t *testing.T, b Bench) {
	q := b.Join(t)
	ctx, cancel := context.WithTimeout(t.Context(), b.Lasts/4)
	defer cancel()
	if l, err := q.Take(ctx, queue.Active); err == nil || ctx.Err() == nil {
		t.Errorf("an empty lane hands out %v, %v", l, err)
	}
	put(t, q, queue.Active, 7)
	take(t, q, queue.Active, 7)
}

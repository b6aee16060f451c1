// Package queuetest holds what every queue of folders must do, as one suite,
// and a queue in memory that passes it.
package queuetest

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"docspace-nats/poller/queue"
)

// A Memory is a queue without a server, for tests of those who poll. Replicas
// share it through the handles that Replica returns.
type Memory struct {
	lasts time.Duration // a lease whose holder died

	mu      sync.Mutex
	turns   map[queue.Lane]map[int]*turn
	due     map[queue.Lane]*agenda    // the turns in nobody's hand
	waiting map[queue.Lane][]*Replica // the one that waits longest first
	changed chan struct{}             // closed when a turn may have become due earlier
	count   int
	trouble error // of all calls
}

// A turn is a folder in a lane.
type turn struct {
	folder int
	lane   queue.Lane
	due    time.Time
	order  int // among those that are due at the same moment
	place  int // in the agenda, unless there is a holder
	holder *lease
	rows   int
	tries  int
}

// NewMemory returns an empty queue, whose leases outlive their holder for some
// time.
func NewMemory(lasts time.Duration) *Memory {
	m := &Memory{
		lasts:   lasts,
		turns:   make(map[queue.Lane]map[int]*turn),
		due:     make(map[queue.Lane]*agenda),
		waiting: make(map[queue.Lane][]*Replica),
		changed: make(chan struct{}),
	}
	for _, lane := range queue.Lanes() {
		m.turns[lane], m.due[lane] = make(map[int]*turn), new(agenda)
	}
	return m
}

// Replica returns the queue as one process sees it.
func (m *Memory) Replica() *Replica { return &Replica{m} }

// A Replica is a Memory as one process sees it.
type Replica struct{ *Memory }

// Kill ends the process: what it has leased comes back when the leases lapse.
func (r *Replica) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lane := range r.turns {
		for _, t := range lane {
			if t.holder != nil && t.holder.of == r {
				r.giveBack(t, r.lasts)
			}
		}
	}
}

// Clear empties the queue, leases and all, as when its stream is deleted.
func (m *Memory) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for lane, turns := range m.turns {
		clear(turns)
		*m.due[lane] = nil
	}
}

// Fail makes all calls fail until it is healed.
func (m *Memory) Fail(err error) (heal func()) {
	set := func(err error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.trouble = err
		m.rouse()
	}
	set(err)
	return func() { set(nil) }
}

// Folders implements queue.Queue.
func (m *Memory) Folders(ctx context.Context) (map[int]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[int]bool)
	for _, lane := range m.turns {
		for folder := range lane {
			all[folder] = true
		}
	}
	return all, cmp.Or(m.trouble, ctx.Err())
}

// Put implements queue.Queue.
func (m *Memory) Put(ctx context.Context, folder int, lane queue.Lane) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trouble != nil {
		return m.trouble
	}
	m.add(folder, lane, 0)
	return ctx.Err()
}

// Hurry implements queue.Queue.
func (m *Memory) Hurry(ctx context.Context, folder, rows int) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trouble != nil || m.turns[queue.Hinted][folder] != nil {
		return false, cmp.Or(m.trouble, ctx.Err())
	}
	m.add(folder, queue.Hinted, 0)
	m.turns[queue.Hinted][folder].rows = rows
	return true, ctx.Err()
}

func (m *Memory) add(folder int, lane queue.Lane, after time.Duration) {
	if m.turns[lane][folder] == nil {
		t := &turn{folder: folder, lane: lane}
		m.turns[lane][folder] = t
		m.put(t, after)
	}
}

// put makes a turn wait that nobody holds. The caller holds the lock.
func (m *Memory) put(t *turn, after time.Duration) {
	m.count++
	t.due, t.order = time.Now().Add(after), m.count
	heap.Push(m.due[t.lane], t)
	m.rouse()
}

// giveBack makes a turn wait that was held, unless it was removed meanwhile. The
// caller holds the lock.
func (m *Memory) giveBack(t *turn, after time.Duration) {
	if m.turns[t.lane][t.folder] == t {
		t.holder = nil
		m.put(t, after)
	}
}

// rouse makes those who wait look again. The caller holds the lock.
func (m *Memory) rouse() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Take implements queue.Queue.
func (r *Replica) Take(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	r.line(lane, true)
	defer r.line(lane, false)
	for {
		l, wait, changed, err := r.take(lane)
		if err != nil {
			return nil, err
		}
		if l != nil {
			return l, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// line makes a replica stand in line for a lane, or leave it.
func (r *Replica) line(lane queue.Lane, in bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in {
		r.waiting[lane] = append(r.waiting[lane], r)
		return
	}
	r.waiting[lane] = slices.DeleteFunc(r.waiting[lane], func(w *Replica) bool { return w == r })
	r.rouse()
}

// take leases what is due, or tells how long there will be nothing unless
// something changes.
func (r *Replica) take(lane queue.Lane) (*lease, time.Duration, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble != nil {
		return nil, 0, nil, r.trouble
	}
	due := r.due[lane]
	if due.Len() == 0 {
		return nil, time.Hour, r.changed, nil
	}
	first := (*due)[0]
	if wait := time.Until(first.due); wait > 0 {
		return nil, wait, r.changed, nil
	}
	if r.waiting[lane][0] != r {
		return nil, time.Hour, r.changed, nil // another one's turn
	}
	heap.Pop(due)
	first.tries++
	first.holder = &lease{of: r, turn: first, rows: first.rows, tries: first.tries}
	return first.holder, 0, nil, nil
}

func (t *turn) before(other *turn) bool {
	return t.due.Before(other.due) || t.due.Equal(other.due) && t.order < other.order
}

// An agenda is turns as a heap, the first on top: tests have lanes of thousands
// of folders, and every change makes replicas look.
type agenda []*turn

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].before(a[j]) }

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

func (a *agenda) Push(t any) {
	t.(*turn).place = len(*a)
	*a = append(*a, t.(*turn))
}

func (a *agenda) Pop() any {
	last := len(*a) - 1
	t := (*a)[last]
	*a = (*a)[:last]
	return t
}

// A lease is a turn in somebody's hand.
type lease struct {
	of          *Replica
	turn        *turn
	rows, tries int
}

func (l *lease) Folder() int             { return l.turn.folder }
func (l *lease) Lane() queue.Lane        { return l.turn.lane }
func (l *lease) Hint() (rows, tries int) { return l.rows, l.tries }

// Return implements queue.Lease.
func (l *lease) Return(ctx context.Context, lane queue.Lane, after time.Duration) error {
	m := l.of.Memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if lane != l.turn.lane {
		m.add(l.turn.folder, lane, after)
		l.drop()
	} else if l.turn.holder == l {
		m.giveBack(l.turn, after)
	}
	return nil
}

// Remove implements queue.Lease.
func (l *lease) Remove() error {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.drop()
	return nil
}

// drop removes the turn, unless another took its place.
func (l *lease) drop() {
	m, t := l.of.Memory, l.turn
	if m.turns[t.lane][t.folder] != t {
		return
	}
	delete(m.turns[t.lane], t.folder)
	if t.holder == nil {
		heap.Remove(m.due[t.lane], t.place)
	}
}

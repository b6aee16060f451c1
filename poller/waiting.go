package poller

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// ready is a heap of folders that are due, the one that can wait least on top.
type ready struct{ turns }

func (h ready) Less(i, j int) bool { return h.turns[i].latest().Before(h.turns[j].latest()) }

// latest is when a folder that is due should be polled at the latest. Those
// that are polled often can wait least.
func (t *turn) latest() time.Time { return t.due.Add(t.interval) }

// ripen moves the folders that became due to those that are ready. The caller
// holds the lock.
func (s *Schedule) ripen(now time.Time) {
	for len(s.turns) > 0 && !s.turns[0].due.After(now) {
		if t := heap.Pop(&s.turns).(*turn); t.history {
			heap.Push(&s.backlog, t)
		} else {
			heap.Push(&s.ready, t)
		}
	}
}

// pick takes a folder that is due, nil when none is to be polled now. The
// caller holds the lock, and ends the poll with rest.
func (s *Schedule) pick() *turn {
	switch {
	case s.history():
		s.inHand++
		s.reading++
		return heap.Pop(&s.backlog).(*turn)
	case s.ready.Len() > 0:
		s.inHand++
		return heap.Pop(&s.ready).(*turn)
	}
	return nil
}

// history reports whether it is the turn of a folder with history. They take
// turns with the others, and at most half of the workers: reading history may
// take hours, and the other half sees what happens meanwhile.
func (s *Schedule) history() bool {
	if len(s.backlog) == 0 || s.reading >= max(1, s.opts.Workers/2) {
		return false
	}
	return s.ready.Len() == 0 || !s.ready.turns[0].due.Before(s.backlog[0].due)
}

// rest ends a poll that pick began. The caller holds the lock.
func (s *Schedule) rest(t *turn, r Report, err error) {
	s.inHand--
	if t.history {
		s.reading--
	}
	if err == nil {
		t.history = r.More
	}
}

// scatter spreads the folders that became due while none could be polled over
// as long a time, or over the wait each is used to, so that the portal does not
// meet them all when it comes back. The caller holds the lock.
func (s *Schedule) scatter(now time.Time, lasted time.Duration) {
	s.ripen(now)
	for s.ready.Len() > 0 {
		t := heap.Pop(&s.ready).(*turn)
		t.due = now.Add(rand.N(min(t.interval, lasted) + 1))
		heap.Push(&s.turns, t)
	}
}

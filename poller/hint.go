package poller

import (
	"container/heap"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"docspace-nats/checkpoint"
)

// A hint says that something was just done in a folder. It overtakes the row,
// which waits in the portal's queue for a moment, or for seconds when that is
// busy. So the folder is polled a little later, and a few times more while
// fewer rows are found than there were hints.
const (
	hintDelay = 2 * time.Second // from a hint to the poll; most rows are visible by then
	hintRetry = 2 * time.Second // to the next poll, when rows are still missing
	hintTries = 6               // polls after the last hint: ten seconds at least; then the folder's cadence is fast enough

	// A poll for a hint may come sooner after the last one than the shortest
	// interval, so many times in a row and then so often: hints that go on and
	// on cost the portal little more than the cadence of an active folder.
	quickPolls = 30
	quickEvery = 15 * time.Second
)

// A hint is what a turn knows of the hints for its folder.
type hint struct {
	rows  int           // announced and not found yet
	later int           // announced during the poll in hand, which may have passed them
	tries int           // polls left to find them
	quick *rate.Limiter // nil before the first hint
}

// Hint tells that something was done in a folder whose row may not be visible
// yet: the folder is polled soon. Many hints before that poll are one. It
// reports false, and changes nothing, for a folder that is not watched, and for
// one that a hint does not help: it, or the whole portal, cannot be polled now,
// or its state waits for somebody else.
func (s *Schedule) Hint(folder int) bool { return s.announce(folder, 1) }

// announce is Hint for so many rows.
func (s *Schedule) announce(folder, rows int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.folders[folder]
	if t == nil || s.heldBack(t) {
		return false
	}
	if t.hint.quick == nil {
		t.hint.quick = rate.NewLimiter(rate.Every(quickEvery), quickPolls)
	}
	t.hint.tries = hintTries
	if t.place < 0 {
		t.hint.later += rows
		return true // heed sees to them
	}
	t.hint.rows += rows
	if !t.due.After(time.Now()) {
		return true // it is due already, and no longer among those that wait
	}
	t.interval = s.opts.MinInterval // among the folders that are due it goes first
	s.bringForward(t, time.Now().Add(hintDelay))
	heap.Fix(&s.turns, t.place)
	s.rouse()
	return true
}

// watches reports whether a folder is watched.
func (s *Schedule) watches(folder int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.folders[folder] != nil
}

// troubled reports whether no folder can be polled.
func (s *Schedule) troubled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble.holds()
}

// heldBack reports whether a folder is not to be polled earlier. The caller
// holds the lock.
func (s *Schedule) heldBack(t *turn) bool {
	if err := t.standing.Err; s.trouble.holds() || err != nil && !errors.Is(err, checkpoint.ErrConflict) {
		return true
	}
	switch t.standing.State {
	case checkpoint.Blind, checkpoint.Gone, checkpoint.Rewound:
		return true
	}
	return false
}

// heed brings the next poll forward when this one found fewer rows than were
// announced. What it found is not what was announced meanwhile. The caller
// holds the lock and puts the turn back.
func (s *Schedule) heed(t *turn, r Report, err error, now time.Time) {
	h := &t.hint
	if h.tries == 0 {
		return
	}
	h.tries--
	h.rows = max(0, h.rows-r.Events-r.Gaps) + h.later
	h.later = 0
	if h.rows == 0 || h.tries == 0 || err != nil || s.heldBack(t) {
		h.rows, h.tries = 0, 0
		return
	}
	t.interval = s.opts.MinInterval // among the folders that are due it goes first
	s.bringForward(t, now.Add(hintRetry))
}

// bringForward makes a turn due at a time, or as soon after as the allowance or
// the shortest interval since the last poll lets it. It never puts a turn off.
func (s *Schedule) bringForward(t *turn, at time.Time) {
	if !at.Before(t.due) {
		return
	}
	if rested := t.standing.Polled.Add(s.opts.MinInterval); at.Before(rested) {
		quick := t.hint.quick.Reserve()
		at = maxTime(at, time.Now().Add(quick.Delay()))
		if !at.Before(rested) || !at.Before(t.due) {
			quick.Cancel()
			at = rested
		}
	}
	if at.Before(t.due) {
		t.due = at
	}
}

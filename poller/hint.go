package poller

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/queue"
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

// A hint is what this process knows of the hints for a folder.
type hint struct {
	rows  int           // announced, and not handed on to the queue
	at    time.Time     // when they are
	known int           // those of them announced before the poll in hand began
	kept  int           // how often they could not be
	left  int           // rows handed on that no poll of this process found
	tries int           // polls of this process to find them
	quick *rate.Limiter // of polls sooner than the shortest interval; nil before the first
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
	if t == nil || s.heldBack(t) && !s.shared() { // another replica may fare better
		return false
	}
	if t.hint.rows == 0 {
		t.hint.at = time.Now().Add(hintDelay)
		s.hinted = append(s.hinted, t)
		s.rouse()
	}
	t.hint.rows += rows
	return true
}

// hurry hands hints on to the queue when it is time, until ctx ends. Those for a
// folder that waits there already are kept for a while: its poll may be over too
// soon for them.
func (s *Schedule) hurry(ctx context.Context) error {
	for {
		t, rows, wait, changed := s.ripe()
		if t == nil {
			if await(ctx, wait, changed) != nil {
				return nil
			}
			continue
		}
		taken, err := s.queue.Hurry(ctx, t.folder, rows)
		if err != nil && ctx.Err() == nil {
			s.opts.Log.Debug().Int("folder", t.folder).Err(err).Msg("a hint is lost")
		}
		if err == nil {
			s.handedOn(t, rows, taken)
		}
	}
}

// ripe takes the hints of a folder that are to be handed on now: how many rows
// they announced. No folder means none for some time, unless something changes.
func (s *Schedule) ripe() (t *turn, rows int, wait time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hinted) == 0 {
		return nil, 0, s.opts.MaxInterval, s.changed
	}
	first := slices.MinFunc(s.hinted, func(a, b *turn) int { return a.hint.at.Compare(b.hint.at) })
	if wait := time.Until(first.hint.at); wait > 0 {
		return nil, 0, wait, s.changed
	}
	s.hinted = slices.DeleteFunc(s.hinted, func(t *turn) bool { return t == first })
	rows, first.hint.rows, first.hint.known = first.hint.rows, 0, 0
	return first, rows, 0, nil
}

// handedOn keeps hints that the queue did not take, a few times, ever longer.
func (s *Schedule) handedOn(t *turn, rows int, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.hint.kept++; taken || t.hint.kept > hintTries {
		t.hint.kept = 0
		return
	}
	if t.hint.rows > 0 {
		t.hint.rows += rows // others came meanwhile
		return
	}
	t.hint.rows, t.hint.at = rows, time.Now().Add(hintRetry<<(t.hint.kept-1))
	s.hinted = append(s.hinted, t)
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
	return t.standing.State.Stuck()
}

// foundRows takes the rows a poll found off those announced before it began. The
// caller holds the lock.
func (s *Schedule) foundRows(t *turn, rows int) {
	if t.hint.known = min(t.hint.known, rows); t.hint.known == 0 {
		return
	}
	if t.hint.rows -= t.hint.known; t.hint.rows == 0 {
		s.hinted = slices.DeleteFunc(s.hinted, func(h *turn) bool { return h == t })
	}
}

// heed returns the wait until the next poll when this one, for a hint, found
// fewer rows than were announced and there are tries left. The caller holds the
// lock.
func (s *Schedule) heed(t *turn, lease queue.Lease, r Report, err error) (time.Duration, bool) {
	rows, tries := lease.Hint()
	if rows == 0 {
		s.foundRows(t, r.Events+r.Filtered+r.Gaps)
		return 0, false
	}
	if tries == 1 || t.hint.tries == 0 {
		t.hint.left, t.hint.tries = rows, 0
	}
	t.hint.tries++
	t.hint.left = max(0, t.hint.left-r.Events-r.Filtered-r.Gaps)
	if t.hint.left == 0 || max(t.hint.tries, tries/3) >= hintTries || err != nil || s.heldBack(t) {
		t.hint.left, t.hint.tries = 0, 0
		if t.hint.rows > 0 && t.hint.kept > 0 {
			t.hint.at = time.Now() // what kept them is over
			s.rouse()
		}
		return 0, false
	}
	return hintRetry, true
}

// tooSoon returns how much later a hinted folder is polled, because its last
// poll was a moment ago and the allowance is used up. The caller holds the lock.
func (s *Schedule) tooSoon(t *turn, lane queue.Lane) time.Duration {
	rested := time.Until(t.standing.Polled.Add(s.opts.MinInterval))
	if lane != queue.Hinted || rested <= 0 {
		return 0
	}
	if t.hint.quick == nil {
		t.hint.quick = rate.NewLimiter(rate.Every(quickEvery), quickPolls)
	}
	quick := t.hint.quick.Reserve()
	wait := min(quick.Delay(), rested)
	if wait > 0 {
		quick.Cancel()
	}
	return wait
}

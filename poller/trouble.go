package poller

import (
	"errors"
	"math/rand/v2"
	"time"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/queue"
)

// Trouble holds all folders back while none of them can be polled. Two folders
// in a row must fail for a reason that all share; any success ends it, and until
// then a failure for another reason, unless its poll began before.
type trouble struct {
	first int       // folder that failed so first; 0 while there is no trouble
	since time.Time // when it did
	until time.Time // no poll starts before
	wait  time.Duration
	told  bool
}

// Whether trouble is over is tried soon, then ever less often. Intervals of hours,
// where hints say when to poll, do not count for it.
const (
	troubleRetry     = 5 * time.Second
	troubleLongRetry = 2 * time.Minute
)

// soon is when something is tried again, or offered to others, that did not work out
// and may at any moment.
func (s *Schedule) soon() time.Duration { return min(s.opts.MinInterval, troubleRetry) }

func (t *trouble) holds() bool { return t.wait != 0 }

// befalls reports whether err, of a folder, shows that all are concerned.
func (t *trouble) befalls(folder int, err error, s *Schedule) bool {
	return shared(err) && (len(s.folders) == 1 || t.first != 0 && t.first != folder || t.holds())
}

func (t *trouble) add(folder int, err error, s *Schedule, began, now time.Time) {
	switch {
	case !shared(err) && began.Before(t.since):
	case err == nil, !shared(err) && !t.holds(): // not all are concerned
		*t = trouble{}
	case t.befalls(folder, err, s) && now.Before(t.until):
		// It was under way when the others failed.
	case t.befalls(folder, err, s):
		t.wait = min(max(2*t.wait, s.soon()), s.opts.MaxInterval, troubleLongRetry)
		t.until = now.Add(jitter(t.wait))
	}
	if t.first == 0 && shared(err) {
		t.first, t.since = folder, now
	}
}

// standstill returns how long no poll may start because of trouble, 0 when one
// may. The caller holds the lock.
func (s *Schedule) standstill(now time.Time) time.Duration {
	if wait := s.trouble.until.Sub(now); wait > 0 {
		return wait
	}
	if s.trouble.holds() && s.inHand > 0 {
		return s.soon()
	}
	return 0
}

// suspects reports whether all folders may be concerned by the failure of one. What
// was blind before is refused alike then, which does not show that they are not.
func (s *Schedule) suspects() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble.first != 0
}

// A calm is what follows trouble: for as long as that lasted, the folders that
// became due meanwhile are spread, so that the portal does not meet them all
// when it comes back.
type calm struct {
	from   time.Time
	lasted time.Duration
}

// scatter returns how much later a folder is polled that became due during the
// trouble, 0 when it is to be polled now. Where there are other replicas, they may
// have polled it meanwhile, and it is due just now. The caller holds the lock.
func (s *Schedule) scatter(t *turn, lane queue.Lane, now time.Time) time.Duration {
	wait := min(t.interval, s.calm.lasted)
	if s.shared() || lane == queue.History || t.due.IsZero() || !t.due.Before(s.calm.from) || now.Sub(s.calm.from) > wait {
		return 0
	}
	wait = rand.N(wait + 1)
	t.due = now.Add(wait)
	return wait
}

// held reports whether trouble that concerns all folders was told.
func (s *Schedule) held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble.told
}

// shared reports whether an error concerns every folder alike: the portal as a
// whole, the way to it, or the ledger.
func shared(err error) bool {
	for _, kind := range []error{docspace.ErrUnauthorized, docspace.ErrScope, docspace.ErrPayment, docspace.ErrPortal, docspace.ErrRateLimited} {
		if errors.Is(err, kind) {
			return true
		}
	}
	if status := new(docspace.StatusError); errors.As(err, &status) && status.Body == docspace.BodyError {
		return false
	}
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

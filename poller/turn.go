package poller

import (
	"cmp"
	"context"
	"errors"
	"time"

	"docspace-nats/poller/queue"
)

// A turn is what this process knows of a folder's polls.
type turn struct {
	folder   int
	due      time.Time     // of the next poll, when this process gave it back
	interval time.Duration // wait after the last poll
	history  bool          // old rows are left to read; before the first poll there may be some
	polled   bool          // at this moment, by this process
	standing Standing
	hint     hint
	told     bool // that it cannot be polled

	givenUp bool // a past cannot be read to its end
	vain    int  // polls in a row that brought a past no further

	withoutIDs bool // its log had none at the last poll
}

// poll polls the folder of a lease and gives it back. Its error is one that ends
// all polling.
func (s *Schedule) poll(ctx context.Context, lease queue.Lease) error {
	t, wait, err := s.begin(ctx, lease)
	if t == nil {
		if err == nil {
			s.giveBack(ctx, lease, lease.Lane(), wait)
		}
		return nil
	}
	began := time.Now()
	report, err := s.poller.Poll(ctx, t.folder)
	if err == nil && report.Commits == 0 && report.State.Refused() && s.suspects() {
		err = s.poller.recognise(ctx, t.folder)
	}
	if ctx.Err() != nil || errors.Is(err, ErrTooOld) {
		s.abandon(t)
		s.giveBack(ctx, lease, lease.Lane(), 0)
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	lane, wait, over := s.end(t, lease, began, report, err)
	if over && lease.Remove() == nil {
		return nil
	}
	s.giveBack(ctx, lease, lane, wait)
	return nil
}

// errRemoved says that a lease has ended.
var errRemoved = errors.New("removed from the queue")

// remove ends a lease for good. Its result is that of begin.
func (s *Schedule) remove(lease queue.Lease) (*turn, time.Duration, error) {
	if err := lease.Remove(); err != nil {
		return nil, s.soon(), nil
	}
	return nil, 0, errRemoved
}

// begin decides whether the folder of a lease is polled now. If not it returns
// no turn, and when to offer the folder again.
func (s *Schedule) begin(ctx context.Context, lease queue.Lease) (*turn, time.Duration, error) {
	if wait, err := s.admit(ctx, lease); wait > 0 || err != nil {
		return nil, wait, err
	}
	if s.isOver(lease.Folder()) {
		return s.remove(lease)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, now := s.folders[lease.Folder()], time.Now()
	switch wait := s.standstill(now); {
	case t == nil:
		return nil, s.soon(), nil
	case wait > 0 && s.shared():
		return nil, s.offered(lease.Lane()), nil // the others may fare better
	case wait > 0:
		return nil, wait, nil
	case t.polled:
		return nil, hintRetry, nil
	case s.elsewhere(t) && now.Before(t.due):
		return nil, s.offered(lease.Lane()), nil
	}
	if wait := cmp.Or(s.tooSoon(t, lease.Lane()), s.scatter(t, lease.Lane(), now)); wait > 0 {
		return nil, wait, nil
	}
	if lease.Lane() != queue.Hinted {
		t.history = lease.Lane() == queue.History
	}
	s.inHand++
	t.polled = true
	t.hint.known = t.hint.rows
	return t, 0, nil
}

// abandon forgets a poll that was cut.
func (s *Schedule) abandon(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inHand--
	t.polled = false
}

// end takes in what a poll brought, and says where and how long the folder waits
// for the next one, if there is any.
func (s *Schedule) end(t *turn, lease queue.Lease, began time.Time, report Report, err error) (lane queue.Lane, wait time.Duration, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(t, began, report, err)
	now := time.Now()
	t.standing.polled(began, now, report, err)
	t.interval = s.pace(t, began, report, err)
	trouble := s.trouble
	s.trouble.add(t.folder, err, s, began, now)
	if s.trouble.holds() && s.shared() {
		t.interval = s.soon() // the others may fare better
	}
	if trouble.holds() && !s.trouble.holds() {
		s.calm = calm{from: now, lasted: now.Sub(trouble.since)}
	}
	if err == nil {
		t.history = report.More
	}
	if s.opts.Past {
		s.conclude(t, report, err)
	}
	s.inHand--
	t.polled = false
	s.rouse()
	lane, wait = s.lane(t), t.interval
	if retry, ok := s.heed(t, lease, report, err); ok {
		return queue.Hinted, retry, false
	}
	t.due = now.Add(wait)
	if s.elsewhere(t) && !t.standing.Over {
		lane = lease.Lane()
		wait = s.offered(lane)
	}
	return lane, wait, t.standing.Over
}

// elsewhere reports whether another replica may well poll a folder that this one
// could not: what failed lies on the way to the portal, or with the ledger. This one
// tries again when the folder is due, and offers it to the others until then. The
// caller holds the lock.
func (s *Schedule) elsewhere(t *turn) bool { return s.shared() && shared(t.standing.Err) }

// offered is how long such a folder waits until it is offered again.
func (s *Schedule) offered(lane queue.Lane) time.Duration {
	if lane == queue.Hinted {
		return hintRetry
	}
	return s.soon()
}

// giveBack returns a lease. What cannot be returned comes back when the lease
// lapses.
func (s *Schedule) giveBack(ctx context.Context, lease queue.Lease, lane queue.Lane, wait time.Duration) {
	if err := lease.Return(ctx, lane, wait); err != nil && ctx.Err() == nil {
		s.opts.Log.Debug().Int("folder", lease.Folder()).Err(err).Msg("this folder was not given back, and waits until its lease lapses")
	}
}

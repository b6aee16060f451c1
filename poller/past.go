package poller

import (
	"context"
	"errors"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/queue"
)

// A past has an end: the rows up to Options.To are a fixed set, but for those
// that become visible late. A folder whose rows are proven to be stored is over,
// leaves the queue and is not polled again, by no replica: its mark says so.
//
// A folder that cannot be read is given up, by each replica for itself, and stays
// in the queue: it is tried as long as others are read, and by the next run.

// errOver ends the schedule of a past.
var errOver = errors.New("every folder is over")

// conclude takes in what a poll says about the end of a folder. Trouble that all
// folders share is waited for, however long. The caller holds the lock.
func (s *Schedule) conclude(t *turn, r Report, err error) {
	switch {
	case errors.Is(err, checkpoint.ErrConflict) || shared(err):
		return
	case err == nil && r.Reason == "" && !r.More && r.Unread == 0:
		t.standing.Over = true
	case err == nil && r.Commits > 0:
		t.vain = 0
	default:
		t.vain++
	}
	t.givenUp = t.vain >= patience || err == nil && r.State.Stuck()
}

// isOver reports whether nothing is left to read of a folder.
func (s *Schedule) isOver(folder int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.folders[folder]
	return t != nil && t.standing.Over
}

// awaitOver waits until every folder is over or given up.
func (s *Schedule) awaitOver(ctx context.Context) error {
	for {
		s.mu.Lock()
		left, changed := 0, s.changed
		for _, t := range s.folders {
			if !t.standing.Over && !t.givenUp {
				left++
			}
		}
		s.mu.Unlock()
		if left == 0 {
			return errOver
		}
		if await(ctx, stockEvery, changed) != nil {
			return nil
		}
	}
}

// skipOver drops from folders that are missing in the queue those another
// replica, or an earlier run, has brought to their end.
func (s *Schedule) skipOver(ctx context.Context, missing map[int]queue.Lane) error {
	for folder := range missing {
		mark, err := s.poller.ledger.Mark(ctx, folder)
		if err != nil {
			return err
		}
		if mark.Revision == 0 || mark.State != checkpoint.Watching {
			continue
		}
		delete(missing, folder)
		s.mu.Lock()
		t := s.folders[folder]
		t.standing.Over, t.standing.State, t.standing.Reason, t.standing.Err = true, mark.State, "", nil
		s.rouse()
		s.mu.Unlock()
	}
	return nil
}

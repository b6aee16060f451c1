package poller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docspace-nats/checkpoint"
)

// CatchUp polls every watched folder until its newest row is stored, and
// returns the errors of those it could not bring so far, blind and rewound
// ones included. ErrTooOld ends it early.
func (s *Schedule) CatchUp(ctx context.Context) error {
	var mu sync.Mutex
	var failed []error
	polls, ctx := errgroup.WithContext(ctx)
	polls.SetLimit(s.opts.Workers)
	for _, f := range s.Standings() {
		polls.Go(func() error {
			err := s.catchUp(ctx, f.Folder)
			if errors.Is(err, ErrTooOld) {
				return err
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	if err := polls.Wait(); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// catchUp polls one folder until nothing is left. A commit another process
// won counts as progress: the next poll goes on from its mark.
func (s *Schedule) catchUp(ctx context.Context, folder int) error {
	for idle := 0; ; {
		began := time.Now()
		report, err := s.poller.Poll(ctx, folder)
		if errors.Is(err, checkpoint.ErrConflict) {
			continue
		}
		over := err == nil && report.Reason == "" && !report.More && report.Unread == 0
		s.mu.Lock()
		s.folders[folder].standing.polled(began, time.Now(), report, err)
		s.folders[folder].standing.Over = over
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if report.Reason != "" {
			return fmt.Errorf("folder %d is %s: %s", folder, report.State, report.Reason)
		}
		if over {
			return nil
		}
		if idle++; report.Commits > 0 {
			idle = 0
		}
		if idle == patience {
			return fmt.Errorf("folder %d: %d rows the portal counts were not found in %d polls", folder, report.Unread, patience)
		}
	}
}

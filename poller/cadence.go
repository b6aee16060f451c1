package poller

import (
	"errors"
	"math/rand/v2"
	"time"

	"docspace-nats/checkpoint"
)

// Cadence: a folder is left alone for as long as it has been quiet, at least
// MinInterval and at most MaxInterval. So the wait begins short, doubles with
// every poll that finds nothing, and a single old row found in a folder that
// is polled seldom does not make it look busy.
//
// Why not the shortest interval for some time after every row: in a thousand
// rooms with an action an hour each, that alone costs more requests than are
// left beside the polls of idle rooms.

// pace returns the wait until the folder's next poll, after one that began at
// a moment. History is read on at once, a folder that fails is tried ever less
// often, and one that needs attention is looked at seldom.
func (s *Schedule) pace(t *turn, began time.Time, r Report, err error) time.Duration {
	if err == nil {
		t.noticed(began, r, s.poller.opts.Now())
	}
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		return s.opts.MinInterval
	case err != nil:
		return s.earlier(2 * t.interval)
	case r.State == checkpoint.Blind || r.State == checkpoint.Gone || r.State == checkpoint.Rewound:
		return s.earlier(s.opts.MaxInterval)
	case r.More:
		return 0
	default:
		return s.earlier(began.Sub(t.changed))
	}
}

// noticed takes over what a poll tells about when something last happened in
// the folder: when its newest row was made, by the portal's clock.
func (t *turn) noticed(began time.Time, r Report, portal time.Time) {
	if r.Events > 0 {
		age := max(portal.Sub(r.Newest), 0)
		if elapsed := began.Sub(t.began); !t.began.IsZero() && !plausible(portal.Sub(r.Newest), elapsed) {
			age = elapsed / time.Duration(r.Events+1)
		}
		t.changed = maxTime(t.changed, began.Add(-age))
	}
	t.began = began
}

// plausible reports whether a row can be that old that was not there so long
// ago. Dates are rounded to seconds, and what else can be wrong with them must
// not decide how often an active folder is polled: then its rows are taken for
// evenly spaced.
func plausible(age, ago time.Duration) bool { return age > -2*time.Second && age < ago+2*time.Second }

func (s *Schedule) slower(wait time.Duration) time.Duration { return s.within(2 * wait) }

// earlier keeps to the bounds and shortens the wait by up to a fortieth: folders
// polled together drift apart, and none waits longer than it may.
func (s *Schedule) earlier(wait time.Duration) time.Duration {
	wait = s.within(wait)
	return max(wait-rand.N(wait/40+1), s.opts.MinInterval)
}

func (s *Schedule) within(wait time.Duration) time.Duration {
	return min(max(wait, s.opts.MinInterval), s.opts.MaxInterval)
}

// jitter spreads what began together, by a tenth of the wait.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/20 + rand.N(d/10+1)
}

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
// often, but soon where that may be over for all at any moment, and one that needs
// attention is looked at seldom.
func (s *Schedule) pace(t *turn, began time.Time, r Report, err error) time.Duration {
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		return s.soon()
	case shared(err):
		return min(s.earlier(2*t.interval), troubleLongRetry)
	case err != nil:
		return s.earlier(2 * t.interval)
	case r.State.Stuck():
		return s.earlier(s.opts.MaxInterval)
	case r.More:
		return 0
	case r.Active.After(began): // by a clock that was ahead
		return s.earlier(2 * t.interval)
	default:
		return s.earlier(began.Sub(r.Active))
	}
}

// active returns when something last happened in a folder, after a reading by a
// poll that began at a moment. It is kept in the mark, so that every replica,
// and the next start, polls the folder as often as this one would: when its
// newest row was made, or when watching began.
func (p *Poller) active(mark checkpoint.Mark, r reading, began time.Time) time.Time {
	if mark.Revision == 0 {
		return began.UTC().Round(time.Millisecond)
	}
	if len(r.rows) == 0 {
		return mark.Active
	}
	now := p.opts.Now()
	newest := r.rows[len(r.rows)-1].Date
	age := max(now.Sub(newest), 0)
	if last := p.lastAnswer(mark.Folder); !last.IsZero() && !plausible(now.Sub(newest), began.Sub(last)) {
		age = began.Sub(last) / time.Duration(len(r.rows)+1)
	}
	active := began.Add(-age).UTC().Round(time.Millisecond)
	if mark.Active.After(began) { // by a clock that was ahead
		return active
	}
	return maxTime(mark.Active, active)
}

func (p *Poller) lastAnswer(folder int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answered[folder]
}

// answer notes that a poll was answered that began at a moment.
func (p *Poller) answer(folder int, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered[folder] = began
}

// plausible reports whether a row can be that old that was not there so long
// ago. Dates are rounded to seconds, and what else can be wrong with them must
// not decide how often an active folder is polled: then its rows are taken for
// evenly spaced.
func plausible(age, ago time.Duration) bool { return age > -2*time.Second && age < ago+2*time.Second }

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

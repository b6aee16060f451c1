package docspace

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// portalRate is what a portal allows one user unless configured otherwise,
	// in requests a second. An unlimited client starts from it when refused.
	portalRate = 1500.0 / 60
	// slowest is where halving ends: six requests a minute.
	slowest = rate.Limit(0.1)
	// A refused client recovers a sixteenth of its budget every 15 s: from half
	// of it in two minutes, twice the portal's window.
	recoverEvery = 15 * time.Second
	recoverSteps = 16
)

// A governor paces all requests of a client: so many at the same time, so
// many a minute, none while the portal asked for a pause, and half as many
// after it complained. Whoever can wait lets others go first.
type governor struct {
	queue   queue
	slots   chan struct{}
	limiter *rate.Limiter

	mu     sync.Mutex
	budget rate.Limit // what was configured
	until  time.Time  // nothing is sent before
	cut    time.Time  // when the rate was last halved
	step   time.Time  // when it was last changed
}

func newGovernor(perMinute, inFlight int) *governor {
	budget, burst := perSecond(perMinute), inFlight
	if budget != rate.Inf {
		burst = min(burst, burstOf(perMinute))
	}
	return &governor{
		slots:   make(chan struct{}, inFlight),
		limiter: rate.NewLimiter(budget, burst),
		budget:  budget,
	}
}

// burstOf is how many requests may follow each other at once after a quiet
// time: a fifth of a second's worth, which a portal does not notice.
func burstOf(perMinute int) int { return max(1, perMinute/300) }

// perSecond is the rate at which no minute sees more requests than allowed, the
// burst it may begin with included.
func perSecond(perMinute int) rate.Limit {
	if perMinute <= 0 {
		return rate.Inf
	}
	return max(rate.Limit(perMinute-burstOf(perMinute)), 0.5) / 60
}

// acquire waits for the right to send one request. The caller gives its slot
// back with release.
func (g *governor) acquire(ctx context.Context) (release func(), err error) {
	if err := g.queue.enter(ctx); err != nil {
		return nil, err
	}
	defer g.queue.leave()
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := g.wait(ctx); err != nil {
		<-g.slots
		return nil, err
	}
	return func() { <-g.slots }, nil
}

// wait returns when the one at the head of the queue may send.
func (g *governor) wait(ctx context.Context) error {
	if err := g.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return context.DeadlineExceeded // it would come too late
	}
	for {
		g.mu.Lock()
		pause := time.Until(g.until)
		g.mu.Unlock()
		if pause <= 0 {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refused halves the rate and holds everything back for pause. A request sent
// before the last cut complains about the rate of that time: several in
// flight together count once.
func (g *governor) refused(sent time.Time, pause time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if until := now.Add(pause); until.After(g.until) {
		g.until = until
	}
	if !g.cut.IsZero() && !sent.After(g.cut) {
		return
	}
	g.cut, g.step = now, now
	g.limiter.SetLimit(max(min(g.limiter.Limit(), g.ceiling())/2, slowest))
}

// accepted lets the rate recover by one step when it is time for one.
func (g *governor) accepted() {
	g.mu.Lock()
	defer g.mu.Unlock()
	limit := g.limiter.Limit()
	if limit >= g.budget || time.Since(g.step) < recoverEvery {
		return
	}
	g.step = time.Now()
	if limit += g.ceiling() / recoverSteps; limit >= g.ceiling() {
		limit = g.budget
	}
	g.limiter.SetLimit(limit)
}

// setBudget replaces the budget. A rate cut under the old one stays cut.
func (g *governor) setBudget(perMinute int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	whole := g.limiter.Limit() >= g.budget
	g.budget = perSecond(perMinute)
	if g.budget != rate.Inf {
		g.limiter.SetBurst(min(cap(g.slots), burstOf(perMinute)))
	}
	if whole || g.limiter.Limit() > g.budget {
		g.limiter.SetLimit(g.budget)
	}
}

// ceiling is the budget as a number one can take parts of.
func (g *governor) ceiling() rate.Limit {
	if g.budget == rate.Inf {
		return portalRate
	}
	return g.budget
}

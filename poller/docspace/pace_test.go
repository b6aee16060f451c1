package docspace

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// take acquires and releases n times and returns how long that took.
func take(t *testing.T, g *governor, n int) time.Duration {
	t.Helper()
	start := time.Now()
	for range n {
		release, err := g.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	return time.Since(start)
}

func TestRequestsKeepToTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(600, 8)
		if took := take(t, g, 608); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("608 requests took %s, want a minute", took)
		}
		time.Sleep(time.Hour)
		if took := take(t, g, 8+10); took < 900*time.Millisecond {
			t.Errorf("18 requests after a quiet hour took %s", took)
		}
	})
}

func TestNoMoreRequestsThanAllowedAreInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(0, 2)
		first, _ := g.acquire(t.Context())
		second, _ := g.acquire(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third: %v", err)
		}
		first()
		second()
		take(t, g, 1)
	})
}

func TestARefusalHalvesTheRateOnceForAllInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(600, 8)
		sent := time.Now()
		time.Sleep(time.Second)
		for range 8 {
			g.refused(sent, 0)
		}
		if got := g.limiter.Limit(); got != 5 {
			t.Errorf("%v requests a second after a refusal, want 5", got)
		}
		time.Sleep(time.Second)
		g.refused(time.Now(), 0)
		if got := g.limiter.Limit(); got != 2.5 {
			t.Errorf("%v requests a second after the next, want 2.5", got)
		}
		for range 20 {
			time.Sleep(time.Second)
			g.refused(time.Now(), 0)
		}
		if got := g.limiter.Limit(); got != slowest {
			t.Errorf("%v requests a second at last, want %v", got, slowest)
		}
	})
}

func TestTheRateRecoversStepByStep(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{600, 0} {
		synctest.Test(t, func(t *testing.T) {
			g := newGovernor(perMinute, 8)
			g.refused(time.Now(), 0)
			half, steps := g.limiter.Limit(), 0
			for last := half; g.limiter.Limit() < g.budget; steps++ {
				time.Sleep(recoverEvery)
				g.accepted()
				g.accepted() // one step, however many answers
				if grown := g.limiter.Limit() - last; g.limiter.Limit() != rate.Inf && grown > g.ceiling()/recoverSteps+1e-9 || grown <= 0 {
					t.Fatalf("budget %d: grew by %v", perMinute, grown)
				}
				last = g.limiter.Limit()
			}
			if half != g.ceiling()/2 || steps != recoverSteps/2 {
				t.Errorf("budget %d: from %v in %d steps", perMinute, half, steps)
			}
		})
	}
}

func TestAPauseHoldsEverybodyBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(0, 8)
		start := time.Now()
		g.refused(start, 10*time.Second)
		g.refused(start, time.Second) // does not shorten it
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() { take(t, g, 1) })
		}
		group.Wait()
		if took := time.Since(start); took < 10*time.Second {
			t.Errorf("went on after %s", took)
		}
	})
}

func TestABudgetCanBeSharedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(600, 8)
		g.setBudget(300)
		if g.limiter.Limit() != 5 {
			t.Errorf("%v requests a second, want 5", g.limiter.Limit())
		}
		g.refused(time.Now(), 0)
		g.setBudget(600)
		if g.limiter.Limit() != 2.5 {
			t.Errorf("%v requests a second: more budget undid the cut", g.limiter.Limit())
		}
		g.setBudget(60)
		if g.limiter.Limit() != 1 {
			t.Errorf("%v requests a second, want 1", g.limiter.Limit())
		}
	})
}

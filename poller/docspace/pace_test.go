package docspace

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
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
	for _, budget := range []int{1, 7, 60, 600, 6000} {
		synctest.Test(t, func(t *testing.T) {
			g := newGovernor(budget, 8)
			for range 3 {
				// As many as allowed and one: whenever they begin, the last is in the next minute.
				if took := take(t, g, budget+1); took < time.Minute || took > 64*time.Second && budget > 60 {
					t.Errorf("%d requests took %s, want a little more than a minute", budget+1, took)
				}
				time.Sleep(time.Hour)
			}
		})
	}
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
		if got := g.limiter.Limit(); got != g.budget/2 {
			t.Errorf("%v requests a second after a refusal, want half of %v", got, g.budget)
		}
		time.Sleep(time.Second)
		g.refused(time.Now(), 0)
		if got := g.limiter.Limit(); got != g.budget/4 {
			t.Errorf("%v requests a second after the next, want a quarter of %v", got, g.budget)
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
		if got := g.limiter.Limit(); got != perSecond(300) {
			t.Errorf("%v requests a second, want %v", got, perSecond(300))
		}
		g.refused(time.Now(), 0)
		g.setBudget(600)
		if got := g.limiter.Limit(); got != perSecond(300)/2 {
			t.Errorf("%v requests a second: more budget undid the cut", got)
		}
		g.setBudget(60)
		if got := g.limiter.Limit(); got != perSecond(60) {
			t.Errorf("%v requests a second, want %v", got, perSecond(60))
		}
	})
}

// crowd keeps n requests waiting at all times and counts those that were let
// through, for a minute.
func crowd(ctx context.Context, t *testing.T, g *governor, n int, through *atomic.Int32) *sync.WaitGroup {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for {
				release, err := g.acquire(ctx)
				if err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
				release()
				through.Add(1)
			}
		})
	}
	return &group
}

func TestThoseWhoCanWaitGetTheirShareAndNoMore(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		urgent    int // waiting at all times
		low, high int32
	}{
		"alone":         {0, 590, 600},
		"beside others": {20, 590 / share, 600/share + 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGovernor(600, 8)
				var urgent, patient atomic.Int32
				one := crowd(t.Context(), t, g, test.urgent, &urgent)
				crowd(Patient(t.Context()), t, g, 40, &patient).Wait()
				one.Wait()
				if got := patient.Load(); got < test.low || got > test.high {
					t.Errorf("%d patient requests and %d others in a minute, want %d to %d", got, urgent.Load(), test.low, test.high)
				}
			})
		})
	}
}

func TestAnUrgentRequestDoesNotWaitBehindPatientOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(600, 8)
		var patient atomic.Int32
		group := crowd(Patient(t.Context()), t, g, 40, &patient)
		for range 50 {
			time.Sleep(time.Second)
			if took := take(t, g, 1); took > 250*time.Millisecond {
				t.Fatalf("waited %s", took)
			}
		}
		group.Wait()
	})
}

func TestWhoGivesUpWaitingHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(0, 1)
		first, _ := g.acquire(t.Context())
		var group sync.WaitGroup
		for i := range 20 { // one of them waits for the slot, the others for their turn
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%5)*time.Second)
			defer cancel()
			if i%2 == 0 {
				ctx = Patient(ctx)
			}
			group.Go(func() {
				if _, err := g.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got through: %v", err)
				}
			})
		}
		group.Wait()
		first()
		take(t, g, 3)
	})
}

func TestEveryKindOfRequestDrawsFromOneBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked, inFlight, most int
		routes := map[string]int{}
		begin := func(route string) {
			mu.Lock()
			defer mu.Unlock()
			asked, inFlight = asked+1, inFlight+1
			most = max(most, inFlight)
			routes[route]++
		}
		opts := Options{
			RequestsPerMinute: 60, MaxInFlight: 3, MaxElapsed: -1,
			Transport: wire(func(r *http.Request) *http.Response {
				begin(r.URL.Path)
				time.Sleep(3500 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				inFlight--
				if r.Method == http.MethodPost {
					return respond(200, `{"response":{"token":"secret"}}`)
				}
				return respond(404, "")
			}),
		}
		c, err := New("https://docs.example.com", Credentials{Username: Fixed("a"), Password: Fixed("b")}, opts)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { _, _ = c.History(t.Context(), 1, Query{Count: 1}) })
			group.Go(func() { _, _ = c.Rooms(Patient(t.Context())) })
			group.Go(func() { _, _ = c.Folder(t.Context(), 1) })
			group.Go(func() { _, _ = c.Version(t.Context()) })
		}
		group.Wait()
		if took := time.Since(start); asked != 41 || took < 40*time.Second {
			t.Errorf("%d requests in %s, want 41 in at least 40s", asked, took)
		}
		if len(routes) != 5 || most != 3 {
			t.Errorf("%d kinds of requests, %d at one time: %v", len(routes), most, routes)
		}
	})
}

package poller

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// newSweepRig is newRig with sweeps that need not wait for their requests.
func newSweepRig(t testing.TB, opts Options) *rig {
	r := newRig(t, opts)
	r.poller = r.another(opts)
	return r
}

// another returns a poller as a start of the program would.
func (r *rig) another(opts Options) *Poller {
	opts.Feed, opts.Filter = r.poller.opts.Feed, r.filter
	p := New(r.client, r.ledger, opts)
	p.sweeper.tokens = rate.NewLimiter(rate.Inf, sweepBurst)
	return p
}

// reserve makes a row that becomes visible when the function is called.
func (r *rig) reserve() func() {
	return r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
}

// hide makes n rows that are counted and not shown.
func (r *rig) hide(n int) {
	for range n {
		r.portal.Record(docspacetest.Action{Code: 5999, Folder: r.room, Entry: r.room, Unexplained: true})
	}
}

// reconcile polls until the folder is watched again and returns the requests
// that took.
func (r *rig) reconcile(t testing.TB) int {
	t.Helper()
	before := r.portal.Requests()
	for range 50 {
		if report := r.poll(t); report.State == checkpoint.Watching && report.Unread == 0 {
			return r.portal.Requests() - before
		}
	}
	t.Fatalf("still %v; said %v", r.mark(t), r.said())
	return 0
}

func TestALateRowFarBelowTheMarkIsFoundAndStoredOnce(t *testing.T) {
	t.Parallel()
	for _, below := range []int{0, 1, 99, 100, 101, 2000} {
		t.Run(fmt.Sprint(below), func(t *testing.T) {
			t.Parallel()
			r := newSweepRig(t, Options{})
			r.act(below)
			publish := r.reserve()
			r.act(3000)
			r.poll(t)
			publish()
			if report := r.poll(t); report.State != checkpoint.Unreconciled {
				t.Fatalf("%+v", report)
			}
			r.reconcile(t)
			r.holds(t)
			if want := []string{schema.Unreconciled, schema.Reconciled}; !slices.Equal(r.said(), want) {
				t.Errorf("said %v, want %v", r.said(), want)
			}
		})
	}
}

func TestLateRowsScatteredOverALongLogAreFoundWithinOneSweep(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	var publish []func()
	for i := range 10 {
		r.portal.Fill(r.room, 4000+rng.IntN(2000), uint64(i)) // reading all of the log costs 500 requests
		publish = append(publish, r.reserve())
	}
	r.portal.Fill(r.room, 3000, 11)
	r.poll(t)
	for _, show := range publish {
		show()
	}
	r.poll(t) // the search in vain
	requests := r.reconcile(t)
	r.holds(t)
	t.Logf("%d requests for 10 rows among %d", requests, r.portal.Count(r.room))
	if requests > 150 {
		t.Errorf("%d requests", requests)
	}
}

func TestALateRowIsFoundAmongGaps(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	r.act(700)
	r.hide(3)
	r.act(200)
	publish := r.reserve()
	r.hide(2)
	r.act(900)
	r.hide(1)
	r.act(1500)
	r.hide(1)
	r.act(100)
	r.poison(http.StatusInternalServerError, 300, 301, 2000)
	r.poll(t)
	publish()
	r.poll(t)
	requests := r.reconcile(t)
	r.holdsLate(t)
	if r.gaps() != 10 {
		t.Errorf("%d rows reported as gaps, want 10", r.gaps())
	}
	t.Logf("%d requests", requests)

	// The gaps are known now: another row is found without taking them apart.
	publish = r.reserve()
	r.act(1500)
	r.poll(t)
	publish()
	r.later()
	r.poll(t)
	again := r.reconcile(t)
	r.holdsLate(t)
	t.Logf("%d requests when the gaps are known", again)
	if again > 30 || again > requests/3 {
		t.Errorf("%d requests with the gaps known, %d before", again, requests)
	}
}

// later lets the hour between two sweeps pass.
func (r *rig) later() {
	for _, s := range r.poller.sweeper.folders {
		s.due = time.Time{}
	}
}

// holdsLate is holds for a log with late rows and rows that cannot be seen.
func (r *rig) holdsLate(t *testing.T) {
	t.Helper()
	want := slices.DeleteFunc(r.shown(), func(id int64) bool { return slices.Contains(r.sick, id) })
	got := slices.Sorted(slices.Values(r.stored()))
	if !slices.Equal(got, want) {
		t.Fatalf("%d rows stored, %d can be seen; %s", len(got), len(want), difference(got, want))
	}
	if err := r.inOrder(); err != nil {
		t.Fatal(err)
	}
}

func TestEventsTheStreamHasDroppedAreNotStoredAgain(t *testing.T) {
	t.Parallel()
	for _, dropped := range []int{1, 700, 1200, 3400} {
		t.Run(fmt.Sprint(dropped), func(t *testing.T) {
			t.Parallel()
			r := newSweepRig(t, Options{})
			r.upTo(1000)
			old := r.reserve()
			r.upTo(2000)
			young := r.reserve()
			r.upTo(4000)
			r.poll(t)
			oldest := r.stored()[:dropped]
			r.ledger.Drop(r.room, dropped)
			old()
			young()
			for range 6 {
				r.poll(t)
			}
			got := r.stored()
			for _, id := range oldest {
				if slices.Contains(got, id) {
					t.Fatalf("row %d was stored once and dropped, and is stored again", id)
				}
			}
			// A late row is found where the stream still tells what is missing.
			want := 4002 - dropped
			for _, below := range []int{1000, 2000} {
				if dropped > below {
					want--
				}
			}
			if len(got) != want || len(slices.Compact(slices.Sorted(slices.Values(got)))) != want {
				t.Errorf("%d rows stored, want %d", len(got), want)
			}
		})
	}
}

func TestEventsAnOperatorRemovedAreNotStoredAgain(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	r.upTo(1000)
	publish := r.reserve()
	r.upTo(4000)
	r.poll(t)
	r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e)%7 == 0 })
	publish()
	for range 6 {
		r.poll(t)
	}
	for _, id := range r.stored() {
		if id%7 == 0 {
			t.Fatalf("row %d was removed from the stream and is stored again", id)
		}
	}
	if state := r.mark(t).State; state != checkpoint.Unreconciled {
		t.Errorf("folder is %s: nobody knows which row is the late one", state)
	}
}

func TestRowsInsertedDuringASweepCostRequestsAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"after the page", "between count and page"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			r := newSweepRig(t, Options{})
			r.upTo(1000)
			publish := []func(){r.reserve()}
			r.upTo(2500)
			publish = append(publish, r.reserve())
			r.upTo(5000)
			publish = append(publish, r.reserve())
			r.upTo(7000)
			r.poll(t)
			publish[0]()
			publish[2]()
			var left atomic.Int64
			left.Store(60)
			insert := func() {
				if n := left.Add(-1); n >= 0 {
					r.upTo(r.portal.Count(r.room) + 1 + int(n)%5)
					if n == 45 {
						publish[1]()
					}
				}
			}
			if moment == "after the page" {
				r.portal.AfterPage(func(int, int) { insert() })
			} else {
				r.portal.Between(func(int) { insert() })
			}
			for range 20 {
				r.poll(t)
				r.later()
			}
			left.Store(0)
			r.reconcile(t)
			r.holds(t)
		})
	}
}

func TestTwoPollersSweepingOneFolderStoreEachRowOnce(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	var publish []func()
	for range 8 {
		r.upTo(r.portal.Count(r.room) + 500)
		publish = append(publish, r.reserve())
	}
	r.upTo(6000)
	r.poll(t)
	for _, show := range publish {
		show()
	}
	r.poll(t)
	other := r.another(Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			if _, err := other.Poll(t.Context(), r.room); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
				t.Error(err)
			}
		}
	}()
	for range 20 {
		if _, err := r.poller.Poll(t.Context(), r.room); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
			t.Error(err)
		}
	}
	<-done
	r.reconcile(t)
	r.holds(t)
}

func TestFoundRowsOutliveACommitThatFails(t *testing.T) {
	t.Parallel()
	trouble := errors.New("trouble")
	for name, arm := range map[string]func(r *rig, fail func(int, []schema.Event) error){
		"before it is stored": func(r *rig, fail func(int, []schema.Event) error) { r.ledger.Before = fail },
		"after it is stored":  func(r *rig, fail func(int, []schema.Event) error) { r.ledger.After = fail },
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %t", name, restart), func(t *testing.T) {
				t.Parallel()
				r := newSweepRig(t, Options{})
				r.missesOne(t)
				r.poll(t)
				failed := 0
				arm(r, func(_ int, events []schema.Event) error {
					if failed++; failed == 1 {
						return trouble
					}
					return nil
				})
				if _, err := r.poller.Poll(t.Context(), r.room); !errors.Is(err, trouble) {
					t.Fatalf("Poll = %v", err)
				}
				if restart {
					r.poller = r.another(Options{})
				}
				r.reconcile(t)
				r.holds(t)
			})
		}
	}
}

// missesOne has a row become visible three thousand rows below the mark.
func (r *rig) missesOne(t testing.TB) {
	t.Helper()
	r.upTo(1000)
	publish := r.reserve()
	r.upTo(4000)
	r.poll(t)
	publish()
}

// An hour without a request but that of the poll, and a day between sweeps that
// find nothing again and again.
func TestASweepThatFindsNothingIsNotRepeatedWithinTheHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.missesOne(t)
		last := r.portal.Rows(r.room)[1000].ID
		r.portal.Poison(last, http.StatusInternalServerError)
		r.sick = append(r.sick, last)
		r.poll(t) // unreconciled
		const interval = 2 * time.Minute
		sweeps, polls, quiet := 0, 0, sweepAgain // polls of the last sweep, and the time since
		for elapsed := time.Duration(0); elapsed < 48*time.Hour; elapsed += interval {
			before := r.portal.Requests()
			r.poll(t)
			if r.portal.Requests()-before > 15 { // a search as deep as the mark remembers is 11 pages
				if quiet > interval {
					sweeps, polls = sweeps+1, 0
				}
				if polls++; polls > 3 || quiet > interval && quiet < sweepAgain {
					t.Fatalf("sweep %d after %v, for %d polls", sweeps, quiet, polls)
				}
				quiet = 0
			}
			quiet += interval
			time.Sleep(interval)
		}
		if sweeps < 3 || sweeps > 7 {
			t.Errorf("%d sweeps in two days", sweeps)
		}
		r.portal.Poison(last, 0)
		time.Sleep(25 * time.Hour)
		r.reconcile(t)
		r.holds(t)
	})
}

func TestASweepMakesNoMoreRequestsThanItMay(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	var publish []func()
	for range 450 {
		r.upTo(r.portal.Count(r.room) + 150)
		publish = append(publish, r.reserve())
	}
	r.upTo(r.portal.Count(r.room) + 1500)
	r.poll(t)
	for _, show := range publish {
		show()
	}
	r.poll(t) // says so, after the search in vain
	sweeps := 0
	for ; r.mark(t).State != checkpoint.Watching; sweeps++ {
		before := r.portal.Requests()
		const polls = 10
		for range polls {
			r.poll(t)
		}
		cost := r.portal.Requests() - before - polls
		t.Logf("sweep %d: %d requests, %d rows left", sweeps, cost, r.portal.Count(r.room)-r.mark(t).Accounted)
		if cost > sweepMost {
			t.Fatalf("a sweep made %d requests, more than %d", cost, sweepMost)
		}
		if sweeps > 5 {
			t.Fatalf("%d sweeps and still %v", sweeps, r.mark(t))
		}
		r.later()
	}
	if sweeps < 2 {
		t.Errorf("%d sweep: the bound was not reached", sweeps)
	}
	r.holds(t)
}

func TestAPollIsHeldUpByAFewRequestsOfASweepOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		var publish []func()
		for range 40 {
			r.upTo(r.portal.Count(r.room) + 150)
			publish = append(publish, r.reserve())
		}
		r.upTo(r.portal.Count(r.room) + 1500)
		r.poll(t)
		for _, show := range publish {
			show()
		}
		r.poll(t)
		for r.mark(t).State != checkpoint.Watching {
			before, began := r.portal.Requests(), time.Now()
			r.poll(t)
			if cost := r.portal.Requests() - before; cost > sweepBurst+1 {
				t.Fatalf("a poll made %d requests", cost)
			}
			if took := time.Since(began); took > 0 {
				t.Fatalf("a poll waited %v", took)
			}
			time.Sleep(5 * time.Second)
		}
		r.holds(t)
	})
}

func TestASweepMakesWayWhileThePortalIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.missesOne(t)
		r.poll(t)
		r.portal.Fail(docspacetest.Fault{Route: docspacetest.RouteHistory, Times: -1, Do: docspacetest.Slow(2 * time.Second)})
		for r.mark(t).State != checkpoint.Watching {
			before := r.portal.Requests()
			r.poll(t)
			if cost := r.portal.Requests() - before; cost > 2 {
				t.Fatalf("a poll made %d requests", cost)
			}
			time.Sleep(5 * time.Second)
		}
		r.holds(t)
	})
}

func TestOneFolderAtATimeIsSwept(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	var rooms []int
	for i := range 3 {
		r.room = r.portal.CreateRoom(nil, fmt.Sprint("room ", i))
		publish := r.reserve()
		r.upTo(3000)
		r.poll(t)
		publish()
		r.poll(t)
		rooms = append(rooms, r.room)
	}
	for range 10 {
		for _, r.room = range rooms {
			r.poll(t)
			held := 0
			for _, s := range r.poller.sweeper.folders {
				if s.published.IDs != nil {
					held++
				}
			}
			if held > 1 {
				t.Fatalf("the ids of %d folders are held", held)
			}
		}
	}
	for _, r.room = range rooms {
		r.holds(t)
	}
}

func TestARowThatCanBeSeenAgainDoesNotHideALateOne(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	r.upTo(800)
	publish := r.reserve()
	r.upTo(4000)
	ids := r.poison(http.StatusInternalServerError, 1500)
	r.poll(t)
	r.portal.Poison(ids[0], 0)
	r.sick = nil
	publish()
	for range 6 {
		r.poll(t)
	}
	r.holds(t)
}

// BenchmarkSweep is what one missing row costs among a million.
func BenchmarkSweep(b *testing.B) {
	r := newSweepRig(b, Options{})
	publish := r.reserve()
	r.portal.Fill(r.room, 999_999, 1)
	r.poll(b)
	publish()
	r.poll(b)
	for b.Loop() {
		mark := r.mark(b)
		r.poller = r.another(Options{})
		so, err := r.ledger.Published(b.Context(), mark, checkpoint.Published{})
		if err != nil {
			b.Fatal(err)
		}
		before := r.portal.Requests()
		s := &sweep{published: so, newest: mark.Newest(), hidden: make(map[int64]hiding)}
		w := r.poller.newWalk(b.Context(), mark)
		if err := s.look(b.Context(), w, r.poller.sweeper.tokens, 990); err != nil || len(s.found) != 1 {
			b.Fatalf("%d rows found, %v", len(s.found), err)
		}
		w.close()
		b.ReportMetric(float64(r.portal.Requests()-before), "requests")
	}
}

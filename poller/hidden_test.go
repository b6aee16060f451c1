package poller

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// Runs of rows that are not shown, longer than a page, of which marks remember
// the place and pages tell little.

// standsWith holds the promise for a log with ids: each row that can be seen is
// stored once and in order, so many are reported as gaps, and the counts agree.
// Some that can be seen may be gaps.
func (r *rig) standsWith(t *testing.T, gaps int, some ...int64) {
	t.Helper()
	stored := slices.Sorted(slices.Values(r.stored()))
	if n := len(stored); n != len(slices.Compact(stored)) {
		t.Errorf("%d rows are stored, some twice", n)
	}
	for _, id := range r.shown() {
		if !slices.Contains(some, id) && !slices.Contains(stored, id) {
			t.Errorf("row %d is not stored", id)
		}
	}
	if n := r.gaps(); n != gaps {
		t.Errorf("%d rows reported as gaps, want %d", n, gaps)
	}
	if mark := r.mark(t); mark.State != checkpoint.Watching || mark.Accounted != r.portal.Count(r.room) {
		t.Errorf("%v; the portal counts %d rows", mark, r.portal.Count(r.room))
	}
	if said := r.said(); slices.Contains(said, schema.Shrunk) || slices.Contains(said, schema.Rewound) {
		t.Errorf("said %v", said)
	}
	if err := inOrder(r.ledger.Events(r.room)); err != nil {
		t.Error(err)
	}
}

func (r *rig) again(t *testing.T, n int) {
	t.Helper()
	for range n {
		r.poll(t)
	}
}

// newest returns the id of a row, counted from the newest, which is 0.
func (r *rig) newest(at int) int64 {
	rows := r.portal.Rows(r.room)
	return rows[len(rows)-1-at].ID
}

func TestALateRowBelowAPageOfHiddenRowsIsStored(t *testing.T) {
	t.Parallel()
	for _, hidden := range []int{99, 100, 120, 230} {
		for _, more := range []int{0, 5} {
			t.Run(fmt.Sprintf("%d hidden, %d above", hidden, more), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Options{})
				r.upTo(150)
				publish := r.reserve()
				r.upTo(200)
				r.hide(hidden)
				r.poll(t)
				publish()
				r.upTo(201 + hidden + more)
				r.again(t, 4)
				r.standsWith(t, hidden)
			})
		}
	}
}

func TestTheNewestPublishedRowFallsSickBesideAGap(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		for _, fresh := range []int{90, 150, 2000} {
			t.Run(fmt.Sprintf("reported before: %t, %d rows since", known, fresh), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Options{})
				r.upTo(50)
				publish := r.reserve()
				r.upTo(150)
				if known {
					r.hide(3)
				}
				r.poll(t)
				sick := r.stored()[149]
				r.portal.Poison(sick, http.StatusInternalServerError)
				if !known {
					r.hide(3)
				}
				r.upTo(153 + fresh)
				if fresh < checkpoint.MaxRecent {
					publish()
				}
				r.again(t, 4)
				r.standsWith(t, 3)
			})
		}
	}
}

func TestOneOfManyHiddenRowsIsShownAgain(t *testing.T) {
	t.Parallel()
	for _, healed := range []int{0, 50, 120, 140, 149} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, late: %t", healed, late), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Options{})
				r.upTo(50)
				publish := r.reserve()
				r.upTo(100)
				r.upTo(250)
				for at := range 150 {
					r.portal.Poison(r.newest(at), http.StatusInternalServerError)
				}
				r.poll(t)
				if n := r.gaps(); n != 150 {
					t.Fatalf("%d rows reported as gaps, want 150", n)
				}
				id := r.newest(149 - healed)
				r.portal.Poison(id, 0)
				r.upTo(255)
				r.poll(t)
				if late {
					publish()
				}
				r.upTo(260)
				r.again(t, 4)
				var hidden []int64
				for _, row := range r.portal.Rows(r.room)[100:252] {
					hidden = append(hidden, row.ID)
				}
				r.standsWith(t, 150, hidden...)
				if !slices.Contains(r.stored(), id) {
					t.Errorf("row %d, shown again, is not stored", id)
				}
			})
		}
	}
}

func TestAllOfManyHiddenRowsAreShownAgain(t *testing.T) {
	t.Parallel()
	for _, n := range []int{90, 250, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.upTo(50)
			publish := r.reserve()
			r.upTo(150 + n)
			for at := range n {
				r.portal.Poison(r.newest(at), http.StatusInternalServerError)
			}
			r.poll(t)
			for at := range n {
				r.portal.Poison(r.newest(at), 0)
			}
			publish()
			r.upTo(151 + n + 5)
			r.again(t, 4)
			r.standsWith(t, n)
		})
	}
}

func TestARowComesInWhileManyHiddenOnesAreReported(t *testing.T) {
	t.Parallel()
	for _, chunk := range []int{7, 150, 990} {
		t.Run(fmt.Sprint(chunk), func(t *testing.T) {
			t.Parallel()
			for at := int64(1); at < 60; at += 4 {
				r := newRig(t, Options{Chunk: chunk, Prefetch: 1})
				r.upTo(150)
				r.poll(t)
				r.hide(350)
				r.upTo(520)
				var pages atomic.Int64
				r.portal.AfterPage(func(int, int) {
					if pages.Add(1) == at {
						r.upTo(r.portal.Count(r.room) + 1)
					}
				})
				r.again(t, 4)
				r.portal.AfterPage(nil)
				r.poll(t)
				r.standsWith(t, 350)
			}
		})
	}
}

func TestAHistoryOfManyRunsOfHiddenRowsIsReportedOnce(t *testing.T) {
	t.Parallel()
	for _, run := range []int{1, 20, 80} {
		for _, shown := range []int{1, 5} {
			for _, chunk := range []int{7, 40, 990} {
				t.Run(fmt.Sprintf("%d hidden, %d shown, commits of %d", run, shown, chunk), func(t *testing.T) {
					t.Parallel()
					r := newRig(t, Options{Chunk: chunk})
					r.upTo(96)
					hidden := 0
					for ; hidden < 200; hidden += run {
						r.hide(run)
						r.upTo(r.portal.Count(r.room) + shown)
					}
					r.again(t, 4)
					r.standsWith(t, hidden)
				})
			}
		}
	}
}

func TestASweptGapLeavesItsPlace(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart: ", restart), func(t *testing.T) {
			t.Parallel()
			r := newSweepRig(t, Options{})
			r.upTo(50)
			deep := r.reserve()
			r.upTo(800)
			low := r.reserve() // in the place of the gap
			gap := r.portal.Record(docspacetest.Action{Code: roomMade, Folder: r.room, Entry: r.room, Title: "gap"})
			r.portal.Poison(gap, http.StatusInternalServerError)
			r.upTo(1500)
			r.poll(t)
			deep()
			r.poll(t)
			r.portal.Poison(gap, 0)
			r.again(t, 5)
			if restart {
				r.poller = r.another(Options{})
			}
			low()
			r.again(t, 5)
			r.standsWith(t, 1)
		})
	}
}

// Where the page is not full, a row that came in after the portal counted makes up
// for one that has no id and is left out.
func TestARowLeftOutWhileAnotherComesInIsNotGone(t *testing.T) {
	t.Parallel()
	for _, n := range []int{20, 98, 99, 100, 150} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.upTo(n)
			r.poll(t)
			r.portal.HideID(r.newest(0))
			var once atomic.Bool
			r.portal.Between(func(int) {
				if once.CompareAndSwap(false, true) {
					r.upTo(n + 1)
				}
			})
			r.again(t, 4)
			r.standsWith(t, 0)
		})
	}
}

func TestALogWhoseOldestRowsAreHiddenIsRead(t *testing.T) {
	t.Parallel()
	for _, n := range []int{90, 99, 150, 350} {
		for _, chunk := range []int{1, 990} {
			t.Run(fmt.Sprintf("%d hidden, commits of %d", n, chunk), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Options{Chunk: chunk})
				first := r.newest(0)
				r.portal.Poison(first, http.StatusInternalServerError)
				r.hide(n)
				r.upTo(1 + n + 200)
				r.again(t, 3)
				r.standsWith(t, n+1, first)
			})
		}
	}
}

func TestALateRowInsideARunOfHiddenOnesMakesNoneAGapTwice(t *testing.T) {
	t.Parallel()
	for _, lower := range []int{0, 50, 97, 120, 149} {
		for _, more := range []int{0, 80, 200} {
			t.Run(fmt.Sprintf("%d below, %d rows since", lower, more), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Options{})
				r.upTo(100)
				r.hide(lower)
				publish := r.reserve()
				r.hide(150 - lower)
				r.poll(t)
				publish()
				r.upTo(251 + more)
				r.again(t, 3)
				r.standsWith(t, 150)
			})
		}
	}
}

func TestARowComesInAboveARunOfHiddenOnesInAHistory(t *testing.T) {
	t.Parallel()
	for _, prefetch := range []int{1, 4} {
		for _, base := range []int{144, 170} {
			for _, run := range []int{110, 145} {
				t.Run(fmt.Sprintf("%d ahead, %d hidden above %d", prefetch, run, base), func(t *testing.T) {
					t.Parallel()
					for at := int64(15); at < 80; at += 7 {
						r := newRig(t, Options{Prefetch: prefetch})
						r.upTo(30)
						publish := r.reserve()
						r.upTo(base)
						r.hide(run)
						r.upTo(base + run + 150)
						var pages atomic.Int64
						r.portal.AfterPage(func(int, int) {
							if pages.Add(1) == at {
								r.upTo(r.portal.Count(r.room) + 1)
							}
						})
						r.again(t, 3)
						r.portal.AfterPage(nil)
						publish()
						r.upTo(r.portal.Count(r.room) + 1)
						r.again(t, 3)
						r.standsWith(t, run)
					}
				})
			}
		}
	}
}

func TestARowFallsSickBetweenTwoPagesThatShareIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Prefetch: 1})
	r.upTo(700)
	shared := r.portal.Rows(r.room)[98].ID
	var pages atomic.Int64
	r.portal.AfterPage(func(int, int) {
		if pages.Add(1) == 2 { // the newest page, and the lowest
			r.portal.Poison(shared, http.StatusInternalServerError)
		}
	})
	r.again(t, 3)
	r.standsWith(t, 0)
}

type fewerRowsError struct{}

func (fewerRowsError) Error() string { return "too much at once" }
func (fewerRowsError) Fits() int     { return 8 }

func TestLateRowsBelowAHiddenPageThatDoNotFitOneCommit(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.upTo(50)
	var publish []func()
	for range 20 {
		publish = append(publish, r.reserve())
	}
	r.upTo(100)
	r.hide(150)
	r.poll(t)
	r.ledger.Before = func(_ int, events []schema.Event) error {
		if len(events) > 8 {
			return fewerRowsError{}
		}
		return nil
	}
	for _, publish := range publish {
		publish()
	}
	r.again(t, 4)
	r.standsWith(t, 150)
}

// A commit that is cut leaves the walk ahead of the mark: places it needs no more
// are those the mark still does.
func TestALateRowIsFoundAfterACommitThatWasCut(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Chunk: 400, Turn: 1})
	r.upTo(10)
	hidden := 0
	fill := func(n int) {
		for ; r.portal.Count(r.room) < n; hidden++ {
			r.hide(1)
			r.upTo(r.portal.Count(r.room) + 9)
		}
	}
	fill(110)
	publish := r.reserve()
	fill(1250)
	for r.mark(t).Accounted < 780 {
		if _, err := r.poller.Poll(t.Context(), r.room); err != nil {
			t.Fatal(err)
		}
	}
	total := r.portal.Count(r.room)
	r.poller = New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed, Chunk: 1, Turn: total - 60 - r.mark(t).Accounted})
	if _, err := r.poller.Poll(t.Context(), r.room); err != nil {
		t.Fatal(err)
	}
	publish()
	r.poller = New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed})
	r.again(t, 3)
	r.standsWith(t, hidden)
}

package poller

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// newFilterRig is a room of which the rows made by left are left out.
func newFilterRig(t testing.TB) *rig {
	return newSweepRig(t, Options{Filter: filterOf(t, "", "room.created")})
}

func (r *rig) left(n int) {
	for range n {
		r.portal.Record(docspacetest.Action{Code: roomMade, Folder: r.room, Entry: r.room, Title: "left out"})
	}
}

// passed makes rows the filter lets through.
func (r *rig) passed(n int) {
	for range n {
		r.portal.Rename(nil, r.file(), fmt.Sprint("plan ", r.portal.Count(r.room)))
	}
}

func (r *rig) file() int {
	if len(r.portal.Files(r.room)) == 0 {
		r.portal.Upload(nil, r.room, "plan.docx")
	}
	return r.portal.Files(r.room)[0]
}

// mix makes rows, of which about half are left out, until there are n.
func (r *rig) mix(n int) {
	for i := 0; r.portal.Count(r.room) < n; i++ {
		r.left(1 + i%40)
		r.passed(1 + i*7%40)
	}
}

// reserveCode is reserve for a row with a code.
func (r *rig) reserveCode(code int) func() {
	return r.portal.Reserve(docspacetest.Action{Code: code, Folder: r.room, Entry: r.room, Title: "late"})
}

func TestRowsLeftOutAreAccountedForAndNotStored(t *testing.T) {
	t.Parallel()
	r := newFilterRig(t)
	r.passed(3)
	r.left(150)
	r.passed(2)
	report := r.poll(t)
	r.holds(t)
	if report.Events != len(r.stored()) || report.Filtered < 150 || report.Unread != 0 {
		t.Errorf("%+v", report)
	}
	if got := counter(t, r.poller.opts.Metrics, "docspace_nats_rows_filtered_total"); got != float64(report.Filtered) {
		t.Errorf("%v rows counted as left out, %d were", got, report.Filtered)
	}
	if got := r.mark(t).Filtered.Rows; got != report.Filtered {
		t.Errorf("the mark knows of %d rows left out, there are %d", got, report.Filtered)
	}
}

// counter returns the value of a counter without labels.
func counter(t testing.TB, metrics prometheus.Collector, name string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestACommitWhoseRowsAreAllLeftOutWritesTheMarkAlone(t *testing.T) {
	t.Parallel()
	r := newFilterRig(t)
	r.passed(1)
	r.poll(t)
	events, commits := len(r.ledger.Events(r.room)), r.ledger.Commits()
	r.left(2500)
	r.poll(t)
	if n := len(r.ledger.Events(r.room)) - events; n != 0 {
		t.Errorf("%d events", n)
	}
	if n := r.ledger.Commits() - commits; n != 3 {
		t.Errorf("%d commits for 2500 rows, 990 at most in each", n)
	}
	r.holds(t)
	commits, requests := r.ledger.Commits(), r.portal.Requests()
	for range 5 {
		r.poll(t)
	}
	if r.ledger.Commits() != commits || r.portal.Requests()-requests != 5 {
		t.Errorf("5 idle polls: %d commits, %d requests", r.ledger.Commits()-commits, r.portal.Requests()-requests)
	}
}

func TestANewFilterLeavesAnIdleFolderAlone(t *testing.T) {
	t.Parallel()
	r := newFilterRig(t)
	r.left(10)
	r.passed(10)
	r.poll(t)
	stored, commits := len(r.stored()), r.ledger.Commits()
	r.filter = schema.Filter{}
	r.poller = r.another(Options{})
	r.poll(t)
	if len(r.stored()) != stored || r.ledger.Commits() != commits {
		t.Errorf("%d more rows stored in %d commits", len(r.stored())-stored, r.ledger.Commits()-commits)
	}
	r.left(1)
	r.poll(t)
	if n := len(r.stored()) - stored; n != 1 {
		t.Errorf("%d rows stored, want the one that came under the new filter", n)
	}
}

// Whatever is left out around it, a row that is missing far below is found; one
// that is left out itself is accounted for.
func TestALateRowFarBelowIsFoundAmongRowsLeftOut(t *testing.T) {
	t.Parallel()
	for _, code := range []int{5072, roomMade} {
		for _, dropped := range []int{0, 300} {
			t.Run(fmt.Sprint(code, " ", dropped), func(t *testing.T) {
				t.Parallel()
				r := newFilterRig(t)
				r.mix(1200)
				publish := r.reserveCode(code)
				r.mix(4000)
				r.poll(t)
				r.ledger.Drop(r.room, dropped)
				publish()
				if report := r.poll(t); report.State != checkpoint.Unreconciled {
					t.Fatalf("%+v", report)
				}
				requests := r.reconcile(t)
				if dropped == 0 {
					r.holdsLate(t)
				}
				if want := []string{schema.Unreconciled, schema.Reconciled}; !slices.Equal(r.said(), want) {
					t.Errorf("said %v, want %v", r.said(), want)
				}
				if mark := r.mark(t); mark.Accounted != r.portal.Count(r.room) {
					t.Errorf("%v of %d", mark, r.portal.Count(r.room))
				}
				t.Logf("%d requests", requests)
				if requests > 120 {
					t.Errorf("%d requests for a log of 41 pages", requests)
				}
			})
		}
	}
}

// Of rows from before the filter changed nobody knows which it left out. They
// are not stored later, all at once; and a row that is missing among them is
// said to be, and not made up for by one of them.
func TestWhatAnEarlierFilterLeftOutIsNotTakenForMissing(t *testing.T) {
	t.Parallel()
	r := newFilterRig(t)
	r.mix(700)
	unknown := r.reserveCode(5072)
	r.mix(1500)
	r.poll(t)
	old := r.portal.Rows(r.room)
	r.filter = filterOf(t, "", "file.uploaded") // what was left out passes now
	r.poller = r.another(Options{})
	r.passed(1)
	r.poll(t)
	publish := r.reserveCode(5072)
	r.mix(4000)
	r.poll(t)
	publish()
	r.poll(t)
	r.reconcile(t)
	unknown()
	for range 5 {
		r.poll(t)
		r.later()
	}
	if mark := r.mark(t); mark.State != checkpoint.Unreconciled {
		t.Errorf("%v, and one of its rows is missing", mark)
	}
	late, stored := 0, make(map[int64]bool)
	for _, e := range r.ledger.Events(r.room) {
		stored[auditID(e)] = true
		if e.Data.Late {
			late++
		}
	}
	if late != 1 {
		t.Errorf("%d rows stored late, want the one above the change", late)
	}
	for _, row := range old {
		if row.Code == roomMade && stored[row.ID] {
			t.Fatalf("row %d was left out once, and is stored now", row.ID)
		}
	}
}

// A row that is missing and not left out is not made up for by rows that are,
// where nobody can tell them apart.
func TestRowsLeftOutMakeUpForNoMissingRow(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(r *rig, late int64){
		"it cannot be rendered": func(r *rig, late int64) {
			r.sick = append(r.sick, late)
			r.portal.Poison(late, http.StatusInternalServerError)
		},
		"the stream has dropped what was around it": func(r *rig, _ int64) {
			r.ledger.Drop(r.room, len(r.ledger.Events(r.room))-50)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFilterRig(t)
			r.mix(1200)
			before := r.portal.Rows(r.room)
			publish := r.reserveCode(5072)
			r.mix(4000)
			r.poll(t)
			publish()
			late := r.portal.Rows(r.room)[len(before)]
			if late.Code != 5072 {
				t.Fatalf("row %d is not the late one", late.ID)
			}
			lose(r, late.ID)
			for range 6 {
				r.poll(t)
				r.later()
			}
			if mark := r.mark(t); mark.State != checkpoint.Unreconciled || mark.Accounted != r.portal.Count(r.room)-1 {
				t.Fatalf("%v of %d rows, and one is missing; said %v", mark, r.portal.Count(r.room), r.said())
			}
			if len(r.sick) > 0 {
				r.portal.Poison(late.ID, 0)
				r.sick = nil
				r.reconcile(t)
				r.holdsLate(t)
			}
		})
	}
}

// Also where all that the stream has of a folder lies above the late row, or it
// has nothing: what was left out is counted, so it is known that nothing is gone.
func TestALateRowBelowAllThatIsStoredIsFound(t *testing.T) {
	t.Parallel()
	for _, code := range []int{5072, roomMade} {
		for _, passed := range []int{0, 3} {
			t.Run(fmt.Sprint(code, " ", passed), func(t *testing.T) {
				t.Parallel()
				r := newSweepRig(t, Options{Filter: filterOf(t, "room.archived", "")})
				r.left(700)
				publish := r.reserveCode(code)
				r.left(2500)
				for range passed {
					r.reserveCode(5072)()
				}
				r.left(100)
				r.poll(t)
				publish()
				if report := r.poll(t); report.State != checkpoint.Unreconciled {
					t.Fatalf("%+v", report)
				}
				r.reconcile(t)
				r.holdsLate(t)
			})
		}
	}
}

// Rows from before the first filter were all stored, so one among them that is
// left out now and late is known for what it is.
func TestALateRowFromBeforeTheFirstFilterIsAccountedFor(t *testing.T) {
	t.Parallel()
	for _, code := range []int{5072, roomMade} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			r := newSweepRig(t, Options{})
			r.mix(700)
			publish := r.reserveCode(code)
			r.mix(2300)
			r.poll(t)
			r.filter = filterOf(t, "", "room.created")
			r.poller = r.another(Options{})
			r.mix(4600)
			r.poll(t)
			stored := len(r.stored())
			publish()
			r.poll(t)
			r.reconcile(t)
			want := stored
			if code != roomMade {
				want++
			}
			if n := len(r.stored()); n != want {
				t.Errorf("%d rows stored after %d, want %d", n, stored, want)
			}
			if mark := r.mark(t); mark.Accounted != r.portal.Count(r.room) {
				t.Errorf("%v of %d", mark, r.portal.Count(r.room))
			}
		})
	}
}

// A row that was a gap, can be seen again and is left out makes up for no row
// that is missing and cannot be seen.
func TestAGapThatIsLeftOutNowMakesUpForNoMissingRow(t *testing.T) {
	t.Parallel()
	r := newFilterRig(t)
	r.mix(600)
	r.left(1)
	gap := r.portal.Rows(r.room)[r.portal.Count(r.room)-1].ID
	r.portal.Poison(gap, http.StatusInternalServerError)
	r.mix(1200)
	missing := r.portal.Count(r.room)
	publish := r.reserveCode(5072)
	r.mix(4000)
	r.poll(t)
	if r.gaps() != 1 {
		t.Fatalf("%d gaps", r.gaps())
	}
	publish()
	late := r.portal.Rows(r.room)[missing]
	r.portal.Poison(gap, 0)
	r.portal.Poison(late.ID, http.StatusInternalServerError)
	for range 6 {
		r.poll(t)
		r.later()
	}
	if mark := r.mark(t); mark.State != checkpoint.Unreconciled || r.gaps() != 1 {
		t.Fatalf("%v, and row %d is neither stored nor reported; said %v", mark, late.ID, r.said())
	}
	r.portal.Poison(late.ID, 0)
	r.reconcile(t)
	r.holdsLate(t)
}

func TestAHintOfARowLeftOutCostsOnePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newFilterRig(t)
		r.watched(t, slow, func(s *Schedule) {
			time.Sleep(10 * time.Second)
			n := r.polls(func() {
				r.left(1)
				s.Hint(r.room)
				time.Sleep(time.Minute)
			})
			if n != 1 {
				t.Errorf("%d polls for a row that was there, want 1", n)
			}
		})
		r.holds(t)
	})
}

func TestALongLogIsSearchedForARowLeftOutInPortions(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{Filter: filterOf(t, "", "file.uploaded")})
	r.portal.Fill(r.room, 30_000, 1)
	publish := r.reserveCode(uploaded)
	r.portal.Fill(r.room, 20_000, 2)
	r.poll(t)
	publish()
	r.poll(t)
	before, sweeps := r.portal.Requests(), 0
	for ; r.mark(t).State != checkpoint.Watching; sweeps++ {
		if sweeps > 5 {
			t.Fatalf("%v after %d sweeps", r.mark(t), sweeps)
		}
		began := r.portal.Requests()
		const polls = 10
		for range polls {
			r.poll(t)
		}
		if n := r.portal.Requests() - began; n > sweepMost+polls {
			t.Errorf("sweep %d made %d requests", sweeps, n)
		}
		r.later()
	}
	r.holdsLate(t)
	t.Logf("%d requests in %d sweeps for %d pages", r.portal.Requests()-before, sweeps, r.portal.Count(r.room)/100)
	if sweeps < 2 {
		t.Errorf("%d sweep: the bound was not reached", sweeps)
	}
}

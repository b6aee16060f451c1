package poller

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

func TestARowNobodyCanRenderBecomesAGapAndTheOthersAreStored(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusInternalServerError, http.StatusBadRequest, http.StatusForbidden, http.StatusUnsupportedMediaType} {
		for _, sick := range [][]int{{0}, {77}, {249}, {249, 248}, {3, 100, 101, 250}, {198, 199}} {
			t.Run(fmt.Sprint(status, sick), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Options{Chunk: 90})
				r.act(250)
				r.poison(status, sick...)
				r.poll(t)
				r.holdsBut(t, len(sick))
				for range 5 {
					r.act(30)
					r.poll(t)
					r.holdsBut(t, len(sick))
				}
				if !slices.Contains(r.said(), schema.Gap) {
					t.Errorf("said %v", r.said())
				}
			})
		}
	}
}

func TestAGapSaysWhichRowAndWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(150)
	r.poison(http.StatusInternalServerError, 120)
	r.poll(t)
	for _, e := range r.ledger.Events(r.room) {
		if c := e.Data.Connector; c != nil {
			if c.Reason != "unrenderable" || c.Status != 500 || c.FirstIndex == nil || *c.FirstIndex != 120 || c.Rows != 1 {
				t.Errorf("gap %+v", c)
			}
			return
		}
	}
	t.Error("no gap was reported")
}

func TestFindingARowNobodyCanRenderCostsABoundedNumberOfRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Prefetch: 1})
	r.act(90)
	r.poll(t)
	r.poison(http.StatusBadRequest, 60)
	before := r.portal.Requests()
	r.act(1)
	r.poll(t)
	// The page, the probe, two requests for each of seven halvings, and two to
	// be sure.
	if cost := r.portal.Requests() - before; cost > 18 {
		t.Errorf("%d requests", cost)
	}
	for name, rows := range map[string]int{"idle": 0, "active": 2} {
		before = r.portal.Requests()
		for range 10 {
			r.act(rows)
			r.poll(t)
		}
		if cost := r.portal.Requests() - before; cost > 10 {
			t.Errorf("10 %s polls of a folder with such a row cost %d requests", name, cost)
		}
	}
}

func TestTroubleOfTheWholePageIsNoGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(150)
	heal := r.portal.Fail(docspacetest.Fault{Route: docspacetest.RouteHistory, Times: -1, Do: docspacetest.ServerError()})
	if _, err := r.poller.Poll(t.Context(), r.room); err == nil {
		t.Fatal("a log that cannot be read at all must be an error")
	}
	if n := r.ledger.Commits(); n != 0 {
		t.Fatalf("%d commits", n)
	}
	heal()
	r.poll(t)
	r.holds(t)
}

func TestPortalWideRefusalsAreNotSearchedForARow(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]docspacetest.Outcome{
		"401": docspacetest.Unauthorized(), "429": docspacetest.RateLimited(""), "502": docspacetest.BadGateway(), "suspended": docspacetest.Suspended(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.act(150)
			r.portal.Fail(docspacetest.Fault{Route: docspacetest.RouteHistory, Times: -1, Do: outcome})
			if _, err := r.poller.Poll(t.Context(), r.room); err == nil {
				t.Fatal("no error")
			}
			if n := r.portal.Requests(); n > 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestARowCuredLaterIsStoredAsLateByTheNextStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(150)
	ids := r.poison(http.StatusInternalServerError, 120)
	r.poll(t)
	r.portal.Poison(ids[0], 0)
	r.act(1)
	r.poller = New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed})
	for range 3 {
		r.poll(t)
	}
	r.holds(t)
}

func TestAFolderThatIsNotThereIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(10)
	r.portal.Fail(docspacetest.Fault{Folder: r.room, Times: -1, Do: docspacetest.NotFound()})
	report, err := r.poller.Poll(t.Context(), r.room)
	if err != nil || report.State != checkpoint.Gone {
		t.Fatalf("%+v, %v", report, err)
	}
}

// poison makes the rows with these bottom indexes unrenderable.
func (r *rig) poison(status int, indexes ...int) (ids []int64) {
	rows := r.portal.Rows(r.room)
	for _, i := range indexes {
		r.portal.Poison(rows[i].ID, status)
		r.sick = append(r.sick, rows[i].ID)
		ids = append(ids, rows[i].ID)
	}
	return ids
}

// holdsBut is holds for a log of which so many rows cannot be rendered.
func (r *rig) holdsBut(t *testing.T, gaps int) {
	t.Helper()
	if len(r.sick) != gaps {
		t.Fatalf("%d rows are sick, want %d", len(r.sick), gaps)
	}
	want := slices.DeleteFunc(r.shown(), func(id int64) bool { return slices.Contains(r.sick, id) })
	got := r.stored()
	if !slices.Equal(got, want) {
		t.Fatalf("%d rows stored, %d can be seen; %s", len(got), len(want), difference(got, want))
	}
	if reported := r.gaps(); reported != gaps {
		t.Fatalf("%d rows reported as gaps, want %d; said %v", reported, gaps, r.said())
	}
}

func TestALateRowIsFoundBesideARowThatCanBeSeenAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.upTo(50)
	publish := r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
	r.upTo(300)
	ids := r.poison(http.StatusInternalServerError, 280)
	r.poll(t)
	r.portal.Poison(ids[0], 0)
	r.poller = New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed})
	r.poll(t)
	publish()
	for range 4 {
		r.upTo(r.portal.Count(r.room) + 1)
		r.poll(t)
	}
	r.holds(t)
}

func TestRowsWithoutAnIDAreGapsAndNoOldPortal(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.upTo(150)
	rows := r.portal.Rows(r.room)
	r.portal.HideID(rows[100].ID, rows[101].ID)
	r.sick = []int64{rows[100].ID, rows[101].ID}
	r.poll(t)
	r.holdsBut(t, 2)
}

func TestThePublishedRowThatStopsRenderingIsNoRestore(t *testing.T) {
	t.Parallel()
	for _, since := range []int{0, 1, 20, 150} {
		r := newRig(t, Options{})
		r.upTo(150)
		r.poll(t)
		r.poison(http.StatusInternalServerError, 149)
		r.upTo(150 + since)
		for range 3 {
			if report := r.poll(t); report.State != checkpoint.Watching || report.Unread != 0 {
				t.Fatalf("%d rows since: %+v", since, report)
			}
		}
		if got, want := len(r.stored()), 150+since; got != want || len(r.said()) > 0 {
			t.Errorf("%d rows since: %d stored, want %d; said %v", since, got, want, r.said())
		}
	}
}

func TestAnIdlePollStaysCheapWithSeveralRowsUnseen(t *testing.T) {
	t.Parallel()
	for _, sick := range [][]int{{249}, {249, 248}, {249, 200}, {248, 200}, {249, 240, 230, 220, 210, 200, 190, 180}} {
		r := newRig(t, Options{})
		r.upTo(250)
		r.poison(http.StatusBadRequest, sick...)
		r.poll(t)
		before := r.portal.Requests()
		for range 10 {
			if report := r.poll(t); report.Unread != 0 || report.State != checkpoint.Watching {
				t.Fatalf("%v: %+v", sick, report)
			}
		}
		if cost := r.portal.Requests() - before; cost > 10 {
			t.Errorf("rows %v unseen: 10 idle polls cost %d requests", sick, cost)
		}
	}
}

func TestManyHiddenRowsAreReportedInCommitsOfBoundedSize(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Chunk: 200, Turn: 2})
	r.upTo(50)
	for range 1000 {
		r.portal.Record(docspacetest.Action{Code: 5999, Folder: r.room, Entry: r.room, Unexplained: true})
	}
	r.upTo(1100)
	report, err := r.poller.Poll(t.Context(), r.room)
	if err != nil || !report.More || report.Gaps > 600 {
		t.Fatalf("one turn: %+v, %v", report, err)
	}
	r.settle(t)
	if r.gaps() != 1000 {
		t.Errorf("%d rows reported as gaps, want 1000", r.gaps())
	}
}

func TestAPageOfRowsNobodyCanRenderDoesNotStopTheFolder(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.5.0", "3.7.2"} {
		for name, at := range map[string]int{"top": 300, "middle": 150, "bottom": 0} {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel()
				r := newRigOf(t, docspacetest.Options{Seed: 1, Version: version}, Options{})
				for i := range 450 {
					id := r.portal.Record(docspacetest.Action{Code: roomMade, Folder: r.room, Entry: r.room, Title: fmt.Sprint("thing ", i)})
					if at <= i && i < at+150 {
						r.sick = append(r.sick, id)
						r.portal.Poison(id, http.StatusInternalServerError)
					}
				}
				r.poll(t)
				if n := r.gaps(); n != 150 {
					t.Fatalf("%d rows reported, %v", n, r.mark(t))
				}
				before := r.portal.Requests()
				for range 10 {
					r.poll(t)
				}
				if n := r.portal.Requests() - before; n > 10 {
					t.Errorf("10 idle polls cost %d requests", n)
				}
				r.portal.Record(docspacetest.Action{Code: roomMade, Folder: r.room, Entry: r.room, Title: "one more"})
				r.poll(t)
				h := history{rig: r}
				if hidden, _, err := h.compare(r.ledger.Events(r.room)); err != nil || hidden != 150 || r.gaps() != 150 {
					t.Fatalf("%d hidden, %d reported, %v; said %v", hidden, r.gaps(), err, r.said())
				}
			})
		}
	}
}

func TestAHiddenRowAboveALateOneIsReportedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Chunk: 1})
	row := docspacetest.Action{Code: roomMade, Folder: r.room, Entry: r.room, Title: "row"}
	r.portal.Record(row)
	publish := r.portal.Reserve(row)
	hidden := row
	hidden.Code, hidden.Unexplained = 5999, true
	r.portal.Record(hidden)
	r.poll(t)
	publish()
	r.portal.Record(row)
	r.portal.Record(row)
	for range 3 {
		r.poll(t)
	}
	if n := r.gaps(); n != 1 {
		t.Errorf("one hidden row is reported as %d", n)
	}
}

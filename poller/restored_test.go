package poller

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

func TestARestoredPortalStopsTheFolderAndNothingIsRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(30)
	backup := r.portal.Rows(r.room)[20].ID
	r.poll(t)
	stored := len(r.stored())
	r.portal.Rewind(backup)
	for range 3 {
		if report := r.poll(t); report.State != checkpoint.Rewound || report.Reason == "" {
			t.Fatalf("%+v", report)
		}
	}
	r.act(40) // the ids have passed the published ones again
	if report := r.poll(t); report.State != checkpoint.Rewound {
		t.Fatalf("%+v", report)
	}
	if want := []string{schema.Rewound}; !slices.Equal(r.said(), want) || len(r.stored()) != stored {
		t.Fatalf("said %v, %d rows stored, want %v and %d", r.said(), len(r.stored()), want, stored)
	}
}

func TestARestoreIsNoticedHoweverMuchHappenedSince(t *testing.T) {
	t.Parallel()
	for _, since := range []int{0, 50, 150, 250, 400} {
		t.Run(fmt.Sprint(since), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			other := r.portal.CreateRoom(nil, "Room B")
			r.act(300)
			r.poll(t)
			newest := r.mark(t).Newest()
			r.portal.Rewind(r.portal.Rows(r.room)[150].ID)
			for r.portal.Record(docspacetest.Action{Code: 5070, Folder: other, Entry: other}) <= newest {
			}
			r.act(since)
			for range 3 {
				if report := r.poll(t); report.State != checkpoint.Rewound {
					t.Fatalf("%+v", report)
				}
			}
		})
	}
}

func TestAnIDGivenOutAgainAfterARestoreIsNotTakenForThePublishedRow(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(30)
	r.poll(t)
	newest := r.mark(t).Newest()
	rows := r.portal.Rows(r.room)
	r.portal.Rewind(rows[len(rows)-10].ID)
	for id := int64(0); id < newest; {
		id = r.portal.Record(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "something else"})
	}
	for range 3 {
		if report := r.poll(t); report.State != checkpoint.Rewound {
			t.Fatalf("%+v", report)
		}
	}
}

func TestADateShiftedByAnHourIsNoOtherRow(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)
	row := docspace.Entry{ID: 7, Date: at, Action: docspace.Action{Code: 5011}, Data: docspace.Data{Title: "a.docx"}}
	mark := seal(row)
	shifted, other := row, row
	shifted.Date = at.Add(time.Hour)
	other.Data.Title = "b.docx"
	if !sealed(mark, row) || !sealed(mark, shifted) || sealed(mark, other) || !sealed("", other) {
		t.Error("only title, action and more than an hour make another row")
	}
}

func TestRowsRemovedFromTheBottomAreCountedAndTheWorkGoesOn(t *testing.T) {
	t.Parallel()
	for _, removed := range []int{1, 40, 60, 100, 150, 200} {
		for _, added := range []int{0, 5, 150, 500} {
			t.Run(fmt.Sprint(removed, added), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, Options{})
				r.act(300)
				r.poll(t)
				before := len(r.stored())
				r.portal.Prune(r.room, removed)
				r.act(added)
				for range 4 {
					r.poll(t)
				}
				if got := len(r.stored()) - before; got != added {
					t.Fatalf("%d of %d new rows stored; %v; said %v", got, added, r.mark(t), r.said())
				}
				if mark := r.mark(t); mark.Accounted != r.portal.Count(r.room) || mark.State != checkpoint.Watching {
					t.Fatalf("%v, the portal counts %d", mark, r.portal.Count(r.room))
				}
				if want := []string{schema.Shrunk}; !slices.Equal(r.said(), want) {
					t.Fatalf("said %v, want %v", r.said(), want)
				}
			})
		}
	}
}

// A service account whose role changes sees fewer rows for a time.
func TestRowsThatComeBackAreNotStoredAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	all := make([]int64, 1500)
	for i := range all {
		all[i] = int64(i + 1)
	}
	shown := all
	p := New(shownRows{r.client, func() []int64 { return shown }}, r.ledger, r.poller.opts)
	for _, shown = range [][]int64{all, all[600:], all, all} {
		if _, err := p.Poll(t.Context(), r.room); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Sorted(slices.Values(r.stored())); !slices.Equal(got, all) {
		t.Fatalf("%d rows stored: %s; said %v", len(got), difference(got, all), r.said())
	}
}

// shownRows is a portal that shows just these rows.
type shownRows struct {
	Portal
	ids func() []int64
}

func (s shownRows) History(_ context.Context, _ int, q docspace.Query) (docspace.Page, error) {
	ids := s.ids()
	page := docspace.Page{Total: len(ids)}
	for i := len(ids) - 1 - q.Start; i >= 0 && len(page.Entries) < q.Count; i-- {
		page.Entries = append(page.Entries, docspace.Entry{ID: ids[i], Date: time.Unix(ids[i], 0), Action: docspace.Action{Code: 5011, Name: "FileUploaded"}})
	}
	return page, nil
}

func TestAFullFirstPageIsNotTakenForTheWholeLog(t *testing.T) {
	t.Parallel()
	for _, published := range []int{0, 60} {
		r := newRig(t, Options{})
		r.upTo(published)
		r.poll(t)
		r.upTo(100)
		var once atomic.Bool
		r.portal.Between(func(int) {
			if once.CompareAndSwap(false, true) {
				r.upTo(100 + 1 + published)
			}
		})
		r.settle(t)
		if !slices.IsSorted(r.stored()) || len(r.said()) > 0 {
			t.Errorf("%d published before: no row was late, yet the order is broken; said %v", published, r.said())
		}
	}
}

func TestLateRowsAreNotTakenForHiddenOnes(t *testing.T) {
	t.Parallel()
	const many = 30
	hidden := docspacetest.Action{Code: 5999, Unexplained: true}
	late := docspacetest.Action{Code: 5070, Title: "late"}
	r := newRig(t, Options{})
	hidden.Folder, hidden.Entry, late.Folder, late.Entry = r.room, r.room, r.room, r.room
	r.act(10)
	var publish []func()
	for range many {
		publish = append(publish, r.portal.Reserve(late))
	}
	r.act(checkpoint.MaxRecent + 200) // deeper than the mark remembers
	for range many {
		r.portal.Record(hidden)
	}
	r.act(50)
	r.poll(t)
	for _, show := range publish {
		show()
	}
	report := r.poll(t)
	if report.State != checkpoint.Unreconciled || report.Unread != many || r.gaps() != many {
		t.Fatalf("%+v; %d rows reported as gaps, want %d", report, r.gaps(), many)
	}
}

func TestARowSlidOntoAHiddenOneIsNotLost(t *testing.T) {
	t.Parallel()
	for at := int64(1); at < 12; at++ {
		r := newRig(t, Options{})
		row := docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "row"}
		r.upTo(50)
		publish := r.portal.Reserve(row)
		r.upTo(98)
		r.portal.Record(docspacetest.Action{Code: 5999, Folder: r.room, Entry: r.room, Unexplained: true})
		r.upTo(350)
		var pages atomic.Int64
		r.portal.AfterPage(func(int, int) {
			if pages.Add(1) == at {
				publish()
			}
		})
		for range 5 {
			r.poll(t)
		}
		publish()
		r.settle(t)
	}
}

func TestAnUnreconciledFolderGoesOnAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.poller = New(r.client, struct{ Ledger }{r.ledger}, Options{Feed: r.poller.opts.Feed}) // which cannot tell what it holds
	r.act(10)
	publish := r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
	r.act(checkpoint.MaxRecent + 300)
	r.poll(t)
	publish()
	r.poll(t)
	var once atomic.Bool
	r.portal.Between(func(int) {
		if once.CompareAndSwap(false, true) {
			r.act(1)
		}
	})
	for range 4 {
		r.act(150)
		report := r.poll(t)
		if report.State != checkpoint.Unreconciled || report.Unread != 1 {
			t.Fatalf("%+v", report)
		}
	}
	before := r.portal.Requests()
	r.poll(t)
	if cost := r.portal.Requests() - before; cost != 1 {
		t.Errorf("an idle poll of an unreconciled folder costs %d requests", cost)
	}
	if want := []string{schema.Unreconciled}; !slices.Equal(r.said(), want) {
		t.Errorf("said %v, want %v", r.said(), want)
	}
	if got, want := len(r.stored()), len(r.shown()); got != want-1 {
		t.Errorf("%d of %d rows stored", got, want)
	}
}

func TestAPageOfHiddenRowsIsAccountedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.upTo(150)
	for range 230 {
		r.portal.Record(docspacetest.Action{Code: 5999, Folder: r.room, Entry: r.room, Unexplained: true})
	}
	for range 3 {
		if report := r.poll(t); report.Unread != 0 || report.State != checkpoint.Watching {
			t.Fatalf("%+v", report)
		}
	}
	r.upTo(500)
	r.settle(t)
	if r.gaps() != 230 {
		t.Errorf("%d rows reported as gaps, want 230", r.gaps())
	}
}

// upTo records rows, one at a time, until the room has n.
func (r *rig) upTo(n int) {
	for r.portal.Count(r.room) < n {
		r.portal.Record(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "row"})
	}
}

func TestTheOldestRowFallsSickWhenItIsTheNewestPublished(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.upTo(1)
	r.poll(t)
	oldest := r.stored()[0]
	r.portal.Poison(oldest, http.StatusInternalServerError)
	r.upTo(250)
	report := r.poll(t)
	if got, want := r.stored(), r.shown(); !slices.Equal(got, want) || report.State != checkpoint.Watching || r.gaps() > 0 {
		t.Errorf("%s; %+v, %d gaps", difference(got, want), report, r.gaps())
	}
}

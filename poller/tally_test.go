package poller

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// A logRow is a row of a log made up, oldest first in a slice of them.
type logRow struct {
	id    int64
	shown bool
}

// newest returns the n newest rows the way a portal answers.
func newest(log []logRow, n int) sheet {
	s := sheet{asked: n, total: len(log)}
	for i, row := range slices.Backward(log) {
		if len(log)-i > n {
			break
		}
		if !row.shown {
			s.unseen = append(s.unseen, unseenRow{index: i, status: http.StatusOK})
			continue
		}
		s.rows = append(s.rows, docspace.Entry{ID: row.id})
	}
	for i := range s.unseen {
		for _, row := range log {
			switch {
			case !row.shown:
			case row.id < log[s.unseen[i].index].id && slices.ContainsFunc(s.rows, func(e docspace.Entry) bool { return e.ID == row.id }):
				s.unseen[i].below = row.id
			case row.id > log[s.unseen[i].index].id && s.unseen[i].above == 0:
				s.unseen[i].above = row.id
			}
		}
	}
	return s
}

// Whatever is shown, hidden, shown again or comes in late, a look at the newest
// rows tells exactly how many of them are not accounted for, and so whether
// there are any below them.
func TestATallyIsNeverOffByARowThatIsShownAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var log []logRow
		var mark checkpoint.Mark
		var published []int64
		next := int64(1)
		some := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
		for range 1 + some("looks", 6) {
			for range some("new", 8) {
				log, next = append(log, logRow{next, some("shown", 4) > 0}), next+2
			}
			for range some("changed", 3) {
				if len(log) > 0 {
					i := rapid.IntRange(0, len(log)-1).Draw(t, "row")
					log[i].shown = !log[i].shown
				}
			}
			for range some("late", 2) { // its id is even
				id := 2 * int64(some("at", int(next/2)))
				at, there := slices.BinarySearchFunc(log, id, func(r logRow, id int64) int { return int(r.id - id) })
				if id > 0 && !there {
					log = slices.Insert(log, at, logRow{id, some("shown", 4) > 0})
				}
			}
			s := newest(log, 1+some("rows", len(log)+2))
			low, tally := s.footing(mark), s.tally(mark)
			if len(s.rows) == 0 && low > 0 {
				continue
			}
			above, accounted := 0, 0 // rows above, or at, the footing
			for _, row := range log {
				if row.id >= low {
					above++
				}
			}
			for _, id := range published {
				if id >= low {
					accounted++
				}
			}
			for _, p := range mark.Hidden {
				if p.Below >= low {
					accounted += p.Rows
				}
			}
			if low < 1<<40 && tally.size() != above-accounted {
				t.Fatalf("%d rows are found of %d that are not accounted for, above row %d; %+v, %+v, log %v", tally.size(), above-accounted, low, tally, mark, log)
			}
			r := tally.first(len(tally.rows))
			mark.Accounted += r.size()
			mark = mark.Remember(ids(r.rows)...).Hide(r.places...)
			published = append(published, ids(r.rows)...)
			if hidden := hiddenAbove(mark, 0); mark.Accounted != len(published)+hidden {
				t.Fatalf("%d rows accounted for; %d published, %d hidden", mark.Accounted, len(published), hidden)
			}
		}
	})
}

func TestAGapThatIsShownAgainMakesUpForNoLateRow(t *testing.T) {
	t.Parallel()
	for _, sickens := range []bool{false, true} {
		t.Run(fmt.Sprintf("another falls sick: %t", sickens), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			row := docspacetest.Action{Code: roomMade, Folder: r.room, Entry: r.room, Title: "row"}
			r.upTo(50)
			publish := r.portal.Reserve(row)
			r.upTo(300)
			gap := r.portal.Record(row)
			r.portal.Poison(gap, http.StatusInternalServerError)
			r.upTo(310)
			r.poll(t)
			if r.gaps() != 1 {
				t.Fatalf("%d rows reported as gaps", r.gaps())
			}
			publish()
			r.portal.Poison(gap, 0)
			if sickens {
				r.portal.Poison(gap+1, http.StatusInternalServerError)
			}
			r.poller = New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed})
			report := r.poll(t)
			stored, shown := r.stored(), r.shown()
			slices.Sort(stored)
			if diff := difference(stored, shown); diff != "no difference" || report.State != checkpoint.Watching {
				t.Errorf("%s; %+v", diff, report)
			}
			if mark := r.mark(t); mark.Accounted != len(shown) || slices.Contains(r.said(), schema.Shrunk) {
				t.Errorf("%v of %d; said %v", mark, len(shown), r.said())
			}
		})
	}
}

// A row that is published without an id, and not shown when the portal begins to
// tell ids, has one that nobody knows.
func TestARowHiddenWhenIDsCameIsKnownWhenItIsShownAgain(t *testing.T) {
	t.Parallel()
	for _, later := range []int{0, 1, 30, 250} {
		t.Run(fmt.Sprint("rows before it is shown again: ", later), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{Chunk: 7})
			o.record(40)
			gap := o.portal.Record(o.row())
			o.portal.Poison(gap, http.StatusInternalServerError)
			o.record(10)
			o.poll(t)
			rows := o.portal.Rows(o.room)
			middle, last := rows[20].ID, rows[len(rows)-1].ID
			for _, id := range []int64{middle, last} {
				o.portal.Poison(id, http.StatusInternalServerError)
			}
			o.portal.Upgrade("3.7.2")
			o.poll(t)
			o.record(later)
			for _, id := range []int64{gap, middle, last} {
				o.portal.Poison(id, 0)
			}
			o.poller = New(o.client, o.ledger, o.poller.opts)
			for range 3 {
				o.poll(t)
			}
			stored := make(map[string]int)
			for _, e := range o.ledger.Events(o.room) {
				if e.Data.Connector == nil {
					stored[targetName(e)]++
				}
			}
			for _, row := range o.portal.Rows(o.room) {
				if n := stored[row.Title]; n != 1 && (row.ID != gap || n > 1) {
					t.Errorf("row %d is stored %d times", row.ID, n)
				}
			}
			if mark := o.mark(t); mark.Accounted != o.portal.Count(o.room) || mark.State != checkpoint.Watching || o.gaps() != 1 {
				t.Errorf("%v of %d; said %v", mark, o.portal.Count(o.room), o.said())
			}
		})
	}
}

func TestAGapThatIsShownAgainIsNoticedWithinAnHour(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.5.0", "3.7.2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRigOf(t, docspacetest.Options{Seed: 1, Version: version}, Options{})
				r.upTo(20)
				gap := r.portal.Record(docspacetest.Action{Code: roomMade, Folder: r.room, Entry: r.room, Title: "gap"})
				r.portal.Poison(gap, http.StatusInternalServerError)
				r.poll(t)
				r.upTo(25)
				r.poll(t)
				r.portal.Poison(gap, 0)
				before := len(r.ledger.Events(r.room))
				for range 61 {
					time.Sleep(time.Minute)
					r.poll(t)
				}
				if n := len(r.ledger.Events(r.room)) - before; n != 1 || r.mark(t).Accounted != r.portal.Count(r.room) {
					t.Errorf("%s: %d events; %v", version, n, r.mark(t))
				}
			})
		})
	}
}

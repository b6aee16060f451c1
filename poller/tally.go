package poller

import (
	"math"
	"slices"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// Rows that are not shown have no id to be known by. What is known of them is
// where they lie: between which two rows that are shown. A row that turns up
// there may be one that was hidden, was reported as a gap and accounted for, and
// can be seen now; counted like any other, it would make up for a row that is
// missing somewhere else.

// A tally is what part of a log, from some row upwards, holds beyond a mark.
type tally struct {
	rows   []docspace.Entry   // not committed, ascending by id
	unseen []unseenRow        // not accounted for, newest first
	cured  int                // rows among rows that were accounted for as hidden
	again  []docspace.Entry   // committed before their ids were told
	hidden []checkpoint.Place // of all that is accounted for and was never published
}

// size is how many rows of the part are not accounted for.
func (t tally) size() int { return len(t.rows) + len(t.unseen) - t.cured }

// first returns up to most of the rows, and what is to be said of the others.
func (t tally) first(most int) reading {
	r := reading{rows: t.rows, unseen: t.unseen, cured: t.cured, again: t.again, last: true}
	var later []docspace.Entry
	if len(r.rows) > most {
		r.rows, r.last = r.rows[:most], false
		r.again, later = upTo(r.again, r.rows[most-1].ID)
	}
	r.places = slices.Concat(t.hidden, places(r.unseen), held(later))
	return r
}

// upTo divides ascending rows into those up to an id and those above it.
func upTo(rows []docspace.Entry, id int64) (low, high []docspace.Entry) {
	n := 0
	for n < len(rows) && rows[n].ID <= id {
		n++
	}
	return rows[:n:n], rows[n:]
}

// tally compares a sheet with a mark. It leaves out what lies too low to be told
// from rows below the sheet.
func (s sheet) tally(mark checkpoint.Mark) tally {
	low := s.footing(mark)
	var t tally
	var below, places []checkpoint.Place
	for _, p := range mark.Hidden {
		if p.Below >= low {
			places = append(places, p)
		} else {
			below = append(below, p)
		}
	}
	for _, row := range s.rows {
		if row.ID >= low && !mark.Known(row.ID) {
			t.rows = append(t.rows, row)
		}
	}
	slices.Reverse(t.rows)
	m := newMatching(places)
	unseen := slices.DeleteFunc(slices.Clone(s.unseen), func(u unseenRow) bool { return u.below < low })
	t.unseen = m.unseen(s.withoutPublished(unseen, low, mark))
	t.rows, t.again = m.published(t.rows, mark.Unnumbered)
	left := m.left()
	t.hidden = slices.Concat(below, m.taken())
	for _, p := range left {
		if s.start > 0 && len(s.rows) > 0 && end(p) > s.rows[0].ID {
			p.Below = max(p.Below, s.rows[0].ID) // it lies above the sheet
			t.hidden = append(t.hidden, p)
		} else {
			t.cured += p.Rows
		}
	}
	return t
}

// beneath reports whether the sheet shows rows that are not committed, and lie too
// low to be told.
func (s sheet) beneath(mark checkpoint.Mark) bool {
	low := s.footing(mark)
	return slices.ContainsFunc(s.rows, func(row docspace.Entry) bool { return row.ID < low && !mark.Known(row.ID) })
}

// places returns where rows lie that are not shown.
func places(unseen []unseenRow) []checkpoint.Place {
	all := make([]checkpoint.Place, len(unseen))
	for i, u := range unseen {
		all[i] = u.place()
	}
	return all
}

// footing returns the lowest row such that every row above it can be told from
// those below, whether it is shown or not; 0 if the sheet goes down to the
// oldest row.
func (s sheet) footing(mark checkpoint.Mark) int64 {
	if s.low() < 0 && s.size() == s.end() && mark.Forgotten == 0 {
		return 0
	}
	for _, row := range slices.Backward(s.rows) {
		apart := func(p checkpoint.Place) bool { return p.Holds(row.ID) }
		if row.ID >= mark.Forgotten && !slices.ContainsFunc(mark.Hidden, apart) {
			return row.ID
		}
	}
	return math.MaxInt64
}

// withoutPublished leaves out unseen rows that were published, for each row that
// was and is not shown any more.
func (s sheet) withoutPublished(unseen []unseenRow, low int64, mark checkpoint.Mark) []unseenRow {
	for _, id := range mark.Recent {
		if len(unseen) == 0 {
			break
		}
		if _, shown := s.find(id); shown || id <= low {
			continue
		}
		if i := slices.IndexFunc(unseen, func(u unseenRow) bool { return u.place().Holds(id) }); i >= 0 {
			unseen = slices.Delete(unseen, i, i+1)
		}
	}
	return unseen
}

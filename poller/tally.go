package poller

import (
	"cmp"
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

// first returns up to most of the rows, with what lies between them.
func (t tally) first(most int) reading {
	r := reading{rows: t.rows, unseen: t.unseen, cured: t.cured, again: t.again, last: true}
	var later []docspace.Entry
	if len(r.rows) > most {
		last := r.rows[most-1].ID
		r.rows, r.last = r.rows[:most], false
		r.unseen, _ = split(r.unseen, last)
		r.again, later = upTo(r.again, last)
	}
	r.places = slices.Concat(t.hidden, places(r.unseen), exactly(later))
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

// exactly returns where rows lie whose ids are known, and which are accounted for
// as hidden a little longer.
func exactly(rows []docspace.Entry) []checkpoint.Place {
	all := make([]checkpoint.Place, len(rows))
	for i, row := range rows {
		all[i] = checkpoint.Place{Below: row.ID - 1, Above: row.ID + 1}
	}
	return all
}

// tally compares a sheet that reaches to the newest row with a mark. It leaves
// out what lies too low to be told from rows below the sheet.
func (s sheet) tally(mark checkpoint.Mark) tally {
	low := s.footing(mark)
	var t tally
	var below []checkpoint.Place
	places := make([]checkpoint.Place, 0, len(mark.Hidden))
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
	unseen := slices.DeleteFunc(slices.Clone(s.unseen), func(u unseenRow) bool { return u.below < low })
	var cured []docspace.Entry
	t.unseen, t.hidden, cured = match(s.withoutPublished(unseen, low, mark), places, t.rows)
	t.hidden = append(below, t.hidden...)
	t.rows, t.again = apart(t.rows, cured, mark.Unnumbered)
	t.cured = len(cured) - len(t.again)
	return t
}

// places returns where rows lie that are not shown.
func places(unseen []unseenRow) []checkpoint.Place {
	all := make([]checkpoint.Place, len(unseen))
	for i, u := range unseen {
		all[i] = u.place()
	}
	return all
}

// meet reports whether one row may lie in both places.
func meet(a, b checkpoint.Place) bool { return max(a.Below, b.Below)+1 < min(end(a), end(b)) }

// end is the id that a place lies below.
func end(p checkpoint.Place) int64 { return cmp.Or(p.Above, math.MaxInt64) }

// footing returns the lowest row such that every row above it can be told from
// those below, whether it is shown or not; 0 if the sheet goes down to the
// oldest row.
func (s sheet) footing(mark checkpoint.Mark) int64 {
	if s.low() < 0 && s.size() == s.end() && mark.Forgotten == 0 && len(mark.Hidden) < checkpoint.MaxHidden {
		return 0
	}
	least := mark.Forgotten
	if len(mark.Hidden) == checkpoint.MaxHidden { // those below are not remembered
		least = max(least, cmp.Or(mark.Hidden[0].Above, math.MaxInt64))
	}
	for _, row := range slices.Backward(s.rows) {
		apart := func(p checkpoint.Place) bool { return p.Holds(row.ID) }
		if row.ID >= least && !slices.ContainsFunc(mark.Hidden, apart) {
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

// apart takes from rows those of the cured ones that were committed before the
// portal told ids.
func apart(rows, cured []docspace.Entry, before checkpoint.Unnumbered) (fresh, again []docspace.Entry) {
	counts := before.Counts()
	for _, row := range cured {
		if take(counts, key(row)) {
			again = append(again, row)
		}
	}
	if len(again) == 0 {
		return rows, nil
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row docspace.Entry) bool {
		return slices.ContainsFunc(again, func(a docspace.Entry) bool { return a.ID == row.ID })
	}), again
}

// match finds the unseen rows, and those of the others, that are accounted for
// at the places: as many as possible, and of two that may be the same one the
// unseen. It returns the unseen rows that are not, the places of those that are,
// and those of the others that are.
func match(unseen []unseenRow, places []checkpoint.Place, rows []docspace.Entry) (fresh []unseenRow, hidden []checkpoint.Place, cured []docspace.Entry) {
	m := matching{places: places, taken: make([]int, len(places))}
	for _, u := range unseen {
		m.add(func(p checkpoint.Place) bool { return meet(p, u.place()) })
	}
	for _, row := range rows {
		if m.add(func(p checkpoint.Place) bool { return p.Holds(row.ID) }) {
			cured = append(cured, row)
		}
	}
	for i, u := range unseen {
		if slices.Contains(m.taken, i+1) {
			hidden = append(hidden, u.place())
		} else {
			fresh = append(fresh, u)
		}
	}
	for i, p := range places {
		if m.taken[i] == 0 { // neither seen nor counted: it stays where it was
			hidden = append(hidden, p)
		}
	}
	return fresh, hidden, cured
}

// A matching gives each of a number of things a place of its own.
type matching struct {
	places []checkpoint.Place
	fits   []func(checkpoint.Place) bool
	taken  []int // which thing has the place, counted from 1; 0: none
}

// add gives one more thing a place, moving others where they fit as well, and
// reports whether there is one.
func (m *matching) add(fits func(checkpoint.Place) bool) bool {
	m.fits = append(m.fits, fits)
	return m.seat(len(m.fits), make([]bool, len(m.places)))
}

func (m *matching) seat(thing int, tried []bool) bool {
	for i, p := range m.places {
		if m.taken[i] == 0 && m.fits[thing-1](p) {
			m.taken[i] = thing
			return true
		}
	}
	for i, p := range m.places {
		if tried[i] || !m.fits[thing-1](p) {
			continue
		}
		tried[i] = true
		if m.seat(m.taken[i], tried) {
			m.taken[i] = thing
			return true
		}
	}
	return false
}

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

// first returns up to most of the rows, and what is to be said of the others.
func (t tally) first(most int) reading {
	r := reading{rows: t.rows, unseen: t.unseen, cured: t.cured, again: t.again, last: true}
	var later []docspace.Entry
	if len(r.rows) > most {
		r.rows, r.last = r.rows[:most], false
		r.again, later = upTo(r.again, r.rows[most-1].ID)
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
		all[i] = checkpoint.Place{Below: row.ID - 1, Above: row.ID + 1, Rows: 1}
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

// raise returns the places such that hidden rows that are not in the sheet, and may
// be anywhere from it upwards, lie above it.
func (s sheet) raise(places []checkpoint.Place) []checkpoint.Place {
	if len(s.rows) == 0 {
		return places
	}
	for i, p := range places {
		if newest := s.rows[0].ID; p.Holds(newest) {
			places[i].Below = newest
		}
	}
	return places
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

// without returns the places less those of some rows that were hidden there.
func without(places []checkpoint.Place, rows []docspace.Entry, some int) []checkpoint.Place {
	_, _, cured := match(nil, places, rows)
	_, places, _ = match(nil, places, cured[:min(some, len(cured))])
	return places
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
	m := newMatching(places)
	for len(unseen) > 0 {
		here := unseen[0].place()
		n := 1
		for n < len(unseen) && unseen[n].place() == here {
			n++
		}
		here.Rows = m.add(n, func(p checkpoint.Place) bool { return meet(p, here) })
		fresh = append(fresh, unseen[:n-here.Rows]...)
		hidden, unseen = append(hidden, here), unseen[n:]
	}
	for _, row := range rows {
		if m.add(1, func(p checkpoint.Place) bool { return p.Holds(row.ID) }) > 0 {
			cured = append(cured, row)
		}
	}
	for i, p := range places {
		p.Rows = m.free[i]
		hidden = append(hidden, p) // neither seen nor counted: they stay where they were
	}
	return fresh, checkpoint.Highest(hidden), cured
}

// A matching gives things places, each as many as rows are hidden there.
type matching struct {
	places []checkpoint.Place
	free   []int
	fits   []func(checkpoint.Place) bool // by thing
	given  []map[int]int                 // by thing and place
}

func newMatching(places []checkpoint.Place) *matching {
	m := &matching{places: places, free: make([]int, len(places))}
	for i, p := range places {
		m.free[i] = p.Rows
	}
	return m
}

// add gives places to n things alike, moving others where they fit as well, and
// returns how many got one.
func (m *matching) add(n int, fits func(checkpoint.Place) bool) int {
	thing, got := len(m.fits), 0
	m.fits, m.given = append(m.fits, fits), append(m.given, make(map[int]int))
	for i, p := range m.places {
		if take := min(n-got, m.free[i]); take > 0 && fits(p) {
			m.free[i], m.given[thing][i], got = m.free[i]-take, take, got+take
		}
	}
	for got < n && m.seat(thing, make([]bool, len(m.places))) {
		got++
	}
	return got
}

// seat gives one thing a place.
func (m *matching) seat(thing int, tried []bool) bool {
	for i, p := range m.places {
		if tried[i] || !m.fits[thing](p) {
			continue
		}
		tried[i] = true
		if m.free[i] > 0 {
			m.free[i]--
		} else if !m.unseat(i, tried) {
			continue
		}
		m.given[thing][i]++
		return true
	}
	return false
}

// unseat moves one thing away from a place to another one.
func (m *matching) unseat(from int, tried []bool) bool {
	for thing, given := range m.given {
		if given[from] > 0 && m.seat(thing, tried) {
			given[from]--
			return true
		}
	}
	return false
}

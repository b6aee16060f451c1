package poller

import (
	"cmp"
	"math"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// exactly returns where a row lies whose id is known.
func exactly(row docspace.Entry) checkpoint.Place {
	return checkpoint.Place{Below: row.ID - 1, Above: row.ID + 1, Rows: 1}
}

// held returns the places of rows that are accounted for as hidden a little
// longer, although their ids are known.
func held(rows []docspace.Entry) []checkpoint.Place {
	all := make([]checkpoint.Place, len(rows))
	for i, row := range rows {
		all[i] = exactly(row)
	}
	return all
}

// without returns the places less those of some rows that were hidden there.
func without(places []checkpoint.Place, rows []docspace.Entry, some int) []checkpoint.Place {
	m := newMatching(places)
	for _, row := range rows {
		if some > 0 {
			some -= m.add(1, exactly(row))
		}
	}
	return m.left()
}

// A matching finds the rows of places again: as many as possible.
type matching struct {
	places []checkpoint.Place
	free   []int              // rows of a place that were not found
	things []checkpoint.Place // where rows were found, those not shown first
	given  []map[int]int      // by thing and place
	hidden int                // things that are not shown
}

func newMatching(places []checkpoint.Place) *matching {
	m := &matching{places: places, free: make([]int, len(places))}
	for i, p := range places {
		m.free[i] = p.Rows
	}
	return m
}

// unseen takes rows that are not shown for those of the places, and returns the
// others.
func (m *matching) unseen(rows []unseenRow) (fresh []unseenRow) {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].place() == rows[0].place() {
			n++
		}
		fresh = append(fresh, rows[:n-m.add(n, rows[0].place())]...)
		rows = rows[n:]
	}
	m.hidden = len(m.things)
	return fresh
}

// published takes rows for those of the places that were committed before the
// portal told ids.
func (m *matching) published(rows []docspace.Entry, before checkpoint.Unnumbered) (fresh, again []docspace.Entry) {
	counts := before.Counts()
	for _, row := range rows {
		k := key(row)
		if counts[k] > 0 && m.add(1, exactly(row)) > 0 {
			counts[k]--
			again = append(again, row)
		} else {
			fresh = append(fresh, row)
		}
	}
	return fresh, again
}

// taken returns where the rows lie that were found and are not shown.
func (m *matching) taken() (places []checkpoint.Place) {
	for thing, given := range m.given[:m.hidden] {
		for i, n := range given {
			p := both(m.things[thing], m.places[i])
			p.Rows = n
			places = append(places, p)
		}
	}
	return checkpoint.Distinct(places)
}

// left returns the places of the rows that were not found.
func (m *matching) left() (places []checkpoint.Place) {
	for i, p := range m.places {
		if p.Rows = m.free[i]; p.Rows > 0 {
			places = append(places, p)
		}
	}
	return places
}

// add gives places to n things that lie alike, moving others where they fit as
// well, and returns how many got one.
func (m *matching) add(n int, thing checkpoint.Place) int {
	at, got := len(m.things), 0
	m.things, m.given = append(m.things, thing), append(m.given, make(map[int]int))
	for i := range m.places {
		if take := min(n-got, m.free[i]); take > 0 && m.fits(at, i) {
			m.free[i], m.given[at][i], got = m.free[i]-take, take, got+take
		}
	}
	for got < n && m.seat(at, make([]bool, len(m.places))) {
		got++
	}
	return got
}

// fits reports whether one row may lie in both.
func (m *matching) fits(thing, place int) bool {
	p := both(m.things[thing], m.places[place])
	return p.Below+1 < end(p)
}

// seat gives one thing a place.
func (m *matching) seat(thing int, tried []bool) bool {
	for i := range m.places {
		if tried[i] || !m.fits(thing, i) {
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

// both returns what two places have in common.
func both(a, b checkpoint.Place) checkpoint.Place {
	p := checkpoint.Place{Below: max(a.Below, b.Below), Above: min(end(a), end(b))}
	if p.Above == math.MaxInt64 {
		p.Above = 0
	}
	return p
}

// end is the id that a place lies below.
func end(p checkpoint.Place) int64 { return cmp.Or(p.Above, math.MaxInt64) }

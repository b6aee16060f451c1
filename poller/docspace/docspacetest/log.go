package docspacetest

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// A history is one folder's rows, ascending by id. Dates need not ascend, so
// each span of spanRows rows knows its earliest and latest date: a date window
// is counted without looking at every row.
type history struct {
	rows  []*row
	spans []span
}

type span struct{ first, last int64 }

const spanRows = 512

// everything is the window that keeps all rows.
var everything = span{math.MinInt64, math.MaxInt64}

func (s span) holds(date int64) bool { return date >= s.first && date <= s.last }
func (s span) covers(o span) bool    { return o.first >= s.first && o.last <= s.last }
func (s span) misses(o span) bool    { return o.last < s.first || o.first > s.last }

// add puts a row in its place by id: nearly always the end, deeper for a row
// that became visible late. A row already there is not added again.
func (h *history) add(r *row) {
	at := len(h.rows)
	if at > 0 && h.rows[at-1].id >= r.id {
		at = h.find(r.id)
		if h.rows[at].id == r.id {
			return
		}
	}
	h.rows = slices.Insert(h.rows, at, r)
	if at < len(h.rows)-1 {
		h.measure(at)
		return
	}
	if at%spanRows == 0 {
		h.spans = append(h.spans, span{r.date, r.date})
		return
	}
	last := &h.spans[len(h.spans)-1]
	last.first, last.last = min(last.first, r.date), max(last.last, r.date)
}

// find is the position of the first row whose id is not below id.
func (h *history) find(id int64) int {
	return sort.Search(len(h.rows), func(i int) bool { return h.rows[i].id >= id })
}

// cut replaces the rows, for a portal that lost some.
func (h *history) cut(rows []*row) {
	h.rows = slices.Clone(rows)
	h.measure(0)
}

// measure computes the spans again from the one that holds position at.
func (h *history) measure(at int) {
	h.spans = h.spans[:at/spanRows]
	for i := at / spanRows * spanRows; i < len(h.rows); i += spanRows {
		s := span{math.MaxInt64, math.MinInt64}
		for _, r := range h.rows[i:min(i+spanRows, len(h.rows))] {
			s.first, s.last = min(s.first, r.date), max(s.last, r.date)
		}
		h.spans = append(h.spans, s)
	}
}

// count is the number of rows dated within the window.
func (h *history) count(window span) int {
	if window == everything {
		return len(h.rows)
	}
	n := 0
	for i := range h.spans {
		n += h.countSpan(i, window)
	}
	return n
}

func (h *history) countSpan(i int, window span) int {
	rows := h.spanRows(i)
	switch {
	case window.covers(h.spans[i]):
		return len(rows)
	case window.misses(h.spans[i]):
		return 0
	}
	n := 0
	for _, r := range rows {
		if window.holds(r.date) {
			n++
		}
	}
	return n
}

func (h *history) spanRows(i int) []*row {
	return h.rows[i*spanRows : min((i+1)*spanRows, len(h.rows))]
}

// page appends to dst the rows of the window, newest id first, after skipping
// start of them, at most count.
func (h *history) page(dst []*row, window span, start, count int) []*row {
	if window == everything {
		for i := len(h.rows) - 1 - start; i >= 0 && count > 0; i, count = i-1, count-1 {
			dst = append(dst, h.rows[i])
		}
		return dst
	}
	for i := len(h.spans) - 1; i >= 0 && count > 0; i-- {
		n := h.countSpan(i, window)
		if n <= start {
			start -= n
			continue
		}
		rows := h.spanRows(i)
		for j := len(rows) - 1; j >= 0 && count > 0; j-- {
			if !window.holds(rows[j].date) {
				continue
			}
			if start > 0 {
				start--
				continue
			}
			dst = append(dst, rows[j])
			count--
		}
	}
	return dst
}

// shuffled is page for a server that orders by date alone: rows of one second
// come in another order each time. It looks at every row.
func (h *history) shuffled(dst []*row, seed uint64, start, count int) []*row {
	all := slices.Clone(h.rows)
	r := rand.New(rand.NewPCG(seed, 0x74696573))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b *row) int { return cmp.Compare(b.date, a.date) })
	start = min(start, len(all))
	return append(dst, all[start:start+min(count, len(all)-start)]...)
}

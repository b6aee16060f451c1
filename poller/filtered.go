package poller

import (
	"slices"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// The filter acts at the very end, where rows become events: whatever counts,
// remembers or compares rows sees all of them. A row that is left out is
// accounted for like any other, and nothing else is stored of it.

// passes reports whether a row is published.
func (p *Poller) passes(row docspace.Entry) bool {
	if p.opts.Filter.IsZero() {
		return true
	}
	action, _ := schema.Resolve(row.Action.Code, row.Action.Name)
	return p.opts.Filter.Passes(action.Category, action.Name)
}

// filtered returns what is known about rows left out when a reading is
// committed, and how many of its rows are.
func (p *Poller) filtered(mark checkpoint.Mark, r reading) (f checkpoint.Filtered, left int) {
	f = p.inForce(mark)
	f.Rows += r.filtered
	for _, row := range r.rows {
		if p.passes(row) {
			continue
		}
		left++
		if row.ID > f.Since {
			f.Rows++
		}
	}
	return f, left + r.filtered
}

// inForce returns what a mark knows about rows left out, under the filter of
// today: an idle folder is not told of a new one.
func (p *Poller) inForce(mark checkpoint.Mark) checkpoint.Filtered {
	return mark.Filtered.Under(p.opts.Filter.ID(), mark.Newest())
}

// concede accounts for rows the portal counts that the sweep could not find
// because the filter leaves them out: of those it saw, more than were ever left
// out. It counts the rows the mark does not remember one by one, among which
// the missing ones are; where the stream no longer tells which of the others
// were published, nothing is certain. Nor is it where rows were reported as gaps
// and some are not shown: one that was a gap may be among those it saw, and one
// that is missing in its place.
func (s *sweep) concede(mark checkpoint.Mark, r reading) reading {
	f := s.filter
	if f.ID == "" || s.floor > max(mark.Forgotten, f.Since)+1 {
		return r
	}
	seen, known, since := 0, f.Rows, f.Since
	if s.floor == 0 && f.Unsure == 0 {
		since = 0 // nothing is gone from the stream, and no other filter left rows out
	}
	for _, id := range s.left {
		if id > since && id <= mark.Forgotten {
			seen++
		}
	}
	for _, id := range mark.Recent {
		if id > since && !s.published.Has(id) {
			known--
		}
	}
	exchanged := min(s.published.Gaps, s.unshown())
	n := max(0, min(seen-known-exchanged, r.missing))
	r.filtered += n
	r.missing -= n
	r.unread = r.missing
	return r
}

// unshown returns how many rows the log does not show, of those never published.
func (s *sweep) unshown() int {
	rows := 0
	for below, h := range s.hidden {
		rows += s.hiding(below, h)
	}
	return rows
}

// leave takes up rows of a page that the filter leaves out.
func (s *sweep) leave(rows []docspace.Entry) {
	for _, row := range rows {
		if !s.passes(row) && row.ID <= s.newest && !s.published.Has(row.ID) && len(s.left) < checkpoint.MaxPublished {
			s.left = append(s.left, row.ID)
		}
	}
	slices.Sort(s.left)
	s.left = slices.Compact(s.left)
}

// leftBetween returns how many of them have ids above low and below high.
func (s *sweep) leftBetween(low, high int64) int {
	from, _ := slices.BinarySearch(s.left, low+1)
	to, _ := slices.BinarySearch(s.left, high)
	return max(0, to-from)
}

// lowest returns the row below which the sweep need not look: what is missing
// there nobody can tell, nor what the filter left out.
func (s *sweep) lowest() int64 {
	if s.filter.ID == "" {
		return s.floor
	}
	return min(s.floor, s.filter.Since+1)
}

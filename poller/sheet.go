package poller

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"docspace-nats/poller/docspace"
)

// ErrNoRowIDs is returned for a portal that does not tell rows apart.
var ErrNoRowIDs = errors.New("the portal is older than DocSpace 3.6, whose log has no row ids; upgrade the portal")

// A sheet is one answer of the log: the rows that were asked for, and how many
// the portal counted at that moment.
type sheet struct {
	start, asked int              // offset from the newest row, and number of rows
	total        int              // rows of the folder
	rows         []docspace.Entry // newest first, each with an id
	sick         []sickRow        // those that cannot be rendered
}

// newSheet leaves out rows without an id: they are counted and cannot be told
// apart. When no row has one, the server is too old.
func newSheet(start, asked int, page docspace.Page) (sheet, error) {
	s := sheet{start: start, asked: asked, total: page.Total, rows: page.Entries}
	anonymous := func(e docspace.Entry) bool { return e.ID <= 0 }
	if !slices.ContainsFunc(s.rows, anonymous) {
		return s, nil
	}
	s.rows = slices.DeleteFunc(s.rows, anonymous)
	if len(s.rows) == 0 {
		return s, fmt.Errorf("none of %d rows has an id: %w", len(page.Entries), ErrNoRowIDs)
	}
	slices.SortStableFunc(s.rows, func(a, b docspace.Entry) int { return cmp.Compare(b.ID, a.ID) })
	return s, nil
}

// end is the bottom index above the newest row of the sheet, going by its own
// count; low is that of its oldest row.
func (s sheet) end() int { return s.total - s.start }
func (s sheet) low() int { return s.end() - s.asked }

// hidden returns how many rows the portal counts and does not show: those
// whose action it has no words for.
func (s sheet) hidden() int {
	return max(0, min(s.asked, s.end())-len(s.rows))
}

// sickSince returns the rows from a bottom index on that cannot be rendered.
func (s sheet) sickSince(index int) []sickRow {
	var since []sickRow
	for _, row := range s.sick {
		if row.index >= index {
			since = append(since, row)
		}
	}
	return since
}

// full reports whether there may be more rows below.
func (s sheet) full() bool { return len(s.rows) >= s.asked }

// whole reports whether the sheet holds the log from its newest row to its
// oldest.
func (s sheet) whole() bool {
	return s.start == 0 && s.total <= s.asked && len(s.rows) <= s.total
}

// below reports whether the sheet shows a row with a lower id.
func (s sheet) below(id int64) bool {
	n := len(s.rows)
	return n > 0 && s.rows[n-1].ID < id
}

// holds reports whether the row is in the sheet.
func (s sheet) holds(id int64) bool {
	return slices.ContainsFunc(s.rows, func(e docspace.Entry) bool { return e.ID == id })
}

// above returns the rows with higher ids, ascending.
func (s sheet) above(id int64) []docspace.Entry {
	n := 0
	for n < len(s.rows) && s.rows[n].ID > id {
		n++
	}
	fresh := slices.Clone(s.rows[:n])
	slices.Reverse(fresh)
	return fresh
}

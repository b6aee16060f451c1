package poller

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// ErrIDsGone is returned for a folder whose rows had ids and have none now.
var ErrIDsGone = errors.New("the portal told row ids before and tells none now; was it replaced by an older version, or does a proxy take them out?")

// A sheet is one answer of the log: the rows that were asked for, and how many
// the portal counted at that moment.
type sheet struct {
	start, asked int              // offset from the newest row, and number of rows
	total        int              // rows of the folder
	rows         []docspace.Entry // newest first; all with an id, or all without
	unseen       []unseenRow      // newest first; counted, and not among rows
}

// An unseenRow is one the portal counts and does not show.
type unseenRow struct {
	index  int   // from the bottom
	below  int64 // id of the row shown next below it; 0 when none is
	above  int64 // id of the row shown next above it; 0 when none is
	status int   // HTTP status of the pages that hold it; 200 when it is just left out
}

func (u unseenRow) place() checkpoint.Place {
	return checkpoint.Place{Below: u.below, Above: u.above, Rows: 1}
}

// newSheet leaves out rows without an id where others have one: they are
// counted and cannot be told apart. Where ids must be told, it is an error when
// a whole page has none; elsewhere such rows stay, in the portal's order.
func newSheet(start, asked int, page docspace.Page, told bool) (sheet, error) {
	s := sheet{start: start, asked: asked, total: page.Total, rows: page.Entries}
	nameless := func(e docspace.Entry) bool { return e.ID <= 0 }
	named := func(e docspace.Entry) bool { return e.ID > 0 }
	if !slices.ContainsFunc(s.rows, nameless) || !told && !slices.ContainsFunc(s.rows, named) {
		return s, nil
	}
	s.rows = slices.DeleteFunc(s.rows, nameless)
	if len(s.rows) == 0 && asked == docspace.MaxPage {
		return s, fmt.Errorf("none of %d rows has an id: %w", len(page.Entries), ErrIDsGone)
	}
	slices.SortStableFunc(s.rows, func(a, b docspace.Entry) int { return cmp.Compare(b.ID, a.ID) })
	return s, nil
}

// anonymous reports whether the rows have no ids.
func (s sheet) anonymous() bool { return len(s.rows) > 0 && s.rows[0].ID <= 0 }

// end is the bottom index above the newest row of the sheet, going by its own
// count; low is that of its oldest row.
func (s sheet) end() int { return s.total - s.start }
func (s sheet) low() int { return s.end() - s.asked }

// size is how many rows the sheet accounts for.
func (s sheet) size() int { return len(s.rows) + len(s.unseen) }

// short returns how many rows are missing from what was asked for, unless the
// log ends.
func (s sheet) short() int { return max(0, min(s.asked, s.end())-s.size()) }

// whole reports whether the sheet holds the log from its newest row to its
// oldest. Where as many rows came as were asked for, there may be more.
func (s sheet) whole() bool {
	return s.start == 0 && s.total < s.asked && s.size() <= s.total
}

// below reports whether the sheet shows a row with a lower id.
func (s sheet) below(id int64) bool {
	n := len(s.rows)
	return n > 0 && s.rows[n-1].ID < id
}

// find returns the row with the id.
func (s sheet) find(id int64) (docspace.Entry, bool) {
	i := slices.IndexFunc(s.rows, func(e docspace.Entry) bool { return e.ID == id })
	if i < 0 {
		return docspace.Entry{}, false
	}
	return s.rows[i], true
}

// lacks reports whether the sheet shows rows on both sides of the id and not
// the row itself, nor hides one in its place.
func (s sheet) lacks(id int64) bool {
	_, found := s.find(id)
	return !found && s.below(id) && s.rows[0].ID > id && !s.hides(id)
}

// hides reports whether the row with the id may be one that is not shown: an
// unseen row lies where it would be.
func (s sheet) hides(id int64) bool {
	below := int64(0)
	if i := slices.IndexFunc(s.rows, func(e docspace.Entry) bool { return e.ID < id }); i >= 0 {
		below = s.rows[i].ID
	}
	return slices.ContainsFunc(s.unseen, func(u unseenRow) bool { return u.below == below })
}

// unseenAt reports whether the row at an index from the bottom is not shown.
func (s sheet) unseenAt(index int) bool {
	return slices.ContainsFunc(s.unseen, func(u unseenRow) bool { return u.index == index })
}

// extend returns the sheet with what another one, which ends in it, shows below. Of
// a row in both, that it is shown is believed.
func (s sheet) extend(next sheet) sheet {
	low, lowest, highest := s.low(), int64(math.MaxInt64), int64(0)
	if n := len(s.rows); n > 0 {
		lowest = s.rows[n-1].ID
	}
	s.rows, s.unseen = slices.Clone(s.rows), slices.Clone(s.unseen)
	for _, row := range next.rows {
		if row.ID < lowest {
			s.rows, highest = append(s.rows, row), max(highest, row.ID)
		}
	}
	s.unseen = slices.DeleteFunc(s.unseen, func(u unseenRow) bool { return u.index < next.end() && !next.unseenAt(u.index) })
	for i := range s.unseen {
		s.unseen[i].below = cmp.Or(s.unseen[i].below, highest)
	}
	for _, u := range next.unseen {
		if u.index < low {
			if u.above == 0 && lowest < math.MaxInt64 {
				u.above = lowest
			}
			s.unseen = append(s.unseen, u)
		}
	}
	s.asked = s.total - next.low()
	return s
}

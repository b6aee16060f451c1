package checkpoint

import (
	"fmt"
	"math"
	"slices"
)

// MaxPublished is how many rows of one folder a Published holds at most: 32 MiB
// of ids.
const MaxPublished = 4 << 20

// ErrTooManyRows is returned for a folder of which more rows are stored than a
// Published holds.
var ErrTooManyRows = fmt.Errorf("more than %d rows of it are stored", MaxPublished)

// Published is what is stored of one folder since its mark was last changed by
// an operator, as found by reading its events once from the oldest. A keeper adds to it; what was read before need not be
// read again.
type Published struct {
	UpTo    uint64  // every event up to this sequence is in it
	IDs     []int64 // rows with an event, ascending
	Gaps    int     // rows reported as gaps
	Removed int     // rows reported as gone from the bottom of the log

	first      uint64 // nothing from this sequence on was dropped before it was read
	rows       int    // stored in their turn, not late
	milestones []milestone
}

// A milestone is a row that was stored in its turn: all rows with higher ids
// were stored after it.
type milestone struct {
	seq uint64
	id  int64
}

// mile is how many rows lie between two milestones. The first row is one.
const mile = 512

// Row adds a row's event. Late says that rows with higher ids were stored
// before it.
func (p *Published) Row(seq uint64, id int64, late bool) error {
	if len(p.IDs) == MaxPublished {
		return ErrTooManyRows
	}
	p.IDs = append(p.IDs, id)
	if !late {
		if p.rows%mile == 0 {
			p.milestones = append(p.milestones, milestone{seq, id})
		}
		p.rows++
	}
	return nil
}

// ReadTo says that all there was up to a sequence has been added, and that
// nothing from first on had been dropped when that was done.
func (p *Published) ReadTo(upTo, first uint64) {
	if !slices.IsSorted(p.IDs) {
		slices.Sort(p.IDs)
	}
	p.IDs = slices.Compact(p.IDs)
	p.UpTo, p.first = max(p.UpTo, upTo), max(p.first, first)
}

// Changed says that an operator changed the mark before what follows was stored.
// What was stored until then is not what the mark accounts for: it may have been
// put back to publish that again, or moved on over rows that never were.
func (p *Published) Changed() { *p = Published{UpTo: p.UpTo, first: p.first} }

// Has reports whether the row is stored.
func (p *Published) Has(id int64) bool {
	_, found := slices.BinarySearch(p.IDs, id)
	return found
}

// Between returns how many stored rows have ids above low and below high.
func (p *Published) Between(low, high int64) int {
	from, _ := slices.BinarySearch(p.IDs, low+1)
	to, _ := slices.BinarySearch(p.IDs, high)
	return max(0, to-from)
}

// Floor returns the id from which on it tells for certain what is not stored,
// to a mark that accounts for so many rows. It is 0 when every row that was
// ever stored is in it. Otherwise the stream has dropped old events, or an
// operator has moved the mark on over rows that were not stored, and of a row below
// the floor nobody knows whether it had one.
func (p *Published) Floor(accounted int) int64 {
	if len(p.IDs)+p.Gaps-p.Removed == accounted {
		return 0
	}
	for _, m := range p.milestones {
		if m.seq >= p.first {
			return m.id
		}
	}
	return math.MaxInt64
}

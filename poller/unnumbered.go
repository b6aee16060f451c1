package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// Portals before DocSpace 3.6 tell no row ids. Their rows are known by what of
// them never changes, their key, and rows may be alike in all of it. The mark
// remembers how many committed rows had each key.
//
// What a window of the log shows, less what the mark remembers, was surely not
// published: the difference holds no row too many while the window reaches no
// deeper than the memory. It holds all of them when it has the size that
// arithmetic gives: rows of the window, less rows accounted for. Where it is
// smaller, a row became visible below, or a fresh row is like one published
// below; a deeper window tells.

const (
	// overlap is how many rows accounted for a window holds at least, unless
	// there are fewer. One inserted while it was read pushes one of them out.
	overlap = 10
	// maxHidden is how many hidden rows a mark remembers.
	maxHidden = 256
)

// errUpgraded says that the portal began to tell ids.
var errUpgraded = errors.New("the portal began to tell row ids; the next poll goes on with them")

// unnumbered finds what is to be published next where rows have no ids.
func (w *walk) unnumbered(ctx context.Context, mark checkpoint.Mark, top sheet, most int) (reading, error) {
	if w.total < mark.Accounted {
		return w.fewer(ctx, mark)
	}
	if w.above(mark) > docspace.MaxPage {
		ctx = docspace.Patient(ctx)
	}
	s, b, err := w.settle(ctx, mark, top, most, 0)
	if err != nil || !b.settled() {
		return w.unsettled(mark, b), err
	}
	if b.short > 0 {
		w.passed, w.dug = w.passed+b.short, true
	}
	r := reading{unseen: b.unseen, cured: b.cured, hidden: b.hidden, sick: mark.Unnumbered.Sick + b.sick, keyed: true, dug: w.dug}
	r.rows, r.ordinals = b.fresh.first(most)
	r.last = s.high == w.total && len(r.rows) == len(b.fresh.rows)
	r.unread = max(0, w.total-mark.Accounted-r.size())
	if r.last {
		r.missing = r.unread
	}
	return r, nil
}

// unsettled is the end of a look at rows that were exchanged, or at more of
// them than the mark can tell from published ones.
func (w *walk) unsettled(mark checkpoint.Mark, b balance) reading {
	if b.lost > 0 {
		return reading{rewound: fmt.Sprintf("%d rows that were published are gone, and others are in their place", b.lost), last: true}
	}
	unread := w.total - mark.Accounted
	return reading{keyed: true, hidden: mark.Unnumbered.Hidden, sick: mark.Unnumbered.Sick, unread: unread, missing: unread, last: true}
}

// settle reads windows around the mark until one adds up, or nothing more is
// to be learnt: then the balance is short of rows.
func (w *walk) settle(ctx context.Context, mark checkpoint.Mark, top sheet, most, below int) (window, balance, error) {
	var sure *weighed // the deepest window of which no row can be forgotten
	want, grown, again := min(most, w.above(mark)), 0, false
	for try := range patience {
		base := w.total - w.above(mark)
		low, high := bounds(base, want, below)
		if want > 0 || try > 0 {
			low = clearOf(mark.Unnumbered.Hidden, low)
		}
		s, err := w.window(ctx, low, high, top)
		top = sheet{} // to be read again, the next time
		if errors.Is(err, errMoved) {
			want = min(want, docspace.MaxPage-overlap)
			continue
		}
		if err != nil {
			return window{}, balance{}, err
		}
		want = s.high - base
		b := weigh(mark, s)
		b.heal(mark, want)
		if b.freshLow == 0 || s.low == 0 {
			sure = &weighed{s, b, want}
		}
		deeper := s.low > lowest(mark)
		// A row that is not shown may have been published before it came to that,
		// and make up for one that became visible below.
		doubt := len(b.unseen) > 0 && deeper
		switch excess := b.size() - want; {
		case excess == 0 && b.cured == 0 && !doubt:
			return s, b, nil
		case excess > 0 && w.passed > 0:
			w.passed = 0 // what was searched for in vain is there
			want = min(most, w.above(mark))
		case excess < 0 && deeper, doubt:
			below = 2*below + docspace.MaxPage
			want = min(want, docspace.MaxPage-overlap)
			ctx = docspace.Patient(ctx)
		case excess < 0 && sure == nil:
			b.doubtful = true
			return s, b, nil
		case excess < 0:
			return sure.giveUp()
		case s.high < w.total && grown < maxGrown:
			grown++ // rows of the mark may have been pushed up
			want = min(want+docspace.MaxPage, w.above(mark))
		default:
			moved, err := w.recount(ctx)
			switch {
			case err != nil:
				return window{}, balance{}, err
			case !moved && excess == 0:
				return s, b, nil // a hidden row is shown now
			case !moved && again && b.absorb(excess):
				return s, b, nil // they are not shown any more
			case !moved && again:
				b.lost = excess
				return s, b, nil
			}
			want, again = min(most, w.above(mark)), !moved
		}
	}
	return window{}, balance{}, fmt.Errorf("history of folder %d: %w", w.folder, errRestless)
}

// A weighed window is one with what it holds beyond a mark, and should hold.
type weighed struct {
	window
	balance balance
	want    int
}

// giveUp leaves rows that were not found. A row that is not shown, below rows
// that are known, may be one of them: it is not reported.
func (w *weighed) giveUp() (window, balance, error) {
	b := w.balance
	b.unseen = slices.DeleteFunc(slices.Clone(b.unseen), func(row unseenRow) bool { return row.index < b.newest })
	b.short = w.want - b.size()
	return w.window, b, nil
}

// above returns how many rows are counted beyond those accounted for and those
// that were searched for in vain.
func (w *walk) above(mark checkpoint.Mark) int {
	return max(0, w.total-mark.Accounted-w.passed)
}

// maxGrown is how often a window grows upwards to find rows of the mark that
// late ones pushed there.
const maxGrown = 5

// clearOf returns the next index below, or the same, that is not next to a hidden
// row. Those are known by their place: where they are at the edge of a window,
// one more row below it would look like one that is hidden in it.
func clearOf(hidden []int, low int) int {
	for {
		_, at := slices.BinarySearch(hidden, low)
		_, below := slices.BinarySearch(hidden, low-1)
		if low == 0 || !at && !below {
			return low
		}
		low--
	}
}

// lowest is the lowest index a window may reach down to. A mark that forgot
// rows is trusted for half of what it remembers: rows that became visible late
// may have taken the place of others in its memory.
func lowest(mark checkpoint.Mark) int {
	low := 0
	if mark.Unnumbered.Dropped > 0 {
		remembered := 0
		for _, k := range mark.Unnumbered.Keys {
			remembered += k.Count
		}
		low = max(0, mark.Accounted-remembered/2)
	}
	if len(mark.Unnumbered.Hidden) == maxHidden {
		low = max(low, mark.Unnumbered.Hidden[0]+1)
	}
	return low
}

// recount asks for the count again and reports whether it moved, which a row
// that came in between a count and its page makes it do. Where it did not, and
// the window is the same when read again, rows were exchanged.
func (w *walk) recount(ctx context.Context) (moved bool, err error) {
	end, err := w.ask(ctx, beyond, 1)
	if err != nil {
		return false, err
	}
	moved = end.total != w.total
	w.total = end.total
	return moved, nil
}

// fewer is what it means when the portal counts less rows than it did: they are
// gone from the bottom while the newest is still there, otherwise from the top.
func (w *walk) fewer(ctx context.Context, mark checkpoint.Mark) (reading, error) {
	top, err := w.top(ctx, mark)
	if err != nil {
		return reading{}, err
	}
	lost := mark.Accounted - top.total
	if lost <= 0 {
		return reading{keyed: true, hidden: mark.Unnumbered.Hidden, sick: mark.Unnumbered.Sick, unread: -lost}, nil
	}
	s := newWindow(max(0, top.low()), top.total, []sheet{top})
	newest := slices.ContainsFunc(s.rows, func(row docspace.Entry) bool {
		apart := row.Date.Sub(mark.NewestEvent).Abs()
		return apart == 0 || apart == time.Hour
	})
	if !newest || len(weigh(mark, s).fresh.rows) > 0 {
		return reading{rewound: fmt.Sprintf("%d rows that were published are gone", lost), last: true}, nil
	}
	var hidden []int
	for _, index := range mark.Unnumbered.Hidden {
		if index >= lost {
			hidden = append(hidden, index-lost)
		}
	}
	return reading{removed: lost, keyed: true, hidden: hidden, sick: min(mark.Unnumbered.Sick, len(hidden)), last: true}, nil
}

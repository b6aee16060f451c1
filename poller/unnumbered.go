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
//
// Rows that are not shown have no content, and are known by their place. One may
// have been published before, and one that was a gap may be shown again, which
// makes it look new. What hides so can cancel out a row that came in below:
// unless all hidden rows are where they were, the window has to go down as far as
// the memory does. No row comes in below that, and the number of rows not shown
// tells the rest.

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
	w.passed = min(w.passed, w.total-mark.Accounted)
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
	first, left := b.first(most)
	r := reading{rows: first.rows, ordinals: first.ordinals, unseen: b.unseen, cured: b.cured, hidden: b.after(mark, left), passed: w.passed, keyed: true, dug: w.dug}
	r.last = s.high == w.total && len(left) == 0
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
	return reading{keyed: true, hidden: mark.Unnumbered.Hidden, passed: w.passed, unread: unread, missing: unread, dug: true, last: true}
}

// settle reads windows around the mark until one adds up, or nothing more is
// to be learnt: then the balance is short of rows.
func (w *walk) settle(ctx context.Context, mark checkpoint.Mark, top sheet, most, below int) (window, balance, error) {
	var sure *weighed // the deepest window of which no row can be forgotten
	v, again := view{want: w.portion(mark, most), below: below, deep: w.redig}, false
	if w.redig {
		w.redig, w.dug = false, true
	}
	for try := range patience {
		base := w.total - w.above(mark)
		low, high := v.bounds(mark, base, try > 0)
		s, err := w.window(ctx, low, high, top)
		top = sheet{} // to be read again, the next time
		if errors.Is(err, errMoved) {
			v.want = min(v.want, docspace.MaxPage-overlap)
			continue
		}
		if err != nil {
			return window{}, balance{}, err
		}
		b := weigh(mark, s, base)
		v.want = b.want
		if b.freshLow == 0 || s.low == 0 {
			sure = &weighed{s, b}
		}
		plain, err := w.plain(ctx, b)
		if errors.Is(err, errMoved) {
			v.want, again = w.portion(mark, most), false
			continue
		}
		if err != nil || plain {
			return s, b, err
		}
		if v.widen(w, mark, s, b) {
			ctx = docspace.Patient(ctx)
			continue
		}
		moved, err := w.recount(ctx)
		if err != nil {
			return window{}, balance{}, err
		}
		b.resolve(mark)
		switch {
		case moved, b.lost > 0 && !again:
			v.want, again = w.portion(mark, most), !moved
		case b.short > 0 && sure == nil && !v.modest:
			v = view{want: min(b.want, docspace.MaxPage-overlap), below: 2 * docspace.MaxPage, modest: true}
		case b.short > 0:
			s, b = sure.giveUp(mark, s, b)
			return s, b, nil
		default:
			return s, b, nil
		}
	}
	return window{}, balance{}, fmt.Errorf("history of folder %d: %w", w.folder, errRestless)
}

// A view is what is to be seen of a log: so many rows beyond the mark, and so many
// more below it than a window has anyway.
type view struct {
	want, below int
	deep        bool // down to where the memory ends
	modest      bool // not so deep, to be sure of what is above
	grown       int  // how often it grew upwards
}

// bounds returns the window, with its lower end where that tells something.
func (v view) bounds(mark checkpoint.Mark, base int, anew bool) (low, high int) {
	low, high = bounds(base, v.want, v.below)
	switch passed := base - mark.Accounted; {
	case v.deep:
		low = min(low, clearAbove(mark.Unnumbered.Hidden, lowest(mark)-passed)+passed)
	case v.want > 0 || anew:
		low = clearOf(mark.Unnumbered.Hidden, low-passed) + passed
	}
	return low, high
}

// widen reports whether a window that does not add up is to be read with more
// rows, and which.
func (v *view) widen(w *walk, mark checkpoint.Mark, s window, b balance) bool {
	same := s.high == w.total && w.total == mark.Accounted // no row came in at all
	deeper := !v.deep && s.low > lowest(mark) && !(same && b.justCured())
	fresh := len(b.fresh.rows)
	switch {
	case fresh > b.want+len(b.places) && w.passed > 0:
		w.passed = 0 // what was searched for in vain is there
		v.want = min(max(v.want, docspace.MaxPage-overlap), w.above(mark))
	case v.modest:
		return false
	case deeper && len(b.slots)+len(b.places) > 0:
		v.deep = true
	case deeper && fresh < b.want:
		v.below = 2*v.below + docspace.MaxPage
		v.want = min(b.want, docspace.MaxPage-overlap)
	case (b.fallen() > 0 || fresh > b.want) && s.high < w.total && v.grown < maxGrown:
		v.grown++ // rows of the mark may have been pushed up
		v.want = min(b.want+docspace.MaxPage, w.above(mark))
	default:
		return false
	}
	return true
}

// A weighed window is one with what it holds beyond a mark.
type weighed struct {
	window
	balance balance
}

// giveUp leaves rows that were not found, in the window of which no row can be
// forgotten. Without one, nothing in the deepest window is to be trusted.
func (w *weighed) giveUp(mark checkpoint.Mark, s window, b balance) (window, balance) {
	if w == nil {
		b.doubtful = true
		return s, b
	}
	b = w.balance
	b.resolve(mark)
	b.doubtful = b.lost > 0
	return w.window, b
}

// plain reports whether it is certain that a window holds all rows that came in.
// Without hidden rows their number says so. With them, rows that came in below
// could make up for others; but they would push a known row, or the highest
// hidden one, up. See TestARowBelowExchangedHiddenRowsIsNotLost.
func (w *walk) plain(ctx context.Context, b balance) (bool, error) {
	if !b.still() || len(b.fresh.rows) != b.want {
		return false, nil
	}
	if len(b.slots) == 0 || b.want == 0 {
		return true, nil
	}
	top := b.slots[len(b.slots)-1].index
	if slices.ContainsFunc(b.fresh.indexes, func(index int) bool { return index < top }) {
		return false, nil
	}
	next, err := w.ask(ctx, w.total-top-2, 1)
	if poison(err) != 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	moved, err := w.recount(ctx)
	if err != nil {
		return false, err
	}
	if moved {
		return false, errMoved
	}
	return len(next.rows) == 1 && !slices.Contains(keys(b.fresh.rows), key(next.rows[0])), nil
}

// portion is how many rows beyond the mark a window holds: not less than its
// page does, lest rows of the mark that late ones push up lie above it.
func (w *walk) portion(mark checkpoint.Mark, most int) int {
	return min(max(most, docspace.MaxPage-overlap), w.above(mark))
}

// above returns how many rows are counted beyond those accounted for and those
// that were searched for in vain.
func (w *walk) above(mark checkpoint.Mark) int {
	return max(0, w.total-mark.Accounted-w.passed)
}

// maxGrown is how often a window grows upwards to find rows of the mark that
// late ones pushed there.
const maxGrown = 5

// clearOf returns the next place below, or the same, that is not right above a
// hidden row. One that came in below would push the hidden row, shown by now,
// into the window to be taken for it.
func clearOf(hidden []int, low int) int {
	for {
		if _, next := slices.BinarySearch(hidden, low-1); low <= 0 || !next {
			return low
		}
		low--
	}
}

// clearAbove is clearOf for a place that cannot be lower.
func clearAbove(hidden []int, low int) int {
	for {
		if _, next := slices.BinarySearch(hidden, low-1); low <= 0 || !next {
			return low
		}
		low++
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
		return reading{keyed: true, hidden: mark.Unnumbered.Hidden, passed: w.passed, unread: -lost}, nil
	}
	s := newWindow(max(0, top.low()), top.total, []sheet{top})
	newest := slices.ContainsFunc(s.rows, func(row docspace.Entry) bool {
		apart := row.Date.Sub(mark.NewestEvent).Abs()
		return apart == 0 || apart == time.Hour
	})
	if !newest || len(weigh(mark, s, top.total).fresh.rows) > 0 {
		return reading{rewound: fmt.Sprintf("%d rows that were published are gone", lost), last: true}, nil
	}
	var hidden []int
	for _, index := range mark.Unnumbered.Hidden {
		if index >= lost {
			hidden = append(hidden, index-lost)
		}
	}
	return reading{removed: lost, keyed: true, hidden: hidden, last: true}, nil
}

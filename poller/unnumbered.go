package poller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

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
	// deeper is by how much a window grows downwards or upwards when its size
	// is not the one arithmetic gives.
	deeper = docspace.MaxPage
	// maxHidden is how many hidden rows a mark remembers.
	maxHidden = 256
)

// errUpgraded says that the portal began to tell ids.
var errUpgraded = errors.New("the portal began to tell row ids; the next poll goes on with them")

// A window is part of a log: the rows low … high-1, counted from the bottom.
type window struct {
	low, high int
	rows      []docspace.Entry // oldest first, as far as the portal tells
	unseen    []unseenRow      // ascending
}

// unnumbered finds what is to be published next where rows have no ids.
func (w *walk) unnumbered(ctx context.Context, mark checkpoint.Mark, top sheet, most int) (reading, error) {
	if w.total < mark.Accounted {
		return fewer(mark, top), nil
	}
	if w.above(mark) > docspace.MaxPage {
		ctx = docspace.Patient(ctx)
	}
	s, b, err := w.settle(ctx, mark, top, most, 0)
	if lost := new(lostRowsError); errors.As(err, &lost) {
		return reading{rewound: lost.Error(), last: true}, nil
	}
	if err != nil {
		return reading{}, err
	}
	if b.doubtful {
		return w.doubtful(mark), nil
	}
	if b.short > 0 {
		w.passed, w.dug = w.passed+b.short, true
	}
	r := reading{unseen: b.unseen, cured: b.cured, hidden: b.hidden, keyed: true, dug: w.dug}
	r.rows, r.ordinals = b.fresh.first(most)
	r.last = s.high == w.total && len(r.rows) == len(b.fresh.rows)
	r.unread = max(0, w.total-mark.Accounted-r.size())
	if r.last {
		r.missing = r.unread
	}
	return r, nil
}

// doubtful is the end of a look at more rows than the mark can tell from
// published ones.
func (w *walk) doubtful(mark checkpoint.Mark) reading {
	unread := w.total - mark.Accounted
	return reading{keyed: true, hidden: mark.Unnumbered.Hidden, unread: unread, missing: unread, last: true}
}

// settle reads windows around the mark until one adds up, or nothing more is
// to be learnt: then the balance is short of rows.
func (w *walk) settle(ctx context.Context, mark checkpoint.Mark, top sheet, most, below int) (window, balance, error) {
	want, grown, again := min(most, w.above(mark)), 0, false
	for try := range patience {
		low, high := bounds(w.total-w.above(mark), want, below)
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
		b := weigh(mark, s)
		if b.size() > want {
			b.forgive()
		}
		atTop := high == w.total
		switch {
		case b.size() == want && b.cured == 0:
			return s, b, nil
		case b.size() == want && atTop:
			// A row that came in after the count looks like a hidden one shown.
			moved, err := w.recount(ctx)
			if err != nil || !moved {
				return s, b, err
			}
			want = min(most, w.above(mark))
		case b.size() > want && w.passed > 0:
			w.passed = 0 // what was searched for in vain is there
			want = min(most, w.above(mark))
		case b.size() >= want && !atTop && grown < maxGrown:
			grown++
			want = min(want+deeper, w.above(mark))
		case b.size() >= want && !atTop:
			b.doubtful = true
			return s, b, nil
		case b.size() > want:
			moved, err := w.recount(ctx)
			if err != nil {
				return window{}, balance{}, err
			}
			if !moved && again {
				return window{}, balance{}, &lostRowsError{b.size() - want}
			}
			want, again = min(most, w.above(mark)), !moved
		case low > lowest(mark):
			below += deeper
			want = min(want, docspace.MaxPage-overlap)
		default:
			b.giveUp(want, low)
			return s, b, nil
		}
	}
	return window{}, balance{}, fmt.Errorf("history of folder %d: %w", w.folder, errRestless)
}

// above returns how many rows are counted beyond those accounted for and those
// that were searched for in vain.
func (w *walk) above(mark checkpoint.Mark) int {
	return max(0, w.total-mark.Accounted-w.passed)
}

// maxGrown is how often a window grows upwards to find rows of the mark that
// late ones pushed there.
const maxGrown = 5

// bounds returns the window from some rows below base to want rows above it:
// whole pages, as far as the log goes down.
func bounds(base, want, below int) (low, high int) {
	pages := (want + overlap + docspace.MaxPage - 1) / docspace.MaxPage
	return max(0, base+want-pages*docspace.MaxPage-below), base + want
}

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
	remembered := len(mark.Unnumbered.Hidden)
	for _, k := range mark.Unnumbered.Keys {
		remembered += k.Count
	}
	switch {
	case remembered >= mark.Accounted:
		return 0
	case len(mark.Unnumbered.Hidden) == maxHidden:
		return max(mark.Unnumbered.Hidden[0]+1, mark.Accounted-remembered/2)
	}
	return max(0, mark.Accounted-remembered/2)
}

// A lostRowsError says that rows which were published are not in the log any
// more, although it counts enough.
type lostRowsError struct{ rows int }

func (e *lostRowsError) Error() string {
	return fmt.Sprintf("%d rows that were published are gone, and others are in their place", e.rows)
}

// recount asks for the count again and reports whether it moved. Where it did
// not, and the window is the same when read again, rows were exchanged.
func (w *walk) recount(ctx context.Context) (moved bool, err error) {
	end, err := w.ask(ctx, beyond, 1)
	if err != nil {
		return false, err
	}
	moved = end.total != w.total
	w.total = end.total
	return moved, nil
}

// window reads part of the log. It is one moment's: the portal counted the
// same rows before and after. A single page at least as long as what is asked
// for is so by itself, if it holds rows to recognise.
func (w *walk) window(ctx context.Context, low, high int, top sheet) (window, error) {
	if top.start == 0 && top.total == w.total && high == top.total && low == max(0, top.low()) && top.asked == docspace.MaxPage {
		return newWindow(low, high, []sheet{top}), nil
	}
	numbered := w.told.Load()
	sheets, err := w.sheets(ctx, low, high)
	if err != nil {
		return window{}, err
	}
	total := w.total
	for _, s := range sheets {
		if len(s.rows) > 0 && s.anonymous() == numbered {
			return window{}, errUpgraded
		}
		total = max(total, s.total)
	}
	if total == w.total && (len(sheets) > 1 || low == 0 && high < total) {
		end, err := w.ask(ctx, beyond, 1)
		if err != nil {
			return window{}, err
		}
		total = end.total
	}
	if total != w.total {
		w.total = total
		return window{}, errMoved
	}
	return newWindow(low, high, sheets), nil
}

// sheets reads the pages of a window, the newest first.
func (w *walk) sheets(ctx context.Context, low, high int) ([]sheet, error) {
	sheets := make([]sheet, (high-low+docspace.MaxPage-1)/docspace.MaxPage)
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(w.depth)
	for i := range sheets {
		end, total := high-i*docspace.MaxPage, w.total
		reads.Go(func() (err error) {
			sheets[i], err = w.part(ctx, total, max(low, end-docspace.MaxPage), end)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	for _, s := range sheets {
		w.hide(s.unseen)
	}
	return sheets, nil
}

// part reads the rows from one index to another, around those likely not to be
// shown.
func (w *walk) part(ctx context.Context, total, low, high int) (sheet, error) {
	var hints []int
	for _, index := range w.hidden {
		if low <= index && index < high {
			hints = append(hints, total-1-index)
		}
	}
	if len(hints) == 0 {
		return w.fetch(ctx, total-high, high-low)
	}
	slices.Sort(hints)
	return w.cutOut(ctx, total-high, high-low, nil, hints...)
}

// hide remembers where rows are not shown.
func (w *walk) hide(unseen []unseenRow) {
	for _, row := range unseen {
		if !slices.Contains(w.hidden, row.index) {
			w.hidden = append(w.hidden, row.index)
		}
	}
}

func newWindow(low, high int, sheets []sheet) window {
	s := window{low: low, high: high}
	for _, page := range slices.Backward(sheets) {
		rows := slices.Clone(page.rows)
		slices.Reverse(rows)
		if page.anonymous() {
			slices.SortStableFunc(rows, func(a, b docspace.Entry) int { return a.Date.Compare(b.Date) })
		}
		s.rows = append(s.rows, rows...)
		s.unseen = append(s.unseen, page.unseen...)
	}
	slices.SortFunc(s.unseen, func(a, b unseenRow) int { return cmp.Compare(a.index, b.index) })
	return s
}

// A balance is what a window shows beyond what a mark remembers.
type balance struct {
	fresh  alike
	known  []docspace.Entry
	unseen []unseenRow // not accounted for
	cured  int         // rows among fresh that were accounted for as hidden
	hidden []int       // what the mark remembers of hidden rows after this
	left   map[uint64]int
	lowest int // fresh rows among the lowest page's worth

	short    int  // rows that were not found
	doubtful bool // what seems fresh may have been forgotten
}

// alike is rows, each with the number of rows like it that came before.
type alike struct {
	rows     []docspace.Entry
	ordinals []int
}

func (a *alike) add(row docspace.Entry, ordinal int) {
	a.rows, a.ordinals = append(a.rows, row), append(a.ordinals, ordinal)
}

// first returns at most n of the rows, by date.
func (a alike) first(n int) ([]docspace.Entry, []int) {
	n = min(n, len(a.rows))
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return a.rows[i].Date.Compare(a.rows[j].Date) })
	var sorted alike
	for _, i := range order {
		sorted.add(a.rows[i], a.ordinals[i])
	}
	return sorted.rows, sorted.ordinals
}

// size is how many rows are to be accounted for.
func (b balance) size() int { return len(b.fresh.rows) + len(b.unseen) - b.cured }

// weigh tells the rows of a window that are published from those that are not.
// Of rows that are alike, the oldest are the published ones.
func weigh(mark checkpoint.Mark, s window) balance {
	remembered := mark.Unnumbered.Counts()
	b := balance{left: mark.Unnumbered.Counts()}
	again := make(map[uint64]int)
	for i, row := range s.rows {
		k := key(row)
		if b.left[k] > 0 {
			b.left[k]--
			b.known = append(b.known, row)
			continue
		}
		b.fresh.add(row, remembered[k]+again[k])
		again[k]++
		if i < docspace.MaxPage {
			b.lowest++
		}
	}
	b.weighHidden(mark, s)
	return b
}

// weighHidden does the same for rows that are not shown. They are known by
// their place, which rows that become visible late move a little: so they are
// counted, not compared.
func (b *balance) weighHidden(mark checkpoint.Mark, s window) {
	at, _ := slices.BinarySearch(mark.Unnumbered.Hidden, s.low)
	known := len(mark.Unnumbered.Hidden) - at
	b.unseen = s.unseen[min(known, len(s.unseen)):]
	b.cured = max(0, known-len(s.unseen))
	b.hidden = slices.Clone(mark.Unnumbered.Hidden[:at])
	for _, row := range s.unseen {
		b.hidden = append(b.hidden, row.index)
	}
	b.hidden = b.hidden[max(0, len(b.hidden)-maxHidden):]
}

// forgive takes rows for published ones that differ by an hour: once a year
// the portal reports some so, depending on its time zone.
func (b *balance) forgive() {
	var fresh alike
	for i, row := range b.fresh.rows {
		if b.shifted(row) {
			b.known = append(b.known, row)
			continue
		}
		fresh.add(row, b.fresh.ordinals[i])
	}
	b.fresh = fresh
}

func (b *balance) shifted(row docspace.Entry) bool {
	for _, shift := range []time.Duration{-time.Hour, time.Hour} {
		other := row
		other.Date = row.Date.Add(shift)
		if k := key(other); b.left[k] > 0 {
			b.left[k]--
			return true
		}
	}
	return false
}

// giveUp notes how many rows were not found. Unless the lowest page was known
// throughout, the mark may have forgotten rows of it, and what seems fresh may
// be published.
func (b *balance) giveUp(want, low int) {
	b.short = want - b.size()
	b.doubtful = low > 0 && b.lowest > 0
}

// fewer is what it means when the portal counts less rows than it did: they are
// gone from the bottom while the newest is still there, otherwise from the top.
func fewer(mark checkpoint.Mark, top sheet) reading {
	lost := mark.Accounted - top.total
	s := newWindow(max(0, top.low()), top.total, []sheet{top})
	newest := slices.ContainsFunc(s.rows, func(row docspace.Entry) bool {
		apart := row.Date.Sub(mark.NewestEvent).Abs()
		return apart == 0 || apart == time.Hour
	})
	if !newest || len(weigh(mark, s).fresh.rows) > 0 {
		return reading{rewound: fmt.Sprintf("%d rows that were published are gone", lost), last: true}
	}
	var hidden []int
	for _, index := range mark.Unnumbered.Hidden {
		if index >= lost {
			hidden = append(hidden, index-lost)
		}
	}
	return reading{removed: lost, keyed: true, hidden: hidden, last: true}
}

// key is the weak key of a row, short enough to be remembered.
func key(row docspace.Entry) uint64 {
	sum := sha256.Sum256([]byte(weakKey(row)))
	return binary.BigEndian.Uint64(sum[:]) >> (64 - checkpoint.KeyBits)
}

func keys(rows []docspace.Entry) []uint64 {
	all := make([]uint64, len(rows))
	for i, row := range rows {
		all[i] = key(row)
	}
	return all
}

// A numbering is what the mark knows of rows published without ids, once it
// knows their ids.
type numbering struct {
	ids       []int64 // ascending
	forgotten int64   // highest id below them
	newest    docspace.Entry
	crown     int // rows accounted for and not shown above the newest
}

// renumber finds the ids of the rows the mark remembers, once the portal tells
// them, and publishes nothing. Rows alike in all that never changes are told
// apart now; of those the oldest count as published, which nobody can tell.
func (w *walk) renumber(ctx context.Context, mark checkpoint.Mark, top sheet) (reading, error) {
	if w.total < mark.Accounted {
		return fewer(mark, top), nil
	}
	s, b, err := w.settle(ctx, mark, sheet{}, docspace.MaxPage-overlap, mark.Accounted-lowest(mark))
	if lost := new(lostRowsError); errors.As(err, &lost) {
		return reading{rewound: lost.Error(), last: true}, nil
	}
	if err != nil {
		return reading{}, err
	}
	if b.doubtful || len(b.known) == 0 {
		return w.doubtful(mark), nil
	}
	n := &numbering{newest: b.known[len(b.known)-1]}
	for _, row := range b.known {
		n.ids = append(n.ids, row.ID)
	}
	if s.low > 0 {
		n.forgotten = s.rows[0].ID - 1
	}
	n.crown = s.hiddenAbove(n.newest.ID, len(b.unseen))
	return reading{numbers: n, keyed: true, unread: w.total - mark.Accounted}, nil
}

// hiddenAbove returns how many unseen rows, less the newest ones that are not
// accounted for, lie above the row with the id.
func (s window) hiddenAbove(id int64, fresh int) int {
	hidden := make(map[int]bool, len(s.unseen))
	for _, row := range s.unseen[:len(s.unseen)-fresh] {
		hidden[row.index] = true
	}
	crown, at := 0, s.high-1
	for i := len(s.rows) - 1; i >= 0; at-- {
		switch {
		case hidden[at]:
			crown++
		case slices.ContainsFunc(s.unseen, func(u unseenRow) bool { return u.index == at }):
		case s.rows[i].ID == id:
			return crown
		default:
			i--
		}
	}
	return crown
}

package poller

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"docspace-nats/poller/docspace"
)

// A window is part of a log: the rows low … high-1, counted from the bottom.
type window struct {
	low, high int
	rows      []docspace.Entry // oldest first, as far as the portal tells
	unseen    []unseenRow      // ascending
}

// bounds returns the window from some rows below base to want rows above it:
// whole pages, as far as the log goes down.
func bounds(base, want, below int) (low, high int) {
	pages := (want + overlap + docspace.MaxPage - 1) / docspace.MaxPage
	return max(0, base+want-pages*docspace.MaxPage-below), base + want
}

// window reads part of the log. It is one moment's: the portal counted the
// same rows before and after. A single page is so by itself, if it holds rows
// to recognise, and where the count moved it is a window a little higher up.
func (w *walk) window(ctx context.Context, low, high int, top sheet) (window, error) {
	if top.start == 0 && top.total == w.total && high == top.total && low == max(0, top.low()) && top.asked == docspace.MaxPage {
		return newWindow(low, high, []sheet{top}).whole()
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
	if total == w.total {
		return newWindow(low, high, sheets).whole()
	}
	moved := total - w.total
	w.total = total
	if len(sheets) > 1 || low == 0 || moved < 0 || len(w.hidden) > 0 {
		return window{}, errMoved
	}
	return newWindow(low+moved, high+moved, sheets).whole()
}

// whole returns the window if it holds as many rows as it should: a page may
// hold one more that came in after the portal counted.
func (s window) whole() (window, error) {
	if len(s.rows)+len(s.unseen) != s.high-s.low {
		return window{}, errMoved
	}
	return s, nil
}

// indexes returns for each row its index from the bottom. Where rows have no
// ids, it may be that of another row between the same two that are not shown.
func (s window) indexes() []int {
	hidden := make(map[int]bool, len(s.unseen))
	for _, row := range s.unseen {
		hidden[row.index] = true
	}
	indexes, at := make([]int, len(s.rows)), s.low
	for i := range s.rows {
		for hidden[at] {
			at++
		}
		indexes[i] = at
		at++
	}
	return indexes
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
	var guesses []int
	for _, index := range w.hidden {
		if low <= index && index < high {
			guesses = append(guesses, total-1-index)
		}
	}
	if len(guesses) == 0 {
		return w.fetch(ctx, total-high, high-low)
	}
	slices.Sort(guesses)
	return w.cutOut(ctx, total-high, high-low, nil, guesses...)
}

// hide remembers where rows are not shown.
func (w *walk) hide(unseen []unseenRow) {
	for _, row := range unseen {
		if !slices.Contains(w.hidden, row.index) {
			w.hidden = append(w.hidden, row.index)
		}
	}
}

// newWindow puts pages together. A page tells which rows are in it, and of those
// without ids not their order: they are sorted by date, between rows that are not
// shown, whose indexes are known. So of each row it is known on which side of
// those it lies.
func newWindow(low, high int, sheets []sheet) window {
	s := window{low: low, high: high}
	at := low
	for _, page := range slices.Backward(sheets) {
		rows, unseen := slices.Clone(page.rows), slices.Clone(page.unseen)
		slices.Reverse(rows)
		slices.SortFunc(unseen, func(a, b unseenRow) int { return cmp.Compare(a.index, b.index) })
		for _, slot := range unseen {
			n := max(0, min(slot.index-at, len(rows)))
			s.add(rows[:n])
			s.unseen = append(s.unseen, slot)
			rows, at = rows[n:], slot.index+1
		}
		s.add(rows)
		at += len(rows)
	}
	return s
}

// add appends rows of which no more is known than that they lie side by side.
func (s *window) add(rows []docspace.Entry) {
	if len(rows) > 0 && rows[0].ID <= 0 {
		slices.SortStableFunc(rows, func(a, b docspace.Entry) int { return a.Date.Compare(b.Date) })
	}
	s.rows = append(s.rows, rows...)
}

package poller

import (
	"context"
	"slices"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A numbering is what the mark knows of rows published without ids, once it
// knows their ids.
type numbering struct {
	ids       []int64               // ascending
	forgotten int64                 // highest id below them
	newest    docspace.Entry        // zero when none of them is shown
	unknown   []checkpoint.KeyCount // of rows whose ids were not found, as they are not shown
}

// renumber finds the ids of the rows the mark remembers, once the portal tells
// them. Rows alike in all that never changes are told apart now; of those the
// oldest count as published, which nobody can tell. What is new below the
// newest of them is published with it: later it would count as forgotten.
func (w *walk) renumber(ctx context.Context, mark checkpoint.Mark) (reading, error) {
	if w.total < mark.Accounted {
		return w.fewer(ctx, mark)
	}
	toLowest := mark.Accounted - lowest(mark)
	s, b, err := w.settle(ctx, mark, sheet{}, docspace.MaxPage-overlap, toLowest)
	if err == nil && b.doubtful { // from as deep as can be; not so deep may tell more
		s, b, err = w.settle(ctx, mark, sheet{}, docspace.MaxPage-overlap, 0)
	}
	if err != nil || !b.settled() || len(b.known) == 0 && s.low > 0 {
		return w.unsettled(mark, b), err
	}
	n := &numbering{ids: ids(b.known)}
	if known := len(b.known); known > 0 { // else none of the published rows can be shown any more
		n.newest = b.known[known-1]
	}
	if s.low > 0 {
		n.forgotten = s.rows[0].ID - 1
	}
	below := func(row unseenRow) bool { return row.index < b.newest() }
	r := reading{numbers: n, keyed: true, cured: b.cured}
	for _, row := range s.unseen {
		if below(row) || !slices.Contains(b.unseen, row) {
			r.places = append(r.places, s.place(row))
		}
	}
	for _, row := range b.fresh.rows {
		if row.ID < n.newest.ID {
			r.rows = append(r.rows, row)
		}
	}
	for _, row := range b.unseen {
		if below(row) {
			r.unseen = append(r.unseen, row)
		}
	}
	if len(r.places) > 0 {
		n.unknown = mark.Unnumbered.Forget(keys(b.known)...).Keys
	}
	r.unread = w.total - mark.Accounted - r.size()
	return r, nil
}

// place returns where a row lies that is not shown, by the ids of the others.
func (s window) place(row unseenRow) checkpoint.Place {
	p := checkpoint.Place{Rows: 1}
	for i, index := range s.indexes() {
		if index > row.index {
			p.Above = s.rows[i].ID
			break
		}
		p.Below = s.rows[i].ID
	}
	return p
}

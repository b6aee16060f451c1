package poller

import (
	"context"
	"errors"
	"slices"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

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
func (w *walk) renumber(ctx context.Context, mark checkpoint.Mark) (reading, error) {
	if w.total < mark.Accounted {
		return w.fewer(ctx, mark)
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

package poller

import (
	"context"
	"slices"

	"docspace-nats/schema"
)

// An operator may have had a folder published again, or rows left out. Each such
// change of the mark is an event, and what was stored before and after is compared
// with that in mind: what was published again is compared as it was the last time,
// and rows over which the mark was moved on need no event.

// skipped are rows between two that were stored in their turn, before and after
// the mark was moved on.
type skipped struct{ low, high int64 }

// change returns what an event says about a change of the mark, nil when it says
// nothing of the kind.
func change(kind string, e *schema.Event) *schema.Connector {
	if e == nil || kind != "connector."+schema.MarkChanged {
		return nil
	}
	return e.Data.Connector
}

func some(n *int64) bool { return n != nil && *n > 0 }

// changes reads what operators did to the mark.
func (v *verification) changes(ctx context.Context) error {
	if v.mark.Changes == 0 {
		return nil
	}
	var highest int64
	open := false
	events := eventReader{v: v}
	err := events.all(ctx, func(seq uint64, kind string, e *schema.Event) error {
		if c := change(kind, e); c != nil && some(c.Again) {
			v.since, v.skips, highest, open = seq, nil, 0, false
		} else if c != nil && some(c.Skipped) && !open {
			v.skips, open = append(v.skips, skipped{low: highest, high: v.mark.Newest() + 1}), true
		}
		row, is := v.stored(seq, kind, e, nil)
		if !is || row.late {
			return nil
		}
		if highest = max(highest, row.id); open && row.id == highest {
			v.skips[len(v.skips)-1].high, open = row.id, false
		}
		return nil
	})
	return err
}

// skipped reports whether an operator moved the mark on over a row.
func (v *verification) skipped(id int64) bool {
	return slices.ContainsFunc(v.skips, func(s skipped) bool { return s.low < id && id < s.high })
}

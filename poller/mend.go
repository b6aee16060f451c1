package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

const (
	// mendChunk is how many missing rows are stored at once.
	mendChunk = 500
	// mendTries is how often a commit is tried while connectors move the mark.
	mendTries = 20
)

// errChanged ends a repair of rows that the mark may not account for any more.
var errChanged = errors.New("the mark was put back or moved on meanwhile; repair again when the folder is watching")

// mend stores rows that are missing, as late ones: it commits them with the mark as
// it is, which accounts for them already. The commit names that mark, so a
// connector that stores one of them at the same moment makes it fail; then the mark
// and what was stored since are read again. First is where their findings begin.
func (v *verification) mend(ctx context.Context, missing []*suspect, first int) error {
	rows := make([]docspace.Entry, 0, len(missing))
	for _, s := range missing {
		if s.entry != nil {
			rows = append(rows, *s.entry)
		}
	}
	stored := make(map[int64]bool)
	since := eventReader{v: v}
	for chunk := range slices.Chunk(rows, mendChunk) {
		if err := v.store(ctx, chunk, &since, stored); err != nil {
			return err
		}
	}
	v.verdict.Repaired += len(rows)
	v.verdict.Events += len(rows)
	for i := first; i < len(v.verdict.Findings); i++ {
		v.verdict.Findings[i].Repaired = stored[v.verdict.Findings[i].Row]
	}
	return nil
}

// store commits the rows that are not stored by then.
func (v *verification) store(ctx context.Context, rows []docspace.Entry, since *eventReader, stored map[int64]bool) error {
	wanted := make(map[int64]bool, len(rows))
	for _, row := range rows {
		wanted[row.ID] = true
	}
	var err error
	for range mendTries {
		var mark checkpoint.Mark
		if mark, err = v.p.mark(ctx, v.mark.Folder); err != nil {
			return err
		}
		if mark.Changes != v.mark.Changes || mark.Newest() < v.mark.Newest() {
			return errChanged // what was missing may be published again
		}
		// Rows of earlier chunks are met again, too: they were stored above.
		if err := since.all(ctx, func(seq uint64, kind string, e *schema.Event) error {
			if s, is := v.stored(seq, kind, e, nil); is && wanted[s.id] {
				stored[s.id] = true
			}
			return nil
		}); err != nil {
			return err
		}
		var events []schema.Event
		for _, row := range rows {
			if !stored[row.ID] {
				events = append(events, v.event(row, 0))
			}
		}
		if len(events) == 0 {
			return nil
		}
		events = append([]schema.Event{v.repaired(mark, len(events))}, events...)
		next := mark
		next.LastPoll, next.Writer = time.Now().UTC(), v.p.opts.Writer
		if key := v.p.opts.Feed.Privacy.Key(); key != nil {
			next.Key = key.Print()
		}
		_, err = v.p.commit(ctx, events, mark, next)
		switch fewer := fits(err); {
		case fewer > 0 && len(rows) > 1:
			half := min(fewer, len(rows)/2)
			if err := v.store(ctx, rows[:half], since, stored); err != nil {
				return err
			}
			return v.store(ctx, rows[half:], since, stored)
		case err == nil:
			for id := range wanted {
				stored[id] = true
			}
			return nil
		case !errors.Is(err, checkpoint.ErrConflict):
			return err
		}
	}
	return fmt.Errorf("connectors move the mark all the time; stop them, or try again: %w", err)
}

// repaired says that rows are stored which had lost their events, and why.
func (v *verification) repaired(mark checkpoint.Mark, rows int) schema.Event {
	feed, accounted := v.p.feed(mark.Folder), int64(mark.Accounted)
	detail := "rows that were missing from the stream follow, as late ones"
	if reason := feed.Privacy.Title(v.o.Reason); reason != "" {
		detail += ": " + reason
	}
	return feed.Connector(schema.Reconciled, mark.Revision, v.p.ownMode(), time.Now().UTC(), schema.Connector{
		Reason: "repaired", Detail: detail, Rows: int64(rows), Accounted: &accounted,
	})
}

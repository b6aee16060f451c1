package poller

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// compose turns a reading into what is committed: the events and the mark that
// accounts for them. It does nothing else, so the same reading of the same
// mark always makes the same rows into events.
func (p *Poller) compose(mark checkpoint.Mark, r reading) (checkpoint.Mark, []schema.Event) {
	now := time.Now().UTC()
	next := mark
	if mark.Since.IsZero() {
		next.Since = p.opts.Now().UTC()
	}
	next.State, next.Reason = stateAfter(mark, r)
	next.Accounted += r.size() - r.removed
	next.Filtered, _ = p.filtered(mark, r)
	next.LastPoll, next.Writer, next.Portal = now, p.opts.Writer, p.opts.Feed.Portal

	feed := p.feed(mark.Folder)
	events := make([]schema.Event, 0, len(r.rows)+ownEvents)
	events = append(events, transition(feed, mark, next, r, p.ownMode(), now)...)
	for i, row := range r.rows {
		if p.passes(row) {
			events = append(events, feed.Event(row, r.ordinal(i), p.mode(mark, row), late(mark, r, row), now))
		}
		if row.Date.After(next.NewestEvent) {
			next.NewestEvent = row.Date
		}
	}
	next = remember(next, r)
	if key := p.opts.Feed.Privacy.Key(); key != nil {
		next.Seal, next.Key = untitled(next.Seal), key.Print()
	}
	return next, events
}

// remember returns the mark with what it takes to recognise the rows of a
// reading: by their ids, or by their keys where the portal tells no ids.
func remember(next checkpoint.Mark, r reading) checkpoint.Mark {
	switch {
	case r.refused != nil || r.rewound != "":
		return next
	case r.numbers != nil:
		next.Unnumbered = checkpoint.Unnumbered{Hashed: next.Accounted - r.size(), Keys: r.numbers.unknown}
		next.Forgotten = r.numbers.forgotten
		if r.numbers.newest.ID > 0 {
			next.Seal = seal(r.numbers.newest)
		}
		next = next.Remember(append(r.numbers.ids, ids(r.rows)...)...).Hide(r.places...)
		next.Filtered.Since, next.Filtered.Rows = next.Newest(), 0 // they were left out without their ids
		return next
	case r.keyed:
		next.Unnumbered = next.Unnumbered.Remember(keys(r.rows)...)
		next.Unnumbered.Hidden, next.Unnumbered.Missing = r.hidden, r.passed
		return next
	}
	rows := slices.Concat(r.rows, r.again)
	if len(rows) > 0 {
		highest := slices.MaxFunc(rows, func(a, b docspace.Entry) int { return cmp.Compare(a.ID, b.ID) })
		if highest.ID > next.Newest() {
			next.Seal = seal(highest)
		}
	}
	next.Unnumbered = next.Unnumbered.Forget(keys(r.again)...)
	return next.Remember(ids(rows)...).Hide(r.places...)
}

func ids(rows []docspace.Entry) []int64 {
	all := make([]int64, len(rows))
	for i, row := range rows {
		all[i] = row.ID
	}
	return all
}

// transition returns what the connector has to say about the folder itself:
// the state it left, the one it entered, and rows nobody will see.
func transition(feed Feed, mark, next checkpoint.Mark, r reading, mode string, now time.Time) []schema.Event {
	var events []schema.Event
	say := func(kind string, c schema.Connector) {
		accounted := int64(next.Accounted)
		c.Accounted = &accounted
		events = append(events, feed.Connector(kind, mark.Revision, mode, now, c))
	}
	if mark.Revision == 0 && mark.Reason != "" {
		say(schema.Reset, schema.Connector{Reason: "mark_lost", Detail: mark.Reason})
	}
	if mark.State != next.State {
		switch mark.State {
		case checkpoint.Blind, checkpoint.Gone:
			if r.refused == nil {
				say(schema.Seeing, schema.Connector{})
			}
		case checkpoint.Unreconciled, checkpoint.Rewound:
			if next.Reason == "" {
				say(schema.Reconciled, schema.Connector{})
			}
		}
		switch next.State {
		case checkpoint.Blind, checkpoint.Gone:
			say(schema.Blind, schema.Connector{Reason: blindness(r.refused), Status: r.refused.Code, Detail: next.Reason})
		case checkpoint.Rewound:
			say(schema.Rewound, schema.Connector{Detail: next.Reason})
		case checkpoint.Unreconciled:
			say(schema.Unreconciled, schema.Connector{Detail: next.Reason, Rows: int64(r.missing)})
		}
	}
	if r.removed > 0 {
		say(schema.Shrunk, schema.Connector{Rows: int64(r.removed), Detail: "rows that were published are gone from the bottom of the log"})
	}
	if len(r.unseen) > 0 {
		say(schema.Gap, gap(r.unseen))
	}
	return events
}

// gap describes rows that will not be seen.
func gap(unseen []unseenRow) schema.Connector {
	lowest := slices.MinFunc(unseen, func(a, b unseenRow) int { return a.index - b.index })
	first := int64(lowest.index)
	c := schema.Connector{
		Reason: "unrenderable", Rows: int64(len(unseen)), FirstIndex: &first, Status: lowest.status,
		Detail: "rows the portal fails to render, the lowest of them at this index from the oldest row, which is 0",
	}
	if lowest.status == http.StatusOK {
		c.Reason, c.Status = "hidden", 0
		c.Detail = "rows the portal counts and does not show, the lowest of them at this index from the oldest row, which is 0"
	}
	return c
}

func blindness(refused *docspace.StatusError) string {
	if refused.Code == http.StatusNotFound {
		return "not_found"
	}
	return "forbidden"
}

// feed returns what every event of the folder says about its origin.
func (p *Poller) feed(folder int) Feed {
	feed := p.opts.Feed
	feed.Folder = folder
	if f := p.description(folder); f.ID != 0 {
		feed.Kind, feed.Title = "folder", f.Title
		if f.RoomType != 0 {
			feed.Kind = "room"
		}
	}
	return feed
}

// stateAfter, with stateOf, is the only place that decides what state a folder is
// in.
func stateAfter(mark checkpoint.Mark, r reading) (checkpoint.State, string) {
	switch {
	case r.refused != nil:
		return stateOf(r.refused), r.refused.Error()
	case r.rewound != "":
		return checkpoint.Rewound, r.rewound
	case r.missing > 0:
		return checkpoint.Unreconciled, fmt.Sprintf("%d rows the portal counts were not found", r.missing)
	case mark.State == checkpoint.Unreconciled && !r.proven():
		return checkpoint.Unreconciled, mark.Reason
	case r.unread > 0 && !seen(mark):
		return checkpoint.Backfilling, ""
	default:
		return checkpoint.Watching, ""
	}
}

// stateOf returns the state of a folder the portal refuses to show.
func stateOf(refused *docspace.StatusError) checkpoint.State {
	if refused.Code == http.StatusNotFound {
		return checkpoint.Gone
	}
	return checkpoint.Blind
}

// seen reports whether the folder's history was read to its end once.
func seen(mark checkpoint.Mark) bool {
	return mark.State == checkpoint.Watching || mark.State == checkpoint.Unreconciled
}

// mode tells history from what happened while the folder was watched, for
// consumers that alert on bursts. What is published again is history.
func (p *Poller) mode(mark checkpoint.Mark, row docspace.Entry) string {
	if !seen(mark) && (row.Date.Before(p.opts.Began) || !row.Date.After(mark.Again)) {
		return schema.Backfill
	}
	return p.ownMode()
}

// ownMode is the mode of events about the connector's own work.
func (p *Poller) ownMode() string {
	if !p.opts.To.IsZero() {
		return schema.Backfill
	}
	return schema.Live
}

// late reports whether rows that come after this one were committed before. The
// order is that of the ids; where there are none, of the dates.
func late(mark checkpoint.Mark, r reading, row docspace.Entry) bool {
	switch {
	case r.numbers != nil:
		return true
	case row.ID > 0:
		return row.ID < mark.Newest()
	}
	return row.Date.Before(mark.NewestEvent)
}

package poller

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// A join holds the rows of a folder, which come ascending, against its events,
// which come in the order they are stored: ascending but for those that are late.
// What meets at its place is compared and forgotten. A row without event waits for
// a late one, and what is left over is suspected.
type join struct {
	v      *verification
	events eventReader
	ahead  []stored // read and not yet compared

	highest  int64           // row of the events so far
	waiting  map[int64]print // rows without event, by id
	suspects map[int64]*suspect
	floor    int64 // rows below may have lost their events to a limit of the stream; -1: not known yet

	hashed hashedEvents // of rows without ids
}

// stored is an event of a row, as it is kept.
type stored struct {
	seq  uint64
	id   int64
	late bool
	print
}

// eventReader reads the events of a folder in portions.
type eventReader struct {
	v    *verification
	upTo uint64
	last bool // there are no more, as far as it knew
}

// next hands on a portion.
func (r *eventReader) next(ctx context.Context, each func(seq uint64, kind string, e *schema.Event) error) (err error) {
	r.upTo, r.last, err = r.v.archive.Stored(ctx, r.v.mark.Folder, r.upTo, verifyPortion, func(seq uint64, kind string, data []byte) error {
		e, err := schema.Decode(data)
		if err != nil {
			return each(seq, kind, nil)
		}
		return each(seq, kind, &e)
	})
	return err
}

// all hands on what there is until it ends.
func (r *eventReader) all(ctx context.Context, each func(seq uint64, kind string, e *schema.Event) error) error {
	for r.last = false; !r.last; {
		if err := r.next(ctx, each); err != nil {
			return err
		}
	}
	return nil
}

// longestID is how much is told of an id that somebody else has made.
const longestID = 80

func newJoin(v *verification) *join {
	floor := int64(-1)
	if v.o.after.Revision > 0 {
		floor = v.o.after.Newest()
	}
	return &join{v: v, events: eventReader{v: v, upTo: v.since}, floor: floor, waiting: make(map[int64]print), suspects: make(map[int64]*suspect)}
}

// begin reads what has to be known before the first row.
func (j *join) begin(ctx context.Context) error {
	if u := j.v.mark.Unnumbered; !u.Current() && u.Hashed == 0 {
		return nil
	}
	return j.hashed.read(ctx, j.v)
}

// take compares the next rows.
func (j *join) take(ctx context.Context, rows []docspace.Entry) error {
	for _, row := range rows {
		if row.ID > 0 && row.ID <= j.v.o.after.Newest() {
			continue // verified before
		}
		if j.hashed.take(j.v, row) {
			j.v.verdict.Rows++
			j.v.verdict.Events++
			continue
		}
		if row.ID <= 0 {
			j.hashed.lack(j.v, row)
			continue
		}
		if err := j.upTo(ctx, row.ID); err != nil {
			return err
		}
		if len(j.ahead) > 0 && j.ahead[0].id == row.ID {
			j.compare(j.ahead[0], j.v.print(row))
			j.ahead = j.ahead[1:]
		} else {
			j.absent(row)
		}
	}
	return j.bounded()
}

// bounded returns an error when too much is kept.
func (j *join) bounded() error {
	if len(j.waiting)+len(j.suspects) > j.v.o.apart || j.hashed.many() {
		return ErrApart
	}
	return nil
}

// upTo takes in the events before the first of a row that is not lower.
func (j *join) upTo(ctx context.Context, id int64) error {
	for {
		for len(j.ahead) > 0 && j.ahead[0].id < id {
			j.stray(j.ahead[0])
			j.ahead = j.ahead[1:]
		}
		if len(j.ahead) > 0 || j.events.last {
			return nil
		}
		if err := j.read(ctx); err != nil {
			return err
		}
	}
}

// read reads on.
func (j *join) read(ctx context.Context) error {
	j.ahead = slices.Grow(j.ahead[:0], verifyPortion)
	err := j.events.next(ctx, func(seq uint64, kind string, e *schema.Event) error {
		if s, is := j.v.stored(seq, kind, e, &j.v.verdict); is {
			j.arrive(s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return j.bounded()
}

// arrive looks at the place of an event, and keeps it.
func (j *join) arrive(s stored) {
	if j.floor < 0 && !s.late {
		j.floor = s.id
	}
	if s.id <= j.v.o.after.Newest() {
		return // late, of a row that was verified before
	}
	if s.id > j.v.mark.Newest() {
		if m := j.v.mark; s.seq < m.Revision && (m.Unsettled == 0 || s.seq < m.Unsettled) {
			j.suspect(s.id, s.at) // the mark would know it
		}
		return
	}
	if s.id < j.highest && !s.late {
		j.suspect(s.id, s.at).disorder = true
	}
	j.highest = max(j.highest, s.id)
	if j.v.within(s.at, verifyMargin) {
		j.ahead = append(j.ahead, s)
	}
}

// stray takes an event below the row that is next.
func (j *join) stray(s stored) {
	row, waits := j.waiting[s.id]
	if !waits {
		j.suspect(s.id, s.at) // its row met another one before, or there is none
		return
	}
	delete(j.waiting, s.id)
	j.compare(s, row)
}

// compare compares an event with its row.
func (j *join) compare(s stored, row print) {
	if j.v.within(row.at, 0) {
		j.v.verdict.Rows++
		j.v.verdict.Events++
	}
	if s.differs(row) != "" {
		j.suspect(s.id, row.at)
	}
}

// absent takes a row that has no event at its place.
func (j *join) absent(row docspace.Entry) {
	within := j.v.within(row.Date.Unix(), 0)
	switch {
	case j.v.skipped(row.ID) && within:
		j.v.verdict.Rows++
		j.v.verdict.Skipped++
	case j.v.skipped(row.ID):
	case j.v.left(row) && within:
		j.v.verdict.Rows++
		j.v.verdict.Filtered++
	case j.v.left(row):
	case j.dropped(row.ID) && within:
		j.v.verdict.Dropped++
	case j.dropped(row.ID):
	default:
		j.waiting[row.ID] = j.v.print(row)
	}
}

// dropped reports whether the event of a row may be gone from the stream because
// that has reached a limit: rows that were stored in their turn go so, the oldest
// first.
func (j *join) dropped(id int64) bool { return j.v.drops && (j.floor < 0 || id < j.floor) }

// suspect returns the suspicion of an id.
func (j *join) suspect(id, at int64) *suspect {
	s := j.suspects[id]
	if s == nil {
		s = &suspect{id: id, at: at}
		j.suspects[id] = s
	}
	return s
}

// end takes in the remaining events, and returns all that is suspected.
func (j *join) end(ctx context.Context) (map[int64]*suspect, error) {
	for {
		for _, s := range j.ahead {
			j.stray(s)
		}
		j.ahead = j.ahead[:0]
		if j.events.last {
			break
		}
		if err := j.read(ctx); err != nil {
			return nil, err
		}
	}
	for id, row := range j.waiting {
		if j.v.within(row.at, 0) {
			j.v.verdict.Rows++
			j.suspect(id, row.at)
		}
	}
	j.waiting = nil
	return j.suspects, j.hashed.end(ctx, j.v, j.v.total)
}

// stored returns what is kept of an event of a row. It counts what others say, and
// what is no event.
func (v *verification) stored(seq uint64, kind string, e *schema.Event, count *Verdict) (stored, bool) {
	switch {
	case e == nil:
		if count != nil {
			count.find(Finding{Kind: Extra, Sequence: seq, Detail: "it is no event: it cannot be read"})
		}
		return stored{}, false
	case strings.HasPrefix(kind, "connector."):
		if c := e.Data.Connector; count != nil && c != nil && kind == "connector."+schema.Gap {
			count.Gaps += int(c.Rows)
		}
		return stored{}, false
	case e.Sequence == "":
		return stored{}, false
	}
	id, err := strconv.ParseInt(e.Sequence, 10, 64)
	if err != nil || id <= 0 {
		if count != nil {
			count.find(Finding{Kind: Extra, Event: schema.Cut(schema.Text(e.ID), longestID), Sequence: seq, Time: e.Time, Detail: "its sequence is not the id of a row"})
		}
		return stored{}, false
	}
	return stored{seq: seq, id: id, late: e.Data.Late, print: printOf(e, kind)}, true
}

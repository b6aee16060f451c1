package poller

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// A suspect is a row, or an event without one, that was not where it should be, and
// what a second reading tells of it.
type suspect struct {
	id       int64
	at       int64 // seconds, 0: unknown
	disorder bool  // its event lies after one of a higher row

	shown  bool     // the portal shows the row
	hidden bool     // it may be one the portal does not show
	row    print    // of the row
	before int      // events of it before its row was read
	after  int      // and after
	seqs   []uint64 // of the first of them
	event  print    // of the last of them
	era    int      // of the last of them: between two changes of the mark that publish again
	copies int      // in that era
	most   int      // copies in any era
	entry  *docspace.Entry
}

const (
	// mendMost is how many missing rows one verification stores.
	mendMost = 10_000
	// suspectMargin is how far below the oldest suspect, by its date, is read: rows
	// are not dated in the order they are numbered.
	suspectMargin = 24 * time.Hour
	// seqsMost is how many places are told of an event that is stored many times.
	seqsMost = 4
)

// met takes in one of its events.
func (s *suspect) met(era int, seq uint64, event print) {
	if era != s.era {
		s.era, s.copies = era, 0
	}
	s.copies++
	s.most = max(s.most, s.copies)
	if s.event = event; len(s.seqs) < seqsMost {
		s.seqs = append(s.seqs, seq)
	}
}

// judge reads what is suspected again: the events, then the rows, then the events
// stored meanwhile. So an event that is there first has a row that was there, and a
// row that the mark accounts for has an event by the end.
func (v *verification) judge(ctx context.Context, suspects map[int64]*suspect) error {
	var err error
	if v.mark, err = v.p.mark(ctx, v.mark.Folder); err != nil {
		return err
	}
	floor, era := int64(math.MaxInt64), 0
	events := eventReader{v: v}
	counted := func(n func(*suspect) *int) func(uint64, string, *schema.Event) error {
		return func(seq uint64, kind string, e *schema.Event) error {
			stored, is := v.stored(seq, kind, e, nil)
			if !is {
				if c := change(kind, e); c != nil && some(c.Again) {
					era++
				}
				return nil
			}
			if !stored.late {
				floor = min(floor, stored.id)
			}
			if s := suspects[stored.id]; s != nil {
				*n(s)++
				s.met(era, seq, stored.print)
			}
			return nil
		}
	}
	if err := events.all(ctx, counted(func(s *suspect) *int { return &s.before })); err != nil {
		return err
	}
	ascending := ascendingOf(suspects)
	if err := v.look(ctx, suspects, ascending); err != nil {
		return err
	}
	if err := events.all(ctx, counted(func(s *suspect) *int { return &s.after })); err != nil {
		return err
	}
	if !v.drops {
		floor = 0
	}
	missing := v.tell(ascending, floor)
	if missing, err = v.buried(ctx, missing); err != nil {
		return err
	}
	first := len(v.verdict.Findings)
	for _, s := range missing {
		v.verdict.find(Finding{Kind: Missing, Row: s.id, Time: timeOf(s.at), Detail: v.missingDetail()})
	}
	if v.o.Mend {
		return v.mend(ctx, missing, first)
	}
	return nil
}

func ascendingOf(suspects map[int64]*suspect) []*suspect {
	ascending := make([]*suspect, 0, len(suspects))
	for _, s := range suspects {
		ascending = append(ascending, s)
	}
	slices.SortFunc(ascending, func(a, b *suspect) int { return int(min(max(a.id-b.id, -1), 1)) })
	return ascending
}

func timeOf(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0).UTC()
}

// look reads the rows among which the suspects are.
func (v *verification) look(ctx context.Context, suspects map[int64]*suspect, ascending []*suspect) error {
	from, kept := v.from(verifyMargin), 0
	if oldest := slices.MinFunc(ascending, func(a, b *suspect) int { return int(min(max(a.at-b.at, -1), 1)) }).at; oldest > 0 {
		from = maxTime(from, timeOf(oldest).Add(-suspectMargin))
	}
	var hidden []checkpoint.Place
	highest := min(ascending[len(ascending)-1].id, v.mark.Newest())
	err := v.rows(ctx, from, v.until(verifyMargin), highest+1, func(rows []docspace.Entry, unseen []unseenRow) error {
		hidden = append(hidden, places(unseen)...)
		for _, row := range rows {
			s := suspects[row.ID]
			if s == nil {
				continue
			}
			s.shown, s.row = true, v.print(row)
			if s.before == 0 && v.o.Mend && kept < mendMost {
				kept++
				s.entry = &row
			}
		}
		return nil
	})
	hide(ascending, hidden)
	return err
}

// hide takes suspects for rows that are not shown: in each place as many events as
// rows.
func hide(ascending []*suspect, places []checkpoint.Place) {
	for _, s := range ascending {
		if s.shown || s.before == 0 {
			continue
		}
		at := slices.IndexFunc(places, func(p checkpoint.Place) bool { return p.Rows > 0 && p.Holds(s.id) })
		if s.hidden = at >= 0; s.hidden {
			places[at].Rows--
		}
	}
}

// tell takes the findings of the second reading into the verdict, and returns the
// rows that are missing.
func (v *verification) tell(ascending []*suspect, floor int64) (missing []*suspect) {
	for _, s := range ascending {
		if s.shown {
			s.at = s.row.at
		}
		copies := s.before + s.after
		found := func(kind, detail string) {
			v.verdict.find(Finding{Kind: kind, Row: s.id, Event: schema.EventID(v.mark.Folder, s.id), Time: timeOf(s.at), Sequence: s.seqs[len(s.seqs)-1], Detail: detail})
		}
		switch {
		case !v.within(s.at, 0):
			continue
		case copies == 0 && !s.shown: // dropped by a limit of the stream, or hidden, meanwhile
			continue
		case copies == 0 && s.id < floor:
			v.verdict.Dropped++
			continue
		case copies == 0 && (s.id > v.mark.Newest() || !v.mark.Known(s.id)):
			v.verdict.Unread = max(v.verdict.Unread, 1)
			continue
		case copies == 0:
			missing = append(missing, s)
			continue
		}
		if s.shown && copies > 0 && s.event.differs(s.row) == "" {
			v.verdict.Events++
		}
		if s.most > 1 {
			found(Twice, fmt.Sprintf("its event is stored %d times, at %d", s.most, s.seqs))
		} else if s.disorder {
			found(Disorder, "its event lies after that of a later row and does not say that it is late")
		}
		switch {
		case s.shown:
			if in := s.event.differs(s.row); in != "" {
				found(Different, "the event differs from the row in "+in)
			}
		case s.hidden:
			v.verdict.Hidden++
		case s.before > 0:
			found(Extra, "the portal has no such row")
		}
	}
	return missing
}

// buried leaves out rows that are unread rather than missing: the portal counts
// rows that the mark does not account for, and that are not among its newest.
func (v *verification) buried(ctx context.Context, missing []*suspect) ([]*suspect, error) {
	if len(missing) == 0 {
		return nil, nil
	}
	unaccounted, err := v.unaccounted(ctx)
	if err != nil {
		return nil, err
	}
	if unaccounted == 0 {
		return missing, nil
	}
	v.verdict.Unread = max(v.verdict.Unread, unaccounted)
	if len(missing) <= unaccounted {
		return nil, nil
	}
	v.unsure = v.o.Mend
	v.o.Mend = false // which of them a connector will store nobody knows
	return missing, nil
}

// unaccounted returns how many rows the mark does not account for, of those that are
// not above its newest one.
func (v *verification) unaccounted(ctx context.Context) (int, error) {
	w := v.p.newWalk(ctx, v.mark)
	defer w.close()
	ctx = docspace.Patient(ctx)
	r, err := w.read(ctx, v.mark, verifyChunk)
	if err != nil || r.last || v.mark.Newest() == 0 {
		return max(r.missing, v.mark.Unnumbered.Missing), err
	}
	// The connector is more than a page behind: what is not accounted for is above the
	// newest row for the most part. Where that lies, counted from the bottom, tells.
	w.seek(v.mark)
	for range patience {
		s, err := w.linked(ctx, w.next-1)
		if err != nil {
			return 0, err
		}
		if moved, err := w.recount(ctx); moved || err != nil { // between the count and the page
			clear(w.ahead)
			if err != nil {
				return 0, err
			}
			continue
		}
		return max(0, v.upToNewest(s)-v.mark.Accounted+hiddenAbove(v.mark, v.mark.Newest())), nil
	}
	return 0, fmt.Errorf("history of folder %d: %w", v.mark.Folder, errRestless)
}

// upToNewest returns how many rows lie up to the newest committed one, which the sheet
// reaches: at most so many if that is not shown.
func (v *verification) upToNewest(s sheet) int {
	above := s.end()
	for _, p := range points(s) {
		switch {
		case p.id == v.mark.Newest():
			return p.index + 1
		case p.id < v.mark.Newest():
			return above
		}
		above = p.index
	}
	return above
}

func (v *verification) missingDetail() string {
	if v.unsure {
		return "it has no event; it is not stored, since it may be one of the rows that a connector has still to find; repair again when those are found, or have the folder read again (checkpoint reset)"
	}
	if v.verdict.Gaps > v.verdict.Hidden {
		return "it has no event; it may be one that was reported as a gap and can be seen now"
	}
	return "it has no event"
}

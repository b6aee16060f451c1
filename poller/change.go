package poller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// An operator changes how far a folder counts as published. What that does to
// consumers can be told beforehand, in numbers, because a mark counts rows: those
// it accounts for and will not any more are published again, those it did not and
// will are skipped. The numbers hold for the mark that the change replaces, and
// the ledger refuses the change when that is not the folder's mark any more. Then
// they are worked out anew, for the mark there is; what was found out about the
// log stays true, since rows are counted from the bottom.

// Commands that change marks.
const (
	ResetMark  = "reset"  // the folder is read again
	SetMark    = "set"    // rows count as published
	ImportMark = "import" // a mark is put in from elsewhere
)

// A Move is a change an operator wants.
type Move struct {
	Command string
	// To is where a reset goes to and a set comes from: rows dated at it or later
	// are read again, or left to be read. Zero is the beginning to a reset, and to
	// a set now.
	To time.Time
	// Mark is to be imported, Replace allows that where the folder has one.
	Mark    checkpoint.Mark
	Replace bool
}

// A Change is a move worked out for the mark a folder has.
type Change struct {
	Move
	Prev, Next checkpoint.Mark
	Again      int // rows accounted for that are read and published again
	Older      int // rows dated before the former anchor that are published, too
	Skipped    int // rows that count as published and are not stored
	AtMost     bool
}

// ErrNothingToChange is returned for a mark that is where it is to be.
var ErrNothingToChange = errors.New("it is there already; nothing is to be changed")

// errOutdated says that what a survey found out does not fit the mark any more.
var errOutdated = errors.New("the mark moved in a way that has to be looked at anew; try again")

// maxReason bounds the reason an operator gives, in characters.
const maxReason = 512

// A Plan is a Change that can be made, with what the portal told for it.
type Plan struct {
	Change Change
	poller *Poller
	survey survey
}

// A survey is what the portal tells about a folder's log before a change.
type survey struct {
	mark  checkpoint.Mark // when it was made
	total int             // rows dated at the mark's anchor or later
	left  int             // of a reset: those dated at the new anchor or later
	place place           // of a set
}

// Plan works out a change and makes none. It asks the portal, but for an import.
// It returns ErrNothingToChange for a mark that is where it is to be.
func (p *Poller) Plan(ctx context.Context, folder int, move Move) (*Plan, error) {
	plan := &Plan{poller: p}
	for range patience {
		mark, err := p.mark(ctx, folder)
		if err != nil {
			return nil, err
		}
		if plan.survey, err = p.look(ctx, mark, move); err != nil {
			return nil, fmt.Errorf("folder %d: %w", folder, err)
		}
		plan.Change, err = p.change(plan.survey, mark, move)
		if errors.Is(err, errOutdated) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("folder %d: %w", folder, err)
		}
		return plan, nil
	}
	return nil, fmt.Errorf("folder %d: %w", folder, errOutdated)
}

// Make makes the change and returns it as it was made. Where another writer is
// faster it is worked out anew; agree is asked whether one that has become
// another may be made, and its error ends it. The reason is published with it.
func (plan *Plan) Make(ctx context.Context, reason string, agree func(Change) error) (Change, error) {
	p, agreed := plan.poller, plan.Change
	for range patience * patience {
		c := plan.Change
		if c.differs(agreed) {
			if err := agree(c); err != nil {
				return c, err
			}
			agreed = c
		}
		stored, err := p.commit(ctx, []schema.Event{p.changed(c, reason, time.Now().UTC())}, c.Prev, c.Next)
		if err == nil {
			c.Next = stored
			return c, nil
		}
		if !errors.Is(err, checkpoint.ErrConflict) {
			return c, err
		}
		if err := plan.again(ctx); err != nil {
			return c, err
		}
	}
	return plan.Change, fmt.Errorf("folder %d: its mark moves faster than it can be changed; stop the connectors, or try again: %w", plan.Change.Prev.Folder, checkpoint.ErrConflict)
}

// again works out the change for the mark there is now.
func (plan *Plan) again(ctx context.Context) error {
	folder, move := plan.Change.Prev.Folder, plan.Change.Move
	mark, err := plan.poller.mark(ctx, folder)
	if err != nil {
		return err
	}
	change, err := plan.poller.change(plan.survey, mark, move)
	if errors.Is(err, errOutdated) {
		anew, err := plan.poller.Plan(ctx, folder, move)
		if err != nil {
			return err
		}
		*plan = *anew
		return nil
	}
	if err != nil {
		return fmt.Errorf("folder %d: %w", folder, err)
	}
	plan.Change = change
	return nil
}

// look asks the portal for what a move needs to know.
func (p *Poller) look(ctx context.Context, mark checkpoint.Mark, move Move) (survey, error) {
	s := survey{mark: mark}
	if move.Command == ImportMark {
		return s, nil
	}
	if mark.Revision == 0 {
		return s, errors.New("it has no mark to change: no connector has published it yet, or its mark was lost and a connector has to put it back first")
	}
	f, err := p.portal.Folder(ctx, mark.Folder)
	if err != nil {
		return s, err
	}
	p.Describe(f)
	if !move.To.IsZero() {
		if err := p.newEnough(ctx, mark.Folder); err != nil {
			return s, err
		}
	}
	if move.Command == SetMark {
		s.place, err = p.placeAt(ctx, mark, move.To)
		return s, err
	}
	s.total, s.left, err = p.countBoth(ctx, mark.Folder, mark.Anchor, move.To)
	return s, err
}

// countBoth counts the rows from two times on, at one moment.
func (p *Poller) countBoth(ctx context.Context, folder int, from, to time.Time) (total, left int, err error) {
	for range patience {
		if total, err = p.countFrom(ctx, folder, from); err != nil || to.Equal(from) {
			return total, total, err
		}
		if left, err = p.countFrom(ctx, folder, to); err != nil {
			return 0, 0, err
		}
		after, err := p.countFrom(ctx, folder, from)
		if err != nil || after == total {
			return total, left, err
		}
	}
	return 0, 0, errRestless
}

// countFrom counts the rows dated at a time or later; zero: all.
func (p *Poller) countFrom(ctx context.Context, folder int, from time.Time) (int, error) {
	page, err := p.portal.History(ctx, folder, docspace.Query{Start: beyond, Count: 1, From: from})
	return page.Total, err
}

// change works out a move for a mark, and asks nobody.
func (p *Poller) change(s survey, mark checkpoint.Mark, move Move) (Change, error) {
	c := Change{Move: move, Prev: mark}
	if !mark.Anchor.Equal(s.mark.Anchor) || mark.Changes != s.mark.Changes || mark.State != s.mark.State {
		return c, errOutdated
	}
	var err error
	switch move.Command {
	case ImportMark:
		err = p.importing(&c)
	case SetMark:
		err = s.setting(&c)
	default:
		err = s.resetting(&c)
	}
	if err != nil {
		return c, err
	}
	c.Next.LastPoll, c.Next.Writer, c.Next.Portal = time.Now().UTC(), p.opts.Writer, p.opts.Feed.Portal
	if key := p.opts.Feed.Privacy.Key(); key != nil {
		c.Next.Seal, c.Next.Key = untitled(c.Next.Seal), key.Print()
	}
	return c, nil
}

// resetting has a folder read again from the new anchor.
func (s survey) resetting(c *Change) error {
	c.Next, c.Again = c.Prev.Reset(c.To), c.Prev.Accounted
	switch below := s.total - s.left; {
	case below < 0:
		c.Older = -below
	case below > c.Prev.Accounted && c.Prev.State != checkpoint.Rewound:
		return fmt.Errorf("%s rows dated before %s were not published yet, and would never be; checkpoint set skips rows, checkpoint reset reads them again from an earlier time",
			Grouped(below-c.Prev.Accounted), c.To.UTC().Format(time.RFC3339))
	default:
		c.Again = max(0, c.Prev.Accounted-below)
	}
	if s.mark.Accounted > s.total { // rows that were published are gone
		c.Again, c.AtMost = min(c.Again, s.left), true
	}
	return nil
}

// setting lets rows count as published.
func (s survey) setting(c *Change) error {
	c.Next = c.Prev.MovedOn(s.place.accounted)
	c.Next.Filtered = c.Prev.Filtered.Under("", c.Prev.Newest())
	s.place.note(&c.Next)
	c.Skipped = s.place.accounted - c.Prev.Accounted
	odd := c.Prev.State == checkpoint.Rewound || c.Prev.State == checkpoint.Unreconciled
	switch {
	case c.Prev.State == checkpoint.Rewound:
		c.Skipped, c.AtMost = max(0, s.place.accounted), true
	case c.Skipped == 0 && !odd:
		return ErrNothingToChange
	case c.Skipped < 0 && c.To.IsZero():
		return errOutdated
	case c.Skipped < 0:
		return fmt.Errorf("%s rows dated at %s or later are published already; checkpoint reset has rows published again", Grouped(-c.Skipped), c.To.UTC().Format(time.RFC3339))
	}
	if !s.place.last && c.Prev.State != checkpoint.Watching {
		c.Next.State = checkpoint.Backfilling
	}
	return nil
}

// importing puts in a mark from elsewhere, and believes it.
func (p *Poller) importing(c *Change) error {
	if err := p.opts.Feed.Owns(c.Mark); err != nil {
		return err
	}
	if c.Prev.Revision > 0 && !c.Replace {
		return errors.New("it has a mark already, which is not to be replaced; import it with --replace, or leave it out of the file")
	}
	c.Next = c.Mark.Imported(c.Prev)
	c.Again, c.Skipped = max(0, c.Prev.Accounted-c.Mark.Accounted), max(0, c.Mark.Accounted-c.Prev.Accounted)
	c.AtMost = c.Prev.Revision == 0 || !c.Mark.Anchor.Equal(c.Prev.Anchor)
	if c.Prev.Revision > 0 && c.AtMost {
		c.Again, c.Skipped = c.Prev.Accounted, c.Mark.Accounted
	}
	return nil
}

// differs reports whether a change has become another than was agreed to: by
// more than what comes in while somebody reads a sentence.
func (c Change) differs(from Change) bool {
	apart := func(a, b int) bool { return max(a-b, b-a) > max(10, b/100) }
	return c.Prev.State != from.Prev.State || c.AtMost != from.AtMost ||
		apart(c.Again, from.Again) || apart(c.Skipped, from.Skipped) || apart(c.Older, from.Older)
}

// changed is the event that a change publishes.
func (p *Poller) changed(c Change, reason string, at time.Time) schema.Event {
	feed := p.feed(c.Prev.Folder)
	number := func(n int) *int64 { n64 := int64(n); return &n64 }
	return feed.Connector(schema.MarkChanged, c.Prev.Revision, schema.Live, at, schema.Connector{
		Reason:          c.Command,
		Detail:          schema.Cut(feed.Privacy.Title(reason), maxReason),
		Accounted:       number(c.Next.Accounted),
		AccountedBefore: number(c.Prev.Accounted),
		Anchor:          c.Next.Anchor,
		AnchorBefore:    c.Prev.Anchor,
		Again:           number(c.Again),
		Skipped:         number(c.Skipped),
		Changes:         int64(c.Next.Changes),
		Writer:          c.Next.Writer,
	})
}

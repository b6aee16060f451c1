package poller

import (
	"errors"
	"fmt"
	"time"

	"docspace-nats/checkpoint"
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
	Again      int  // rows accounted for that are read and published again
	Kept       int  // of a reset: rows accounted for before that stay as they are, and are not looked after any more
	Older      int  // rows dated before the former anchor that are published, too
	Skipped    int  // rows that count as published and are not stored
	AtMost     bool // the numbers are no lower than what happens, and may be higher
}

// ErrNothingToChange is returned for a mark that is where it is to be.
var ErrNothingToChange = errors.New("it is there already; nothing is to be changed")

// errOutdated says that what a survey found out does not fit the mark any more.
var errOutdated = errors.New("the mark moved in a way that has to be looked at anew; try again")

// Bounds of a mark that is imported: beyond the first its count of changes could
// not go on, and the second is how far the clocks it was made by may be off.
const (
	mostChanges = 1 << 30
	clocksApart = 24 * time.Hour
)

// MaxReason bounds the reason an operator gives, in characters.
const MaxReason = 512

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
		c.Kept = min(below, c.Prev.Accounted)
		c.Again = c.Prev.Accounted - c.Kept
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
	switch {
	case c.Mark.Changes > mostChanges:
		return fmt.Errorf("the mark to import was changed %d times: that is no number of changes", c.Mark.Changes)
	case time.Until(c.Mark.Anchor) > clocksApart:
		return fmt.Errorf("the mark to import begins in the future, at %s: nothing that happens before would be published", c.Mark.Anchor.UTC().Format(time.RFC3339))
	}
	if c.Prev.Revision > 0 && !c.Replace {
		return errors.New("it has a mark already, which is not to be replaced; import it with --replace, or take its line out of the file, and one from the number of folders in the first line")
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
		apart(c.Again, from.Again) || apart(c.Skipped, from.Skipped) || apart(c.Older, from.Older) || apart(c.Kept, from.Kept)
}

// changed is the event that a change publishes.
func (p *Poller) changed(c Change, reason string, at time.Time) schema.Event {
	feed := p.feed(c.Prev.Folder)
	number := func(n int) *int64 { n64 := int64(n); return &n64 }
	return feed.Connector(schema.MarkChanged, c.Prev.Revision, schema.Live, at, schema.Connector{
		Reason:          c.Command,
		Detail:          schema.Cut(feed.Privacy.Title(reason), MaxReason),
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

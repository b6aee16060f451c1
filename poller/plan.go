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

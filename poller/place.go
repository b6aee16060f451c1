package poller

import (
	"context"
	"errors"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// placePages is how many pages of rows a mark that is moved on remembers. In one
// of them late rows are found again; with more, those that were hours late.
const placePages = 5

// A place is a point in a log, with what a mark has to remember to go on there.
type place struct {
	accounted int // rows below it
	last      bool
	below     window // the rows next below
	keyed     bool
}

// placeAt finds the place below which rows are dated before a time; zero: the top
// of the log.
func (p *Poller) placeAt(ctx context.Context, mark checkpoint.Mark, to time.Time) (place, error) {
	fresh := checkpoint.Mark{Folder: mark.Folder, Anchor: mark.Anchor} // nothing of what it recognises helps
	walk := p.newWalk(ctx, fresh)
	defer walk.close()
	top, err := walk.fetch(ctx, 0, docspace.MaxPage)
	if err != nil {
		return place{}, err
	}
	walk.total = top.total
	for try := range patience {
		since := 0
		if !to.IsZero() {
			if since, err = p.countFrom(ctx, mark.Folder, to); err != nil {
				return place{}, err
			}
		}
		pages := placePages
		if try > patience/2 {
			pages = 1 // rows come in faster than several can be read
		}
		high := max(0, walk.total-since)
		s, err := walk.window(ctx, max(0, high-pages*docspace.MaxPage), high, sheet{})
		if errors.Is(err, errMoved) || errors.Is(err, errUpgraded) || err == nil && !to.IsZero() && s.high != high {
			continue
		}
		if err != nil {
			return place{}, err
		}
		return place{accounted: s.high, last: s.high == walk.total, below: s.certain(), keyed: walk.withoutIDs()}, nil
	}
	return place{}, errRestless
}

// certain is the window from its lowest row that is shown on: below it nobody
// knows between which rows those lie that are not.
func (s window) certain() window {
	if len(s.rows) == 0 || s.low == 0 {
		return s
	}
	first := s.indexes()[0]
	s.low = first
	s.unseen = slices.DeleteFunc(slices.Clone(s.unseen), func(u unseenRow) bool { return u.index < first })
	return s
}

// note makes a mark that accounts for the rows below a place remember the newest
// of them. Of those it does not remember nobody will know what was left out.
func (at place) note(next *checkpoint.Mark) {
	s := at.below
	for _, row := range s.rows {
		if row.Date.After(next.NewestEvent) {
			next.NewestEvent = row.Date
		}
	}
	if at.keyed {
		u := checkpoint.Unnumbered{Dropped: s.low}.Remember(keys(s.rows)...)
		for _, row := range s.unseen {
			u.Hidden = append(u.Hidden, row.index)
		}
		next.Unnumbered = u
		return
	}
	if n := len(s.rows); n > 0 {
		if s.low > 0 {
			next.Forgotten = s.rows[0].ID - 1
		}
		next.Seal = seal(s.rows[n-1])
	}
	var places []checkpoint.Place
	for _, row := range s.unseen {
		places = append(places, s.place(row))
	}
	*next = next.Remember(ids(s.rows)...).Hide(places...)
	next.MovedTo = next.Newest()
}

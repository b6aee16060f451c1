package poller

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"
)

const (
	ancestryAge   = 10 * time.Minute // what is known of a folder is asked for again after
	ancestrySize  = 10_000           // folders known at the same time
	deepest       = 100              // folders inside one another
	lookups       = 20               // requests in a row
	lookupEvery   = 500 * time.Millisecond
	lookupTimeout = 5 * time.Second
)

// errLater is the answer while the portal is not to be asked.
var errLater = errors.New("the portal cannot be asked now")

// An ancestry knows in which folder a folder lies, from what hints told and
// from the portal. It is used by one goroutine. Knowing only the folder above,
// and not the whole way up, it stays right for everything inside a folder that
// is moved.
type ancestry struct {
	schedule *Schedule
	lookup   *rate.Limiter
	above    map[int]knownParent
}

type knownParent struct {
	id int // 0: nothing above that could be watched
	at time.Time
}

func newAncestry(s *Schedule) *ancestry {
	return &ancestry{schedule: s, lookup: rate.NewLimiter(rate.Every(lookupEvery), lookups), above: make(map[int]knownParent)}
}

func (a *ancestry) learn(folder, parent int) {
	if len(a.above) >= ancestrySize {
		clear(a.above) // costs a request for each folder that is met again
	}
	a.above[folder] = knownParent{parent, time.Now()}
}

func (a *ancestry) known(folder int) (parent int, ok bool) {
	k, ok := a.above[folder]
	return k.id, ok && time.Since(k.at) < ancestryAge
}

// parent returns the folder above, 0 for a room, whose log is the topmost, and
// for a folder the account cannot see.
func (a *ancestry) parent(ctx context.Context, folder int) (int, error) {
	if parent, ok := a.known(folder); ok {
		return parent, nil
	}
	if a.schedule.poller.description(folder).RoomType != 0 {
		return 0, nil
	}
	if a.schedule.troubled() {
		return 0, errLater
	}
	if err := a.lookup.Wait(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	f, err := a.schedule.poller.portal.Folder(ctx, folder)
	switch {
	case unreadable(err), err == nil && f.RoomType != 0:
		f.ParentID = 0
	case err != nil:
		return 0, err
	}
	a.learn(folder, f.ParentID)
	return f.ParentID, nil
}

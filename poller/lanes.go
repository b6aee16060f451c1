package poller

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"docspace-nats/poller/queue"
)

// Lanes: folders in which something happens, quiet ones, and those with history
// to read wait apart, and each kind gets its share of the workers, as long as it
// has something to do. Where there is more to poll than the portal allows, quiet
// folders wait longer and active ones do not.

// activeShare is the part of the longest interval below which a folder is in the
// lane of the active ones.
const activeShare = 4

// seatPatience is how long a folder that was taken waits for a worker before
// it is left to other replicas.
const seatPatience = 10 * time.Second

// seats are the workers. History takes half of them at most: reading it may
// take hours, and the other half sees what happens meanwhile.
type seats struct {
	all     *semaphore.Weighted
	history *semaphore.Weighted
}

func newSeats(workers int) seats {
	return seats{
		all:     semaphore.NewWeighted(int64(workers)),
		history: semaphore.NewWeighted(int64(max(1, workers/2))),
	}
}

// wanted waits until a folder of the lane may be asked for.
func (s seats) wanted(ctx context.Context, lane queue.Lane) error {
	if lane != queue.History {
		return ctx.Err()
	}
	return s.history.Acquire(ctx, 1)
}

// unwanted takes back what wanted allowed.
func (s seats) unwanted(lane queue.Lane) {
	if lane == queue.History {
		s.history.Release(1)
	}
}

// take takes a seat for a folder that was wanted, and reports whether there was
// one. The lanes take turns. Without other replicas it waits as long as it takes:
// who gave the folder back would put it behind those that are due since.
func (s seats) take(ctx context.Context, replicas int) bool {
	if replicas > 1 {
		patient, cancel := context.WithTimeout(ctx, seatPatience)
		defer cancel()
		ctx = patient
	}
	return s.all.Acquire(ctx, 1) == nil
}

func (s seats) leave(lane queue.Lane) {
	s.all.Release(1)
	s.unwanted(lane)
}

// lane is where a folder waits for its next poll. The caller holds the lock.
func (s *Schedule) lane(t *turn) queue.Lane {
	switch {
	case t.history:
		return queue.History
	case t.interval < s.opts.MaxInterval/activeShare:
		return queue.Active
	}
	return queue.Quiet
}

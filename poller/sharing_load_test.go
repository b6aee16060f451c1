package poller

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/poller/queue"
)

// A countingQueue counts what a replica tells the queue.
type countingQueue struct {
	queue.Queue
	taken, returned, put, removed atomic.Int64
}

func (q *countingQueue) Take(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	l, err := q.Queue.Take(ctx, lane)
	if err != nil {
		return nil, err
	}
	q.taken.Add(1)
	return countingLease{l, q}, nil
}

func (q *countingQueue) Put(ctx context.Context, folder int, lane queue.Lane) error {
	q.put.Add(1)
	return q.Queue.Put(ctx, folder, lane)
}

type countingLease struct {
	queue.Lease
	q *countingQueue
}

func (l countingLease) Return(ctx context.Context, lane queue.Lane, after time.Duration) error {
	l.q.returned.Add(1)
	return l.Lease.Return(ctx, lane, after)
}

func (l countingLease) Remove() error {
	l.q.removed.Add(1)
	return l.Lease.Remove()
}

func (q *countingQueue) String() string {
	return fmt.Sprintf("%d taken, %d given back, %d put, %d removed", q.taken.Load(), q.returned.Load(), q.put.Load(), q.removed.Load())
}

func (c *crew) counted(t *testing.T, d *Discovery, opts ScheduleOptions) (*Schedule, *countingQueue) {
	q := &countingQueue{Queue: c.memory.Replica()}
	opts.Log = zerolog.Nop()
	s := NewSchedule(New(c.client, c.ledger, c.poller.opts), q, opts)
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { _ = s.Run(ctx) })
	parts.Go(func() { _ = d.Run(ctx, s) })
	t.Cleanup(func() { cancel(); parts.Wait() })
	return s, q
}

// What is said to the queue in each bad state, in ten minutes.
func TestNoStateMakesTheQueueHot(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, c *crew) *countingQueue{
		"the portal is down": func(t *testing.T, c *crew) *countingQueue {
			_, q := c.counted(t, &Discovery{}, ScheduleOptions{})
			time.Sleep(10 * time.Minute)
			c.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Refuse()})
			return q
		},
		"the portal is down, two replicas": func(t *testing.T, c *crew) *countingQueue {
			_, q := c.counted(t, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
			time.Sleep(10 * time.Minute)
			c.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Refuse()})
			return q
		},
		"all workers are busy": func(t *testing.T, c *crew) *countingQueue {
			c.portal.Fail(docspacetest.Fault{Times: -1, Route: docspacetest.RouteHistory, Do: docspacetest.Stall(time.Minute)})
			_, q := c.counted(t, &Discovery{}, ScheduleOptions{Workers: 1})
			return q
		},
		"another deployment's folders": func(t *testing.T, c *crew) *countingQueue {
			for folder := range 100 {
				_ = c.memory.Put(t.Context(), 10_000+folder, queue.Active)
			}
			_, q := c.counted(t, &Discovery{IDs: []int{c.room}}, ScheduleOptions{Replicas: others{2, false}})
			return q
		},
		"named folders that cannot be looked at": func(t *testing.T, c *crew) *countingQueue {
			c.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Refuse()})
			_, q := c.counted(t, &Discovery{IDs: []int{c.room, c.room + 1}}, ScheduleOptions{})
			_ = c.memory.Put(t.Context(), c.room, queue.Active)
			return q
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t)
				for range 99 {
					c.portal.CreateRoom(nil, "Another room")
				}
				q := make(t, c)
				before, polls := q.taken.Load(), c.portal.Requests()
				time.Sleep(10 * time.Minute)
				t.Logf("in ten minutes %d taken, %d requests; in all %s", q.taken.Load()-before, c.portal.Requests()-polls, q)
				if n := q.taken.Load() - before; n > 100*10*60/4 {
					t.Errorf("%d leases in ten minutes", n)
				}
			})
		})
	}
}

// One replica with one worker, many active folders, many quiet ones and a long
// history.
func TestOneWorkerStarvesNoLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		c.portal.Fail(docspacetest.Fault{Times: -1, Route: docspacetest.RouteHistory, Do: docspacetest.Stall(2 * time.Second)})
		c.poller.opts.Prefetch = 1 // each history alone takes longer than a folder may wait
		for range 10 {
			c.portal.CreateRoom(nil, "Quiet room")
		}
		s, q := c.counted(t, &Discovery{}, ScheduleOptions{Workers: 1})
		time.Sleep(time.Hour)
		for range 2 {
			c.portal.Fill(c.portal.CreateRoom(nil, "History"), 35_000, 1)
		}
		var worst time.Duration
		folder := 0
		for range 1200 {
			time.Sleep(time.Second)
			for _, f := range s.Standings() {
				if f.Unread == 0 && f.Folder != 0 {
					if w := time.Since(f.Polled); w > worst && !f.Polled.IsZero() {
						worst, folder = w, f.Folder
					}
				}
			}
		}
		t.Logf("%s; folder %d waited %s", q, folder, worst)
		if worst > 10*time.Minute {
			t.Errorf("not polled for %s", worst)
		}
	})
}

// The portal allows less than the folders ask for: they take turns.
func TestWhereThePortalAllowsTooLittleTheFoldersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		for range 99 {
			c.portal.CreateRoom(nil, "Another room")
		}
		s, q := c.counted(t, &Discovery{}, ScheduleOptions{})
		time.Sleep(time.Hour)
		c.client.SetRequestsPerMinute(25) // they ask for 50: each is due every two minutes
		time.Sleep(time.Hour)
		var worst time.Duration
		for range 2 * 360 {
			time.Sleep(10 * time.Second)
			for _, f := range s.Standings() {
				worst = max(worst, time.Since(f.Polled))
			}
		}
		t.Logf("%s; at most %s between two polls", q, worst)
		if worst > 12*time.Minute { // four minutes would be even
			t.Errorf("a folder was not polled for %s", worst)
		}
	})
}

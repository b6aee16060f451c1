package poller

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"docspace-nats/poller/queue"
)

// ScheduleOptions say when folders are polled. The zero value of each field
// means its documented default.
type ScheduleOptions struct {
	MinInterval time.Duration // between polls of a folder that just changed; default 5 s
	MaxInterval time.Duration // between polls of an idle or failing folder; default 2 min
	Workers     int           // polls at the same moment; default 8
	Replicas    Replicas      // who else takes folders from the queue; default: nobody
	Past        bool          // Run ends when every folder was read to its end, or given up
	Log         zerolog.Logger
}

// Replicas are the processes that take folders from the same queue.
type Replicas interface {
	// Count is how many there are, this one included.
	Count() int
	// Alike reports whether all were told to watch the same folders.
	Alike() bool
}

// A Schedule polls the watched folders again and again: often while rows come in,
// ever less often while none do. Which folder is next, and when, is the queue's
// business, which other replicas share.
type Schedule struct {
	poller *Poller
	queue  queue.Queue
	opts   ScheduleOptions
	seats  seats

	mu        sync.Mutex
	discovery *Discovery // decides about folders that are not watched; nil before it began
	folders   map[int]*turn
	inHand    int // polls at this moment
	trouble   trouble
	calm      calm
	found     discovery
	toldIDs   bool // that there are none
	lame      lameness
	hinted    []*turn       // folders with hints that were not handed on
	changed   chan struct{} // closed when somebody who waits should look again
	added     chan struct{} // a folder is watched that may not be in the queue
}

// NewSchedule returns a Schedule without folders.
func NewSchedule(p *Poller, q queue.Queue, opts ScheduleOptions) *Schedule {
	opts.MinInterval = cmp.Or(opts.MinInterval, 5*time.Second)
	opts.MaxInterval = max(cmp.Or(opts.MaxInterval, 2*time.Minute), opts.MinInterval)
	opts.Workers = cmp.Or(opts.Workers, 8)
	if opts.Replicas == nil {
		opts.Replicas = alone{}
	}
	return &Schedule{
		poller:  p,
		queue:   q,
		opts:    opts,
		seats:   newSeats(opts.Workers),
		folders: make(map[int]*turn),
		changed: make(chan struct{}),
		added:   make(chan struct{}, 1),
	}
}

// alone is a process without other replicas.
type alone struct{}

func (alone) Count() int  { return 1 }
func (alone) Alike() bool { return true }

// shared reports whether other replicas take folders from the queue, too.
func (s *Schedule) shared() bool { return s.opts.Replicas.Count() > 1 }

// Watch adds a folder and reports whether it is new; one already watched stays
// as it is.
func (s *Schedule) Watch(folder int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folders[folder] != nil {
		return false
	}
	s.folders[folder] = &turn{
		folder: folder, interval: s.opts.MinInterval, history: true,
		standing: Standing{Folder: folder, Since: time.Now()},
	}
	select {
	case s.added <- struct{}{}:
	default:
	}
	s.rouse()
	return true
}

// Run polls until ctx ends. A poll in hand is cut: its commit happens or does
// not, its folder is given back to the queue, and whoever polls it next goes on
// from the mark. Only a portal that is too old ends it earlier, with an error
// that is ErrTooOld, and the end of a past.
func (s *Schedule) Run(ctx context.Context) error {
	members, ctx := errgroup.WithContext(ctx)
	if s.opts.Past {
		members.Go(func() error { return s.awaitOver(ctx) })
	}
	members.Go(func() error { return s.stock(ctx) })
	members.Go(func() error { return s.hurry(ctx) })
	for _, lane := range queue.Lanes() {
		members.Go(func() error { return s.serve(ctx, lane, members) })
	}
	if err := members.Wait(); !errors.Is(err, errOver) {
		return err
	}
	return nil
}

// serve takes the folders of a lane and has them polled.
func (s *Schedule) serve(ctx context.Context, lane queue.Lane, polls *errgroup.Group) error {
	for {
		lease, err := s.next(ctx, lane)
		if err != nil {
			return nil
		}
		polls.Go(func() error {
			defer s.seats.leave(lane)
			return s.poll(ctx, lease)
		})
	}
}

// A lane that fails is asked again soon, then ever less often: trouble that is over
// in a moment does not keep this process idle for much longer than it lasted,
// whatever the intervals are.
const (
	laneRetry     = 500 * time.Millisecond
	laneLongRetry = 5 * time.Second
)

// next waits for a folder of a lane, and for a worker to poll it.
func (s *Schedule) next(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	if err := s.seats.wanted(ctx, lane); err != nil {
		return nil, err
	}
	wait := min(laneRetry, s.opts.MinInterval)
	for ctx.Err() == nil {
		if s.awaitCalm(ctx) != nil {
			break
		}
		lease, err := s.queue.Take(ctx, lane)
		switch {
		case err != nil && ctx.Err() == nil:
			s.tellQueue(err)
			s.pause(ctx, jitter(wait))
			wait = min(2*wait, laneLongRetry)
		case err != nil:
		case s.seats.take(ctx, s.opts.Replicas.Count()):
			s.tellQueue(nil)
			return lease, nil
		default:
			s.giveBack(ctx, lease, lane, 0)
		}
	}
	s.seats.unwanted(lane)
	return nil, ctx.Err()
}

// awaitCalm waits while there is nothing to poll, or no folder can be. In
// trouble one poll at a time tries for all.
func (s *Schedule) awaitCalm(ctx context.Context) error {
	for {
		s.mu.Lock()
		wait, changed := s.standstill(time.Now()), s.changed
		if wait == 0 && len(s.folders) == 0 {
			wait = s.opts.MaxInterval
		}
		s.mu.Unlock()
		if wait == 0 {
			return ctx.Err()
		}
		if err := await(ctx, wait, changed); err != nil {
			return err
		}
	}
}

// await waits for a time, or until a channel is closed.
func await(ctx context.Context, wait time.Duration, changed <-chan struct{}) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
	}
	return ctx.Err()
}

// pause waits for a time.
func (s *Schedule) pause(ctx context.Context, wait time.Duration) { _ = await(ctx, wait, nil) }

// rouse wakes those who wait. The caller holds the lock.
func (s *Schedule) rouse() {
	close(s.changed)
	s.changed = make(chan struct{})
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller/queue"
)

// A lane is where folders of one kind are pulled from. A few are pulled ahead, and
// their leases renewed while they wait for a worker: the server hands what becomes
// due at once to its requests in turn, so replicas whose requests ask for several
// get as much of it.
type lane struct {
	mu      sync.Mutex
	pulling bool
	ill     time.Time // since when no request ended well; zero when the last one did
	leased  chan *lease
	room    chan struct{} // as many as folders may be pulled
	failed  chan error    // why there will be no more
}

func newLane() *lane {
	l := &lane{leased: make(chan *lease, pullAhead), room: make(chan struct{}, pullAhead), failed: make(chan error, 1)}
	for range pullAhead {
		l.room <- struct{}{}
	}
	return l
}

// passing reports whether pulling ended as it does when servers come and go: the
// connection or the request was lost, or the consumer is led by another, by nobody
// yet, or gone. It is more than that when no request ends well for long.
func passing(err error) bool {
	for _, kind := range []error{
		errDisconnected, nats.ErrNoResponders, jetstream.ErrNoHeartbeat, jetstream.ErrServerShutdown,
		jetstream.ErrConsumerLeadershipChanged, jetstream.ErrConsumerDeleted,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// open begins to pull from a lane, through a consumer that it creates when that
// is gone, and the stream with it. What is not answered it asks for again.
func (q *Queue) open(ctx context.Context, name queue.Lane, l *lane) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pulling {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	var consumer jetstream.Consumer
	err := q.j.untilLed(ctx, func() (err error) {
		consumer, err = q.consumer(ctx, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("lane %s of the queue %s: %w", name, q.j.queueName(), err)
	}
	l.pulling = true
	l.unsaid()
	q.pulls.Go(func() {
		err := q.pull(name, l, consumer)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pulling = false
		if l.ill.IsZero() {
			l.ill = time.Now()
		}
		l.failed <- err
	})
	return nil
}

// consumer returns the consumer of a lane. It does not wait for long: an answer may
// be lost when another server comes to lead.
func (q *Queue) consumer(ctx context.Context, name queue.Lane) (jetstream.Consumer, error) {
	ctx, cancel := q.j.whileConnected(ctx, openWait)
	defer cancel()
	if err := q.prepare(ctx); err != nil {
		return nil, cause(ctx, err)
	}
	consumer, err := q.j.js.CreateOrUpdateConsumer(ctx, q.j.queueName(), q.wantedLane(name))
	if err != nil {
		return nil, cause(ctx, err)
	}
	return consumer, nil
}

// unsaid forgets a failure nobody took notice of, so that the next one need not
// wait. The caller holds the lock.
func (l *lane) unsaid() {
	select {
	case <-l.failed:
	default:
	}
}

// pull leases what the server hands out, as long as there is room for it, until
// it fails. A request does not outlive the connection it was sent on: the next one
// is to be sent as soon as there is another.
func (q *Queue) pull(name queue.Lane, l *lane, consumer jetstream.Consumer) error {
	ctx, end := whileConnected(q.ctx, q.j.nc)
	defer end()
	if !q.j.nc.IsConnected() {
		return errDisconnected
	}
	for {
		room, err := l.roomFor(ctx)
		if err != nil {
			return context.Cause(ctx)
		}
		leased, err := q.fetch(ctx, name, l, consumer, room)
		for range room - leased {
			l.room <- struct{}{}
		}
		switch {
		case err == nil, errors.Is(err, context.DeadlineExceeded):
			l.well()
			continue
		case errors.Is(err, nats.ErrNoResponders):
			leaderless(ctx)
		}
		return cause(ctx, err)
	}
}

func (l *lane) well() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ill = time.Time{}
}

// lasting reports whether no request has ended well for so long that it is more than
// servers that come and go.
func (l *lane) lasting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ill.IsZero() && time.Since(l.ill) > queueWait
}

// leaderless waits a moment: nobody leads the consumer, as when it was just made.
func leaderless(ctx context.Context) {
	moment := time.NewTimer(200 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-moment.C:
	case <-ctx.Done():
	}
}

// fetch asks for some folders and leases them, until it has as many or the
// request is over.
func (q *Queue) fetch(ctx context.Context, name queue.Lane, l *lane, consumer jetstream.Consumer, some int) (leased int, err error) {
	ctx, cancel := context.WithTimeout(ctx, pullLasts)
	defer cancel()
	batch, err := consumer.Fetch(some, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(q.beats))
	if err != nil {
		return 0, err
	}
	for msg := range batch.Messages() {
		if q.take(name, l, msg) {
			leased++
		}
	}
	return leased, batch.Error()
}

// roomFor waits until there is room for a folder, and takes all there is.
func (l *lane) roomFor(ctx context.Context) (room int, err error) {
	select {
	case <-l.room:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for room = 1; ; room++ {
		select {
		case <-l.room:
		default:
			return room, nil
		}
	}
}

// take leases the folder of a message, and reports whether it is to be polled
// now.
func (q *Queue) take(name queue.Lane, l *lane, msg jetstream.Msg) bool {
	leased, wait, err := q.lease(msg, name)
	switch {
	case err != nil:
		_ = msg.Term() // nobody else can read it either
	case wait > 0:
		_ = msg.NakWithDelay(wait)
	default:
		l.leased <- leased
		return true
	}
	return false
}

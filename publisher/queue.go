package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller/queue"
)

// The queue of folders is a small work-queue stream. Each folder is one message,
// its lane a durable consumer. To pull the message is to lease the folder: the
// consumer's ack_wait is how long the lease outlives its holder, an InProgress
// renews it, and a Nak with a delay gives the folder back until it is due.
//
// A holder that was paused for long may answer for a message that meanwhile
// was leased to another. With Nak and InProgress that only moves a time. An Ack
// removes the message whoever holds it, so it is used in two cases: when the folder
// lies in another lane, and when nobody watches it.
//
// Messages are put in expectation of none on their subject, so that a folder lies
// in a lane once.

const (
	// leaseLasts is how long a folder stays with a replica that was not heard
	// of. It is renewed three times as often.
	leaseLasts = 10 * time.Second

	// pullLasts is for how long one request for a folder waits at the server,
	// and pullBeats how often the server says that it does. When it misses two
	// of those, the request is lost, as when another server just came to lead
	// the consumer, or the consumer is gone. Until then this replica gets nothing.
	pullLasts = 15 * time.Second
	pullBeats = time.Second

	pullAhead = 4 // folders of a lane that wait in a replica

	// longestWait bounds what a message may say about when it is due.
	longestWait = time.Hour

	queueWait = 10 * time.Second       // for one call to the server
	openWait  = 2 * time.Second        // for the calls that begin to pull, before they are repeated
	closeWait = 500 * time.Millisecond // until the server has what was given back
	handOver  = 250 * time.Millisecond // until it has none of our requests any more
)

// A Queue implements queue.Queue on a stream named <stream>_POLL.
type Queue struct {
	j     *JetStream
	alone func() bool
	lasts time.Duration
	beats time.Duration
	lanes map[queue.Lane]*lane

	ctx   context.Context // of all that pull
	stop  context.CancelFunc
	pulls sync.WaitGroup
}

// A note is the content of a folder's message.
type note struct {
	Due  time.Time `json:"due,omitzero"`  // not to be polled before
	Wait int64     `json:"wait,omitzero"` // milliseconds to Due at first, should a clock be wrong
	Rows int       `json:"rows,omitzero"` // that were announced
}

// Queue returns the queue of folders that belongs to the stream. Whoever asks for it
// closes it. alone reports whether no other replica takes folders from it.
func (j *JetStream) Queue(alone func() bool) *Queue {
	q := &Queue{j: j, alone: alone, lasts: leaseLasts, beats: pullBeats, lanes: make(map[queue.Lane]*lane)}
	for _, name := range queue.Lanes() {
		q.lanes[name] = newLane()
	}
	q.ctx, q.stop = context.WithCancel(context.Background())
	return q
}

// Folders implements queue.Queue.
func (q *Queue) Folders(ctx context.Context) (map[int]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	lanes, err := q.j.lanes(ctx)
	if err != nil {
		return nil, err
	}
	if lanes == nil {
		return nil, q.prepare(ctx)
	}
	folders := make(map[int]bool, len(lanes))
	for folder := range lanes {
		folders[folder] = true
	}
	return folders, nil
}

// lanes returns in which lane each folder of the queue lies, and of two the one
// beside Hinted; nil when there is no queue.
func (j *JetStream) lanes(ctx context.Context) (map[int]queue.Lane, error) {
	stream, err := j.js.Stream(ctx, j.queueName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = stream.Info(ctx, jetstream.WithSubjectFilter(j.queueSubject("*", "*")))
	}
	if err != nil {
		return nil, fmt.Errorf("folders in the queue %s: %w", j.queueName(), err)
	}
	lanes := make(map[int]queue.Lane)
	for subject := range info.State.Subjects {
		folder, err := folderIn(subject)
		lane, served := laneOf(subject)
		if err == nil && served && (lane != queue.Hinted || lanes[folder] == "") {
			lanes[folder] = lane
		}
	}
	return lanes, nil
}

// laneOf reads the lane out of a subject, and reports whether this version has it.
func laneOf(subject string) (queue.Lane, bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 3 {
		return "", false
	}
	lane := queue.Lane(parts[1])
	return lane, slices.Contains(queue.Lanes(), lane)
}

// folderIn reads the folder out of a subject of the queue.
func folderIn(subject string) (int, error) {
	folder, err := strconv.Atoi(subject[strings.LastIndexByte(subject, '.')+1:])
	if err != nil || folder <= 0 {
		return 0, fmt.Errorf("subject %q ends with no folder", subject)
	}
	return folder, nil
}

// Put implements queue.Queue.
func (q *Queue) Put(ctx context.Context, folder int, lane queue.Lane) error {
	_, err := q.put(ctx, folder, lane, note{}, 0)
	return err
}

// Hurry implements queue.Queue.
func (q *Queue) Hurry(ctx context.Context, folder, rows int) (bool, error) {
	return q.put(ctx, folder, queue.Hinted, note{Rows: rows}, 0)
}

// put stores the folder's message in the place of one of a sequence, 0 for none,
// and reports true, unless there is another one, or another replica just stores it.
func (q *Queue) put(ctx context.Context, folder int, lane queue.Lane, n note, last uint64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	body, err := json.Marshal(n)
	if err != nil {
		return false, err
	}
	subject := q.j.queueSubject(lane, strconv.Itoa(folder))
	_, err = q.j.js.Publish(ctx, subject, body, jetstream.WithExpectStream(q.j.queueName()), jetstream.WithExpectLastSequencePerSubject(last))
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &refused) && (refused.ErrorCode == codeWrongLastSequence || refused.ErrorCode == codeFenceInFlight):
		return false, nil
	}
	return false, fmt.Errorf("put folder %d into the queue %s: %w", folder, q.j.queueName(), err)
}

// Take implements queue.Queue.
func (q *Queue) Take(ctx context.Context, name queue.Lane) (queue.Lease, error) {
	l := q.lanes[name]
	for {
		if err := q.open(ctx, name, l); err != nil {
			return nil, err
		}
		select {
		case leased := <-l.leased:
			l.room <- struct{}{}
			if leased.take() {
				return leased, nil
			}
		case err := <-l.failed:
			if passing(err) && !l.lasting() {
				continue
			}
			return nil, fmt.Errorf("next folder of the queue %s: %w", q.j.queueName(), err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close gives back what was handed to this process and not taken, so that
// others need not wait for it. Nothing may be taken any more.
func (q *Queue) Close() {
	q.stop()
	q.pulls.Wait()
	for _, l := range q.lanes {
		for len(l.leased) > 0 {
			leased := <-l.leased
			_ = leased.Return(q.ctx, leased.lane, 0)
		}
	}
	_ = q.j.nc.FlushTimeout(closeWait)
}

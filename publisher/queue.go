package publisher

import (
	"context"
	"errors"
	"fmt"
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
	// of those, the consumer is gone, as after a restart of a single server.
	pullLasts = 15 * time.Second
	pullBeats = 3 * time.Second

	// longestWait bounds what a message may say about when it is due.
	longestWait = time.Hour

	queueWait = 10 * time.Second // for one call to the server
)

// A Queue implements queue.Queue on a stream named <stream>_POLL.
type Queue struct {
	j     *JetStream
	lasts time.Duration
	lanes map[queue.Lane]*lane
}

// A lane is where folders of one kind are pulled from.
type lane struct {
	mu       sync.Mutex
	messages jetstream.MessagesContext // nil until it is needed, and after trouble
}

// A note is the content of a folder's message.
type note struct {
	Due  time.Time `json:"due,omitzero"`  // not to be polled before
	Rows int       `json:"rows,omitzero"` // that were announced
}

// OpenQueue returns the queue of folders that belongs to the stream, and creates
// it when it is absent.
func (j *JetStream) OpenQueue(ctx context.Context) (*Queue, error) {
	q := &Queue{j: j, lasts: leaseLasts, lanes: make(map[queue.Lane]*lane)}
	for _, name := range queue.Lanes() {
		q.lanes[name] = new(lane)
	}
	return q, q.prepare(ctx)
}

func (j *JetStream) queueName() string { return j.o.Stream + "_POLL" }

// queueSubject begins with the name of the queue: under the prefix it could not be
// where the stream takes everything below.
func (j *JetStream) queueSubject(lane queue.Lane, folder string) string {
	return fmt.Sprintf("%s.%s.%s", j.queueName(), lane, folder)
}

func (j *JetStream) wantedQueue() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              j.queueName(),
		Description:       "The folders that docspace-nats polls for stream " + j.o.Stream + ", shared by its replicas.",
		Subjects:          []string{j.queueSubject("*", "*")},
		Retention:         jetstream.WorkQueuePolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        4 << 10,
		Storage:           jetstream.FileStorage,
		Replicas:          j.o.Replicas,
	}
}

// wantedLane keeps its state in memory: a poll that finds nothing writes
// nothing. When all servers restart, every folder is due at once.
func (q *Queue) wantedLane(name queue.Lane) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       string(name),
		FilterSubject: q.j.queueSubject(name, "*"),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       q.lasts,
		MaxDeliver:    -1, // each poll is a delivery
		MaxAckPending: -1, // each folder that waits counts
		MemoryStorage: true,
	}
}

// prepare creates the stream when it is absent. An existing one is never
// changed, and refused when it is not such a queue.
func (q *Queue) prepare(ctx context.Context) error {
	want := q.j.wantedQueue()
	stream, err := q.j.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = q.j.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = q.j.js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("stream %s, the queue of folders: %w", want.Name, err)
	}
	have := stream.CachedInfo().Config
	switch {
	case have.Retention != jetstream.WorkQueuePolicy:
		return fmt.Errorf("stream %s, the queue of folders: retention is %s, needs workqueue: remove the stream, and it is made anew", want.Name, have.Retention)
	case have.MaxMsgsPerSubject != 1 || have.Discard != jetstream.DiscardOld:
		return fmt.Errorf("stream %s, the queue of folders: max_msgs_per_subject is %d and discard %s, needs 1 and old: remove the stream, and it is made anew",
			want.Name, have.MaxMsgsPerSubject, have.Discard)
	case len(have.Subjects) == 0 || !covers(have.Subjects[0], want.Subjects[0]):
		return fmt.Errorf("stream %s, the queue of folders: subjects are %q, needs %q", want.Name, have.Subjects, want.Subjects)
	}
	return nil
}

// Folders implements queue.Queue.
func (q *Queue) Folders(ctx context.Context) (map[int]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	stream, err := q.j.js.Stream(ctx, q.j.queueName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, q.prepare(ctx)
	}
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = stream.Info(ctx, jetstream.WithSubjectFilter(q.j.queueSubject("*", "*")))
	}
	if err != nil {
		return nil, fmt.Errorf("folders in the queue %s: %w", q.j.queueName(), err)
	}
	folders := make(map[int]bool)
	for subject := range info.State.Subjects {
		if folder, err := folderIn(subject); err == nil {
			folders[folder] = true
		}
	}
	return folders, nil
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
	_, err := q.put(ctx, folder, lane, note{})
	return err
}

// Hurry implements queue.Queue.
func (q *Queue) Hurry(ctx context.Context, folder, rows int) (bool, error) {
	return q.put(ctx, folder, queue.Hinted, note{Rows: rows})
}

// put stores the folder's message and reports true, unless there is one, or
// another replica just stores it.
func (q *Queue) put(ctx context.Context, folder int, lane queue.Lane, n note) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	body, err := json.Marshal(n)
	if err != nil {
		return false, err
	}
	subject := q.j.queueSubject(lane, strconv.Itoa(folder))
	_, err = q.j.js.Publish(ctx, subject, body, jetstream.WithExpectStream(q.j.queueName()), jetstream.WithExpectLastSequencePerSubject(0))
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
		messages, err := q.open(ctx, name, l)
		if err != nil {
			return nil, err
		}
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			l.drop(messages)
			return nil, fmt.Errorf("next folder of the queue %s: %w", q.j.queueName(), err)
		}
		leased, wait, err := q.lease(msg, name)
		switch {
		case err != nil:
			_ = msg.Term() // nobody else can read it either
		case wait > 0:
			_ = msg.NakWithDelay(wait)
		default:
			return leased, nil
		}
	}
}

// open returns the lane's messages, from a consumer that it creates when that is
// gone, and the stream with it.
func (q *Queue) open(ctx context.Context, name queue.Lane, l *lane) (jetstream.MessagesContext, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.messages != nil {
		return l.messages, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	if err := q.prepare(ctx); err != nil {
		return nil, err
	}
	consumer, err := q.j.js.CreateOrUpdateConsumer(ctx, q.j.queueName(), q.wantedLane(name))
	if err == nil {
		l.messages, err = consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullLasts), jetstream.PullHeartbeat(pullBeats))
	}
	if err != nil {
		return nil, fmt.Errorf("lane %s of the queue %s: %w", name, q.j.queueName(), err)
	}
	return l.messages, nil
}

// drop forgets messages that are of no use any more.
func (l *lane) drop(messages jetstream.MessagesContext) {
	l.mu.Lock()
	defer l.mu.Unlock()
	messages.Stop()
	if l.messages == messages {
		l.messages = nil
	}
}

// Close gives back what was handed to this process and not taken, so that
// others need not wait for it. Nothing may be taken any more.
func (q *Queue) Close() {
	for _, l := range q.lanes {
		l.mu.Lock()
		if l.messages != nil {
			l.messages.Drain()
			for msg, err := l.messages.Next(); err == nil; msg, err = l.messages.Next() {
				_ = msg.Nak()
			}
			l.messages = nil
		}
		l.mu.Unlock()
	}
	_ = q.j.nc.FlushTimeout(answerWait)
}

package publisher

import (
	"cmp"
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
	// of those, the consumer is gone, as after a restart of a single server.
	pullLasts = 15 * time.Second
	pullBeats = 3 * time.Second

	pullAhead = 4 // folders of a lane that wait in a replica

	// longestWait bounds what a message may say about when it is due.
	longestWait = time.Hour

	queueWait = 10 * time.Second // for one call to the server
)

// A Queue implements queue.Queue on a stream named <stream>_POLL.
type Queue struct {
	j     *JetStream
	lasts time.Duration
	lanes map[queue.Lane]*lane

	ctx   context.Context // of all that pull
	stop  context.CancelFunc
	pulls sync.WaitGroup
}

// A lane is where folders of one kind are pulled from. A few are pulled ahead, and
// their leases renewed while they wait for a worker: the server hands what becomes
// due at once to its requests in turn, so replicas whose requests ask for several
// get as much of it.
type lane struct {
	mu      sync.Mutex
	pulling bool
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

// A note is the content of a folder's message.
type note struct {
	Due  time.Time `json:"due,omitzero"`  // not to be polled before
	Rows int       `json:"rows,omitzero"` // that were announced
}

// Queue returns the queue of folders that belongs to the stream. Whoever asks for it
// closes it.
func (j *JetStream) Queue() *Queue {
	q := &Queue{j: j, lasts: leaseLasts, lanes: make(map[queue.Lane]*lane)}
	for _, name := range queue.Lanes() {
		q.lanes[name] = newLane()
	}
	q.ctx, q.stop = context.WithCancel(context.Background())
	return q
}

// queueSuffix makes the name of the queue of the name of the stream.
const queueSuffix = "_POLL"

func (j *JetStream) queueName() string { return j.o.Stream + queueSuffix }

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

// prepare creates the queue's stream when it is absent.
func (q *Queue) prepare(ctx context.Context) error {
	found, err := q.j.prepareQueue(ctx)
	return cmp.Or(err, found.Err())
}

// prepareQueue creates the stream when it is absent. An existing one is never
// changed.
func (j *JetStream) prepareQueue(ctx context.Context) (Findings, error) {
	have, err := j.queueConfig(ctx)
	if err == nil && have == nil && j.mayCall("STREAM.CREATE", j.queueName()) {
		if err = j.create(ctx, j.wantedQueue()); err == nil {
			have, err = j.queueConfig(ctx)
		}
	}
	return j.judgeQueue(have, err), err
}

// queueConfig returns the settings of the queue's stream, nil when it is absent.
func (j *JetStream) queueConfig(ctx context.Context) (*jetstream.StreamConfig, error) {
	stream, err := j.js.Stream(ctx, j.queueName())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("settings of stream %s: %w", j.queueName(), err)
	}
	return &stream.CachedInfo().Config, nil
}

// judgeQueue says what is wrong with the queue's stream. It holds nothing that
// cannot be made anew, so the way out is always the same.
func (j *JetStream) judgeQueue(have *jetstream.StreamConfig, err error) Findings {
	want := j.wantedQueue()
	broken := func(setting, have, need string) Findings {
		return Findings{{
			Severity: Broken, Setting: "stream " + want.Name + ": " + setting, Have: have, Need: need,
			Why: "it is the queue of folders that replicas share; delete it, and it is made anew",
		}}
	}
	switch {
	case err != nil:
		return nil
	case have == nil:
		return append(lackingToCreate(j.refused, want.Name), absent(want.Name))
	case have.Retention != want.Retention:
		return broken("retention", strings.ToLower(have.Retention.String()), "workqueue")
	case have.MaxMsgsPerSubject != want.MaxMsgsPerSubject:
		return broken("max_msgs_per_subject", fmt.Sprint(have.MaxMsgsPerSubject), fmt.Sprint(want.MaxMsgsPerSubject))
	case !slices.ContainsFunc(have.Subjects, func(s string) bool { return covers(s, want.Subjects[0]) }):
		return broken("subjects", fmt.Sprintf("%q", have.Subjects), want.Subjects[0])
	case have.MaxMsgs > 0 || have.MaxBytes > 0 || have.MaxAge > 0:
		return broken("limits", fmt.Sprintf("%d messages, %s bytes, %s", have.MaxMsgs, bytesText(have.MaxBytes), ageText(have.MaxAge)), "none")
	case have.Sealed || have.Mirror != nil || have.SubjectTransform != nil || have.NoAck:
		return broken("sealed, mirror, subject_transform or no_ack", "set", "none of them")
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
		if err := q.open(ctx, name, l); err != nil {
			return nil, err
		}
		select {
		case leased := <-l.leased:
			l.room <- struct{}{}
			return leased, nil
		case err := <-l.failed:
			if passing(err) {
				continue
			}
			return nil, fmt.Errorf("next folder of the queue %s: %w", q.j.queueName(), err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// passing reports whether pulling ended as it does when servers come and go: the
// request was not heard, or the consumer is led by another, or gone. The next
// request tells whether it is more than that.
func passing(err error) bool {
	for _, kind := range []error{jetstream.ErrNoHeartbeat, jetstream.ErrConsumerLeadershipChanged, jetstream.ErrConsumerDeleted} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// open begins to pull from a lane, through a consumer that it creates when that
// is gone, and the stream with it.
func (q *Queue) open(ctx context.Context, name queue.Lane, l *lane) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pulling {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	if err := q.prepare(ctx); err != nil {
		return err
	}
	consumer, err := q.j.js.CreateOrUpdateConsumer(ctx, q.j.queueName(), q.wantedLane(name))
	if err != nil {
		return fmt.Errorf("lane %s of the queue %s: %w", name, q.j.queueName(), err)
	}
	l.pulling = true
	q.pulls.Go(func() {
		err := q.pull(name, l, consumer)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pulling = false
		l.failed <- err
	})
	return nil
}

// pull leases what the server hands out, as long as there is room for it, until
// it fails.
func (q *Queue) pull(name queue.Lane, l *lane, consumer jetstream.Consumer) error {
	for {
		room, err := l.roomFor(q.ctx)
		if err != nil {
			return err
		}
		leased, err := q.fetch(name, l, consumer, room)
		for range room - leased {
			l.room <- struct{}{}
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// fetch asks for some folders and leases them, until it has as many or the
// request is over.
func (q *Queue) fetch(name queue.Lane, l *lane, consumer jetstream.Consumer, some int) (leased int, err error) {
	ctx, cancel := context.WithTimeout(q.ctx, pullLasts)
	defer cancel()
	batch, err := consumer.Fetch(some, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(pullBeats))
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
	_ = q.j.nc.FlushTimeout(answerWait)
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

// A readerRig is a stream with one message for each sequence, and what readers
// of it say.
type readerRig struct {
	t      *testing.T
	server *natstest.Server
	js     jetstream.JetStream

	mu   sync.Mutex
	told []string
}

func newReaderRig(t *testing.T, change ...func(*jetstream.StreamConfig)) *readerRig {
	t.Helper()
	return newReaderRigOn(t, natstest.Run(t), change...)
}

func newReaderRigOn(t *testing.T, server *natstest.Server, change ...func(*jetstream.StreamConfig)) *readerRig {
	t.Helper()
	r := &readerRig{t: t, server: server}
	nc := r.conn()
	plainStream(t, nc, "DOCSPACE", "docspace", change...)
	var err error
	if r.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return r
}

// conn returns a new connection for a reader.
func (r *readerRig) conn() *nats.Conn { return r.server.Conn(r.t, nats.NoEcho()) }

// store stores messages; the n-th is about folder n%3.
func (r *readerRig) store(from, to int) {
	r.t.Helper()
	for n := from; n <= to; n++ {
		if _, err := r.js.PublishAsync(fmt.Sprintf("docspace.folder.%d.file.moved", n%3), fmt.Append(nil, n)); err != nil {
			r.t.Fatal(err)
		}
	}
	select {
	case <-r.js.PublishAsyncComplete():
	case <-r.t.Context().Done():
		r.t.Fatal(r.t.Context().Err())
	}
}

func (r *readerRig) options(durable string) ReaderOptions {
	return ReaderOptions{Stream: "DOCSPACE", Subjects: []string{"docspace.folder.>"}, Durable: durable, Told: func(text string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, text)
	}}
}

func (r *readerRig) hasTold(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(strings.Join(r.told, "\n"), text)
}

// A reading is a Reader at work. Its end is that of the connection, as when the
// process dies.
type reading struct {
	t      *testing.T
	reader *Reader
	nc     *nats.Conn
	from   chan Delivery
	ended  chan error
	stop   context.CancelFunc
}

func (r *readerRig) read(nc *nats.Conn, o ReaderOptions) *reading {
	r.t.Helper()
	reader, err := OpenReader(r.t.Context(), nc, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.begin(reader)
}

func (r *readerRig) begin(reader *Reader) *reading {
	ctx, stop := context.WithCancel(r.t.Context())
	is := &reading{t: r.t, reader: reader, nc: reader.nc, from: make(chan Delivery), ended: make(chan error, 1), stop: stop}
	go func() { is.ended <- reader.Read(ctx, is.from) }()
	r.t.Cleanup(is.die)
	return is
}

// die ends the reader without a word to the server.
func (is *reading) die() {
	if is.stop == nil {
		return
	}
	is.nc.Close()
	is.stop()
	<-is.ended
	is.stop = nil
}

func (r *readerRig) flush(is *reading) {
	r.t.Helper()
	if err := is.reader.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// drained waits until nothing is left to read.
func (is *reading) drained() {
	is.t.Helper()
	natstest.Eventually(is.t, "everything is read and acknowledged", func() bool {
		drained, err := is.reader.Drained(is.t.Context())
		return err == nil && drained
	})
}

// next takes so many messages, which must be those numbered from, in order.
func (is *reading) next(from, n int) []Delivery {
	is.t.Helper()
	var all []Delivery
	for i := range n {
		select {
		case d := <-is.from:
			if string(d.Data) != fmt.Sprint(from+i) {
				is.t.Fatalf("got %s, want %d", d.Data, from+i)
			}
			all = append(all, d)
		case err := <-is.ended:
			is.ended <- nil
			is.t.Fatalf("ended before %d: %v", from+i, err)
		case <-time.After(natstest.Patience): // several requests in a row may be lost, five seconds each
			is.t.Fatalf("nothing came after %d of %d", i, n)
		}
	}
	return all
}

// takeAll takes whatever comes from now on.
func (is *reading) takeAll() {
	go func() {
		for {
			select {
			case d := <-is.from:
				is.reader.Done(d)
			case <-is.t.Context().Done():
				return
			}
		}
	}()
}

// next takes the error that ends the reading.
func (is *reading) err() error {
	is.t.Helper()
	select {
	case err := <-is.ended:
		is.ended <- nil
		return err
	case d := <-is.from:
		is.t.Fatalf("got %s, want an error", d.Data)
	case <-time.After(natstest.Patience):
		is.t.Fatal("it goes on")
	}
	return nil
}

func TestAReaderBeginsWhereItIsTold(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 10)
	var middle time.Time
	r.read(r.conn(), r.options("")).next(1, 10)
	o := r.options("")
	o.From = Position{Seq: 7}
	middle = r.read(r.conn(), o).next(7, 4)[1].Stored
	o.From = Position{Time: middle}
	r.read(r.conn(), o).next(8, 3)
	o.From = Position{Now: true}
	now := r.read(r.conn(), o)
	r.store(11, 12)
	now.next(11, 2)
	now.drained()
	if end := now.reader.End(); end != 10 {
		t.Errorf("the stream ended at %d when it was opened, want 10", end)
	}
}

func TestThroughABadConnectionEveryMessageIsReadOnceInOrder(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "siem"} {
		t.Run("durable "+durable, func(t *testing.T) {
			t.Parallel()
			const messages = 6000
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			r := newReaderRig(t)
			r.store(1, messages/2)
			link := natstest.NewLink(t, r.server.URL())
			o := r.options(durable)
			o.ackWait = 2 * time.Second // after which lost acknowledgements are asked for
			is := r.read(link.Conn(t, nats.NoEcho()), o)
			cutting, stop := context.WithCancel(t.Context())
			defer stop()
			go cutAgainAndAgain(cutting, link)
			for at := 1; at <= messages; {
				n := min(1+rng.IntN(400), messages+1-at)
				taken := is.next(at, n)
				switch at += n; rng.IntN(4) {
				case 0:
					link.Cut()
				case 1:
					link.DropAnswersFrom(fmt.Sprint(at + rng.IntN(300)))
				}
				is.reader.Done(taken...)
				if at > messages/3 && at-n <= messages/3 {
					r.store(messages/2+1, messages)
				}
			}
			stop()
			link.DropAnswersFrom("nothing at all")
			link.Cut()
			if durable != "" {
				natstest.Eventually(t, "everything is acknowledged", func() bool {
					drained, err := is.reader.Drained(t.Context())
					return err == nil && drained
				})
			}
		})
	}
}

func TestTheLastMessagesOfAnIdleStreamThatAreLostWithAConnectionAreReadAgain(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "siem"} {
		t.Run("durable "+durable, func(t *testing.T) {
			t.Parallel()
			r := newReaderRig(t)
			link := natstest.NewLink(t, r.server.URL())
			is := r.read(link.Conn(t, nats.NoEcho()), r.options(durable))
			const first = 7_700_001 // a number that nothing else the server says contains
			link.DropAnswersFrom(fmt.Sprint(first))
			r.store(first, first+9)
			natstest.Eventually(t, "messages are lost", func() bool { return link.Lost() > 0 })
			link.Cut()
			is.next(first, 10)
		})
	}
}

// cutAgainAndAgain ends connections from which answers are kept. It waits longer each
// time: on a busy machine a reader may not get far in a second.
func cutAgainAndAgain(ctx context.Context, link *natstest.Link) {
	for wait := time.Second; pause(ctx, wait); wait += wait / 4 {
		link.Cut()
	}
}

func TestWhatWasNotDoneWithComesAgainFirstAndInOrder(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 300)
	first := r.read(r.conn(), r.options("siem"))
	taken := first.next(1, 200)
	first.reader.Done(taken[:120]...)
	r.flush(first)
	first.die()
	r.store(301, 400)
	second := r.read(r.conn(), r.options("siem"))
	second.reader.Done(second.next(121, 280)...)
	second.drained()
}

// Servers before 2.14 cannot put a consumer back, nor can a user who may not
// ask for it.
func TestAMessageThatIsKeptDoesNotComeAgain(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 2)
	o := r.options("siem")
	o.ackWait = 3 * time.Second
	is := r.read(r.conn(), o)
	taken := is.next(1, 2)
	for range 24 {
		is.reader.Keep(taken...)
		select {
		case d := <-is.from:
			t.Fatalf("%s came again", d.Data)
		case <-time.After(250 * time.Millisecond):
		}
	}
	consumer, err := r.js.Consumer(t.Context(), "DOCSPACE", "siem")
	if err != nil || consumer.CachedInfo().NumRedelivered != 0 {
		t.Errorf("%d redelivered, %v", consumer.CachedInfo().NumRedelivered, err)
	}
}

func TestAConsumerWithOtherSettingsIsRefusedAndStays(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	consumer, err := r.js.CreateConsumer(t.Context(), "DOCSPACE", jetstream.ConsumerConfig{
		Durable: "siem", FilterSubject: "docspace.folder.42.>", AckPolicy: jetstream.AckAllPolicy, MaxDeliver: 5, AckWait: time.Second, MaxAckPending: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	before := consumer.CachedInfo().Config
	_, err = OpenReader(t.Context(), r.conn(), r.options("siem"))
	for _, setting := range []string{"filter is docspace.folder.42.>, must be docspace.folder.>", "ack_policy is AckAll, must be explicit", "max_deliver is 5", "ack_wait is 1s", "max_ack_pending is 10", "another name"} {
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("%q is not in %v", setting, err)
		}
	}
	info, err := consumer.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, info.Config); diff != "" {
		t.Errorf("it was changed:\n%s", diff)
	}
}

func TestAConsumerThatCouldForgetOrSkipEventsIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		setting string
		change  func(*jetstream.ConsumerConfig)
	}{
		{"inactive_threshold is 1m0s", func(c *jetstream.ConsumerConfig) { c.InactiveThreshold = time.Minute }},
		{"mem_storage is true", func(c *jetstream.ConsumerConfig) { c.MemoryStorage = true }},
		{"deliver_policy is last_per_subject", func(c *jetstream.ConsumerConfig) { c.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy }},
		{"deliver_policy is last", func(c *jetstream.ConsumerConfig) { c.DeliverPolicy = jetstream.DeliverLastPolicy }},
		{"priority_groups is [a]", func(c *jetstream.ConsumerConfig) {
			c.PriorityPolicy, c.PriorityGroups = jetstream.PriorityPolicyOverflow, []string{"a"}
		}},
		{"max_batch is 10", func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch = 10 }},
	} {
		r := newReaderRig(t)
		config := jetstream.ConsumerConfig{Durable: "siem", FilterSubject: "docspace.folder.>", AckPolicy: jetstream.AckExplicitPolicy,
			MaxDeliver: -1, AckWait: DurableAckWait, MaxAckPending: DurablePending}
		c.change(&config)
		if _, err := r.js.CreateConsumer(t.Context(), "DOCSPACE", config); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReader(t.Context(), r.conn(), r.options("siem")); err == nil || !strings.Contains(err.Error(), c.setting) {
			t.Errorf("%s: got %v", c.setting, err)
		}
	}
}

func TestASecondReaderWithTheSameNameIsRefused(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 1)
	r.read(r.conn(), r.options("siem")).next(1, 1)
	r.refused(r.conn(), r.options("siem"))
	if !r.hasTold("another process reads with consumer siem") {
		t.Error("it waited and did not say so")
	}
}

func TestWhatTheStreamDroppedBeforeItWasReadIsTold(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 10)
	is := r.read(r.conn(), r.options("siem"))
	is.reader.Done(is.next(1, 10)...)
	r.flush(is)
	is.die()
	natstest.Eventually(t, "the server forgets what the reader asked for", func() bool { // and delivers nothing to it
		consumer, err := r.js.Consumer(t.Context(), "DOCSPACE", "siem")
		return err == nil && consumer.CachedInfo().NumWaiting == 0
	})
	r.store(11, 100)
	if _, err := r.js.UpdateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE", Subjects: []string{"docspace.>"}, MaxMsgs: 50}); err != nil {
		t.Fatal(err)
	}
	r.read(r.conn(), r.options("siem")).next(51, 50)
	if !r.hasTold("dropped messages 11 to 50") {
		t.Errorf("told: %q", r.told)
	}
	o := r.options("")
	o.From = Position{Seq: 41}
	r.read(r.conn(), o).next(51, 50)
	if !r.hasTold("dropped messages 41 to 50") {
		t.Errorf("told: %q", r.told)
	}
}

func TestWhatTheStreamDropsWhileAReaderIsBehindIsTold(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t, func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 })
	r.store(1, 1000)
	is := r.read(r.conn(), r.options(""))
	is.next(1, 1)
	r.store(1001, 5000)
	var last, missed uint64 = 1, 0
	for last < 5000 {
		select {
		case d := <-is.from:
			missed += d.Seq - last - 1
			last = d.Seq
		case <-time.After(natstest.Patience):
			t.Fatalf("nothing came after %d", last)
		}
	}
	if missed == 0 {
		t.Fatal("nothing was dropped: the test proves nothing")
	}
	if !r.hasTold(fmt.Sprintf("up to %d events", missed)) {
		t.Errorf("%d missed, told: %q", missed, r.told)
	}
}

func TestThatTheStreamOrTheConsumerIsGoneEndsTheReading(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	durable, other := r.read(r.conn(), r.options("siem")), r.read(r.conn(), r.options(""))
	if err := r.js.DeleteConsumer(t.Context(), "DOCSPACE", "siem"); err != nil {
		t.Fatal(err)
	}
	if err := durable.err(); !errors.Is(err, jetstream.ErrConsumerDeleted) || !strings.Contains(err.Error(), "--from") {
		t.Errorf("got %v", err)
	}
	if err := r.js.DeleteStream(t.Context(), "DOCSPACE"); err != nil {
		t.Fatal(err)
	}
	if err := other.err(); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := OpenReader(t.Context(), r.conn(), r.options("")); err == nil || !strings.Contains(err.Error(), "NATS_STREAM") {
		t.Errorf("got %v", err)
	}
}

func TestAReaderGoesOnWhereItWasAfterTheServerRestarts(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "siem"} {
		r := newReaderRig(t)
		r.store(1, 700)
		is := r.read(r.conn(), r.options(durable))
		is.reader.Done(is.next(1, 100)...)
		r.server.Restart()
		natstest.Eventually(t, "the publisher is back", func() bool { _, err := r.js.AccountInfo(t.Context()); return err == nil })
		r.store(701, 900)
		is.reader.Done(is.next(101, 800)...)
	}
}

func TestTheNarrowestSubjectThatCoversAll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ all, want string }{
		{"d.folder.1.file.moved", "d.folder.1.file.moved"},
		{"d.folder.1.file.moved d.folder.2.file.moved", "d.folder.*.file.moved"},
		{"d.folder.1.file.* d.folder.2.room.*", "d.folder.*.*.*"},
		{"d.folder.1.> d.folder.1.file.moved", "d.folder.1.>"},
		{"d.folder.1.file.moved d.folder.1.>", "d.folder.1.>"},
		{"d.folder.1.> d.folder.2.>", "d.folder.*.>"},
		{"d.folder.> d.folder.2.file.moved", "d.folder.>"},
		{"d.folder.1 d.folder.1.file", "d.folder.>"},
	} {
		if got := cover(strings.Fields(c.all)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.all, got, c.want)
		}
	}
}

// The server says that it has acknowledgements before it heeds them.
func TestWhatIsDoneWithWhenAReaderEndsCountsAtOnce(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	is := r.read(r.conn(), r.options("siem"))
	for round := range 20 {
		first := 1 + 500*round
		r.store(first, first+499)
		is.reader.Done(is.next(first, 500)...)
		r.flush(is)
		consumer, err := r.js.Consumer(t.Context(), "DOCSPACE", "siem")
		if err != nil {
			t.Fatal(err)
		}
		if at := consumer.CachedInfo(); at.NumAckPending != 0 || at.AckFloor.Stream != uint64(first+499) {
			t.Fatalf("%d messages are not acknowledged, after %d", at.NumAckPending, at.AckFloor.Stream)
		}
	}
}

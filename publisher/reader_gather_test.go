package publisher

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

// withoutReset is the client of an older server, or of a user who may not ask for
// a consumer to be put back.
type withoutReset struct{ jetstream.JetStream }

func (withoutReset) ResetConsumer(context.Context, string, string) (*jetstream.ConsumerResetResponse, error) {
	return nil, context.DeadlineExceeded
}

// readWithoutReset reads with a consumer that is there.
func (r *readerRig) readWithoutReset(nc *nats.Conn, o ReaderOptions) *reading {
	r.t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	reader := newReader(nc, withoutReset{js}, o)
	if err := reader.start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return r.begin(reader)
}

// steal takes messages from the consumer, as a reader that is cut off does, until
// ctx ends.
func (r *readerRig) steal(ctx context.Context) {
	consumer, err := r.js.Consumer(ctx, "DOCSPACE", "siem")
	for err == nil && ctx.Err() == nil {
		var stolen jetstream.MessageBatch
		if stolen, err = consumer.Fetch(70, jetstream.FetchMaxWait(500*time.Millisecond)); err == nil {
			for range stolen.Messages() {
			}
		}
	}
}

// waitsForThem is in what a reader tells that cannot put a consumer back.
const waitsForThem = "for them to come again"

// optionsWithThief returns those of a durable reader, from whom messages are
// stolen while it waits for them to come again.
func (r *readerRig) optionsWithThief(ackWait time.Duration) ReaderOptions {
	o := r.options("siem")
	o.ackWait = ackWait
	var thieves sync.WaitGroup
	r.t.Cleanup(thieves.Wait)
	told := o.Told
	o.Told = func(text string) {
		told(text)
		if r.hasTold(waitsForThem) {
			thieves.Go(func() {
				ctx, end := context.WithTimeout(r.t.Context(), ackWait)
				defer end()
				r.steal(ctx)
			})
		}
	}
	return o
}

func TestWithoutTheCallThatPutsAConsumerBackTheOrderHoldsAllTheSame(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 300)
	o := r.optionsWithThief(2 * time.Second)
	first := r.read(r.conn(), o)
	first.reader.Done(first.next(1, 50)...)
	r.flush(first)
	first.next(51, 50)
	first.die()
	r.store(301, 400)
	second := r.readWithoutReset(r.conn(), o)
	second.reader.Done(second.next(51, 350)...)
	if !r.hasTold(waitsForThem) {
		t.Error("nobody was told why nothing happens")
	}
	second.drained()
}

// What is in hand does not come again, and is not waited for.
func TestWithoutThatCallACutConnectionLosesAndReordersNothing(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 300)
	o := r.optionsWithThief(2 * time.Second)
	first := r.read(r.conn(), o)
	first.reader.Done(first.next(1, 1)...)
	r.flush(first)
	first.die()
	link := natstest.NewLink(t, r.server.URL())
	is := r.readWithoutReset(link.Conn(t, nats.NoEcho()), o)
	inHand := is.next(2, 40)
	is.reader.Done(inHand[:10]...)
	r.store(301, 400)
	link.Cut()
	is.reader.Done(is.next(42, 100)...) // of which 12 to 41 may be in hand for long
	is.reader.Done(is.next(142, 259)...)
	is.drained()
}

func TestAReaderKeepsNoListOfWhatNobodyIsDoneWith(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 100)
	passing, durable := r.read(r.conn(), r.options("")), r.read(r.conn(), r.options("siem"))
	passing.reader.Done(passing.next(1, 90)...)
	durable.reader.Done(durable.next(1, 90)[:60]...)
	// The next one may be on offer already.
	if n := passing.reader.inHand.Load().from(0); n > 0 {
		t.Errorf("a reader that forgets lists %d messages", n)
	}
	if n := durable.reader.inHand.Load().from(0); n < 30 || n > 31 {
		t.Errorf("a durable reader lists %d messages, want 30", n)
	}
}

func TestWhatIsPurgedWhileItIsGatheredDoesNotStandForWhatIsToCome(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 150)
	o := r.options("siem")
	o.ackWait = 2 * time.Second
	first := r.read(r.conn(), o)
	first.next(1, 150)
	first.die()
	nc := r.conn()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	second := newReader(nc, withoutReset{js}, o)
	if err := second.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := make(map[uint64]arrival)
	complete := func() bool {
		t.Helper()
		if err := second.fetch(t.Context(), found); err != nil {
			t.Fatal(err)
		}
		is, err := second.owesNothing(t.Context(), found)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if complete() {
		t.Errorf("%d of 150 were gathered, and that is all", len(found))
	}
	stream, err := r.js.Stream(t.Context(), "DOCSPACE")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(81)); err != nil {
		t.Fatal(err)
	}
	if is, err := second.owesNothing(t.Context(), found); err != nil || is {
		t.Errorf("without 101 to 150: complete is %t, %v", is, err)
	}
	natstest.Eventually(t, "all that is left is gathered", complete)
}

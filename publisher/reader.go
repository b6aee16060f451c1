package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// readAhead is how many messages and bytes are under way to a reader; the
	// bytes must be more than the largest message.
	readAhead      = 500
	readAheadBytes = 8 << 20

	// readPull is how long the server keeps a request for messages, and
	// readHeartbeat how often it says that it does.
	readPull      = 10 * time.Second
	readHeartbeat = 2 * time.Second

	// readForgotten is when the server removes the consumer of a reader that
	// is gone and has no durable one.
	readForgotten = time.Minute
)

// A Position is where in a stream a reader begins. Its zero value is the first
// message. Time is when a message was stored, not when its action happened.
type Position struct {
	Now  bool      // only what is stored from now on
	Seq  uint64    // this sequence
	Time time.Time // what was stored then or later
}

// ReaderOptions say what is read.
type ReaderOptions struct {
	Stream   string
	Domain   string   // JetStream domain, "" for the server's own
	Subjects []string // one at least; no message matches two
	From     Position // of a durable consumer, where it begins when it is created

	// Durable is the name of a consumer that remembers, in the stream, how far
	// it was read; it is created when absent and never changed. Without one a
	// reader remembers nothing.
	Durable string

	// For is the command that reads; its consumers show it. "tail" when empty.
	For string

	// Metadata, when set, is asked what a durable consumer is to keep beside its
	// position when it is created: end is the last sequence of the stream by
	// then. See Reader.Metadata.
	Metadata func(end uint64) map[string]string

	// Told, when set, hears what an operator wants to know and what does not
	// end the reading. It must not block.
	Told func(text string)

	ackWait, patience, silent, pull time.Duration // DurableAckWait, otherReader, readerSilent and readPull, except in tests
}

// A Delivery is one message as it was stored.
type Delivery struct {
	Seq     uint64
	Subject string
	Stored  time.Time
	Data    []byte

	msg  jetstream.Msg
	hand *inHand // that it is in
}

// A Reader reads messages of a stream in the order in which they are stored,
// each once as long as the process lives. What a durable one has not called
// Done for is delivered again after a restart, in the same order.
type Reader struct {
	o          ReaderOptions
	nc         *nats.Conn
	js         jetstream.JetStream
	created    time.Time // of the stream
	reconnects uint64    // of the connection, when the stream was last looked at
	end        uint64    // last sequence of the stream at the start
	last       uint64    // handed out
	newest     time.Time // when the newest of those handed out was stored

	claimant  *claimant // of a durable one
	consumer  jetstream.Consumer
	made      uint64                  // how often the connection had been made again before the consumer was
	found     *jetstream.ConsumerInfo // before it was put back
	resumed   bool                    // the durable consumer was there when the reader was opened
	delivered uint64                  // messages the consumer has delivered and we received, or that were lost before it was attached
	kept      bool                    // another process kept it out at the last try, which was told
	scattered bool                    // it was not put back: see gather
	place     atomic.Pointer[readerPlace]
	done      atomic.Uint64          // Done was called for this one
	inHand    atomic.Pointer[inHand] // another one when the stream has forgotten what was handed out
	behind    uint64                 // messages that were still to come at the last one
	dropped   uint64                 // messages that are gone without having been read, at most
}

// A readerPlace is how far one consumer was read, for Drained.
type readerPlace struct {
	name  string
	taken atomic.Uint64 // the last of those the consumer has delivered
}

// OpenReader finds the stream and the place in it. The connection stays the
// caller's. With a durable consumer nobody else may read until the connection is
// closed, and it should be one that hears nothing of its own
// (ConnectOptions.NoEcho): on another one it takes seconds, and not the time of an
// answer, to know that nobody does.
func OpenReader(ctx context.Context, nc *nats.Conn, o ReaderOptions) (*Reader, error) {
	js, err := jetstream.NewWithDomain(nc, o.Domain)
	if o.Domain == "" {
		js, err = jetstream.New(nc)
	}
	if err != nil {
		return nil, fmt.Errorf("JetStream client: %w", err)
	}
	r := newReader(nc, js, o)
	if err := r.start(ctx); err != nil {
		if r.claimant != nil {
			r.claimant.release()
		}
		return nil, err
	}
	return r, nil
}

func newReader(nc *nats.Conn, js jetstream.JetStream, o ReaderOptions) *Reader {
	if o.Told == nil {
		o.Told = func(string) {}
	}
	o.For = cmp.Or(o.For, "tail")
	o.ackWait, o.pull = cmp.Or(o.ackWait, DurableAckWait), cmp.Or(o.pull, readPull)
	o.patience, o.silent = cmp.Or(o.patience, otherReader), cmp.Or(o.silent, readerSilent)
	r := &Reader{o: o, nc: nc, js: js}
	r.place.Store(&readerPlace{name: o.Durable})
	r.inHand.Store(new(inHand))
	return r
}

func (r *Reader) start(ctx context.Context) error {
	info, err := r.stream(ctx)
	if err != nil {
		return err
	}
	r.created, r.end, r.resumed = info.Created, info.State.LastSeq, r.o.Durable != ""
	if r.o.Durable != "" {
		r.claimant = newClaimant(r.nc, r.o.Stream, r.created, r.o.Durable, r.o.Told)
	}
	if err := r.attach(ctx); err != nil {
		return err
	}
	r.begin(info.State.FirstSeq)
	return nil
}

// begin notes what need not be read, and tells what cannot be: the server moves
// a new consumer to the first message there is.
func (r *Reader) begin(first uint64) {
	at := r.found
	switch {
	case r.resumed: // wherever From is
		r.last = at.AckFloor.Stream
		r.done.Store(r.last)
		r.miss(r.last+1, first)
	case r.o.From.Seq > 0:
		r.last = r.o.From.Seq - 1
		r.tellMissed(r.o.From.Seq, first)
	default:
		r.last = at.Delivered.Stream
	}
}

// Resumed reports whether the durable consumer was there before this reader, and
// after which sequence it goes on, whatever ReaderOptions.From says.
func (r *Reader) Resumed() (after uint64, is bool) { return r.found.AckFloor.Stream, r.resumed }

// Metadata is what the durable consumer keeps beside its position, whoever
// created it.
func (r *Reader) Metadata() map[string]string { return r.found.Config.Metadata }

// Pending is how many messages there were to read when the reader was opened,
// those included that were delivered before and not done with.
func (r *Reader) Pending() uint64 { return r.found.NumPending + uint64(r.found.NumAckPending) }

// Dropped is how many messages the stream has dropped before they were read, by its
// limits or a purge: at most so many, since not all need have been for this reader.
// It is known once Read has returned. Of a reader that was Drained, what it was
// behind on and never got is gone, too, though nothing followed that would tell.
func (r *Reader) Dropped(drained bool) uint64 {
	if drained {
		return r.dropped + r.behind
	}
	return r.dropped
}

// Begin is where reading begins, before Read: nothing asked for lies below it.
func (r *Reader) Begin() uint64 { return r.last + 1 }

// End is the last sequence the stream held when the reader was opened.
func (r *Reader) End() uint64 { return r.end }

// Read sends messages to the channel until ctx ends, when it returns nil, or
// until nothing can be read any more: the stream or the durable consumer is
// gone, or the permission is. Everything else it waits for.
func (r *Reader) Read(ctx context.Context, to chan<- Delivery) error {
	wait := backoff.WithContext(jittered(0), ctx)
	told := false
	for {
		before := r.last
		err := r.consume(ctx, to)
		if r.last > before {
			wait.Reset()
			told = false
		}
		for err != nil && ctx.Err() == nil {
			if r.final(err) {
				return r.explain(err)
			}
			if !told && !errors.Is(err, errGap) && !errors.Is(err, errReconnected) && !errors.Is(err, jetstream.ErrNoHeartbeat) {
				told = true
				r.o.Told(fmt.Sprintf("reading stream %s is interrupted: %v; trying again", r.o.Stream, r.explain(err)))
			}
			if pause(ctx, wait.NextBackOff()) {
				err = r.attach(ctx)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// Done says that these messages, the next ones of those handed out, need not be
// delivered again. Without a durable consumer it does nothing. An
// acknowledgement that is lost costs nothing but its repetition.
func (r *Reader) Done(these ...Delivery) {
	if r.o.Durable == "" || len(these) == 0 {
		return
	}
	for _, d := range these {
		if d.hand == r.inHand.Load() { // otherwise its sequence may be another message's
			_ = d.msg.Ack()
			r.done.Store(d.Seq)
			d.hand.done(d.Seq)
		}
	}
}

// Keep says that these messages are still being worked on. Without it, or
// Done, a durable consumer delivers them again after DurableAckWait.
func (r *Reader) Keep(these ...Delivery) {
	if r.o.Durable == "" {
		return
	}
	for _, d := range these {
		_ = d.msg.InProgress()
	}
}

// Drained reports whether there is nothing left to read: everything was handed
// out and, with a durable consumer, done with. It does not know while the server
// is away, for a moment or for longer, which Read waits for.
func (r *Reader) Drained(ctx context.Context) (bool, error) {
	place := r.place.Load()
	info, err := r.js.Consumer(ctx, r.o.Stream, place.name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) && r.o.Durable == "" {
		return false, nil // Read makes another one
	}
	switch {
	case err == nil:
	case ctx.Err() != nil, r.final(err), errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, context.DeadlineExceeded) && r.denied():
		return false, r.explain(err)
	default:
		return false, nil
	}
	at := info.CachedInfo()
	return at.NumPending == 0 && at.NumAckPending == 0 && (r.o.Durable != "" || at.Delivered.Consumer <= place.taken.Load()), nil
}

// Flush makes sure that the server has every acknowledgement, and gives it time to
// heed them: it does so after it has said that it has them, and who reads on before
// that gets some messages again.
func (r *Reader) Flush(ctx context.Context) error {
	if r.o.Durable == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if err := r.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("acknowledge: %w; the last events will come again", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !r.heeded(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// heeded reports whether the consumer counts as done what is. It is of no use to wait
// when it cannot be asked.
func (r *Reader) heeded(ctx context.Context) bool {
	consumer, err := r.js.Consumer(ctx, r.o.Stream, r.o.Durable)
	return err != nil || consumer.CachedInfo().AckFloor.Stream >= r.done.Load()
}

// Forget removes the durable consumer, once Read has returned: what was read is
// not remembered any more.
func (r *Reader) Forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	err := r.js.DeleteConsumer(ctx, r.o.Stream, r.o.Durable)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("remove consumer %s of stream %s: %w", r.o.Durable, r.o.Stream, r.explain(err))
	}
	return nil
}

// pause waits, and reports whether ctx lasted.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

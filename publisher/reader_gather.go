package publisher

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// gatherAhead is how many messages one request asks for while they are
	// gathered, and gatherWait how long it waits for them.
	gatherAhead = 100
	gatherWait  = time.Second
)

// gather takes all that the consumer has delivered and nobody has done with, and
// hands it out in order. A consumer that was not put back delivers it in the
// order in which its time ran out, new messages in between, and not all at once:
// what was sent to a connection that is gone takes that time again.
//
// It is complete when the server waits for no other acknowledgement than of what
// was gathered and of what is in hand. That is asked for between two requests,
// when nothing can be on its way.
func (r *Reader) gather(ctx context.Context, to chan<- Delivery) error {
	found := make(map[uint64]arrival)
	kept := time.Now()
	for complete := false; !complete; {
		if err := r.fetch(ctx, found); err != nil {
			return err
		}
		if time.Since(kept) > r.o.ackWait/3 {
			kept = time.Now()
			for _, a := range found {
				_ = a.msg.InProgress()
			}
		}
		var err error
		if complete, err = r.owesNothing(ctx, found); err != nil {
			return err
		}
	}
	r.scattered = false
	for _, a := range slices.SortedFunc(maps.Values(found), func(a, b arrival) int { return cmp.Compare(a.seq(), b.seq()) }) {
		if err := r.handOut(ctx, to, a); err != nil {
			return err
		}
	}
	return nil
}

// fetch adds the messages that come to one request.
func (r *Reader) fetch(ctx context.Context, found map[uint64]arrival) error {
	messages, err := r.consumer.Fetch(gatherAhead, jetstream.FetchMaxWait(gatherWait))
	if err != nil {
		return err
	}
	for msg := range messages.Messages() {
		a, err := r.arrive(ctx, msg)
		if err != nil {
			return err
		}
		if !r.known(a) {
			found[a.seq()] = a
		}
	}
	return cmp.Or(ctx.Err(), messages.Error())
}

// owesNothing reports whether every message the server waits for is one of those
// gathered, or in hand. Of both, the stream may have dropped the oldest, and the
// server does not wait for them.
func (r *Reader) owesNothing(ctx context.Context, found map[uint64]arrival) (bool, error) {
	consumer, err := r.consumer.Info(ctx)
	if err != nil {
		return false, err
	}
	stream, err := r.stream(ctx)
	if err != nil {
		return false, err
	}
	have := r.inHand.Load().from(stream.State.FirstSeq)
	for seq := range found {
		if seq >= stream.State.FirstSeq {
			have++
		}
	}
	return consumer.NumAckPending <= have, nil
}

// inHand are the sequences of messages that were handed out and are not done
// with, ascending.
type inHand struct {
	mu   sync.Mutex
	seqs []uint64
}

func (h *inHand) add(seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seqs = append(h.seqs, seq)
}

// takeBack removes one that nobody took.
func (h *inHand) takeBack(seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seqs = slices.DeleteFunc(h.seqs, func(s uint64) bool { return s == seq })
}

// done removes those up to a sequence.
func (h *inHand) done(seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, found := slices.BinarySearch(h.seqs, seq)
	if found {
		n++
	}
	h.seqs = h.seqs[n:]
}

// from returns how many there are of a sequence or a later one.
func (h *inHand) from(seq uint64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, _ := slices.BinarySearch(h.seqs, seq)
	return len(h.seqs) - n
}

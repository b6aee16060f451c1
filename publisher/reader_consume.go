package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// errGap ends a consumption in which messages were sent that did not arrive.
	errGap = errors.New("messages were lost on the way")

	// errReconnected ends one that began on a connection which is gone.
	errReconnected = errors.New("the connection was lost")
)

// consume hands out what the consumer delivers. A message that is missing among
// what the consumer says it delivered was lost with a connection; going on
// would put it behind those that follow. The last messages of a stream can be
// lost so, too, with none to follow, so a new connection begins anew.
func (r *Reader) consume(ctx context.Context, to chan<- Delivery) (err error) {
	ctx, end := whileSameConnection(ctx, r.nc, r.made)
	defer func() {
		if errors.Is(context.Cause(ctx), errReconnected) {
			err = errReconnected
		}
		end()
	}()
	if r.scattered {
		if err := r.gather(ctx, to); err != nil {
			return err
		}
	}
	messages, err := r.consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(readAhead, readAheadBytes),
		jetstream.PullExpiry(r.o.pull), jetstream.PullHeartbeat(min(readHeartbeat, r.o.pull/5)))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		a, err := r.arrive(ctx, msg)
		if err != nil {
			return err
		}
		if !r.known(a) {
			if err := r.handOut(ctx, to, a); err != nil {
				return err
			}
		}
		r.place.Load().taken.Store(a.at.Sequence.Consumer)
	}
}

// An arrival is a message the consumer has delivered.
type arrival struct {
	msg jetstream.Msg
	at  *jetstream.MsgMetadata
}

func (a arrival) seq() uint64 { return a.at.Sequence.Stream }

// arrive makes sure that nothing is missing before a message.
func (r *Reader) arrive(ctx context.Context, msg jetstream.Msg) (arrival, error) {
	at, err := msg.Metadata()
	if err != nil {
		return arrival{}, fmt.Errorf("message on %s: %w", msg.Subject(), err)
	}
	if at.Sequence.Consumer != r.delivered+1 {
		return arrival{}, errGap
	}
	r.delivered++
	if n := r.nc.Stats().Reconnects; n != r.reconnects {
		if err := r.same(ctx); err != nil {
			return arrival{}, err
		}
		r.reconnects = n
	}
	return arrival{msg, at}, nil
}

// handOut gives a message to who reads.
func (r *Reader) handOut(ctx context.Context, to chan<- Delivery, a arrival) error {
	if err := r.missed(ctx, a.seq()); err != nil {
		return err
	}
	h := r.inHand.Load()
	if r.o.Durable != "" {
		h.add(a.seq())
	}
	select {
	case to <- Delivery{a.seq(), a.msg.Subject(), a.at.Timestamp, a.msg.Data(), a.msg, h}:
	case <-ctx.Done():
		h.takeBack(a.seq())
		return ctx.Err()
	}
	r.last, r.behind = a.seq(), a.at.NumPending
	if a.at.Timestamp.After(r.newest) {
		r.newest = a.at.Timestamp
	}
	return nil
}

// whileSameConnection returns a context that ends with errReconnected when the
// connection is another than after so many reconnects.
func whileSameConnection(ctx context.Context, nc *nats.Conn, made uint64) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	connected := nc.StatusChanged(nats.CONNECTED)
	if nc.Stats().Reconnects != made {
		cancel(errReconnected)
	}
	go func() {
		select {
		case <-connected:
			cancel(errReconnected)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		nc.RemoveStatusListener(connected)
	}
}

// known reports whether a message was handed out before. When it was done with
// too, its acknowledgement did not arrive, and is repeated.
func (r *Reader) known(a arrival) bool {
	if a.seq() > r.last {
		return false
	}
	if !r.newest.IsZero() && a.at.Timestamp.After(r.newest) {
		r.forgot(a.seq() - 1) // another message has got this sequence
		return false
	}
	if a.seq() <= r.done.Load() {
		_ = a.msg.Ack() // when this fails too, it comes again
	}
	return true
}

// forgot notes that the stream ended, if only for a time, at a sequence before
// the last one that was handed out, as after a power cut or when its disk is put
// back to what it was: what follows is new, whatever its sequence.
func (r *Reader) forgot(last uint64) {
	r.o.Told(fmt.Sprintf("stream %s has lost its newest messages: %d to %d were read, and are not there any more", r.o.Stream, last+1, r.last))
	r.inHand.Store(new(inHand))
	r.last, r.behind = last, 0
	r.done.Store(min(r.done.Load(), last))
}

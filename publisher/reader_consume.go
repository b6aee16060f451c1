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
	ctx, end := r.whileConnected(ctx)
	defer func() {
		if errors.Is(context.Cause(ctx), errReconnected) {
			err = errReconnected
		}
		end()
	}()
	messages, err := r.consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(readAhead, readAheadBytes),
		jetstream.PullExpiry(readPull), jetstream.PullHeartbeat(readHeartbeat))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for delivered := r.delivered; ; {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		at, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("message on %s: %w", msg.Subject(), err)
		}
		if at.Sequence.Consumer != delivered+1 {
			return errGap
		}
		delivered = at.Sequence.Consumer
		if n := r.nc.Stats().Reconnects; n != r.reconnects {
			if err := r.same(ctx); err != nil {
				return err
			}
			r.reconnects = n
		}
		if r.known(at, msg) {
			r.place.Load().taken.Store(delivered)
			continue
		}
		if err := r.missed(ctx, at.Sequence.Stream); err != nil {
			return err
		}
		select {
		case to <- Delivery{at.Sequence.Stream, msg.Subject(), at.Timestamp, msg.Data(), msg, r.epoch.Load()}:
		case <-ctx.Done():
			return ctx.Err()
		}
		r.last = at.Sequence.Stream
		if r.first == 0 || r.last < r.first {
			r.first = r.last
		}
		if at.Timestamp.After(r.newest) {
			r.newest = at.Timestamp
		}
		r.place.Load().taken.Store(delivered)
		r.behind = at.NumPending
	}
}

// whileConnected returns a context that ends with errReconnected when the
// connection is another than the one the consumer was made on.
func (r *Reader) whileConnected(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	connected := r.nc.StatusChanged(nats.CONNECTED)
	if r.nc.Stats().Reconnects != r.made {
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
		r.nc.RemoveStatusListener(connected)
	}
}

// known reports whether a message was handed out before. When it was done with
// too, its acknowledgement did not arrive, and is repeated.
func (r *Reader) known(at *jetstream.MsgMetadata, msg jetstream.Msg) bool {
	seq := at.Sequence.Stream
	if seq > r.last || seq < r.first {
		return false
	}
	if !r.newest.IsZero() && at.Timestamp.After(r.newest) {
		r.forgot(seq - 1) // another message has got this sequence
		return false
	}
	if seq <= r.done.Load() {
		_ = msg.Ack() // when this fails too, it comes again
	}
	return true
}

// forgot notes that the stream ended, if only for a time, at a sequence before
// the last one that was handed out, as after a power cut or when its disk is put
// back to what it was: what follows is new, whatever its sequence.
func (r *Reader) forgot(last uint64) {
	r.o.Told(fmt.Sprintf("stream %s has lost its newest messages: %d to %d were read, and are not there any more", r.o.Stream, last+1, r.last))
	r.epoch.Add(1)
	r.last, r.behind = last, 0
	r.done.Store(min(r.done.Load(), last))
}

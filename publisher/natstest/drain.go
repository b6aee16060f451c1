package natstest

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// silence is after how long without a sign of a server a read fails.
const silence = 15 * time.Second

// Drain reads everything that was stored when the consumer was created, oldest
// first, until read fails.
func Drain(ctx context.Context, consumer jetstream.Consumer, read func(jetstream.Msg) error) error {
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(silence))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := read(msg); err != nil {
			return err
		}
		at, err := msg.Metadata()
		if err != nil || at.NumPending == 0 {
			return err
		}
	}
}

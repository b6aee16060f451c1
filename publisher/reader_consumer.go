package publisher

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// attach makes the consumer from which the next messages come.
func (r *Reader) attach(ctx context.Context) error {
	r.made = r.nc.Stats().Reconnects
	if r.consumer != nil {
		if err := r.same(ctx); err != nil {
			return err
		}
	}
	if r.o.Durable != "" {
		return r.bind(ctx)
	}
	config := jetstream.ConsumerConfig{
		Name:              r.o.For + "_" + nuid.Next(),
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: readForgotten,
		MemoryStorage:     true,
		Replicas:          1,
	}
	r.o.From.apply(&config)
	if r.consumer != nil {
		Position{Seq: r.last + 1}.apply(&config)
	}
	return r.create(ctx, config)
}

// create creates the consumer, with one subject for all where the user may not
// have consumers with several: the request for those names none, so a server
// cannot tell what they read.
func (r *Reader) create(ctx context.Context, config jetstream.ConsumerConfig) error {
	subjects(r.o.Subjects).apply(&config)
	consumer, err := r.js.CreateConsumer(ctx, r.o.Stream, config)
	if err != nil && len(r.o.Subjects) > 1 && r.denied() {
		r.o.Subjects = []string{cover(r.o.Subjects)}
		subjects(r.o.Subjects).apply(&config)
		consumer, err = r.js.CreateConsumer(ctx, r.o.Stream, config)
	}
	if err != nil {
		return fmt.Errorf("consumer of stream %s: %w", r.o.Stream, r.explain(err))
	}
	r.place.Store(&readerPlace{name: config.Name})
	r.found = consumer.CachedInfo()
	r.consumer, r.delivered = consumer, r.found.Delivered.Consumer
	return nil
}

func (p Position) apply(config *jetstream.ConsumerConfig) {
	config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = jetstream.DeliverAllPolicy, 0, nil
	switch {
	case p.Now:
		config.DeliverPolicy = jetstream.DeliverNewPolicy
	case p.Seq > 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, p.Seq
	case !p.Time.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &p.Time
	}
}

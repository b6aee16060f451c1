package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// DurableAckWait is how long a message may be worked on without a sign of
	// life. It is also how long a restart after a crash waits with a server
	// that cannot put a consumer back, before 2.14.
	DurableAckWait = 30 * time.Second

	// DurablePending is how many messages may be handed out and not done with.
	DurablePending = 5000

	// otherReader is how long a reader waits for another one with the same
	// durable consumer, which may be a process that was cut off: its request
	// for messages lives this long.
	otherReader = readPull + 5*time.Second

	// otherReaderTold is when it says what it waits for.
	otherReaderTold = time.Second
)

// bind finds or creates the durable consumer and puts it back to the first
// message that is not done with. Where it goes on matters for the order: what
// was delivered before a crash would otherwise come after what follows it.
func (r *Reader) bind(ctx context.Context) error {
	consumer, err := r.alone(ctx)
	if err != nil {
		return err
	}
	if consumer == nil {
		r.resumed = false
		return r.create(ctx, r.durableConfig())
	}
	r.found, r.scattered = consumer.CachedInfo(), false
	if r.found.NumAckPending > 0 {
		if err := r.putBack(ctx); err != nil {
			return err
		}
		if consumer, err = r.js.Consumer(ctx, r.o.Stream, r.o.Durable); err != nil {
			return r.explain(err)
		}
	}
	r.consumer, r.delivered = consumer, consumer.CachedInfo().Delivered.Consumer
	return nil
}

// find returns the durable consumer as it is now, nil when it is still to be
// created.
func (r *Reader) find(ctx context.Context) (jetstream.Consumer, error) {
	consumer, err := r.js.Consumer(ctx, r.o.Stream, r.o.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		if r.consumer != nil {
			return nil, jetstream.ErrConsumerDeleted
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", r.o.Durable, r.o.Stream, r.explain(err))
	}
	return consumer, r.fits(consumer.CachedInfo().Config)
}

func (r *Reader) durableConfig() jetstream.ConsumerConfig {
	config := jetstream.ConsumerConfig{
		Name:          r.o.Durable,
		Durable:       r.o.Durable,
		Description:   "docspace-nats " + r.o.For,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       r.o.ackWait,
		MaxDeliver:    -1, // a sink that is down for a week must not cost an event
		MaxAckPending: DurablePending,
	}
	if r.o.Metadata != nil {
		config.Metadata = r.o.Metadata(r.end)
	}
	r.o.From.apply(&config)
	return config
}

// alone waits until nobody else reads with the consumer, and returns it as find
// does: two readers would each get a part of the events. Another one answers, or
// has a request for messages with the server. An answer is the better sign: who
// waits for its target makes no request, and who was stopped may have left one.
func (r *Reader) alone(ctx context.Context) (consumer jetstream.Consumer, err error) {
	defer func() {
		if err != nil {
			r.claimant.release()
		}
	}()
	if _, err := r.find(ctx); err != nil { // before it waits for others in vain
		return nil, err
	}
	if err := r.claimant.listen(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	for free := false; ; {
		if !free {
			if free, err = r.claimant.free(ctx, r.o.silent); err != nil {
				return nil, err
			}
		}
		if free {
			if consumer, err = r.find(ctx); err != nil {
				return nil, err
			}
			if consumer == nil || consumer.CachedInfo().NumWaiting == 0 {
				// In a cluster it takes a moment until every server knows who listens.
				if free, err = r.claimant.free(ctx, readerAgain); free || err != nil {
					r.kept = false
					return consumer, err
				}
			}
		}
		waited := time.Since(began)
		if waited > otherReaderTold && !r.kept {
			r.kept = true
			r.o.Told(fmt.Sprintf("another process reads with consumer %s, or was cut off a moment ago; waiting up to %s for it to end",
				r.o.Durable, (r.o.patience - waited).Round(time.Second)))
		}
		if waited > r.o.patience {
			return nil, fmt.Errorf("consumer %s of stream %s: another process reads with it; stop that one, or give this one a name of its own", r.o.Durable, r.o.Stream)
		}
		if !pause(ctx, 100*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// putBack makes the consumer deliver again what it has delivered and nobody is
// done with. Servers before 2.14 cannot be asked to; they do so by themselves,
// scattered, when the time for an acknowledgement is over.
func (r *Reader) putBack(ctx context.Context) error {
	began := time.Now()
	_, err := r.js.ResetConsumer(ctx, r.o.Stream, r.o.Durable)
	if err == nil || ctx.Err() != nil {
		return err
	}
	wait := r.o.ackWait + time.Second - time.Since(began)
	r.scattered = true
	r.o.Told(fmt.Sprintf("consumer %s has messages that were delivered and not acknowledged; waiting %s for them to come again (%v)",
		r.o.Durable, wait.Round(time.Second), r.explain(err)))
	if !pause(ctx, wait) {
		return ctx.Err()
	}
	return nil
}

// fits refuses a consumer whose settings would lose or reorder events, or that
// reads others than asked for. It is never changed.
func (r *Reader) fits(have jetstream.ConsumerConfig) error {
	var differs []string
	need := func(ok bool, setting string, have, need any) {
		if !ok {
			differs = append(differs, fmt.Sprintf("%s is %v, must be %v", setting, have, need))
		}
	}
	filters := slices.Sorted(slices.Values(append(slices.Clone(have.FilterSubjects), notEmpty(have.FilterSubject)...)))
	wanted := slices.Sorted(slices.Values(r.o.Subjects))
	need(slices.Equal(filters, wanted) || slices.Equal(filters, []string{cover(wanted)}),
		"the filter", strings.Join(filters, " and "), strings.Join(wanted, " and "))
	need(have.DeliverSubject == "", "deliver_subject", have.DeliverSubject, "absent")
	need(have.AckPolicy == jetstream.AckExplicitPolicy, "ack_policy", have.AckPolicy, "explicit")
	need(have.MaxDeliver == -1, "max_deliver", have.MaxDeliver, "-1")
	need(have.AckWait >= r.o.ackWait, "ack_wait", have.AckWait, "at least "+r.o.ackWait.String())
	need(have.MaxAckPending < 0 || have.MaxAckPending >= readAhead, "max_ack_pending", have.MaxAckPending, fmt.Sprintf("at least %d", readAhead))
	need(have.MaxRequestBatch <= 0 || have.MaxRequestBatch >= readAhead, "max_batch", have.MaxRequestBatch, fmt.Sprintf("absent or at least %d", readAhead))
	need(have.MaxRequestMaxBytes <= 0 || have.MaxRequestMaxBytes >= readAheadBytes, "max_bytes", have.MaxRequestMaxBytes, fmt.Sprintf("absent or at least %d", readAheadBytes))
	need(have.MaxRequestExpires <= 0 || have.MaxRequestExpires >= readPull, "max_expires", have.MaxRequestExpires, "absent or at least "+readPull.String())
	need(have.InactiveThreshold == 0, "inactive_threshold", have.InactiveThreshold, "absent")
	need(!have.MemoryStorage, "mem_storage", have.MemoryStorage, "false")
	need(have.DeliverPolicy != jetstream.DeliverLastPolicy && have.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy,
		"deliver_policy", have.DeliverPolicy, "all, new, by_start_sequence or by_start_time")
	need(len(have.PriorityGroups) == 0, "priority_groups", have.PriorityGroups, "absent")
	need(len(have.BackOff) == 0, "backoff", have.BackOff, "absent")
	need(!have.HeadersOnly, "headers_only", have.HeadersOnly, "false")
	need(have.ReplayPolicy == jetstream.ReplayInstantPolicy, "replay_policy", have.ReplayPolicy, "instant")
	if len(differs) == 0 {
		return nil
	}
	return fmt.Errorf("consumer %s of stream %s exists with other settings: %s; remove the consumer (its position goes with it): %s, or take another name",
		r.o.Durable, r.o.Stream, strings.Join(differs, "; "), r.Removal())
}

// Removal is the command that removes the durable consumer.
func (r *Reader) Removal() string {
	return fmt.Sprintf("nats consumer rm %s %s", r.o.Stream, r.o.Durable)
}

func notEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

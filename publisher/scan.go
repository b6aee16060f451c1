package publisher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// scanPortion is how many events one scan reads.
	scanPortion = 250_000
	// scanWait bounds how long that takes.
	scanWait = time.Minute
	// scanQuiet is how long no message may come from a consumer.
	scanQuiet = time.Second
	// scanAhead is how many messages are under way.
	scanAhead = 2000
)

// toTheEnd is the end of a scan that reads all there is.
const toTheEnd = math.MaxUint64

// A scan reads events of one folder, in order.
//
// They come from consumers, which may live on a replica that has not heard of
// the last commits. So it is the leader who says whether there is another
// event, before the first and after the last.
type scan struct {
	j      *JetStream
	folder int
	read   uint64 // sequence up to which everything was read
	end    uint64 // sequence before which it ends
	singly int    // how many events to ask the leader for, one by one, before a consumer is worth its while
	left   int    // events still to be read
	each   func(event) error
}

// An event is a message on an event subject.
type event struct {
	seq  uint64
	kind string // <category>.<action>
	data []byte
}

// run reads with one consumer after the other. One that lives on a replica
// that lags may never hear of a batch that was on its way when it began; the
// next one does.
func (s *scan) run(ctx context.Context) error {
	for s.left > 0 {
		next, err := s.j.get(ctx, s.j.o.Stream, messageQuery{NextOf: s.subjects() + ">", Seq: s.read + 1})
		switch {
		case err != nil:
			return err
		case next == nil || next.seq >= s.end:
			if s.end != toTheEnd {
				s.read = s.end
			}
			return nil
		case s.singly > 0:
			s.singly--
			err = s.take(next.seq, next.subject, next.data)
		default:
			err = s.consume(ctx, next.seq)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// all runs until there is nothing left to read.
func (s *scan) all(ctx context.Context) error {
	for {
		s.left = s.j.portion
		if err := s.portion(ctx); err != nil || s.left > 0 {
			return err
		}
	}
}

func (s *scan) portion(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, scanWait, errLagging)
	defer cancel()
	if err := s.run(ctx); err != nil {
		return cause(ctx, err)
	}
	return nil
}

// consume reads until the end, that of the portion, or what may be the last
// event.
func (s *scan) consume(ctx context.Context, from uint64) error {
	consumer, err := s.j.js.OrderedConsumer(ctx, s.j.o.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects:    []string{s.subjects() + ">"},
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		InactiveThreshold: scanWait,
		MaxResetAttempts:  2,
	})
	if last := s.j.nc.LastError(); err != nil && errors.Is(last, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w; the server also said: %w", err, last)
	}
	if err != nil {
		return err
	}
	defer s.j.forget(consumer)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(scanAhead))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for s.left > 0 {
		msg, err := messages.Next(jetstream.NextMaxWait(scanQuiet))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrTimeout):
			return nil
		case err != nil:
			return err
		}
		at, err := msg.Metadata()
		if err != nil || at.Sequence.Stream >= s.end {
			return err
		}
		if err := s.take(at.Sequence.Stream, msg.Subject(), msg.Data()); err != nil || at.NumPending == 0 {
			return err
		}
	}
	return nil
}

// take hands on one event.
func (s *scan) take(seq uint64, subject string, data []byte) error {
	s.read = seq
	s.left--
	if err := s.each(event{seq, strings.TrimPrefix(subject, s.subjects()), data}); err != nil {
		return fmt.Errorf("the one at sequence %d: %w", seq, err)
	}
	return nil
}

// subjects is how the subjects of the folder's events begin.
func (s *scan) subjects() string { return s.j.eventsOf(s.folder) }

// forget removes the consumer at once, instead of leaving that to the server.
func (j *JetStream) forget(consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	_ = j.js.DeleteConsumer(ctx, j.o.Stream, consumer.CachedInfo().Name)
}

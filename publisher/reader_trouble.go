package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func (r *Reader) stream(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := r.js.Stream(ctx, r.o.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", r.o.Stream, r.explain(err))
	}
	return stream.CachedInfo(), nil
}

var errOtherStream = errors.New("it is another stream than before, with sequences of its own")

// same makes sure that the stream is the one that was read so far, and notes
// what it has forgotten.
func (r *Reader) same(ctx context.Context) error {
	info, err := r.stream(ctx)
	if err != nil {
		return err
	}
	if !info.Created.Equal(r.created) {
		return fmt.Errorf("stream %s: %w; start again to read it", r.o.Stream, errOtherStream)
	}
	if info.State.LastSeq < r.last {
		r.forgot(info.State.LastSeq)
	}
	return nil
}

// final reports whether an error will stay however long one waits.
func (r *Reader) final(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, errOtherStream) || errors.Is(err, jetstream.ErrConsumerDeleted) && r.o.Durable != "" ||
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrConnectionClosed)
}

// denied reports whether the server has refused something for the lack of a
// permission, which it says beside the answer that never comes.
func (r *Reader) denied() bool {
	last := r.nc.LastError()
	return errors.Is(last, nats.ErrPermissionViolation) && !ofReaders(last, r.o.Stream)
}

// noStream says what to do about a stream that is not there.
func noStream(err error) error {
	return &plainError{"there is no such stream; check NATS_URL, NATS_STREAM and the account, or start the connector, which creates it", err}
}

// explain adds what to do.
func (r *Reader) explain(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return noStream(err)
	case errors.Is(err, jetstream.ErrConsumerDeleted):
		return &plainError{fmt.Sprintf("consumer %s of stream %s was deleted, and with it what was read; start again to create it, with --from saying where", r.o.Durable, r.o.Stream), err}
	case errors.Is(err, context.DeadlineExceeded) && r.denied():
		return fmt.Errorf("%w; the server also said: %w", err, r.nc.LastError())
	}
	return err
}

// missed tells how many messages the stream has dropped before they were read:
// only a reader that was behind can have missed any.
func (r *Reader) missed(ctx context.Context, next uint64) error {
	if r.behind == 0 || next == r.last+1 {
		return nil
	}
	info, err := r.stream(ctx)
	if err != nil {
		return err
	}
	r.behind = 0 // once for each time it falls behind
	r.miss(r.last+1, min(info.State.FirstSeq, next))
	return nil
}

// miss notes and tells what was dropped before it was read.
func (r *Reader) miss(next, first uint64) {
	if next < first {
		r.dropped += first - next
	}
	r.tellMissed(next, first)
}

// tellMissed tells what was dropped between what should be read next and the
// first message the stream still has.
func (r *Reader) tellMissed(next, first uint64) {
	if next < first {
		r.o.Told(fmt.Sprintf("stream %s has dropped messages %d to %d before they were read, by its limits or a purge: up to %d events are missing here",
			r.o.Stream, next, first-1, first-next))
	}
}

// subjects are the filter of a consumer.
type subjects []string

// apply names a single subject as such: only then does the request carry it,
// and permissions can be given for it.
func (s subjects) apply(config *jetstream.ConsumerConfig) {
	config.FilterSubject, config.FilterSubjects = "", nil
	if len(s) == 1 {
		config.FilterSubject = s[0]
		return
	}
	config.FilterSubjects = s
}

// cover is the narrowest subject that covers all of them.
func cover(all []string) string {
	covering := strings.Split(all[0], ".")
	for _, subject := range all[1:] {
		tokens := strings.Split(subject, ".")
		for i := range covering {
			switch {
			case covering[i] == ">":
			case i >= len(tokens) || tokens[i] == ">", i == len(covering)-1 && len(tokens) > len(covering):
				covering[i] = ">"
			case tokens[i] != covering[i]:
				covering[i] = "*"
				continue
			default:
				continue
			}
			covering = covering[:i+1]
			break
		}
	}
	return strings.Join(covering, ".")
}

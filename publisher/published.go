package publisher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

const (
	// readPortion is how many events one call of Published reads.
	readPortion = 250_000
	// readWait bounds how long that takes.
	readWait = time.Minute
	// readQuiet is how long no message may come from a consumer.
	readQuiet = time.Second
	// readAhead is how many messages are under way.
	readAhead = 2000
)

// Published goes on reading which rows of a folder are stored, where so ends, up
// to the mark. It reads some hundred thousand events a call; nothing is left
// when UpTo of what it returns is the mark's revision. Events above the mark,
// which no mark accounts for, are left out.
//
// The events come from consumers, which may live on a replica that has not
// heard of the last commits. So it is the leader who says whether there is
// another event below the mark, before the first and after the last.
func (j *JetStream) Published(ctx context.Context, mark checkpoint.Mark, so checkpoint.Published) (checkpoint.Published, error) {
	if so.UpTo >= mark.Revision {
		return so, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readWait, errLagging)
	defer cancel()
	r := recall{j: j, mark: mark, so: so, upTo: so.UpTo, left: j.portion}
	err := r.run(ctx)
	if err == nil {
		err = r.bound(ctx)
	}
	if err != nil {
		return checkpoint.Published{}, fmt.Errorf("events of folder %d in stream %s: %w", mark.Folder, j.o.Stream, cause(ctx, err))
	}
	return r.so, nil
}

var errLagging = fmt.Errorf("they could not be read within %v: the stream is slow, or a replica of it lags", readWait)

// A recall is one call of Published.
type recall struct {
	j    *JetStream
	mark checkpoint.Mark
	so   checkpoint.Published
	upTo uint64 // sequence that was read last
	left int    // events still to be read
}

// run reads with one consumer after the other. One that lives on a replica
// that lags may never hear of a batch that was on its way when it began; the
// next one does.
func (r *recall) run(ctx context.Context) error {
	for r.left > 0 {
		next, err := r.j.get(ctx, r.j.o.Stream, messageQuery{NextOf: r.events() + ">", Seq: r.upTo + 1})
		if err != nil {
			return err
		}
		if next == nil || next.seq >= r.mark.Revision {
			r.upTo = r.mark.Revision
			return nil
		}
		if err := r.consume(ctx, next.seq); err != nil {
			return err
		}
	}
	return nil
}

// consume reads until the mark, the end of the portion, or what may be the last
// event.
func (r *recall) consume(ctx context.Context, from uint64) error {
	consumer, err := r.j.js.OrderedConsumer(ctx, r.j.o.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects:    []string{r.events() + ">"},
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		InactiveThreshold: readWait,
		MaxResetAttempts:  2,
	})
	if last := r.j.nc.LastError(); err != nil && errors.Is(last, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w; the server also said: %w", err, last)
	}
	if err != nil {
		return err
	}
	defer r.j.forget(consumer)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(readAhead))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for r.left > 0 {
		msg, err := messages.Next(jetstream.NextMaxWait(readQuiet))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrTimeout):
			return nil
		case err != nil:
			return err
		}
		if more, err := r.add(msg); !more || err != nil {
			return err
		}
	}
	return nil
}

// events is how the subjects of the folder's events begin.
func (r *recall) events() string {
	return fmt.Sprintf("%s.folder.%d.", r.j.o.Prefix, r.mark.Folder)
}

// add takes from an event what it says about rows that are stored, and reports
// whether there are more of them on this replica.
func (r *recall) add(msg jetstream.Msg) (more bool, err error) {
	at, err := msg.Metadata()
	if err != nil || at.Sequence.Stream > r.mark.Revision {
		return false, err
	}
	r.upTo = at.Sequence.Stream
	r.left--
	kind := strings.TrimPrefix(msg.Subject(), r.events())
	if err := addPublished(&r.so, r.upTo, kind, msg.Data()); err != nil {
		return false, fmt.Errorf("the one at sequence %d: %w", r.upTo, err)
	}
	return at.NumPending > 0, nil
}

// bound says what is told for certain: limits of the stream drop the oldest
// messages, also while they are read.
func (r *recall) bound(ctx context.Context) error {
	stream, err := r.j.js.Stream(ctx, r.j.o.Stream)
	if err != nil {
		return err
	}
	r.so.ReadTo(r.upTo, stream.CachedInfo().State.FirstSeq)
	return nil
}

// forget removes the consumer at once, instead of leaving that to the server.
func (j *JetStream) forget(consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()
	_ = j.js.DeleteConsumer(ctx, j.o.Stream, consumer.CachedInfo().Name)
}

// Kinds of events that account for rows without being about one.
const (
	gapEvents    = "connector." + schema.Gap
	shrunkEvents = "connector." + schema.Shrunk
)

// addPublished takes from an event what it says about rows that are stored.
func addPublished(so *checkpoint.Published, seq uint64, kind string, data []byte) error {
	var e struct {
		Sequence string `json:"sequence"`
		Data     struct {
			Late      bool `json:"late"`
			Connector struct {
				Rows int `json:"rows"`
			} `json:"connector"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	switch kind {
	case gapEvents:
		so.Gaps += max(0, e.Data.Connector.Rows)
	case shrunkEvents:
		so.Removed += max(0, e.Data.Connector.Rows)
	}
	if e.Sequence == "" {
		return nil // not about a row
	}
	id, err := strconv.ParseInt(e.Sequence, 10, 64)
	if err != nil || id <= 0 {
		return fmt.Errorf("sequence %q is not the id of a row", e.Sequence)
	}
	return so.Row(seq, id, e.Data.Late)
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/schema"
)

// RepublishOptions say from where to where events are republished.
type RepublishOptions struct {
	Stream string // which the events are read from
	Domain string // JetStream domain of both streams, "" for the server's own
	Prefix string // of the subjects they have there
	To     string // prefix of the subjects they get
}

// A Republisher stores events of a stream a second time, under another prefix,
// as they are. They get the header that marks history, and their message id, by
// which a stream knows those it was sent twice within its duplicate_window.
type Republisher struct {
	o      RepublishOptions
	nc     *nats.Conn
	stream string
}

// A PrefixError says that a prefix is not one to republish under.
type PrefixError struct{ text string }

func (e *PrefixError) Error() string { return e.text }

func prefixErrorf(format string, args ...any) error {
	return &PrefixError{fmt.Sprintf(format, args...)}
}

// NewRepublisher finds the stream that listens on the subjects. It refuses
// subjects from which events would come back into the stream they are read from.
// Another prefix helps against a *PrefixError.
func NewRepublisher(ctx context.Context, nc *nats.Conn, o RepublishOptions) (*Republisher, error) {
	js, err := jetstream.NewWithDomain(nc, o.Domain)
	if o.Domain == "" {
		js, err = jetstream.New(nc)
	}
	if err != nil {
		return nil, fmt.Errorf("JetStream client: %w", err)
	}
	r := &Republisher{o: o, nc: nc}
	source, err := js.Stream(ctx, o.Stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", o.Stream, err)
	}
	r.stream, err = js.StreamNameBySubject(ctx, r.subjects())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, prefixErrorf("no stream listens on %s; correct the prefix, or create one, as with nats stream add %s --subjects '%[1]s' --defaults",
			r.subjects(), strings.ToUpper(strings.ReplaceAll(r.o.To, ".", "_")))
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(nc.LastError(), nats.ErrPermissionViolation):
		r.stream = "on " + r.subjects() // which one is not for us to know
	case err != nil:
		return nil, fmt.Errorf("stream that listens on %s: %w", r.subjects(), err)
	}
	return r, r.refuseLoop(source.CachedInfo().Config)
}

func (r *Republisher) subjects() string { return r.o.To + ".folder.>" }

func (r *Republisher) refuseLoop(source jetstream.StreamConfig) error {
	for _, subject := range source.Subjects {
		if server.SubjectsCollide(subject, r.subjects()) {
			by := ""
			if subject != r.subjects() {
				by = fmt.Sprintf(" (%s)", subject)
			}
			return prefixErrorf("stream %s, which the events are read from, listens on %s itself%s: they would come back into it; take another prefix", r.o.Stream, r.subjects(), by)
		}
	}
	for _, from := range append(source.Sources, source.Mirror) {
		if from != nil && from.Name == r.stream {
			return prefixErrorf("stream %s, which the events are read from, takes over what stream %s stores: they would come back into it; take another prefix", r.o.Stream, r.stream)
		}
	}
	return nil
}

// A Republished is an event as it was stored, and the id of its message.
type Republished struct {
	Subject, MsgID string
	Data           []byte
}

// Publish stores events under their new subjects, each after the one before it
// was answered. It returns how many are stored, and how many of these were there
// already. The error of a stream that may take the next one later is a
// *StoreError that says so.
func (r *Republisher) Publish(ctx context.Context, these []Republished) (stored, known int, err error) {
	connected, end := whileConnected(ctx, r.nc)
	defer end()
	for i, e := range these {
		answer, err := r.publish(connected, e)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return i, known, err
		}
		if answer.Duplicate {
			known++
		}
	}
	return len(these), known, nil
}

func (r *Republisher) publish(ctx context.Context, e Republished) (a ack, err error) {
	rest, found := strings.CutPrefix(e.Subject, r.o.Prefix+".")
	if !found {
		return ack{}, fmt.Errorf("subject %s does not begin with %s", schema.Text(e.Subject), r.o.Prefix)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerWait, nats.ErrTimeout)
	defer cancel()
	reply, err := r.nc.RequestMsgWithContext(ctx, &nats.Msg{
		Subject: r.o.To + "." + rest,
		Header: nats.Header{
			headerContentType: {schema.ContentType},
			headerIngestMode:  {schema.Backfill},
			headerMsgID:       {e.MsgID},
		},
		Data: e.Data,
	})
	if err != nil {
		_, err = unanswered(r.nc, r.stream, cause(ctx, err))
		return ack{}, err
	}
	switch err := json.Unmarshal(reply.Data, &a); {
	case err != nil:
		return ack{}, fmt.Errorf("answer on %s: %w; a stream and nothing else must answer there", r.subjects(), err)
	case a.Error != nil:
		_, err := classify(r.stream, *a.Error)
		return ack{}, err
	case a.Stream == "" || a.Seq == 0:
		return ack{}, fmt.Errorf("answer on %s: names no stream; a stream and nothing else must answer there", r.subjects())
	}
	return a, nil
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/queue"
)

// A View shows how the connector's work stands, for people and monitoring,
// whether or not a connector runs. It changes nothing. Its methods may not be
// called by several goroutines, Title excepted.
type View struct {
	j      *JetStream
	stream *jetstream.StreamInfo
	marks  map[int]checkpoint.Mark
	read   uint64 // sequence up to which the marks were read
}

// Look opens the stream for a View. Unlike Open it creates and judges nothing: it
// fails where there is no stream, or where this user may not read the marks.
func Look(ctx context.Context, nc *nats.Conn, o Options) (*View, error) {
	j, err := newJetStream(nc, o)
	if err != nil {
		return nil, err
	}
	if err := j.untilLed(ctx, func() error { return j.peek(ctx) }); err != nil {
		return nil, fmt.Errorf("stream %s: %w", j.o.Stream, err)
	}
	return &View{j: j}, nil
}

// peek finds out what there is, and what this user may see of it.
func (j *JetStream) peek(ctx context.Context) (err error) {
	if j.refused, err = j.refusedOf(ctx, ViewPermissions(j.o)); err != nil {
		return err
	}
	if err := lacking(j.refused).Err(); err != nil {
		return err
	}
	f, err := j.facts(ctx)
	if err == nil && f.stream == nil {
		return noStream(jetstream.ErrStreamNotFound)
	}
	return err
}

// Stream returns the name of the stream.
func (v *View) Stream() string { return v.j.o.Stream }

// Mode returns how a connector without NATS_COMMIT commits to the stream: Atomic
// or Dedup.
func (v *View) Mode() Mode { return v.j.mode }

// Hidden says what this user may not see, for want of which permission. Titles are
// no matter: the connectors tell them.
func (v *View) Hidden() Findings { return lacking(v.j.refused).Of(Warning) }

// Marks returns the marks of all folders, by folder, as JetStream.Marks does but
// without what only the connector needs: the rows they remember. Called again, it
// reads only what is new.
func (v *View) Marks(ctx context.Context) ([]checkpoint.Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, marksWait)
	defer cancel()
	if err := v.readMarks(ctx); err != nil {
		return nil, fmt.Errorf("marks in stream %s: %w", v.j.o.Stream, err)
	}
	return slices.SortedFunc(maps.Values(v.marks), func(a, b checkpoint.Mark) int { return a.Folder - b.Folder }), nil
}

func (v *View) readMarks(ctx context.Context) error {
	if err := v.again(ctx); err != nil {
		return err
	}
	first := v.read == 0
	if err := v.j.eachMark(ctx, v.read, v.keep); err != nil {
		return err
	}
	if !first {
		return nil
	}
	if err := v.j.addCopied(ctx, v.marks); err != nil {
		return fmt.Errorf("their copy in stream %s: %w", v.j.copyName(), err)
	}
	for folder, m := range v.marks {
		v.marks[folder] = slim(m)
	}
	return nil
}

// again looks at the stream, and forgets the marks of another one.
func (v *View) again(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	stream, err := v.j.js.Stream(ctx, v.j.o.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return noStream(err)
	}
	if err != nil {
		return err
	}
	before := v.stream
	v.stream = stream.CachedInfo()
	if before == nil || !v.stream.Created.Equal(before.Created) || v.stream.State.LastSeq < v.read {
		v.marks, v.read = make(map[int]checkpoint.Mark), 0
	}
	return nil
}

func (v *View) keep(m checkpoint.Mark) error {
	v.marks[m.Folder], v.read = slim(m), max(v.read, m.Revision)
	if len(v.marks) > maxMarks {
		return fmt.Errorf("more than %d folders", maxMarks)
	}
	return nil
}

// slim returns a mark without the rows it remembers, which are nearly all of it.
func slim(m checkpoint.Mark) checkpoint.Mark {
	m.Recent, m.Hidden, m.Unnumbered = nil, nil, checkpoint.Unnumbered{}
	return m
}

// Title returns the title a folder had at its newest event, "" when there is
// none, when the privacy mode hides it, or when this user may not know.
func (v *View) Title(ctx context.Context, folder int) (string, error) {
	subject := v.j.eventsOf(folder) + ">"
	if !v.stream.Config.AllowDirect || !v.j.may(v.j.api+"DIRECT.GET."+v.j.o.Stream+"."+v.j.o.Prefix+".folder.*.>") {
		return "", nil
	}
	reply, err := v.j.nc.RequestWithContext(ctx, v.j.api+"DIRECT.GET."+v.j.o.Stream+"."+subject, nil)
	if err != nil {
		return "", fmt.Errorf("newest event of folder %d: %w", folder, err)
	}
	var e struct {
		Data struct {
			Feed struct {
				Title string `json:"title"`
			} `json:"feed"`
		} `json:"data"`
	}
	if reply.Header.Get("Status") != "" || json.Unmarshal(reply.Data, &e) != nil {
		return "", nil
	}
	return e.Data.Feed.Title, nil
}

// Lanes returns where in the queue each folder lies, or was leased from. It is
// nil where there is no queue, or where this user may not know.
func (v *View) Lanes(ctx context.Context) (map[int]queue.Lane, error) {
	if !v.j.mayCall("STREAM.INFO", v.j.queueName()) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	return v.j.lanes(ctx)
}

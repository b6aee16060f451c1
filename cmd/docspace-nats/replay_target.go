package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/cmd/docspace-nats/sink"
	"docspace-nats/publisher"
)

// A replayItem is an event on its way.
type replayItem struct {
	publisher.Delivery
	lane  string    // events of one lane follow one another
	msgID string    // of the event, for JetStream
	due   time.Time // not before, with --pace
	done  bool      // the target has confirmed it, or it is not wanted
}

// A replayTarget takes events. Its send is called by several goroutines, for
// different lanes.
type replayTarget interface {
	// lane is which events must follow one another.
	lane(folder string) string
	// most is how many lanes send at a time, and how many events at once.
	most() (lanes, events int)
	// send hands events over, in order, and returns how many of them are safe and
	// how many after these may have arrived. After an error it is called again
	// with those that are not safe, unless everything ends.
	send(ctx context.Context, these []*replayItem) (safe, tried int, err error)
	close() error
}

// A refusal says whether trying again can help.
type refusal interface{ Temporary() bool }

func (o *replayOptions) open(ctx context.Context, nc *nats.Conn, cfg config.NATS, stdout io.Writer) (replayTarget, error) {
	switch {
	case o.toPrefix != "":
		to, err := publisher.NewRepublisher(ctx, nc, publisher.RepublishOptions{Stream: cfg.Stream, Domain: cfg.JSDomain, Prefix: cfg.SubjectPrefix, To: o.toPrefix})
		if wrong := new(publisher.PrefixError); errors.As(err, &wrong) {
			return nil, usagef("--to-prefix: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("--to-prefix: %w", err)
		}
		return &streamTarget{to: to}, nil
	case o.to != "":
		return newHTTPTarget(o)
	case o.file != "":
		file, err := sink.OpenFile(o.file, o.job != "")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.file, err)
		}
		return &lineTarget{sink: file}, nil
	}
	return &lineTarget{sink: sink.NewOutput(stdout)}, nil
}

// A streamTarget stores events in another stream, each after the one before it
// in its folder was answered.
type streamTarget struct {
	to    *publisher.Republisher
	known atomic.Int64 // those the stream had already
}

func (t *streamTarget) lane(folder string) string { return folder }

// most bounds what waits in the server at a time.
func (t *streamTarget) most() (lanes, events int) { return 64, 64 }

func (t *streamTarget) send(ctx context.Context, these []*replayItem) (safe, tried int, err error) {
	events := make([]publisher.Republished, len(these))
	for i, item := range these {
		events[i] = publisher.Republished{Subject: item.Subject, MsgID: item.msgID, Data: item.Data}
	}
	safe, known, err := t.to.Publish(ctx, events)
	t.known.Add(int64(known))
	if refused := new(publisher.StoreError); err != nil && !errors.As(err, &refused) {
		err = &sink.LostError{Err: err} // what answers there is no stream
	}
	if err != nil {
		tried = 1
	}
	return safe, tried, err
}

func (t *streamTarget) close() error { return nil }

// A lineTarget writes events as lines, in the order of the stream.
type lineTarget struct {
	sink    sink.Sink
	written int // of the lines that are sent again, those the sink has
}

func (t *lineTarget) lane(string) string { return "" }

func (t *lineTarget) most() (lanes, events int) { return 1, mostBatch }

func (t *lineTarget) send(ctx context.Context, these []*replayItem) (safe, tried int, err error) {
	lines := make([][]byte, 0, len(these))
	for _, item := range these {
		line, err := oneLine(item.Data)
		if err != nil {
			return 0, 0, &sink.LostError{Err: fmt.Errorf("event #%d: %w", item.Seq, err)} // it was decoded before
		}
		lines = append(lines, line)
	}
	n, err := t.sink.Write(ctx, lines[t.written:])
	if t.written += n; err != nil {
		return 0, 0, err
	}
	t.written = 0
	if err := t.sink.Confirm(ctx); err != nil {
		return 0, len(these), err
	}
	return len(these), 0, nil
}

func (t *lineTarget) close() error { return t.sink.Close() }

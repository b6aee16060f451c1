package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/schema"
	"docspace-nats/schema/line"
)

// A streamReader is a consumer like any other program's: it has a connection of
// its own, prints live events, and keeps what it saw.
type streamReader struct {
	nc       *nats.Conn
	stream   jetstream.Stream
	subjects string
	consumer jetstream.ConsumeContext
	out      io.Writer

	mu      sync.Mutex
	count   int // messages received
	arrived chan struct{}
	history int
	events  map[int][]readEvent
	err     error
}

// A readEvent is what the comparison needs of an event.
type readEvent struct {
	row  int64
	late bool
}

// readStream consumes a stream from its first event and prints live ones to out.
func readStream(ctx context.Context, server, stream, subjects string, out io.Writer) (*streamReader, error) {
	nc, err := publisher.Connect(ctx, publisher.ConnectOptions{URL: server, Name: "docspace-nats demo consumer"})
	if err != nil {
		return nil, err
	}
	r := &streamReader{nc: nc, out: out, subjects: subjects, events: make(map[int][]readEvent), arrived: make(chan struct{}, 1)}
	if err := r.consume(ctx, stream); err != nil {
		nc.Close()
		return nil, fmt.Errorf("consume %s: %w", stream, err)
	}
	return r, nil
}

func (r *streamReader) consume(ctx context.Context, stream string) error {
	js, err := jetstream.New(r.nc)
	if err != nil {
		return err
	}
	if r.stream, err = js.Stream(ctx, stream); err != nil {
		return err
	}
	consumer, err := r.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{r.subjects}})
	if err != nil {
		return err
	}
	r.consumer, err = consumer.Consume(r.receive)
	return err
}

func (r *streamReader) close() {
	r.consumer.Stop()
	r.nc.Close()
}

func (r *streamReader) receive(msg jetstream.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	event, err := schema.Decode(msg.Data())
	if err != nil {
		r.err = fmt.Errorf("message on %s: %w", msg.Subject(), err)
		return
	}
	r.keep(event)
	if event.IngestMode == schema.Backfill {
		r.history++
	} else {
		r.show(event)
	}
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

func (r *streamReader) keep(event schema.Event) {
	folder, err := strconv.Atoi(event.Data.Feed.FolderID)
	row, rowErr := strconv.ParseInt(event.Data.AuditID, 10, 64)
	if err != nil || rowErr != nil {
		return // about the connector's own work
	}
	r.events[folder] = append(r.events[folder], readEvent{row: row, late: event.Data.Late})
}

// show prints an event in one line, as tail does.
func (r *streamReader) show(event schema.Event) {
	if r.history > 0 {
		fmt.Fprintf(r.out, "(%d events of history)\n", r.history)
		r.history = 0
	}
	fmt.Fprintf(r.out, "%s\n", line.Text(nil, &event, line.Style{Zone: time.Local}))
}

// finish waits until everything the stream holds has been received.
func (r *streamReader) finish(ctx context.Context) error {
	info, err := r.stream.Info(ctx, jetstream.WithSubjectFilter(r.subjects))
	if err != nil {
		return fmt.Errorf("state of the stream: %w", err)
	}
	want := 0
	for _, n := range info.State.Subjects {
		want += int(n)
	}
	for {
		r.mu.Lock()
		done, err := r.count >= want, r.err
		r.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-r.arrived:
		case <-ctx.Done():
			return fmt.Errorf("the consumer did not receive all the stream holds: %w", ctx.Err())
		}
	}
}

// A comparison says how what is stored differs from what happened.
type comparison struct {
	made, stored, lost, duplicated, disordered int
}

// compare holds the rows of the portal against the events that were read.
func compare(portal *docspacetest.Portal, watched []poller.Standing, r *streamReader) comparison {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all comparison
	folders := portal.Rooms()
	for _, s := range watched {
		folders = append(folders, s.Folder)
	}
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		all.add(portal.Rows(folder), r.events[folder])
	}
	return all
}

func (c *comparison) add(rows []docspacetest.Row, events []readEvent) {
	c.made += len(rows)
	c.stored += len(events)
	times := make(map[int64]int, len(events))
	var highest int64
	for _, e := range events {
		if times[e.row]++; times[e.row] > 1 {
			c.duplicated++
		}
		if e.late != (e.row < highest) {
			c.disordered++
		}
		highest = max(highest, e.row)
	}
	for _, row := range rows {
		if times[row.ID] == 0 {
			c.lost++
		}
	}
}

func (c comparison) print(w io.Writer) error {
	fmt.Fprintf(w, "\nrows made %d, events stored %d, lost %d, duplicated %d, out of order %d\n", c.made, c.stored, c.lost, c.duplicated, c.disordered)
	if c.lost+c.duplicated+c.disordered > 0 {
		return errReported
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"

	"docspace-nats/cmd/docspace-nats/sink"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

const (
	// pumpBatch is how many events, and pumpBytes how much of them, are taken
	// before they are confirmed.
	pumpBatch = 1000
	pumpBytes = 8 << 20

	// pumpKeep is how often the server hears that the events in hand are still
	// being worked on, less than half of what it waits.
	pumpKeep = publisher.DurableAckWait / 3

	// pumpLook is how often tail looks whether it is at the end.
	pumpLook = 100 * time.Millisecond

	// pumpLast is how long a stop may take to bring out what is in hand.
	pumpLast = 15 * time.Second
)

// A tailPump moves events from the stream to the sink. An event is done with
// only when the sink has confirmed its line; what is not confirmed is written
// again, in the same order, for as long as it takes.
type tailPump struct {
	o      tailOptions
	reader *publisher.Reader
	sink   sink.Sink
	render func(*schema.Event, []byte) ([]byte, error)
	tell   func(format string, args ...any)

	inHand  []publisher.Delivery // read and not done with, oldest first
	lines   [][]byte             // of them, those that are wanted
	written int                  // of the lines, those the sink has
	bytes   int                  // size of the lines
	since   time.Time            // when the oldest in hand came

	matched int // events that were wanted
	unread  int // messages that are no events
	over    bool
}

// run goes on until ctx ends, what was asked for is delivered, or nothing can
// be read or written any more.
func (p *tailPump) run(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	deliveries := make(chan publisher.Delivery, 256)
	failed := make(chan error, 1)
	go func() { failed <- p.reader.Read(reading, deliveries) }()
	defer func() { stop(); <-failed }()

	rotated := make(chan os.Signal, 1)
	if p.o.file != "" {
		notifyReopen(rotated)
		defer stopReopen(rotated)
	}
	keep := time.NewTicker(pumpKeep)
	defer keep.Stop()
	look := time.NewTicker(pumpLook)
	defer look.Stop()
	for !p.over {
		var err error
		select {
		case d := <-deliveries:
			err = p.takeAll(ctx, d, deliveries)
		case <-look.C:
			err = p.look(ctx, deliveries)
		case <-keep.C:
			p.reader.Keep(p.inHand...)
		case <-rotated:
			if err = p.deliver(ctx, true); err == nil {
				p.sink.Reopen()
			}
		case err = <-failed:
			failed <- nil // for the one who waits at the end
			if err != nil {
				return errors.Join(err, p.last(ctx))
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return p.last(ctx)
		}
		if err != nil {
			return err
		}
	}
	return p.last(ctx)
}

// takeAll takes an event and all that wait behind it, and writes their lines.
func (p *tailPump) takeAll(ctx context.Context, d publisher.Delivery, more <-chan publisher.Delivery) error {
	for {
		p.take(d)
		full := p.over || len(p.inHand) >= pumpBatch || p.bytes >= pumpBytes
		if full {
			return p.deliver(ctx, true)
		}
		select {
		case d = <-more:
			continue
		default:
		}
		return p.deliver(ctx, time.Since(p.since) >= p.sink.Lag())
	}
}

// take makes a line of an event that is wanted.
func (p *tailPump) take(d publisher.Delivery) {
	if !p.o.end.IsZero() && !d.Stored.Before(p.o.end) || p.o.noFollow && d.Seq > p.reader.End() {
		p.over = true
		return
	}
	if len(p.inHand) == 0 {
		p.since = time.Now()
	}
	p.inHand = append(p.inHand, d)
	e, err := schema.Decode(d.Data)
	if err == nil && !p.o.wants(&e) {
		return
	}
	var text []byte
	if err == nil {
		text, err = p.render(&e, d.Data)
	}
	if err != nil {
		if p.unread++; p.unread == 1 {
			p.tell("message %d on %s is no event and left out, as others will be: %v", d.Seq, schema.Text(d.Subject), err)
		}
		return
	}
	p.lines = append(p.lines, text)
	p.bytes += len(text)
	p.matched++
	p.over = p.matched == p.o.count
}

// look confirms what has waited long enough, and finds out whether there is
// nothing more to come.
func (p *tailPump) look(ctx context.Context, waiting <-chan publisher.Delivery) error {
	if len(p.inHand) > 0 && time.Since(p.since) >= p.sink.Lag() {
		if err := p.deliver(ctx, true); err != nil {
			return err
		}
	}
	ends := p.o.noFollow || !p.o.end.IsZero() && time.Now().After(p.o.end)
	if !ends || len(waiting) > 0 {
		return nil
	}
	err := p.deliver(ctx, true)
	if err == nil {
		p.over, err = drained(ctx, p.reader, waiting)
	}
	return err
}

// drained reports whether nothing is left to read, and nothing that was read waits.
// It looks at what waits last: something may come while the server is asked.
func drained(ctx context.Context, reader *publisher.Reader, waiting <-chan publisher.Delivery) (bool, error) {
	is, err := reader.Drained(ctx)
	return is && len(waiting) == 0, err
}

// deliver writes the lines that are not written and, when asked, has them
// confirmed. It tries until it works, ctx ends, or it never will.
func (p *tailPump) deliver(ctx context.Context, confirm bool) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	keep := time.Now()
	for told := false; ; {
		err := p.attempt(ctx, confirm)
		if lost := new(sink.LostError); errors.As(err, &lost) || ctx.Err() != nil {
			return fmt.Errorf("write to %s: %w", p.o.target(), errors.Join(err, ctx.Err()))
		}
		if err == nil {
			if told {
				p.tell("%s works again", p.o.target())
			}
			return nil
		}
		if !told {
			told = true
			p.tell("write to %s: %v; trying again; %s", p.o.target(), err, p.meanwhile())
		}
		if time.Since(keep) > pumpKeep/2 {
			keep = time.Now()
			p.reader.Keep(p.inHand...)
		}
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
		}
	}
}

// meanwhile says what becomes of the events that wait for the sink.
func (p *tailPump) meanwhile() string {
	if p.o.durable == "" {
		return "without --durable these are lost if tail stops"
	}
	return "nothing is lost meanwhile"
}

// attempt is deliver, once.
func (p *tailPump) attempt(ctx context.Context, confirm bool) error {
	if p.written < len(p.lines) {
		n, err := p.sink.Write(ctx, p.lines[p.written:])
		p.written += n
		if err != nil {
			if !p.sink.Keeps() {
				p.written = 0
			}
			return err
		}
	}
	if !confirm || len(p.inHand) == 0 {
		return nil
	}
	if err := p.sink.Confirm(ctx); err != nil {
		p.written = 0
		return err
	}
	p.reader.Done(p.inHand...)
	p.inHand, p.lines, p.written, p.bytes = nil, nil, 0, 0
	return nil
}

// last brings out what is in hand when everything else has ended, and says what
// could not be.
func (p *tailPump) last(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pumpLast)
	defer cancel()
	err := p.attempt(ctx, true)
	if err != nil {
		err = fmt.Errorf("write to %s: %w; not delivered for certain: %s", p.o.target(), err, counted(len(p.lines), "event"))
		if p.o.durable != "" {
			err = fmt.Errorf("%w, to come again", err)
		}
	}
	if p.unread > 1 {
		p.tell("%d messages were no events", p.unread)
	}
	if p.over && p.matched == 0 && err == nil {
		p.tell("no event matched")
	}
	return errors.Join(err, p.reader.Flush(ctx))
}

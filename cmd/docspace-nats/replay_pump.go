package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"docspace-nats/publisher"
	"docspace-nats/schema"
)

const (
	// replayWindow is how many events, and replayBytes how much of them, are
	// read and not done with at a time. What the server has delivered besides
	// must fit into publisher.DurablePending, too.
	replayWindow = 4000
	replayBytes  = 64 << 20

	// replayLast is how long a stop waits for what is being sent.
	replayLast = 10 * time.Second
)

// A replayLane is the events of a folder that wait.
type replayLane struct {
	name  string
	queue []*replayItem
	busy  bool // some are being sent
}

// A replayResult is what became of what a lane was sending.
type replayResult struct {
	lane     *replayLane
	safe     []*replayItem
	repeated int
	err      error
}

// A replayPump moves events from the stream to the target: in order within a
// lane, lanes beside each other. An event is done with once the target has
// confirmed it and all that the stream holds before it are done with.
type replayPump struct {
	o        *replayOptions
	reader   *publisher.Reader
	target   replayTarget
	progress *progress
	tell     func(format string, args ...any)

	totals  replayTotals
	hand    []*replayItem // read and not done with, in the order of the stream
	bytes   int           // size of them
	waiting []*replayItem // of them, those whose time has not come
	lanes   map[string]*replayLane
	ready   []*replayLane // with events and not busy
	busy    int
	read    uint64 // sequence read last; at first, the one before the range
	quiet   bool   // nothing came since the last look
	over    bool   // all of the range was read
	drained bool   // and the stream ended with it

	sending context.Context // lives longer than a stop, for what is being sent
	results chan replayResult
	limit   *rate.Limiter
	said    rate.Sometimes
	clock   paceClock
}

func newReplayPump(o *replayOptions, reader *publisher.Reader, target replayTarget, progress *progress, tell func(format string, args ...any)) *replayPump {
	lanes, events := target.most()
	p := &replayPump{o: o, reader: reader, target: target, progress: progress, tell: tell,
		lanes: make(map[string]*replayLane), results: make(chan replayResult, lanes), said: rate.Sometimes{First: 1, Interval: replayTells}}
	p.limit = rate.NewLimiter(rate.Inf, 0)
	if o.rate > 0 {
		p.limit = rate.NewLimiter(rate.Limit(o.rate), o.atOnce(events))
	}
	p.read = reader.Begin() - 1
	p.clock = paceClock{factor: o.pace, maxGap: o.maxGap}
	return p
}

// run goes on until the range is delivered, ctx ends, or nothing can be read or
// delivered any more. Only then is the reader free.
func (p *replayPump) run(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	deliveries, failed := make(chan publisher.Delivery, 256), make(chan error, 1)
	go func() { failed <- p.reader.Read(reading, deliveries) }()
	defer func() { stop(); <-failed }()
	var cut context.CancelFunc
	p.sending, cut = context.WithCancel(context.WithoutCancel(ctx))
	defer cut()

	keep, look := time.NewTicker(pumpKeep), time.NewTicker(pumpLook)
	defer keep.Stop()
	defer look.Stop()
	for !p.over || len(p.hand) > 0 {
		in := deliveries
		if p.over || len(p.hand) >= replayWindow || p.bytes >= replayBytes {
			in = nil
		}
		var err error
		select {
		case d := <-in:
			p.take(d)
		case r := <-p.results:
			err = p.landed(r)
		case <-p.dueTime():
		case <-look.C:
			err = p.look(ctx, deliveries)
		case <-keep.C:
			p.keep()
		case err = <-failed:
			failed <- nil // for the one who waits at the end
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return p.last(cut, err)
		}
		p.release()
		p.start(ctx)
		p.settle()
	}
	return nil
}

// take takes an event into hand, or finds that the range is over.
func (p *replayPump) take(d publisher.Delivery) {
	if p.quiet = false; p.o.span.beyond(d) {
		p.over = true
		return
	}
	p.read, p.over = d.Seq, d.Seq == p.o.span.last
	p.totals.Read++
	item := &replayItem{Delivery: d}
	p.hand = append(p.hand, item)
	p.bytes += len(d.Data)
	e, err := schema.Decode(d.Data)
	switch {
	case err != nil:
		if p.totals.Unreadable++; p.totals.Unreadable == 1 {
			p.tell("message %d on %s is no event and left out, as others will be: %v", d.Seq, schema.Text(d.Subject), err)
		}
		item.done = true
		return
	case !p.o.selects(&e) || !p.o.span.holds(&e):
		p.totals.Skipped++
		item.done = true
		return
	}
	item.lane, item.msgID, item.due = p.target.lane(e.PartitionKey), e.MsgID(), p.clock.due(e.Time)
	p.waiting = append(p.waiting, item)
}

// release puts those whose time has come into their lanes.
func (p *replayPump) release() {
	now := time.Now()
	for len(p.waiting) > 0 && !p.waiting[0].due.After(now) {
		item := p.waiting[0]
		p.waiting = p.waiting[1:]
		lane := p.lanes[item.lane]
		if lane == nil {
			lane = &replayLane{name: item.lane}
			p.lanes[item.lane] = lane
		}
		if lane.queue = append(lane.queue, item); len(lane.queue) == 1 && !lane.busy {
			p.ready = append(p.ready, lane)
		}
	}
}

// dueTime is when the next event that waits is due.
func (p *replayPump) dueTime() <-chan time.Time {
	if len(p.waiting) == 0 {
		return nil
	}
	return time.After(time.Until(p.waiting[0].due))
}

// start has lanes that are ready send, as many as may at a time.
func (p *replayPump) start(ctx context.Context) {
	lanes, events := p.target.most()
	for p.busy < lanes && len(p.ready) > 0 {
		lane := p.ready[0]
		p.ready = p.ready[1:]
		n := min(len(lane.queue), p.o.atOnce(events))
		these := lane.queue[:n:n]
		lane.queue, lane.busy = lane.queue[n:], true
		p.busy++
		go func() { p.results <- p.deliver(ctx, lane, these) }()
	}
}

// landed notes what a lane has sent.
func (p *replayPump) landed(r replayResult) error {
	p.busy--
	p.totals.Sent += len(r.safe)
	p.totals.Repeated += r.repeated
	for _, item := range r.safe {
		item.done = true
	}
	if r.err != nil {
		return r.err
	}
	r.lane.busy = false
	if len(r.lane.queue) > 0 {
		p.ready = append(p.ready, r.lane)
	} else {
		delete(p.lanes, r.lane.name)
	}
	return nil
}

// settle is done with the oldest events in hand.
func (p *replayPump) settle() {
	n := 0
	for n < len(p.hand) && p.hand[n].done {
		p.reader.Done(p.hand[n].Delivery)
		p.bytes -= len(p.hand[n].Data)
		n++
	}
	if p.hand = p.hand[n:]; n > 0 {
		p.progress.add(n)
	}
}

func (p *replayPump) keep() {
	for _, item := range p.hand {
		p.reader.Keep(item.Delivery)
	}
}

// look finds out, when nothing comes any more, whether all was read.
func (p *replayPump) look(ctx context.Context, waiting <-chan publisher.Delivery) error {
	quiet := p.quiet
	if p.quiet = true; !quiet || len(waiting) > 0 || p.over || len(p.hand) > 0 {
		return nil
	}
	is, err := drained(ctx, p.reader, waiting)
	p.over, p.drained = is, is
	return err
}

// last waits for what is being sent when everything else has ended, and adds to
// err why it ended what else fails for good. A target that refuses does so to all
// that is under way: it is told once.
func (p *replayPump) last(cut context.CancelFunc, err error) error {
	grace := time.AfterFunc(replayLast, cut)
	defer grace.Stop()
	for p.busy > 0 {
		failed := p.landed(<-p.results)
		if failsForGood(failed) && !failsForGood(err) && !errors.Is(failed, context.Canceled) {
			err = errors.Join(err, failed)
		}
	}
	p.settle()
	return err
}

// ahead counts the events that were confirmed while one before them was not: the
// stream remembers one place only.
func (p *replayPump) ahead() (n int) {
	for _, item := range p.hand {
		if item.done && item.msgID != "" {
			n++
		}
	}
	return n
}

// next is the first sequence that is not done with, 0 when all are.
func (p *replayPump) next() uint64 {
	switch {
	case len(p.hand) > 0:
		return p.hand[0].Seq
	case p.over:
		return 0
	}
	return p.read + 1
}

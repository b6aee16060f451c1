package main

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"docspace-nats/cmd/docspace-nats/sink"
)

// replayTells is how often, at most, it is said that a target fails.
const replayTells = 30 * time.Second

// deliver sends until all is confirmed, ctx ends, or it never will be.
func (p *replayPump) deliver(ctx context.Context, lane *replayLane, these []*replayItem) (r replayResult) {
	r = replayResult{lane: lane}
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for tried := 0; ; {
		if r.err = p.limit.WaitN(ctx, len(these)); r.err != nil {
			return r
		}
		r.repeated += tried
		for r.err == nil && len(these) > 0 {
			var n int
			n, tried, r.err = p.target.send(p.sending, these)
			r.safe, these = append(r.safe, these[:n]...), these[n:]
		}
		if r.err == nil || !p.mayWork(r.err) {
			return r
		}
		p.said.Do(func() {
			p.tell("%s does not take events: %v; trying again; %s", p.o.target(), r.err, p.meanwhile())
		})
		if waited := waitUntilTime(ctx, time.Now().Add(wait.NextBackOff())); waited != nil {
			return r
		}
	}
}

// mayWork reports whether an attempt that failed is worth another.
func (p *replayPump) mayWork(err error) bool {
	return p.sending.Err() == nil && !failsForGood(err)
}

// failsForGood reports whether it is the target that says so.
func failsForGood(err error) bool {
	if lost := new(sink.LostError); errors.As(err, &lost) {
		return true
	}
	is := refusal(nil)
	return errors.As(err, &is) && !is.Temporary()
}

func (p *replayPump) meanwhile() string {
	if p.o.job == "" {
		return "without --job a stop forgets how far it came"
	}
	return "nothing is lost meanwhile"
}

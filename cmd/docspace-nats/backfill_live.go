package main

import (
	"context"
	"fmt"
	"slices"

	"docspace-nats/checkpoint"
	"docspace-nats/poller"
	"docspace-nats/publisher"
)

// intoLive reads folders into the live stream that were never read into it. It
// leaves the queue of the connectors alone: where one of them polls the same
// folder, the mark lets one win, and both go on from there.
func (b *backfill) intoLive(ctx context.Context) error {
	now, err := b.portal.ServerTime(ctx)
	if err != nil {
		return fmt.Errorf("the portal's clock: %w", err)
	}
	from, _, err := b.o.window(now)
	if err != nil {
		return &usageError{err}
	}
	ids, err := b.folders(ctx)
	if err != nil {
		return err
	}
	options := streamOptions(b.cfg.NATS)
	marks, err := publisher.StoredMarks(ctx, b.nc, options)
	if err != nil {
		return err
	}
	open, err := b.readable(ids, marks, from)
	if err != nil {
		return err
	}
	if err := refuseOld(ctx, b.portal, ids, newLogger(b.quiet(), b.stderr)); err != nil {
		return err
	}
	p := newPlan("", backfillJob{Folders: open, From: from}, marks, b.cfg.Poll.RequestsPerMinute)
	if err := b.describe(ctx, open); err != nil {
		return err
	}
	if err := b.count(ctx, p); err != nil {
		return err
	}
	if b.o.dryRun {
		return b.show(p)
	}
	if err := b.unread(p); err != nil {
		return err
	}
	if skipped := len(ids) - len(open); skipped > 0 {
		b.tell("rooms that were read from a later moment on, and are left as they are: %d", skipped)
	}
	b.tell("into stream %s: %s", b.cfg.NATS.Stream, p)
	return b.workLive(ctx, p, options, poller.Options{Anchor: from, Began: now})
}

func (b *backfill) workLive(ctx context.Context, p *backfillPlan, options publisher.Options, o poller.Options) error {
	w, marks, err := b.open(ctx, options)
	if err != nil {
		return err
	}
	b.begin(w, p.Rows, ofPlan(marks, p))
	defer w.progress.finish()
	w.schedule = poller.NewSchedule(b.poller(w, o), nil, poller.ScheduleOptions{Workers: b.cfg.Poll.MaxInFlight, Log: w.log})
	for _, f := range p.Folders {
		w.schedule.Watch(f.Folder)
	}
	w.divide(b.cfg.Poll.RequestsPerMinute, 1)
	err = w.alongside(ctx, w.schedule.CatchUp)
	w.progress.finish()
	switch {
	case ctx.Err() != nil:
		b.tell("paused; the same command goes on, and so does a connector that watches these folders")
		return errReported
	case err != nil:
		return err
	}
	b.tell("complete: read to their newest row: %s; connectors go on with those they are told to watch (DOCSPACE_FOLDERS)", counted(len(p.Folders), "folder"))
	return nil
}

// ofPlan returns the marks of the folders in a plan.
func ofPlan(marks []checkpoint.Mark, p *backfillPlan) []checkpoint.Mark {
	planned := make(map[int]bool)
	for _, f := range p.Folders {
		planned[f.Folder] = true
	}
	return slices.DeleteFunc(marks, func(m checkpoint.Mark) bool { return !planned[m.Folder] })
}

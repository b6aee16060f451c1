package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/publisher"
)

const (
	// jobRetry bounds how long a folder of a job that fails is left alone.
	jobRetry = 30 * time.Second

	// jobSettles is how long after its last second a job begins: rows are dated to
	// the nearest second, and are visible a moment after their date.
	jobSettles = 2 * time.Second

	// thereEvery is how often a job that is worked on is looked for.
	thereEvery = 5 * time.Second

	// noteEvery is how often the progress says how many folders are over.
	noteEvery = time.Second
)

// A backfillWorker is what a run works with, into whichever stream.
type backfillWorker struct {
	*connector
	log      zerolog.Logger
	progress *progress
	tally    *tally
}

// open opens the stream and reads how far the work is.
func (b *backfill) open(ctx context.Context, options publisher.Options) (*backfillWorker, []checkpoint.Mark, error) {
	w := &backfillWorker{connector: &connector{portal: b.portal, nc: b.nc, name: writer(), started: time.Now().UTC(), requests: &b.meter}, log: newLogger(b.quiet(), b.stderr)}
	marks, err := w.openLedger(ctx, options, onceWaits, w.log)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range w.ledger.Findings().Of(publisher.Warning) {
		w.log.Warn().Str("stream", w.ledger.Stream()).Msg(f.String())
	}
	cfg := b.cfg
	cfg.NATS.Stream = options.Stream
	return w, marks, ownMarks(cfg, b.feed(), marks)
}

// begin shows the progress of work on so many rows, those of the marks included.
func (b *backfill) begin(w *backfillWorker, rows int, marks []checkpoint.Mark) {
	w.tally = newTally(marks)
	stored := w.tally.rows()
	w.progress = resumeProgress("backfill", "rows", int64(stored), int64(max(rows, stored)), b.stderr)
	w.tally.progress = w.progress
	w.log = newLogger(b.quiet(), w.progress)
}

// quiet is the log beside a progress: what an operator need not act on, the
// progress says.
func (b *backfill) quiet() config.Log {
	log := b.cfg.Log
	if log.Format == "auto" && isTerminal(b.stderr) {
		log.Format = "text"
	}
	if log.Level == "info" {
		log.Level = "warn"
	}
	return log
}

// poller returns what polls the folders.
func (b *backfill) poller(w *backfillWorker, o poller.Options) *poller.Poller {
	o.Now, o.Feed, o.Filter, o.Writer = b.portal.Now, b.feed(), b.cfg.Events.Filter(), writer()
	o.Prefetch = min(4, b.cfg.Poll.MaxInFlight)
	p := poller.New(b.portal, talliedLedger{w.ledger, w.tally}, o)
	for _, f := range b.known {
		p.Describe(f)
	}
	return p
}

// work reads a job until every folder is over or given up, with the other
// replicas that do.
func (b *backfill) work(ctx context.Context, job backfillJob) error {
	about, err := job.about()
	if err != nil {
		return err
	}
	options := streamOptions(b.cfg.NATS).Job(b.o.job, about)
	w, marks, err := b.open(ctx, options)
	if err != nil {
		return err
	}
	job, created, err := b.settled(ctx)
	if err != nil {
		return err
	}
	b.begin(w, job.Rows, marks)
	defer w.progress.finish()
	w.queue = w.ledger.Queue(func() bool { return w.replicas.Count() == 1 })
	defer w.queue.Close()
	perMinute := b.cfg.Poll.RequestsPerMinute
	w.replicas = w.ledger.Replicas(b.o.job, func(n int) { w.divide(perMinute, n) })
	w.schedule = poller.NewSchedule(b.poller(w, poller.Options{Anchor: job.From, To: job.To}), w.queue, poller.ScheduleOptions{
		MinInterval: time.Second,
		MaxInterval: jobRetry,
		Workers:     2 * b.cfg.Poll.MaxInFlight, // half of them read history
		Replicas:    w.replicas,
		Past:        true,
		Log:         w.log,
	})
	for _, id := range job.Folders {
		w.schedule.Watch(id)
	}
	sleep(ctx, job.To.Add(jobSettles).Sub(b.portal.Now()))
	err = w.alongside(ctx, w.schedule.Run, w.replicas.Run,
		func(ctx context.Context) error { return w.ledger.Answer(ctx, w.answer) },
		func(ctx context.Context) error { return b.whileThere(ctx, created) })
	return b.ended(ctx, w, job, err)
}

func sleep(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// settled returns the job as it lies in its stream: another process may have
// created that a moment before, with another end, or as another one.
func (b *backfill) settled(ctx context.Context) (job backfillJob, created time.Time, err error) {
	found, there, err := publisher.FindJob(ctx, b.nc, streamOptions(b.cfg.NATS), b.o.job)
	if err == nil && !there {
		err = b.cancelled()
	}
	if err != nil {
		return job, created, err
	}
	if job, err = parseJob(found); err == nil {
		err = b.agrees(job, b.asks())
	}
	return job, found.Created, err
}

func (b *backfill) cancelled() error { return fmt.Errorf("job %s was cancelled meanwhile", b.o.job) }

// whileThere returns an error when the job is gone, or another one has its name:
// to a poll that looks like a server that will come back.
func (b *backfill) whileThere(ctx context.Context, created time.Time) error {
	for gone := 0; ctx.Err() == nil; { // twice, since a server may be about to find it
		sleep(ctx, thereEvery)
		found, there, err := publisher.FindJob(ctx, b.nc, streamOptions(b.cfg.NATS), b.o.job)
		switch {
		case err != nil || there && found.Created.Equal(created):
			gone = 0
		case gone > 0:
			return b.cancelled()
		default:
			gone++
		}
	}
	return nil
}

// alongside runs the work, with its progress and others beside it until it ends.
func (w *backfillWorker) alongside(ctx context.Context, work func(context.Context) error, others ...func(context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	members, ctx := errgroup.WithContext(ctx)
	for _, other := range others {
		members.Go(func() error { return other(ctx) })
	}
	members.Go(func() error {
		defer end()
		return work(ctx)
	})
	members.Go(func() error {
		for tick := time.NewTicker(noteEvery); ; {
			w.progress.note(w.folders())
			select {
			case <-ctx.Done():
				tick.Stop()
				w.progress.note(w.folders())
				return nil
			case <-tick.C:
			}
		}
	})
	return members.Wait()
}

// folders says how many are read to their end.
func (w *backfillWorker) folders() string {
	over, all := 0, w.schedule.Standings()
	for _, f := range all {
		if f.Over {
			over++
		}
	}
	return ofFolders(over, len(all))
}

// ended tells how a run ended and what comes next.
func (b *backfill) ended(ctx context.Context, w *backfillWorker, job backfillJob, err error) error {
	w.progress.finish()
	if err != nil {
		return err
	}
	unread := 0
	for _, f := range w.schedule.Standings() {
		if f.Over || ctx.Err() != nil {
			continue
		}
		unread++
		b.tell("folder %d was not read to its end: %s", f.Folder, whyNot(f))
	}
	switch {
	case ctx.Err() != nil:
		b.tell("paused: %s, %s; go on with docspace-nats backfill --job %s", w.folders(), ofRows(w.tally.rows(), job.Rows), b.o.job)
		return errReported
	case unread > 0:
		b.tell("not read to their end: %s; docspace-nats backfill --job %s tries again", counted(unread, "folder"), b.o.job)
		return errReported
	}
	b.tell("job %s is complete: %s, %s in stream %s, on %s", b.o.job, w.folders(), counted(w.tally.rows(), "row"), w.ledger.Stream(), b.jobSubjects())
	return nil
}

// whyNot says why a folder is not read to its end.
func whyNot(f poller.Standing) error {
	switch {
	case f.Err != nil:
		return f.Err
	case f.Reason != "":
		return fmt.Errorf("it is %s: %s", f.State, f.Reason)
	}
	return errors.New("its rows could not be read")
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
)

func replayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Send a stored range of events once more, elsewhere",
		Long: `replay reads a range of the stream and hands its events to another stream, an HTTP
endpoint, a file or standard output, as they are stored. It needs the NATS_*
settings only. Without NATS_URL it reads from the connector that runs with
NATS_DATA_DIR on this machine.

The range is all of the stream unless --seq, --from or --until say otherwise; it
ends with what is stored when the replay begins. --from and --until go by when an
event was stored, --event-from and --event-until by when the action happened.

Each event is delivered at least once and, within a folder, in order. It counts as
delivered when
  --to-prefix  the stream there, which you create, has answered; it knows what it
               was sent twice by the message id, for as long as its duplicate_window
  --to URL     the endpoint has answered 200 to 299. It gets JSON arrays of
               CloudEvents, each of one folder, several folders at a time. 5xx,
               429, 408 and broken connections are tried again for as long as it
               takes, any other answer ends the replay; redirects are not followed
  --file       it is on the disk
  stdout       it is written
Messages and requests carry Docspace-Ingest-Mode: backfill, by which a consumer
knows history. The ingestmode inside the event stays what it was.

With --job NAME the stream remembers what was delivered, and the same command goes
on there. What was confirmed while an older event of another folder was not, 4,000
events at most, is sent again. --rate, --pace, --batch, --header-file and the
certificates may change between, the range, the filters and the target may not. The
job is removed once it is done; nats consumer rm STREAM replay_NAME drops it before.

--pace 1 keeps the time that was between the actions, of all folders together. A gap
longer than --max-gap is cut to it; when the target is slower, the replay
catches up as fast as it can.

The exit status is 0 only when all of the range was delivered.`,
		Example: `  docspace-nats replay --from 24h --event 'file.*' > yesterday.ndjson
  docspace-nats replay --to-prefix replay --seq 100000..200000
  docspace-nats replay --job onboarding --to https://logs.example.com/events --header-file auth.txt
  docspace-nats replay --to http://127.0.0.1:8080/ --folder 42 --pace 60 --max-gap 5s
  docspace-nats replay --file history.ndjson --event-from 2026-01-01T00:00:00Z --event-until 2026-02-01T00:00:00Z --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(emptyFlags(cmd.Flags()), o.check(time.Now())); err != nil {
				return &usageError{err}
			}
			cfg, err := config.LoadNATS()
			if err != nil {
				return &usageError{err}
			}
			return runReplay(cmd.Context(), cfg, &o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.register(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}

// runReplay runs until the range is delivered. A stop before is a failure.
func runReplay(ctx context.Context, cfg config.NATS, o *replayOptions, stdout, stderr io.Writer) error {
	began := time.Now()
	progress := newProgress("replay", "events", stderr, drawsBars(stderr))
	of := client{name: strings.TrimSpace("replay " + o.job), deaf: true, tell: teller("replay", progress)}
	if o.job != "" {
		of.wait = -1 // who goes on after a stop waits for the server
	}
	nc, disconnect, err := of.connect(ctx, cfg)
	if err != nil {
		return unbegun(ctx, err)
	}
	defer disconnect()
	target, err := o.open(ctx, nc, cfg, stdout)
	if err != nil {
		return unbegun(ctx, err)
	}
	pump, err := o.prepare(ctx, nc, cfg, target, progress)
	if err != nil {
		return unbegun(ctx, errors.Join(err, target.close()))
	}
	err = pump.run(ctx)
	progress.finish()
	if closed := target.close(); err == nil && closed != nil {
		err = fmt.Errorf("%s: %w", o.target(), closed)
	}
	if to, is := target.(*streamTarget); is {
		pump.totals.Known = to.known.Load()
	}
	return pump.end(ctx, err, time.Since(began), stdout)
}

// unbegun says of what a stop has cut short only that.
func unbegun(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("stopped before the first event")
	}
	return err
}

// jobConsumer is the name of a job's consumer.
func (o *replayOptions) jobConsumer() string {
	if o.job == "" {
		return ""
	}
	return "replay_" + o.job
}

// prepare opens the range, new or as its job keeps it, and counts what it holds.
func (o *replayOptions) prepare(ctx context.Context, nc *nats.Conn, cfg config.NATS, target replayTarget, progress *progress) (*replayPump, error) {
	tell := teller("replay", progress)
	read := publisher.ReaderOptions{
		Stream:   cfg.Stream,
		Domain:   cfg.JSDomain,
		Subjects: o.subjects(cfg.SubjectPrefix),
		For:      "replay",
	}
	begin := read
	begin.From, begin.Durable = o.position, o.jobConsumer()
	begin.Told = func(text string) { tell("%s", text) }
	begin.Metadata = func(end uint64) map[string]string { return o.kept(cfg.SubjectPrefix, end) }
	reader, err := publisher.OpenReader(ctx, nc, begin)
	if err != nil {
		return nil, err
	}
	o.span.last = min(o.span.last, reader.End())
	if after, is := reader.Resumed(); is {
		if o.span, err = o.spanOf(reader.Metadata(), cfg.SubjectPrefix); err != nil {
			return nil, fmt.Errorf("job %s, consumer %s of stream %s: %w; go on with the command it was begun with, give this one another name, or drop the job: %s",
				o.job, begin.Durable, cfg.Stream, err, reader.Removal())
		}
		tell("job %s goes on after event #%d", o.job, after)
	}
	beyond, err := o.beyond(ctx, nc, read)
	if err != nil {
		return nil, err
	}
	progress.begin(max(0, int64(reader.Pending())-beyond))
	return newReplayPump(o, reader, target, progress, tell), nil
}

// beyond counts the messages that follow the range.
func (o *replayOptions) beyond(ctx context.Context, nc *nats.Conn, read publisher.ReaderOptions) (int64, error) {
	places := []publisher.Position{{Seq: o.span.last + 1}}
	if !o.span.until.IsZero() {
		places = append(places, publisher.Position{Time: o.span.until})
	}
	beyond := int64(0)
	for _, place := range places {
		read.From = place
		after, err := publisher.OpenReader(ctx, nc, read)
		if err != nil {
			return 0, err
		}
		beyond = max(beyond, int64(after.Pending()))
	}
	return beyond, nil
}

// end says what was done, and how to go on where something is left.
func (p *replayPump) end(ctx context.Context, err error, took time.Duration, stdout io.Writer) error {
	over := context.WithoutCancel(ctx)
	if flushed := p.reader.Flush(over); err == nil {
		err = flushed
	}
	if err == nil && p.o.job != "" {
		if forgotten := p.reader.Forget(over); forgotten != nil {
			p.tell("job %s is done, but what remembers it stays: %v; remove it before the name is used again, as with %s", p.o.job, forgotten, p.reader.Removal())
		}
	}
	if p.totals.Dropped = p.reader.Dropped(p.drained); err == nil && p.totals.Dropped > 0 {
		err = &droppedError{p.totals.Dropped}
	}
	p.tell("%s", p.totals)
	if _, resumed := p.reader.Resumed(); err == nil && p.totals.Sent == 0 && !resumed {
		p.tell("no event matched; the stream ends with #%d: compare the range and the filters with what docspace-nats status shows", p.reader.End())
	}
	if p.o.json {
		summary := struct {
			replayTotals
			Finished bool    `json:"finished"`
			Next     uint64  `json:"next,omitzero"` // where to go on
			Seconds  float64 `json:"seconds"`
		}{p.totals, err == nil, p.next(), took.Seconds()}
		text, wrong := json.Marshal(summary)
		if _, failed := fmt.Fprintf(stdout, "%s\n", text); wrong != nil || failed != nil {
			err = errors.Join(err, wrong, failed)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*droppedError)):
		return fmt.Errorf("replay to %s: %w", p.o.target(), err)
	case ctx.Err() != nil:
		return fmt.Errorf("stopped before the end of the range; %s", p.goOn())
	}
	return fmt.Errorf("replay to %s: %w; %s", p.o.target(), err, p.goOn())
}

// A droppedError says that the range is not what it was when the replay began.
type droppedError struct{ n uint64 }

func (e *droppedError) Error() string {
	return fmt.Sprintf("all that is left of the range was delivered, and up to %d messages of it were not: the stream dropped them before they were read, by its limits or a purge", e.n)
}

// goOn is how to deliver what is left.
func (p *replayPump) goOn() string {
	if p.o.job != "" {
		if again := p.ahead(); again > 0 {
			return fmt.Sprintf("the same command goes on, and sends %s again that other folders were ahead", counted(again, "event"))
		}
		return "the same command goes on"
	}
	if p.next() == 0 {
		return "all events were sent"
	}
	return fmt.Sprintf("go on with --seq %d..%d instead of --seq or --from", p.next(), p.o.span.last)
}

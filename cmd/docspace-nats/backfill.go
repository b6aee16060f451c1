package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

func backfillCommand() *cobra.Command {
	var o backfillOptions
	cmd := &cobra.Command{
		Use:   "backfill [FOLDER... | rooms | watched]",
		Short: "Read history again, into a stream of its own",
		Long: `backfill reads the log of folders again, from --from to --to, and stores each row
as an event in a stream of its own: <NATS_STREAM>_BACKFILL_<job>, on
<prefix>.backfill.<job>.folder.<id>.<category>.<action>. The events are those of
run, with the same ids, and carry Docspace-Ingest-Mode: backfill. The live stream
is left alone. It uses the settings of run (docspace-nats run --help).

FOLDER are ids. rooms are all rooms the account sees at this moment, watched the
folders that have a mark in the live stream.

A job is told before it starts: rows, requests, and the time they take. It makes
half as many requests a minute as POLL_REQUESTS_PER_MINUTE allows, on top of those
of the connectors that run, which keep their pace. Started on several machines,
the same job is shared.

An interrupt pauses a job, and the same command goes on, as after a crash: each
row is stored once, in order. The rows are those dated up to --to, or up to the
moment the job was created, so a job has an end.

A folder that cannot be read is named when the job is created and when it ends. It
leaves the job paused, and the same command tries it again. Where none can be read no
job is created.

Without NATS_URL it uses the server of the connector that runs with NATS_DATA_DIR on
this machine, or starts it for as long as it works. Where no connector ever ran with
that directory, only a job that names folders, or rooms, creates it; --dry-run, list,
cancel and a job without folders refuse.

With --live the rows go into the live stream, where connectors go on with them.
That is for folders that were never read: history below a mark cannot be put in.

Exit status: 0 when every folder was read to its end, 1 when one was not, or the
job was paused, 2 when a setting is wrong or the job is another one.`,
		Example: `  docspace-nats backfill rooms --dry-run
  docspace-nats backfill rooms --from 2026-01-01T00:00:00Z
  docspace-nats backfill 42 43 --from 90d --job audit-2026 --requests-per-minute 60
  docspace-nats backfill --job audit-2026
  docspace-nats backfill 44 --live
  docspace-nats backfill list
  docspace-nats backfill cancel audit-2026`,
		Args: func(_ *cobra.Command, args []string) error { return o.parseFolders(args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(emptyFlags(cmd.Flags()), o.check()); err != nil {
				return &usageError{err}
			}
			cfg, err := config.Load()
			if err != nil {
				return &usageError{err}
			}
			b := &backfill{cfg: cfg, o: o, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), tell: teller("backfill", cmd.ErrOrStderr())}
			return b.run(cmd.Context())
		},
	}
	o.register(cmd.Flags())
	cmd.Flags().SortFlags = false
	cmd.AddCommand(backfillListCommand(), backfillCancelCommand())
	return cmd
}

// A backfill is one run of the command.
type backfill struct {
	cfg            config.Config
	o              backfillOptions
	stdout, stderr io.Writer
	tell           func(format string, args ...any)

	privacy schema.Privacy
	portal  *docspace.Client
	meter   meter // of requests to it
	nc      *nats.Conn
	known   map[int]docspace.Folder // what the portal tells about folders
}

func (b *backfill) run(ctx context.Context) error {
	privacy, err := b.cfg.DocSpace.ReadPrivacy()
	if err != nil {
		return &usageError{err}
	}
	b.privacy = privacy
	b.cfg.Poll.RequestsPerMinute = b.o.budget(b.cfg.Poll.RequestsPerMinute)
	b.cfg.Poll.MaxInFlight = max(1, b.cfg.Poll.MaxInFlight/2)
	if b.portal, err = newPortal(b.cfg, privacy, callPatience, b.observe); err != nil {
		return err
	}
	defer b.portal.Close()
	var disconnect func()
	of := client{name: "backfill " + b.o.job, wait: onceWaits, own: true, anew: b.o.begins(), tell: b.tell}
	if b.nc, disconnect, err = of.connect(ctx, b.cfg.NATS); err != nil {
		return err
	}
	defer disconnect()
	do := b.intoJob
	if b.o.live {
		do = b.intoLive
	}
	err = do(ctx)
	if root := new(poller.RootFolderError); errors.As(err, &root) {
		return &usageError{err}
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("docspace-nats backfill: stopped before it began; nothing was stored")
	}
	return refused(b.cfg.DocSpace, err)
}

func (b *backfill) observe(string, int, time.Duration) { b.meter.count(time.Now()) }

// intoJob works on a job in a stream of its own.
func (b *backfill) intoJob(ctx context.Context) error {
	found, there, err := publisher.FindJob(ctx, b.nc, streamOptions(b.cfg.NATS), b.o.job)
	if err != nil {
		return err
	}
	job, err := b.definition(ctx, found, there)
	if err != nil {
		return err
	}
	marks, err := publisher.StoredMarks(ctx, b.nc, streamOptions(b.cfg.NATS).Job(b.o.job, nil))
	if err != nil {
		return err
	}
	if err := refuseOld(ctx, b.portal, job.Folders, newLogger(b.quiet(), b.stderr)); err != nil {
		return err
	}
	p := newPlan(b.o.job, job, marks, b.cfg.Poll.RequestsPerMinute)
	if err := b.describe(ctx, p.open()); err != nil {
		return err
	}
	if b.o.dryRun || !there {
		if err := b.count(ctx, p); err != nil {
			return err
		}
		job.Rows = p.Rows
	}
	if b.o.dryRun {
		return b.show(p)
	}
	if err := b.unread(p); err != nil {
		return err
	}
	b.tell("job %s: %s", b.o.job, p)
	return b.work(ctx, job)
}

func (b *backfill) feed() poller.Feed { return feed(b.cfg, b.privacy) }

// jobSubjects are what a reader of a job's events asks for.
func (b *backfill) jobSubjects() string {
	return fmt.Sprintf("%s.backfill.%s.folder.>", b.cfg.NATS.SubjectPrefix, b.o.job)
}

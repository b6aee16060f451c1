package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/publisher"
)

func verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare portal and stream, row by row",
		Long: `verify reads the rows of the portal and the events of the stream and compares
them one by one. For each folder it tells how many are

  missing       rows without an event
  extra         events without a row
  twice         events that repeat another
  out of order  events after that of a later row that do not say they are late
  different     events that are not what their row becomes

and which. No findings are rows that the events filter leaves out, rows the portal
counts and does not show (hidden), rows so old that the stream has dropped their
events, and rows no connector has read yet (unread). It may run while connectors
do. It needs the settings of run, and the same users.

With --repair it stores what is missing, as late events, and leaves the marks where
they are. Nothing else can be mended in a stream, which only grows: to have all of
it right, read the folder into a stream of its own and read from that.

A folder that could not be compared is named on standard error, with what to do, and
has - in its columns; the others are compared all the same.

Exit status: 0 when portal and stream are equal, or are by now, 1 when they are
not or a folder could not be compared, 2 when a flag or a setting is wrong.`,
		Example: `  docspace-nats verify
  docspace-nats verify --folder 42 --folder 43 --from 7d
  docspace-nats verify --from 2026-01-01T00:00:00Z --until 2026-01-31T23:59:59Z --json
  docspace-nats verify --job history
  docspace-nats verify --folder 42 --repair --reason 'purged by mistake on 3 March' --yes`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(emptyFlags(cmd.Flags()), o.check(time.Now())); err != nil {
				return &usageError{err}
			}
			cfg, err := config.Load()
			if err != nil {
				return &usageError{err}
			}
			if o.repair {
				if err := consent(cmd, o.yes, "Store the rows that turn out to be missing, as late events?"); err != nil {
					return err
				}
			}
			return verify(cmd.Context(), cfg, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.register(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}

// verifyOptions are the command line of verify.
type verifyOptions struct {
	folders     []string
	from, until string
	job         string
	repair, yes bool
	reason      string
	perMinute   int
	details     int
	json        bool

	ids   []int // of folders
	begin time.Time
	end   time.Time
}

func (o *verifyOptions) register(flags *pflag.FlagSet) {
	folderFlag(flags, &o.folders, "id of a folder to verify; may be repeated. Without it: all that have a mark in the stream")
	flags.StringVar(&o.from, "from", "", "leave out rows dated before: a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z")
	flags.StringVar(&o.until, "until", "", "leave out rows dated after, in the same forms")
	flags.StringVar(&o.job, "job", "", "verify what this job of backfill has stored, instead of the live stream")
	flags.BoolVar(&o.repair, "repair", false, "store the rows that are missing, as late events; needs --reason, and asks first")
	flags.StringVar(&o.reason, "reason", "", "why, for those who read the stream: the text of the event that tells of the repair")
	flags.BoolVar(&o.yes, "yes", false, "answer yes to what is asked; required where standard input is no terminal")
	flags.IntVar(&o.perMinute, "requests-per-minute", 0, "most requests to the portal in any minute; half of POLL_REQUESTS_PER_MINUTE unless given")
	flags.IntVar(&o.details, "details", 20, "findings of a folder to print one by one; at most 1000")
	flags.BoolVar(&o.json, "json", false, "print one JSON array")
}

// check judges all flags and fills in what depends on them.
func (o *verifyOptions) check(now time.Time) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var err error
	if o.ids, err = folderIDs(o.folders); err != nil {
		errs = append(errs, err)
	}
	when := func(flag, text string, at *time.Time) {
		if text == "" {
			return
		}
		var err error
		if *at, err = parseWhen(text, now); err != nil {
			wrong("--%s: must be a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z, got %s", flag, config.Shown(text))
		}
	}
	when("from", o.from, &o.begin)
	when("until", o.until, &o.end)
	if !o.begin.IsZero() && !o.end.IsZero() && o.end.Before(o.begin) {
		wrong("--until: must not be before --from")
	}
	if o.job != "" && !jobName.MatchString(o.job) {
		wrong("--job: must be the name of a job, as docspace-nats backfill list shows it, got %s", config.Shown(o.job))
	}
	switch {
	case !o.repair && (o.reason != "" || o.yes):
		wrong("--reason and --yes: only together with --repair")
	case o.repair:
		reason, err := cleanReason(o.reason)
		if err != nil {
			errs = append(errs, err)
		}
		o.reason = reason
	}
	if o.perMinute < 0 || o.perMinute > config.MostPerMinute {
		wrong("--requests-per-minute: must be 1 to %d, got %d", config.MostPerMinute, o.perMinute)
	}
	if o.details < 0 || o.details > poller.MaxFindings {
		wrong("--details: must be 0 to %d, got %d", poller.MaxFindings, o.details)
	}
	return errors.Join(errs...)
}

// verify compares the folders one after the other. One that cannot be compared
// keeps no other from it.
func verify(ctx context.Context, cfg config.Config, o verifyOptions, stdout, stderr io.Writer) error {
	tell := teller("verify", stderr)
	if cfg.Poll.RequestsPerMinute > 0 {
		cfg.Poll.RequestsPerMinute = max(1, cfg.Poll.RequestsPerMinute/2)
	}
	if o.perMinute > 0 {
		cfg.Poll.RequestsPerMinute = o.perMinute
	}
	privacy, err := cfg.DocSpace.ReadPrivacy()
	if err != nil {
		return &usageError{err}
	}
	portal, err := newPortal(cfg, privacy, callPatience, nil)
	if err != nil {
		return err
	}
	defer portal.Close()
	nc, disconnect, err := client{name: "verify", own: true, tell: tell}.connect(ctx, cfg.NATS)
	if err != nil {
		return err
	}
	defer disconnect()
	stream, to, err := o.stream(ctx, nc, cfg.NATS)
	if err != nil {
		return err
	}
	ledger, err := publisher.Attach(ctx, nc, stream)
	if err != nil {
		return err
	}
	marks, err := ledger.Marks(ctx)
	if err != nil {
		return err
	}
	ours := feed(cfg, privacy)
	if err := ownMarks(cfg, ours, marks); err != nil {
		return err
	}
	folders := o.ids
	if len(folders) == 0 {
		for _, m := range marks {
			folders = append(folders, m.Folder)
		}
	}
	if len(folders) == 0 {
		return fmt.Errorf("stream %s: no folder has a mark in it; let docspace-nats run store some events first", ledger.Stream())
	}
	if err := refuseOld(ctx, portal, folders, zerolog.Nop()); err != nil {
		return err
	}
	p := poller.New(portal, ledger, poller.Options{
		Now: portal.Now, To: to, Feed: ours, Filter: cfg.Events.Filter(), Prefetch: min(4, cfg.Poll.MaxInFlight), Writer: writer(),
	})
	rows := o.count(ctx, p, cfg.Poll.MaxInFlight, folders, marks, stderr)
	all := o.verify(ctx, p, cfg.DocSpace, folders, rows, stderr)
	err = o.print(stdout, stderr, all)
	if ctx.Err() != nil {
		tell("interrupted: compared were %s", ofFolders(len(all), len(folders)))
		err = cmp.Or(err, errReported)
	}
	return err
}

// stream returns the stream to verify, and the time up to which rows are stored in
// it; zero: there is no end.
func (o verifyOptions) stream(ctx context.Context, nc *nats.Conn, cfg config.NATS) (publisher.Options, time.Time, error) {
	live := streamOptions(cfg)
	if o.job == "" {
		return live, time.Time{}, nil
	}
	found, there, err := publisher.FindJob(ctx, nc, live, o.job)
	if err == nil && !there {
		err = fmt.Errorf("there is no job %s; docspace-nats backfill list shows those there are", o.job)
	}
	if err != nil {
		return live, time.Time{}, err
	}
	job, err := parseJob(found)
	return live.Job(o.job, nil), job.To, err
}

// count returns how many rows there are to compare of each folder. Of one that cannot
// be counted its comparison tells why.
func (o verifyOptions) count(ctx context.Context, p *poller.Poller, inFlight int, folders []int, marks []checkpoint.Mark, stderr io.Writer) map[int]int {
	marks = slices.DeleteFunc(slices.Clone(marks), func(m checkpoint.Mark) bool { return !slices.Contains(folders, m.Folder) })
	shown := newProgress("verify: counted", thingsOf(len(marks), "folder"), stderr, drawsBars(stderr))
	if !o.begin.IsZero() || !o.end.IsZero() { // otherwise the marks tell
		shown.begin(int64(len(marks)))
		defer shown.finish()
	}
	rows := make(map[int]int)
	var mu sync.Mutex
	var asks errgroup.Group
	asks.SetLimit(inFlight)
	for _, m := range marks {
		asks.Go(func() error {
			n, err := p.Verifiable(ctx, m, poller.VerifyOptions{From: o.begin, Until: o.end})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				rows[m.Folder] = n
				shown.add(1)
			}
			return nil
		})
	}
	_ = asks.Wait()
	return rows
}

// verify compares the folders, of so many rows each, until ctx ends.
func (o verifyOptions) verify(ctx context.Context, p *poller.Poller, account config.DocSpace, folders []int, rows map[int]int, stderr io.Writer) []verified {
	total := 0
	for _, n := range rows {
		total += n
	}
	bar := verifyProgress{progress: startProgress("verify", "rows", int64(total), stderr)}
	defer bar.finish()
	var all []verified
	compared := 0
	bar.note(ofFolders(compared, len(folders)))
	for _, folder := range folders {
		bar.next(rows[folder])
		verdict, err := p.Verify(ctx, folder, poller.VerifyOptions{
			From: o.begin, Until: o.end, Mend: o.repair, Reason: o.reason, Begins: bar.begins, Compared: bar.compared,
		})
		if err != nil && ctx.Err() != nil {
			break
		}
		one := verified{Verdict: verdict, Equal: err == nil && verdict.Equal()}
		if err != nil {
			one.Error = nextStep(refused(account, err), o.job).Error()
		} else {
			compared++
		}
		all = append(all, one)
		bar.over()
		bar.note(ofFolders(compared, len(folders)))
	}
	return all
}

// nextStep adds to why a folder could not be compared what to do, unless it tells.
func nextStep(err error, job string) error {
	switch {
	case errors.Is(err, poller.ErrUnpublished) && job != "":
		return fmt.Errorf("%w by the job %s; docspace-nats backfill list shows how far it is", err, job)
	case errors.Is(err, poller.ErrUnpublished):
		return fmt.Errorf("%w; check its id, and let docspace-nats run store its events first", err)
	case notShown(err):
		return fmt.Errorf("%w; check that the account sees the folder", err)
	case errors.Is(err, docspace.ErrUnauthorized), errors.Is(err, poller.ErrApart), errors.Is(err, checkpoint.ErrConflict), errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("%w; try again, and if it stays so, docspace-nats check tells more", err)
}

// A verifyProgress shows how many rows are compared, of those that were counted. A
// folder may turn out to have more or fewer.
type verifyProgress struct {
	*progress
	expected, done int // of the folder in hand
	read           int // since it was begun, perhaps not for the first time
}

// next begins a folder.
func (v *verifyProgress) next(rows int) { v.expected, v.done, v.read = rows, 0, 0 }

// begins begins the reading of its rows.
func (v *verifyProgress) begins() { v.read = 0 }

// compared counts rows that were read.
func (v *verifyProgress) compared(rows int) {
	v.read += rows
	more := v.read - v.done
	if more <= 0 {
		return
	}
	if v.done += more; v.done > v.expected {
		v.addTotal(v.done - v.expected)
		v.expected = v.done
	}
	v.add(more)
}

// over ends a folder: what was not met is not there.
func (v *verifyProgress) over() { v.addTotal(v.done - v.expected) }

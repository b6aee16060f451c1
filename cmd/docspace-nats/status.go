package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
)

// statusOptions are the command line of status.
type statusOptions struct {
	folders   []string
	limit     int
	limited   func() bool // whether somebody said how many
	watch     string
	asJSON    bool
	attention bool

	ids   []int         // of folders, ascending
	every time.Duration // of watch; 0: once
}

const (
	statusLimit   = 50   // folders shown on a terminal, unless told otherwise
	mostNamed     = 1000 // folders that can be named
	watchDefault  = "2s" // of --watch without a value
	shortestWatch = 500 * time.Millisecond
	lookWaits     = 5 * time.Second // for a stream without a leader
)

func statusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show where every folder stands",
		Long: `status shows for each folder its state, the rows the portal counts that are not
stored yet (UNREAD), those that are stored or otherwise accounted for, the newest
event, the last and the next poll, and which replica polled it. What needs
attention comes first, in the words of /readyz.

It needs the NATS_* settings only, and changes nothing. What is stored it reads
from the stream, whether or not a connector runs; what only the connectors know it
asks from those that run, for at most a second. What nobody tells is "-", in JSON
null. Without NATS_URL it asks the connector that runs with NATS_DATA_DIR on this
machine. If none does, it starts the NATS server there for a moment, but not for
--watch and --attention: meanwhile the connector could not start.

Exit status: 0, or 1 when it cannot be told. With --attention only the folders that
need it are shown, and the status is 1 if there is one, if a replica does not do
its work or does not answer, or if no connector answers.`,
		Example: `  docspace-nats status
  docspace-nats status --folder 42 --folder 43
  docspace-nats status --watch
  docspace-nats status --watch 10s --limit 20
  docspace-nats status --attention --json
  docspace-nats status --json | jq '.totals'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.watch == watchDefault && len(args) == 1 { // --watch 5s
				if _, err := time.ParseDuration(args[0]); err == nil {
					o.watch = args[0]
					return nil
				}
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(emptyFlags(cmd.Flags()), o.check(cmd.OutOrStdout())); err != nil {
				return &usageError{err}
			}
			cfg, err := config.LoadNATS()
			if err != nil {
				return &usageError{err}
			}
			return runStatus(cmd.Context(), cfg, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().AddFlagSet(statusFlags(&o))
	cmd.Flags().SortFlags = false
	return cmd
}

func statusFlags(o *statusOptions) *pflag.FlagSet {
	flags := pflag.NewFlagSet("status", pflag.ContinueOnError)
	flags.SortFlags = false
	folderFlag(flags, &o.folders, "only this folder id; may be repeated")
	flags.BoolVar(&o.attention, "attention", false, "only folders that need attention; exit status 1 if somebody should look")
	flags.IntVar(&o.limit, "limit", 0, "show so many folders; 0: all; 50 on a terminal, otherwise all")
	flags.StringVar(&o.watch, "watch", "", "show it again and again, until interrupted, after each `interval`")
	limit := flags.Lookup("limit")
	o.limited = func() bool { return limit.Changed }
	flags.Lookup("watch").NoOptDefVal = watchDefault
	flags.BoolVar(&o.asJSON, "json", false, "print one JSON object; with --watch, one in each line")
	return flags
}

// check judges all flags and fills in what depends on others.
func (o *statusOptions) check(stdout io.Writer) error {
	var errs []error
	var err error
	if o.ids, err = folderIDs(o.folders); err != nil {
		errs = append(errs, err)
	}
	if len(o.ids) > mostNamed {
		errs = append(errs, fmt.Errorf("--folder: must be at most %d folders, got %d; leave it out for all", mostNamed, len(o.ids)))
	}
	if o.limit < 0 {
		errs = append(errs, fmt.Errorf("--limit: must not be negative, got %d", o.limit))
	}
	if !o.limited() && isTerminal(stdout) && !o.asJSON {
		o.limit = statusLimit
	}
	if o.watch != "" {
		var err error
		if o.every, err = time.ParseDuration(o.watch); err != nil || o.every < shortestWatch {
			errs = append(errs, fmt.Errorf("--watch: must be a duration such as 5s, at least %s, got %s", shortestWatch, config.Shown(o.watch)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w; see docspace-nats status --help", err)
	}
	return nil
}

// A statusReader finds out where everything stands, again and again.
type statusReader struct {
	view   *publisher.View
	titles map[int]string // that the stream told
	tell   func(format string, args ...any)
}

// runStatus shows it once, or until ctx ends. A stop is no failure.
func runStatus(ctx context.Context, cfg config.NATS, o statusOptions, stdout, stderr io.Writer) error {
	tell := teller("status", stderr)
	// A server for the time of a watch would keep the connector from starting, and
	// one for each check might.
	own := o.every == 0 && !o.attention
	nc, disconnect, err := client{name: "status", own: own, tell: tell}.connect(ctx, cfg)
	if err != nil {
		return stopped(ctx, err)
	}
	defer disconnect()
	options := streamOptions(cfg)
	options.RetryFor = lookWaits
	view, err := publisher.Look(ctx, nc, options)
	if err != nil {
		return stopped(ctx, err)
	}
	for _, f := range view.Hidden() {
		tell("%s", f)
	}
	s := &statusReader{view: view, titles: make(map[int]string), tell: tell}
	if o.every > 0 {
		return s.watch(ctx, o, stdout)
	}
	r, err := s.report(ctx, o)
	if err != nil {
		return stopped(ctx, err)
	}
	if r.note != "" {
		tell("%s", r.note)
	}
	if err := r.print(stdout, o, screen{width: widthOf(stdout)}); err != nil {
		return err
	}
	if len(r.unknown) > 0 {
		return fmt.Errorf("folder %s: no connector has published it to stream %s; check the id, NATS_URL and NATS_STREAM", strings.Join(r.unknown, ", "), r.Stream)
	}
	if o.attention && r.troubled() {
		return errReported
	}
	return nil
}

// watch shows it until ctx ends. What fails is told, and tried again.
func (s *statusReader) watch(ctx context.Context, o statusOptions, stdout io.Writer) error {
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	last := ""
	for {
		r, err := s.report(ctx, o)
		note := ""
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			note = err.Error() + "; trying again"
		default:
			note = r.note
			err = r.show(stdout, o)
			if err != nil {
				return err
			}
		}
		if note != last && note != "" {
			s.tell("%s", note)
		}
		last = note
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// print prints a report.
func (r *statusReport) print(w io.Writer, o statusOptions, on screen) error {
	switch {
	case o.asJSON && o.every > 0:
		text, err := json.Marshal(r, json.Deterministic(true))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", text)
		return err
	case o.asJSON:
		return printJSON(w, r)
	}
	_, err := io.WriteString(w, r.text(on))
	return err
}

// show prints a report of a watch: on a terminal in the place of the one before.
func (r *statusReport) show(w io.Writer, o statusOptions) error {
	if o.asJSON || !isTerminal(w) {
		return r.print(w, o, screen{})
	}
	_, err := io.WriteString(w, r.frame(sizeOf(w)))
	return err
}

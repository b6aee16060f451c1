package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"docspace-nats/cmd/docspace-nats/config"
)

const (
	// usualJob is the job of those who have one at a time.
	usualJob = "history"

	foldersRooms   = "rooms"
	foldersWatched = "watched"
)

var jobName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// backfillOptions are the command line of backfill.
type backfillOptions struct {
	folders  string // "rooms", "watched", ascending ids with commas, or "" for those of the job
	job      string
	from, to string
	live     bool
	dryRun   bool
	asJSON   bool
	requests int // a minute; less than 0: half of what the connectors make
}

func (o *backfillOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.from, "from", "", "leave out the rows dated before: a duration back such as 90d or 12h, or a time such as 2026-01-31T00:00:00Z; from the first row without it")
	flags.StringVar(&o.to, "to", "", "leave out the rows dated after this second; without it, after the moment the job is created")
	flags.StringVar(&o.job, "job", usualJob, "name of the job: lower-case letters, digits and -, at most 32")
	flags.IntVar(&o.requests, "requests-per-minute", -1, "most requests to the portal in any minute, all replicas of the job together; 0: no limit; -1: half of POLL_REQUESTS_PER_MINUTE")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print what the job would read and how long that takes, and store nothing")
	flags.BoolVar(&o.asJSON, "json", false, "with --dry-run: print one JSON object")
	flags.BoolVar(&o.live, "live", false, "store into the live stream, for folders that were never read")
}

// parseFolders takes the folders from the arguments.
func (o *backfillOptions) parseFolders(args []string) error {
	if len(args) == 0 {
		return nil
	}
	o.folders = strings.Join(args, ",")
	if o.folders == foldersRooms || o.folders == foldersWatched {
		return nil
	}
	var ids config.Folders
	if err := ids.Decode(o.folders); err != nil {
		return usagef("folders: %w; rooms and watched stand alone; see docspace-nats backfill --help", err)
	}
	slices.Sort(ids)
	o.folders = ids.String()
	return nil
}

// check judges all flags but the times, which the portal's clock decides on.
func (o *backfillOptions) check() error {
	var errs []error
	if !jobName.MatchString(o.job) {
		errs = append(errs, fmt.Errorf("--job: must be lower-case letters, digits and -, at most 32 of them, got %s", config.Shown(o.job)))
	}
	if o.requests < -1 {
		errs = append(errs, fmt.Errorf("--requests-per-minute: must not be negative, got %d", o.requests))
	}
	if o.asJSON && !o.dryRun {
		errs = append(errs, errors.New("--json: must be set only together with --dry-run"))
	}
	if o.live {
		errs = append(errs, o.checkLive())
	}
	_, _, err := o.window(time.Now())
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w; see docspace-nats backfill --help", err)
	}
	return nil
}

// begins reports whether this may be the first to store into a stream.
func (o *backfillOptions) begins() bool {
	return !o.dryRun && o.folders != "" && o.folders != foldersWatched
}

func (o *backfillOptions) checkLive() error {
	switch {
	case o.to != "":
		return errors.New("--to: must not be set together with --live, which reads to the newest row")
	case o.job != usualJob:
		return errors.New("--job: must not be set together with --live, which needs none: the marks of the live stream say how far it is")
	case o.folders == "" || o.folders == foldersWatched:
		return errors.New("--live: name the folders, or rooms; those that are watched were read")
	}
	return nil
}

// window returns the bounds of the rows, whole seconds; zero is none.
func (o *backfillOptions) window(now time.Time) (from, to time.Time, err error) {
	var errs []error
	for _, bound := range []struct {
		flag, text string
		at         *time.Time
	}{{"--from", o.from, &from}, {"--to", o.to, &to}} {
		if bound.text == "" {
			continue
		}
		at, err := parseWhen(bound.text, now)
		*bound.at = at.UTC().Truncate(time.Second)
		switch {
		case err != nil || at.Year() < 2000 || at.Year() > 9999:
			errs = append(errs, fmt.Errorf("%s: must be a duration back such as 90d or 12h, or a time since 2000 such as 2026-01-31T00:00:00Z, got %s", bound.flag, config.Shown(bound.text)))
		case at.After(now.Add(time.Minute)):
			errs = append(errs, fmt.Errorf("%s: must not be in the future, got %s", bound.flag, config.Shown(bound.text)))
		}
	}
	if len(errs) == 0 && !to.IsZero() && to.Before(from) {
		errs = append(errs, fmt.Errorf("--to: must not be before --from, got %s and %s", config.Shown(o.to), config.Shown(o.from)))
	}
	return from, to, errors.Join(errs...)
}

// budget returns how many requests a minute the job makes, beside connectors that
// make so many; 0 is no limit.
func (o *backfillOptions) budget(connectors int) int {
	if o.requests >= 0 {
		return o.requests
	}
	return (connectors + 1) / 2
}

package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

// Bounds of flags.
const (
	mostBatch = 1000
	mostRate  = 1_000_000
	mostPace  = 1_000_000
)

// replayOptions are the command line of replay.
type replayOptions struct {
	seq                   string
	from, until           string
	eventFrom, eventUntil string
	selection

	toPrefix, to, file string
	headerFile         string
	tlsFiles
	batch  int
	rate   float64
	pace   float64
	maxGap time.Duration
	job    string
	json   bool

	position publisher.Position // of seq and from
	span     replaySpan
	url      *url.URL // of to
}

func (o *replayOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.seq, "seq", "", "only these sequences of the stream: A..B, A.. or ..B")
	flags.StringVar(&o.from, "from", "", "only what was stored at this time or later: a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z")
	flags.StringVar(&o.until, "until", "", "only what was stored before this time")
	flags.StringVar(&o.eventFrom, "event-from", "", "only actions of this time or later; the rest of the range is read and skipped")
	flags.StringVar(&o.eventUntil, "event-until", "", "only actions before this time")
	o.selection.register(flags)
	flags.StringVar(&o.toPrefix, "to-prefix", "", "store in the stream that listens on <prefix>.folder.>, under the same subjects with this prefix")
	flags.StringVar(&o.to, "to", "", "send to this http or https URL, as JSON arrays of CloudEvents")
	flags.StringVar(&o.file, "file", "", "append to this file, one event in each line")
	flags.StringVar(&o.headerFile, "header-file", "", "send these headers with each request: lines of the form 'Authorization: Bearer …'; only with --to")
	o.tlsFiles.register(flags)
	flags.IntVar(&o.batch, "batch", 100, "most events in a request of --to, 1 to 1000; 1 MiB ends a batch, too")
	flags.Float64Var(&o.rate, "rate", 0, "most events per second, handed over a tenth of a second's at a time; 0: as fast as the target takes them")
	flags.Float64Var(&o.pace, "pace", 0, "as fast as the actions happened, times this: 1 is their own pace, 60 a minute in a second")
	flags.DurationVar(&o.maxGap, "max-gap", time.Minute, "with --pace, the longest wait between two events; 0: no limit")
	flags.StringVar(&o.job, "job", "", "remember in the stream, under this name, what was delivered: the same command goes on after a stop or a crash")
	flags.BoolVar(&o.json, "json", false, "print the totals as one JSON object; not with standard output as the target")
}

// check judges all flags and fills in what depends on others.
func (o *replayOptions) check(now time.Time) error {
	err := errors.Join(o.checkRange(now), o.selection.check(), o.checkTarget(), o.checkSpeed())
	if o.job != "" && (!config.IsName(o.job) || len(o.job) > 64) {
		err = errors.Join(err, fmt.Errorf("--job: must be letters, digits, - and _, at most 64 of them, got %s", config.Shown(o.job)))
	}
	if err != nil {
		return fmt.Errorf("%w; see docspace-nats replay --help", err)
	}
	return nil
}

func (o *replayOptions) checkTarget() error {
	var errs []error
	given := 0
	for _, target := range []string{o.toPrefix, o.to, o.file} {
		if target != "" {
			given++
		}
	}
	switch {
	case given > 1:
		errs = append(errs, errors.New("--to-prefix, --to and --file: choose one"))
	case given == 0 && o.json:
		errs = append(errs, errors.New("--json: must be set only together with --to-prefix, --to or --file: the events go to standard output"))
	}
	if o.toPrefix != "" && !config.IsSubjectPrefix(o.toPrefix) {
		errs = append(errs, fmt.Errorf("--to-prefix: must be words of letters, digits, - and _ joined by dots, at most %d bytes, got %s", config.LongestPrefix, config.Shown(o.toPrefix)))
	}
	if o.to == "" {
		if o.headerFile != "" || o.tlsFiles.given() {
			errs = append(errs, errors.New("--header-file, --ca, --cert and --key: must be set only together with --to"))
		}
		return errors.Join(errs...)
	}
	var err error
	if o.url, err = url.Parse(o.to); err != nil || o.url.Scheme != "http" && o.url.Scheme != "https" || o.url.Hostname() == "" || o.url.Fragment != "" {
		errs = append(errs, errors.New("--to: must be an http or https address, such as https://logs.example.com/events"))
	} else if o.url.User != nil {
		errs = append(errs, errors.New("--to: must name no user or password; put an Authorization header into --header-file"))
	} else if o.url.Scheme == "http" && o.tlsFiles.given() {
		errs = append(errs, errors.New("--ca, --cert and --key: must be set only together with --to https://"))
	}
	return errors.Join(append(errs, o.tlsFiles.check())...)
}

func (o *replayOptions) checkSpeed() error {
	var errs []error
	if o.batch < 1 || o.batch > mostBatch {
		errs = append(errs, fmt.Errorf("--batch: must be 1 to %d, got %d", mostBatch, o.batch))
	}
	if !(o.rate >= 0 && o.rate <= mostRate) {
		errs = append(errs, fmt.Errorf("--rate: must be a number of events per second up to %d, got %v", mostRate, o.rate))
	}
	if !(o.pace >= 0 && o.pace <= mostPace) {
		errs = append(errs, fmt.Errorf("--pace: must be a factor up to %d, got %v", mostPace, o.pace))
	}
	if o.rate > 0 && o.pace > 0 {
		errs = append(errs, errors.New("--rate and --pace: choose one"))
	}
	if o.maxGap < 0 {
		errs = append(errs, fmt.Errorf("--max-gap: must not be negative, got %v", o.maxGap))
	}
	return errors.Join(errs...)
}

// atOnce is how many events are handed over at a time: at a rate, no more than
// are due in a tenth of a second, since a limiter lets so many pass beside it.
func (o *replayOptions) atOnce(most int) int {
	if o.rate > 0 {
		return max(1, min(most, int(o.rate/10)))
	}
	return most
}

// target is where the events go, for messages. A query can hold a secret.
func (o *replayOptions) target() string {
	switch {
	case o.toPrefix != "":
		return o.toPrefix + ".folder.>"
	case o.to != "":
		return (&url.URL{Scheme: o.url.Scheme, Host: o.url.Host, Path: o.url.Path}).String()
	case o.file != "":
		return o.file
	}
	return "standard output"
}

// headers reads the file of headers.
func (o *replayOptions) headers() (map[string]string, error) {
	if o.headerFile == "" {
		return nil, nil
	}
	const longest = 64 << 10
	info, err := os.Stat(o.headerFile)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > longest) {
		err = fmt.Errorf("is no file of at most %d bytes", longest)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(o.headerFile)
	}
	if err != nil {
		return nil, fmt.Errorf("--header-file: %w", err)
	}
	headers := make(map[string]string)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !found || !headerName.MatchString(name) || value == "" || schema.Text(value) != value {
			return nil, fmt.Errorf("--header-file: %s: line %d must be of the form 'Name: value'", o.headerFile, number)
		}
		headers[name] = value
	}
	return headers, nil
}

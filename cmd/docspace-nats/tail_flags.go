package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/cmd/docspace-nats/sink"
	"docspace-nats/publisher"
	"docspace-nats/schema/line"
)

// Values of flags.
const (
	octetCounting = "octet-counting"
	newlines      = "newline"
	confirmClose  = "close"
	confirmNone   = "none"
)

var (
	tailOutputs  = []string{"text", "ndjson", "cef", "syslog"}
	tailPayloads = []string{"cef", "json"}
	facilities   = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
)

// tailOptions are the command line of tail.
type tailOptions struct {
	from, until string
	seq         uint64
	count       int
	noFollow    bool
	durable     string

	selection
	actor, text string
	severity    int

	output, payload   string
	to, file          string
	framing, confirm  string
	facility, app, sd string
	tlsFiles
	noColor  bool
	position publisher.Position // of from and seq
	end      time.Time          // of until
}

func (o *tailOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.from, "from", "", "where to begin: now (the default), beginning, a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z; times are those of storing")
	flags.Uint64Var(&o.seq, "seq", 0, "begin at this sequence of the stream instead")
	flags.StringVar(&o.until, "until", "", "end before what was stored at this time, or a duration back; in the future: end then")
	flags.IntVar(&o.count, "count", 0, "exit after so many events; 0: no limit")
	flags.BoolVar(&o.noFollow, "no-follow", false, "exit at the end of what is stored")
	flags.StringVar(&o.durable, "durable", "", "remember in the stream, under this name, what was delivered, and go on there after a restart")
	o.selection.register(flags)
	flags.StringVar(&o.actor, "actor", "", "only actors whose id is this, or whose name or e-mail contains it; case and accents do not matter")
	flags.StringVar(&o.text, "text", "", "only events with this in a title, a name or another text; case and accents do not matter")
	flags.IntVar(&o.severity, "severity", 1, "only events of this severity or above, 1 to 4")
	flags.StringVarP(&o.output, "output", "o", "", "text (times are local), ndjson (the event as it is stored), cef or syslog (RFC 5424); text on a terminal, otherwise ndjson")
	flags.StringVar(&o.payload, "payload", "", "what a syslog message carries: cef (the default) or json; only with -o syslog")
	flags.StringVar(&o.to, "to", "", "send to tcp://host:port, tls://host:port, relp://host:port or relp+tls://host:port instead of standard output")
	flags.StringVar(&o.file, "file", "", "append to this file instead; SIGHUP opens it anew")
	flags.StringVar(&o.framing, "framing", "", "of tcp and tls: octet-counting (RFC 6587) or newline; octet-counting for syslog, otherwise newline")
	flags.StringVar(&o.confirm, "confirm", confirmClose, "when events sent by tcp or tls count as received: close (the receiver has read them and closed the connection) or none (they were sent)")
	flags.StringVar(&o.facility, "facility", "local0", "syslog facility: local0 to local7, audit, user, …")
	flags.StringVar(&o.app, "app-name", "docspace", "syslog APP-NAME")
	flags.StringVar(&o.sd, "sd-id", "", "also write syslog structured data under this id, name@<your enterprise number>")
	o.tlsFiles.register(flags)
	flags.BoolVar(&o.noColor, "no-color", false, "text without colours; NO_COLOR does the same")
}

// emptyFlags are those that were given without a value, as by a variable that is
// not set: without --to or --file everything would go to standard output, and
// with --durable count as delivered there.
func emptyFlags(flags *pflag.FlagSet) error {
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		if value := f.Value.String(); value == "" || value == "[]" {
			errs = append(errs, fmt.Errorf("--%s: must not be empty; leave it out, or give it a value", f.Name))
		}
	})
	if flags.Changed("seq") && flags.Changed("from") {
		errs = append(errs, errors.New("--seq and --from: choose one"))
	}
	return errors.Join(errs...)
}

// check judges all flags and fills in what depends on others.
func (o *tailOptions) check(now time.Time, stdout io.Writer) error {
	if o.output == "" {
		o.output = "ndjson"
		switch {
		case strings.HasPrefix(o.to, "relp"):
			o.output = "syslog"
		case o.to == "" && o.file == "" && isTerminal(stdout):
			o.output = "text"
		}
	}
	if o.payload != "" && o.output != "syslog" {
		return fmt.Errorf("--payload: must be set only together with --output syslog, got --output %s; see docspace-nats tail --help", config.Shown(o.output))
	}
	o.payload = cmp.Or(o.payload, "cef")
	if o.framing == "" {
		o.framing = newlines
		if o.output == "syslog" {
			o.framing = octetCounting
		}
	}
	err := errors.Join(o.checkPlace(now), o.checkFilters(), o.checkOutput(), o.checkReceiver())
	if err != nil {
		return fmt.Errorf("%w; see docspace-nats tail --help", err)
	}
	return nil
}

func (o *tailOptions) checkPlace(now time.Time) (err error) {
	var errs []error
	o.position, err = parseFrom(cmp.Or(o.from, "now"), now)
	errs = append(errs, err)
	if o.seq > 0 {
		o.position = publisher.Position{Seq: o.seq}
	}
	if o.until != "" {
		if o.end, err = parseWhen(o.until, now); err != nil {
			errs = append(errs, fmt.Errorf("--until: must be a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z, got %s", config.Shown(o.until)))
		}
	}
	if !o.end.IsZero() && !o.position.Time.IsZero() && o.end.Before(o.position.Time) {
		errs = append(errs, errors.New("--until: must not be before --from"))
	}
	if o.count < 0 {
		errs = append(errs, fmt.Errorf("--count: must not be negative, got %d", o.count))
	}
	if o.durable != "" && (!config.IsName(o.durable) || len(o.durable) > 64) {
		errs = append(errs, fmt.Errorf("--durable: must be letters, digits, - and _, at most 64 of them, got %s", config.Shown(o.durable)))
	}
	return errors.Join(errs...)
}

func (o *tailOptions) checkFilters() error {
	err := o.selection.check()
	if o.severity < 1 || o.severity > 4 {
		err = errors.Join(err, fmt.Errorf("--severity: must be 1 to 4, got %d", o.severity))
	}
	return err
}

func (o *tailOptions) checkOutput() error {
	return errors.Join(
		oneOf("--output", o.output, tailOutputs),
		oneOf("--payload", o.payload, tailPayloads),
		oneOf("--framing", o.framing, []string{octetCounting, newlines}),
		oneOf("--confirm", o.confirm, []string{confirmClose, confirmNone}),
		oneOf("--facility", o.facility, facilities),
	)
}

func (o *tailOptions) checkReceiver() error {
	if o.to == "" {
		if o.tlsFiles.given() {
			return errors.New("--ca, --cert and --key: must be set only together with --to tls:// or relp+tls://")
		}
		return nil
	}
	to, err := sink.ParseAddress(o.to)
	switch {
	case err != nil:
		return fmt.Errorf("--to: %w, got %s", err, config.Shown(o.to))
	case o.file != "":
		return errors.New("--to and --file: choose one")
	case to.RELP() && o.output != "syslog":
		return fmt.Errorf("--output: must be syslog for %s://, got %s", to.Scheme, o.output)
	case !to.TLS() && o.tlsFiles.given():
		return errors.New("--ca, --cert and --key: must be set only together with --to tls:// or relp+tls://")
	}
	return o.tlsFiles.check()
}

func oneOf(flag, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: must be %s or %s, got %s", flag, strings.Join(allowed[:len(allowed)-1], ", "), allowed[len(allowed)-1], config.Shown(value))
}

// parseFrom reads the value of --from.
func parseFrom(text string, now time.Time) (publisher.Position, error) {
	switch text {
	case "now":
		return publisher.Position{Now: true}, nil
	case "beginning":
		return publisher.Position{}, nil
	}
	if at, err := parseWhen(text, now); err == nil {
		return publisher.Position{Time: at}, nil
	}
	return publisher.Position{}, fmt.Errorf("--from: must be now, beginning, a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z, got %s; --seq begins at a sequence", config.Shown(text))
}

// parseWhen reads a time, or a duration that lies so far back.
func parseWhen(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		return now.AddDate(0, 0, -int(n)), err
	}
	back, err := time.ParseDuration(text)
	if err == nil && back < 0 {
		err = errors.New("negative")
	}
	return now.Add(-back), err
}

// header is what a syslog message begins with.
func (o tailOptions) header() line.Header {
	return line.Header{Facility: slices.Index(facilities, o.facility), App: o.app, SDID: o.sd}
}

// color reports whether text gets colours.
func (o tailOptions) color(stdout io.Writer) bool {
	return o.to == "" && o.file == "" && !o.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(stdout)
}

package publisher

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// A Severity says what a finding means for the promise.
type Severity string

// The severities. Broken keeps the program from starting.
const (
	Broken  Severity = "broken"  // the promise cannot be kept
	Warning Severity = "warning" // it can, but not in the way that was asked for, or not for ever
	Note    Severity = "note"    // nothing to do
)

// A Finding is one thing about the server or the stream that an operator
// should know.
type Finding struct {
	Severity Severity `json:"severity"`
	Setting  string   `json:"setting"`        // as the server names it: "allow_atomic"
	Have     string   `json:"have"`           // its value
	Need     string   `json:"need,omitempty"` // the value that would do, empty for a note
	Why      string   `json:"why"`            // what goes wrong otherwise
}

func (f Finding) String() string {
	if f.Need == "" {
		return fmt.Sprintf("%s is %s: %s", f.Setting, f.Have, f.Why)
	}
	return fmt.Sprintf("%s is %s, needs %s: %s", f.Setting, f.Have, f.Need, f.Why)
}

// Findings are in the order of the rules.
type Findings []Finding

// Of returns the findings of one severity.
func (fs Findings) Of(s Severity) Findings {
	var of Findings
	for _, f := range fs {
		if f.Severity == s {
			of = append(of, f)
		}
	}
	return of
}

// Err joins what breaks the promise, nil when nothing does.
func (fs Findings) Err() error {
	var errs []error
	for _, f := range fs.Of(Broken) {
		errs = append(errs, errors.New(f.String()))
	}
	return errors.Join(errs...)
}

// minMessage is the least a server must accept in one message: the event
// contract caps events at 60 KiB, and headers come on top.
const minMessage = 64 << 10

// apiLevel is the JetStream API level of nats-server 2.12, the first that can
// store a batch all or nothing.
const apiLevel = 2

// apiLevelTTL is that of nats-server 2.11, the first in which a message may
// outlive max_age.
const apiLevelTTL = 1

// facts is all the rules look at.
type facts struct {
	mode       Mode  // Atomic or Dedup
	level      int   // JetStream API level
	maxPayload int64 // of the connected server
	account    jetstream.AccountLimits
	stream     *jetstream.StreamConfig // nil when there is none
	want       jetstream.StreamConfig  // what Open would create
}

// A rule judges one setting. judge returns its value, and the value it should
// have, empty when there is nothing to tell.
type rule struct {
	severity Severity
	setting  string
	why      string
	judge    func(f facts) (have, need string)
}

// serverRules hold with and without a stream, in both modes.
var serverRules = []rule{
	{Broken, "server max_payload", "an event may take 60 KiB", func(f facts) (string, string) {
		return fmt.Sprint(f.maxPayload), needIf(f.maxPayload < minMessage, fmt.Sprintf("at least %d", minMessage))
	}},
}

// streamRules judge an existing stream, in both modes. Each names the value it needs: the
// stream is the operator's, and only the operator changes it.
var streamRules = []rule{
	{Broken, "subjects", "the connector publishes events and marks there", func(f facts) (string, string) {
		return fmt.Sprintf("%q", f.stream.Subjects), needIf(len(uncovered(f)) > 0, "also "+strings.Join(uncovered(f), " and "))
	}},
	{Broken, "sealed", "a sealed stream takes no messages",
		isFalse(func(c *jetstream.StreamConfig) bool { return c.Sealed })},
	{Broken, "no_ack", "the connector must learn what was stored",
		isFalse(func(c *jetstream.StreamConfig) bool { return c.NoAck })},
	{Broken, "allow_msg_counter", "a counter stream takes nothing but counters",
		isFalse(func(c *jetstream.StreamConfig) bool { return c.AllowMsgCounter })},
	{Broken, "mirror", "a mirror cannot be published to",
		isFalse(func(c *jetstream.StreamConfig) bool { return c.Mirror != nil })},
	{Broken, "subject_transform", "events and marks must be stored under the subject they were published on",
		isFalse(func(c *jetstream.StreamConfig) bool { return c.SubjectTransform != nil })},
	{Broken, "retention", "any other policy removes events and marks once they were read", func(f facts) (string, string) {
		return strings.ToLower(f.stream.Retention.String()), needIf(f.stream.Retention != jetstream.LimitsPolicy, "limits")
	}},
	{Broken, "storage", "a restart of the server would lose every event", func(f facts) (string, string) {
		return strings.ToLower(f.stream.Storage.String()), needIf(f.stream.Storage != jetstream.FileStorage, "file")
	}},
	{Broken, "max_msgs_per_subject", "events of one folder and action share a subject, and all but the newest would be lost", func(f facts) (string, string) {
		return fmt.Sprint(f.stream.MaxMsgsPerSubject), needIf(f.stream.MaxMsgsPerSubject > 0, "-1 (unlimited)")
	}},
	{Broken, "max_msg_size", "an event may take 60 KiB", func(f facts) (string, string) {
		size := f.stream.MaxMsgSize
		return fmt.Sprint(size), needIf(size > 0 && size < minMessage, fmt.Sprintf("-1 (unlimited) or at least %d", minMessage))
	}},
	{Warning, "sources", "a message from elsewhere on a mark's subject stops that folder", func(f facts) (string, string) {
		return fmt.Sprintf("%d streams", len(f.stream.Sources)), needIf(len(f.stream.Sources) > 0, "none")
	}},
	{Warning, "max_age", "the stream exists and is left as it is", func(f facts) (string, string) {
		return ageText(f.stream.MaxAge), needIf(f.stream.MaxAge != f.want.MaxAge, ageText(f.want.MaxAge)+" to match the configuration")
	}},
	{Warning, "max_bytes", "the stream exists and is left as it is", func(f facts) (string, string) {
		have, want := bytesText(f.stream.MaxBytes), bytesText(f.want.MaxBytes)
		return have, needIf(have != want, want+" to match the configuration")
	}},
	{Warning, "num_replicas", "the stream exists and is left as it is", func(f facts) (string, string) {
		return fmt.Sprint(f.stream.Replicas), needIf(f.stream.Replicas != f.want.Replicas, fmt.Sprint(f.want.Replicas)+" to match the configuration")
	}},
}

// modeRules hold in one mode of committing. What Atomic needs and Dedup can do
// without is a warning there: that is the way to the better mode.
var modeRules = map[Mode]struct{ server, stream []rule }{
	Atomic: {
		server: []rule{
			{Broken, "server API level", "older servers cannot store events and their mark together", hasBatches},
		},
		stream: []rule{
			{Broken, "allow_atomic", "events and their mark must be stored together", allowsAtomic},
			{Broken, "allow_rollup_hdrs", "a new mark replaces the old one", allowsRollup},
			{Broken, "allow_msg_ttl", "the mark of an idle folder must outlive max_age", allowsTTL},
			{Broken, "deny_purge", "a new mark replaces the old one",
				isFalse(func(c *jetstream.StreamConfig) bool { return c.DenyPurge })},
		},
	},
	Dedup: {
		server: []rule{
			{Warning, "server API level", "older servers cannot store events and their mark together, so the weaker mode dedup is used", hasBatches},
			{Broken, "server API level", "on older servers the mark of an idle folder goes with max_age", func(f facts) (string, string) {
				ages := f.stream == nil && f.want.MaxAge > 0
				return fmt.Sprint(f.level), needIf(ages && f.level < apiLevelTTL, fmt.Sprintf("%d (nats-server 2.11 or later), or no max_age", apiLevelTTL))
			}},
		},
		stream: []rule{
			{Warning, "allow_atomic", "events and their mark cannot be stored together, so the weaker mode dedup is used; " +
				"to change that, stop every process that publishes to the stream, set it, and start them again", func(f facts) (string, string) {
				have, need := allowsAtomic(f)
				return have, needIf(f.level >= apiLevel, need) // older servers have no such setting
			}},
			{Broken, "duplicate_window", "two processes on one folder, as in a take-over, would store events twice", func(f facts) (string, string) {
				window := f.stream.Duplicates
				return window.String(), needIf(window < leastWindow, "at least "+leastWindow.String())
			}},
			{Warning, "allow_rollup_hdrs", "a new mark cannot remove the old one, so every commit leaves one, of some kilobytes", allowsRollup},
			{Broken, "allow_msg_ttl", "the mark of an idle folder must outlive max_age", func(f facts) (string, string) {
				have, need := allowsTTL(f)
				return have, needIf(need != "" && f.stream.MaxAge > 0, need+", or max_age unlimited")
			}},
		},
	},
}

// judge applies the rules to what is there.
func judge(f facts) Findings {
	ours := modeRules[f.mode]
	rules := slices.Concat(ours.server, serverRules)
	if f.stream != nil {
		rules = slices.Concat(rules, streamRules, ours.stream)
	}
	var findings Findings
	for _, r := range rules {
		if have, need := r.judge(f); need != "" {
			findings = append(findings, Finding{Severity: r.severity, Setting: r.setting, Have: have, Need: need, Why: r.why})
		}
	}
	if f.stream == nil {
		findings = append(findings, Finding{Severity: Note, Setting: "stream " + f.want.Name, Have: "absent", Why: "it is created at the first start"})
	}
	return findings
}

// Judgements that both modes share.
var (
	hasBatches = func(f facts) (string, string) {
		return fmt.Sprint(f.level), needIf(f.level < apiLevel, fmt.Sprintf("%d (nats-server 2.12 or later)", apiLevel))
	}
	allowsAtomic = isTrue(func(c *jetstream.StreamConfig) bool { return c.AllowAtomicPublish })
	allowsRollup = isTrue(func(c *jetstream.StreamConfig) bool { return c.AllowRollup })
	allowsTTL    = isTrue(func(c *jetstream.StreamConfig) bool { return c.AllowMsgTTL })
)

func needIf(bad bool, need string) string {
	if bad {
		return need
	}
	return ""
}

func isTrue(get func(*jetstream.StreamConfig) bool) func(facts) (string, string) {
	return func(f facts) (string, string) { return fmt.Sprint(get(f.stream)), needIf(!get(f.stream), "true") }
}

func isFalse(get func(*jetstream.StreamConfig) bool) func(facts) (string, string) {
	return func(f facts) (string, string) { return fmt.Sprint(get(f.stream)), needIf(get(f.stream), "false") }
}

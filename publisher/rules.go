package publisher

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/schema"
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
// outlive max_age, and in which an event can be fenced by the mark.
const apiLevelTTL = 1

// facts is all the rules look at.
type facts struct {
	mode       Mode  // Atomic or Dedup
	level      int   // JetStream API level
	maxPayload int64 // of the connected server
	account    jetstream.AccountInfo
	stream     *jetstream.StreamConfig // nil when there is none
	want       jetstream.StreamConfig  // what Open would create
	taken      string                  // another stream that takes our subjects, while there is none

	created  time.Time             // when the stream was
	copy     *jetstream.StreamInfo // of the marks; nil when there is none
	wantCopy jetstream.StreamConfig
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

// absentRules judge whether the stream can be created. An account with limits by
// number of copies (tiers) tells others than it keeps, so those are not judged.
var absentRules = []rule{
	{Broken, "subjects", "no two streams may take the same; " + wayOut, func(f facts) (string, string) {
		return "taken by stream " + f.taken, needIf(f.taken != "", "subjects of its own: "+strings.Join(f.want.Subjects, " and "))
	}},
	{Broken, "account max_bytes_required", "the account creates no stream without a limit of its size", func(f facts) (string, string) {
		return fmt.Sprint(f.account.Limits.MaxBytesRequired), needIf(f.account.Limits.MaxBytesRequired && f.want.MaxBytes <= 0, "NATS_MAX_BYTES above 0, or false")
	}},
	{Broken, "account max_storage", "the stream keeps its messages in files", func(f facts) (string, string) {
		limit := f.account.Limits.MaxStore
		return fmt.Sprint(limit), needIf(len(f.account.Tiers) == 0 && limit == 0, "more than 0, or -1 (unlimited)")
	}},
	{Broken, "account max_streams", "the stream and the copy of its marks are two", func(f facts) (string, string) {
		limit, used := f.account.Limits.MaxStreams, f.account.Streams
		return fmt.Sprintf("%d, with %d in use", limit, used), needIf(len(f.account.Tiers) == 0 && limit > 0 && used+2 > limit, fmt.Sprintf("at least %d, or -1 (unlimited)", used+2))
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
	{Broken, "discard_new_per_subject", "events of one folder and action share a subject, and those after the first would be refused",
		isFalse(func(c *jetstream.StreamConfig) bool { return c.DiscardNewPerSubject })},
	{Broken, "max_msg_size", "an event may take 60 KiB", func(f facts) (string, string) {
		size := f.stream.MaxMsgSize
		return fmt.Sprint(size), needIf(size > 0 && size < minMessage, fmt.Sprintf("-1 (unlimited) or at least %d", minMessage))
	}},
	{Broken, "subject_delete_marker_ttl", "where the age limit removes the last event of a subject, a message that is none takes its place", func(f facts) (string, string) {
		ttl := f.stream.SubjectDeleteMarkerTTL
		return ttl.String(), needIf(ttl > 0, "0s (none)")
	}},
	{Broken, "consumer_limits", "the marks are read through a consumer that lives longer", func(f facts) (string, string) {
		least := f.stream.ConsumerLimits.InactiveThreshold
		return "inactive_threshold " + least.String(), needIf(least > 0 && least < scanWait, "0s (unlimited) or at least "+scanWait.String())
	}},
	{Warning, "max_consumers", "the connector needs one for some seconds, when it starts and when it looks for missing rows", func(f facts) (string, string) {
		return fmt.Sprint(f.stream.MaxConsumers), needIf(f.stream.MaxConsumers > 0, "-1 (unlimited)")
	}},
	{Warning, "sources", "a message from elsewhere on a mark's subject stops that folder", func(f facts) (string, string) {
		return fmt.Sprintf("%d streams", len(f.stream.Sources)), needIf(len(f.stream.Sources) > 0, "none")
	}},
	{Warning, "persist_mode", "the server says that events are stored before they are: a crash loses more of them, and they are published again", func(f facts) (string, string) {
		return f.stream.PersistMode.String(), needIf(f.stream.PersistMode != jetstream.DefaultPersistMode, "default")
	}},
	{Warning, "discard", "a stream that reached its limit takes nothing more, and the events wait in the portal", func(f facts) (string, string) {
		limited := f.stream.MaxMsgs > 0 || f.stream.MaxBytes > 0
		return "new", needIf(f.stream.Discard == jetstream.DiscardNew && limited, "old, or neither max_msgs nor max_bytes")
	}},
	{Warning, "max_msgs", "with the oldest messages go the marks of idle folders; they are put back from their copy", func(f facts) (string, string) {
		return fmt.Sprint(f.stream.MaxMsgs), needIf(f.stream.MaxMsgs > 0, "-1 (unlimited)")
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

// fineSettings are those of a stream that may have any value, and why.
var fineSettings = map[string]string{
	"name":                "it is what was asked for",
	"description":         "it is for people",
	"metadata":            "it is for people and tools",
	"placement":           "where the stream lies is the operator's matter",
	"compression":         "it saves disk and costs processor time",
	"first_seq":           "only the order of sequences counts",
	"republish":           "it copies what is stored, to subjects the stream does not take",
	"allow_direct":        "marks are read from the leader",
	"mirror_direct":       "it is about mirrors",
	"deny_delete":         "no message is deleted by hand; a new mark purges",
	"template_owner":      "servers have no templates any more",
	"allow_msg_schedules": "no message asks for it",
	"allow_batched":       "it is another kind of batch",
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

// copyRules judge the stream that keeps a copy of the marks. Without it the
// promise holds until a limit or a purge takes a mark, and mostly even then.
var copyRules = []rule{
	{Warning, "created", "it copies an earlier stream of this name, and nothing of this one; delete it, and it is made anew at the next start", func(f facts) (string, string) {
		return "before the stream", needIf(f.copy.Created.Before(f.created), "after it")
	}},
	{Warning, "sources", "it has to copy the marks as they are, and nothing else", func(f facts) (string, string) {
		return sourcesText(f.copy.Config.Sources), needIf(!copies(f.copy.Config, f.wantCopy), "stream "+f.wantCopy.Sources[0].Name+", "+f.wantCopy.Sources[0].FilterSubject)
	}},
	{Warning, "mirror", "a mirror does not tell where its messages come from", func(f facts) (string, string) {
		return "set", needIf(f.copy.Config.Mirror != nil, "none, but a source")
	}},
	{Warning, "subject_transform", "a mark is looked for under its own subject", func(f facts) (string, string) {
		return "set", needIf(f.copy.Config.SubjectTransform != nil, "none")
	}},
	{Warning, "max_msgs_per_subject", "of each folder the newest mark is enough", func(f facts) (string, string) {
		n := f.copy.Config.MaxMsgsPerSubject
		return fmt.Sprint(n), needIf(n != 1, "1")
	}},
	{Warning, "allow_rollup_hdrs", "servers before 2.12 refuse to copy a mark that replaces another, so it stays empty", func(f facts) (string, string) {
		return fmt.Sprint(f.copy.Config.AllowRollup), needIf(f.level < apiLevel && !f.copy.Config.AllowRollup, "true")
	}},
	{Warning, "max_age", "the mark of an idle folder would go", func(f facts) (string, string) {
		return ageText(f.copy.Config.MaxAge), needIf(f.copy.Config.MaxAge > 0, "unlimited")
	}},
	{Warning, "max_bytes", "the marks of idle folders would go, or the newest not be copied", func(f facts) (string, string) {
		return bytesText(f.copy.Config.MaxBytes), needIf(f.copy.Config.MaxBytes > 0 && !f.account.Limits.MaxBytesRequired, "unlimited")
	}},
	{Warning, "max_msgs", "the marks of idle folders would go, or the newest not be copied", func(f facts) (string, string) {
		return fmt.Sprint(f.copy.Config.MaxMsgs), needIf(f.copy.Config.MaxMsgs > 0, "-1 (unlimited)")
	}},
	{Warning, "max_msg_size", "a mark may take some kilobytes", func(f facts) (string, string) {
		size := f.copy.Config.MaxMsgSize
		return fmt.Sprint(size), needIf(size > 0 && size < minMessage, fmt.Sprintf("-1 (unlimited) or at least %d", minMessage))
	}},
	{Warning, "retention", "any other policy removes marks once they were read", func(f facts) (string, string) {
		return strings.ToLower(f.copy.Config.Retention.String()), needIf(f.copy.Config.Retention != jetstream.LimitsPolicy, "limits")
	}},
	{Warning, "storage", "a restart of the server would lose the copy", func(f facts) (string, string) {
		return strings.ToLower(f.copy.Config.Storage.String()), needIf(f.copy.Config.Storage != jetstream.FileStorage, "file")
	}},
	{Warning, "sealed", "a sealed stream takes no messages", func(f facts) (string, string) {
		return fmt.Sprint(f.copy.Config.Sealed), needIf(f.copy.Config.Sealed, "false")
	}},
	{Warning, "sourcing", "the server says why it copies nothing", func(f facts) (string, string) {
		for _, s := range f.copy.Sources {
			if s.Error != nil {
				return schema.Text(s.Error.Description), "no error"
			}
		}
		return "", ""
	}},
}

// copies reports whether a stream has the source it should have, unchanged.
func copies(have, want jetstream.StreamConfig) bool {
	wanted := want.Sources[0]
	return slices.ContainsFunc(have.Sources, func(s *jetstream.StreamSource) bool {
		return s.Name == wanted.Name && s.External == nil && len(s.SubjectTransforms) == 0 && (s.FilterSubject == "" || covers(s.FilterSubject, wanted.FilterSubject))
	})
}

func sourcesText(sources []*jetstream.StreamSource) string {
	if len(sources) == 0 {
		return "none"
	}
	var text []string
	for _, s := range sources {
		text = append(text, strings.TrimSpace("stream "+s.Name+" "+s.FilterSubject))
	}
	return strings.Join(text, ", ")
}

// judge applies the rules to what is there.
func judge(f facts) Findings {
	ours := modeRules[f.mode]
	rules := slices.Concat(ours.server, serverRules)
	if f.stream == nil {
		return append(apply(slices.Concat(rules, absentRules), f), absent(f.want.Name))
	}
	return apply(slices.Concat(rules, streamRules, ours.stream), f)
}

func apply(rules []rule, f facts) Findings {
	var findings Findings
	for _, r := range rules {
		if have, need := r.judge(f); need != "" {
			findings = append(findings, Finding{Severity: r.severity, Setting: r.setting, Have: have, Need: need, Why: r.why})
		}
	}
	return findings
}

// absent is the finding that a stream of ours does not exist.
func absent(stream string) Finding {
	return Finding{Severity: Note, Setting: "stream " + stream, Have: "absent", Why: "it is created at the first start, or by check --fix"}
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

package publisher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

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

	created   time.Time             // when the stream was
	clustered bool                  // by servers that can keep copies of it
	copy      *jetstream.StreamInfo // of the marks; nil when there is none
	wantCopy  jetstream.StreamConfig
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
	{Broken, "account max_streams", "the stream, the copy of its marks and the queue of folders are three", func(f facts) (string, string) {
		limit, used := f.account.Limits.MaxStreams, f.account.Streams
		return fmt.Sprintf("%d, with %d in use", limit, used), needIf(len(f.account.Tiers) == 0 && limit > 0 && used+3 > limit, fmt.Sprintf("at least %d, or -1 (unlimited)", used+3))
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

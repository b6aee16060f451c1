package publisher

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

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
		return fmt.Sprint(f.stream.Replicas), needIf(f.stream.Replicas < f.want.Replicas, fmt.Sprint(f.want.Replicas)+" to match the configuration")
	}},
	{Warning, "num_replicas", "the servers are a cluster, and the loss of one of them stops everything", func(f facts) (string, string) {
		return fmt.Sprint(f.stream.Replicas), needIf(f.clustered && max(f.stream.Replicas, f.want.Replicas) < 3, "3, and NATS_REPLICAS as many")
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

package publisher

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/schema"
)

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
	{Warning, "max_msgs_per_subject", "of each folder the newest mark, and some before in case the stream loses that one, are enough", func(f facts) (string, string) {
		n, need := f.copy.Config.MaxMsgsPerSubject, f.wantCopy.MaxMsgsPerSubject
		return fmt.Sprint(n), needIf(n < need, fmt.Sprint(need))
	}},
	{Warning, "allow_rollup_hdrs", "servers before 2.12 refuse to copy a mark that replaces another, so it stays empty; later ones keep none before the newest", func(f facts) (string, string) {
		have, need := f.copy.Config.AllowRollup, f.wantCopy.AllowRollup
		return fmt.Sprint(have), needIf(have != need, fmt.Sprint(need))
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

package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"docspace-nats/publisher"
)

const (
	shortestMaxAge = time.Minute // events must outlive their first delivery
	leastMaxBytes  = 1 << 20     // one message of the largest size
	leastDataBytes = 16 << 20    // one commit of the largest size
	mostReplicas   = 5           // what JetStream allows
)

var (
	nameToken     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	subjectPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

// IsName reports whether text can be the name of a stream or of something in one.
func IsName(text string) bool { return nameToken.MatchString(text) }

// LongestPrefix is how many bytes a prefix of subjects may have: ids and actions
// follow it.
const LongestPrefix = 100

// IsSubjectPrefix reports whether subjects can begin with text.
func IsSubjectPrefix(text string) bool {
	return subjectPrefix.MatchString(text) && len(text) <= LongestPrefix
}

func (c NATS) problems() problems {
	var found problems
	if c.URL == "" {
		c.judgeEmbedded(&found)
	} else {
		c.judgeConnection(&found)
	}
	if !IsName(c.Stream) {
		found.add("NATS_STREAM", "must be letters, digits, - and _, at most 255 of them, got %s", Shown(c.Stream))
	}
	if !IsSubjectPrefix(c.SubjectPrefix) {
		found.add("NATS_SUBJECT_PREFIX", "must be words of letters, digits, - and _ joined by dots, at most %d bytes, got %s", LongestPrefix, Shown(c.SubjectPrefix))
	}
	if !IsSubjectPrefix(c.InboxPrefix) {
		found.add("NATS_INBOX_PREFIX", "must be words of letters, digits, - and _ joined by dots, at most %d bytes, got %s", LongestPrefix, Shown(c.InboxPrefix))
	}
	if !slices.Contains(publisher.Modes(), publisher.Mode(c.Commit)) {
		found.add("NATS_COMMIT", "must be auto, atomic or dedup, got %s", Shown(c.Commit))
	}
	if !slices.Contains([]string{"auto", "always"}, c.MsgID) {
		found.add("NATS_MSG_ID", "must be auto or always, got %s", Shown(c.MsgID))
	}
	if c.Replicas < 1 || c.Replicas > mostReplicas {
		found.add("NATS_REPLICAS", "must be 1 to %d, got %d", mostReplicas, c.Replicas)
	}
	if c.MaxAge != 0 && c.MaxAge < shortestMaxAge {
		found.add("NATS_MAX_AGE", "must be 0s, which keeps events for ever, or at least %s, got %s", Short(shortestMaxAge), Short(c.MaxAge))
	}
	if c.MaxBytes != 0 && c.MaxBytes < leastMaxBytes {
		found.add("NATS_MAX_BYTES", "must be 0, which is no limit, or at least %d, got %d", leastMaxBytes, c.MaxBytes)
	}
	if c.DataMaxBytes != 0 && c.DataMaxBytes < leastDataBytes {
		found.add("NATS_DATA_MAX_BYTES", "must be 0, which leaves it to the disk, or at least %d, got %d", leastDataBytes, c.DataMaxBytes)
	}
	return found
}

// judgeEmbedded looks at what needs NATS_URL, and at what goes without it.
func (c NATS) judgeEmbedded(found *problems) {
	for _, setting := range []struct {
		variable string
		set      bool
	}{
		{"NATS_USER", c.User != ""},
		{c.password().name(), c.password().set()},
		{c.token().name(), c.token().set()},
		{"NATS_NKEY_FILE", c.NKeyFile != ""},
		{"NATS_CREDS_FILE", c.CredsFile != ""},
		{"NATS_TLS_CA_FILE", c.TLSCAFile != ""},
		{"NATS_TLS_CERT_FILE", c.TLSCertFile != ""},
		{"NATS_TLS_KEY_FILE", c.TLSKeyFile != ""},
		{"NATS_TLS_FIRST", c.TLSFirst},
		{"NATS_JS_DOMAIN", c.JSDomain != ""},
	} {
		if setting.set {
			found.add(setting.variable, "must be set only together with NATS_URL; without it the server inside this program is used")
		}
	}
	if c.DataDir == "" {
		found.add("NATS_DATA_DIR", "must be set to a directory, such as ./data, or NATS_URL to a server")
	}
	if c.Replicas > 1 && c.Replicas <= mostReplicas {
		found.add("NATS_REPLICAS", "must be 1 for the server inside this program, got %d; set NATS_URL to use a cluster", c.Replicas)
	}
}

// judgeConnection looks at where NATS is, who we are, and how to speak to it.
func (c NATS) judgeConnection(found *problems) {
	if what := wrongServers(c.URL); what != "" {
		found.add("NATS_URL", "%s", what)
	}
	c.judgeCredentials(found)
	for _, file := range []struct{ variable, path string }{
		{"NATS_NKEY_FILE", c.NKeyFile},
		{"NATS_CREDS_FILE", c.CredsFile},
		{"NATS_TLS_CA_FILE", c.TLSCAFile},
		{"NATS_TLS_CERT_FILE", c.TLSCertFile},
		{"NATS_TLS_KEY_FILE", c.TLSKeyFile},
	} {
		if err := readableFile(file.path); err != nil {
			found.add(file.variable, "must be a file that can be read: %s", err)
		}
	}
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		found.add(missing(c.TLSCertFile, "NATS_TLS_CERT_FILE", "NATS_TLS_KEY_FILE"), "must be set too: certificate and key belong together")
	}
	if c.JSDomain != "" && !IsName(c.JSDomain) {
		found.add("NATS_JS_DOMAIN", "must be letters, digits, - and _, got %s", Shown(c.JSDomain))
	}
}

// judgeCredentials wants at most one kind, and each secret from one place.
func (c NATS) judgeCredentials(found *problems) {
	var kinds []string
	for _, kind := range []struct {
		name string
		set  bool
	}{
		{"a user in NATS_URL", c.URL.names()},
		{c.password().name(), c.password().set()},
		{c.token().name(), c.token().set()},
		{"NATS_NKEY_FILE", c.NKeyFile != ""},
		{"NATS_CREDS_FILE", c.CredsFile != ""},
	} {
		if kind.set {
			kinds = append(kinds, kind.name)
		}
	}
	if len(kinds) > 1 {
		found.add(kinds[1], "must not be set together with %s; keep one kind of credentials", kinds[0])
	}
	switch {
	case c.User != "" && !c.password().set():
		found.add("NATS_USER", "must be set only together with NATS_PASSWORD or NATS_PASSWORD_FILE")
	case c.User == "" && c.password().set():
		found.add("NATS_USER", "must be set to the user whose password is %s", c.password().name())
	}
	for _, secret := range []credential{c.password(), c.token()} {
		if secret.set() {
			secret.judge(found)
		}
	}
}

// missing names the variable whose partner is the one that is set.
func missing(first, firstName, secondName string) string {
	if first == "" {
		return firstName
	}
	return secondName
}

// readableFile opens and closes the file.
func readableFile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(io.Discard, f, 1) // a directory opens, but cannot be read
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty", path)
	}
	return err
}

// wrongServers says what is wrong with the NATS addresses, "" when nothing.
func wrongServers(servers ServerURL) string {
	for server := range strings.SplitSeq(string(servers), ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return "must be addresses such as nats://nats:4222 or tls://nats.example.com:4222, separated by commas, got " + Shown(server)
		}
	}
	return ""
}

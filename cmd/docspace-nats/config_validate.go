package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"docspace-nats/publisher"
	"docspace-nats/schema"
)

const (
	longestPrefix  = 100            // bytes; leaves room in a subject for ids and actions
	longestPause   = 24 * time.Hour // between polls; more is a typing mistake
	shortestMaxAge = time.Minute    // events must outlive their first delivery
	leastMaxBytes  = 1 << 20        // one message of the largest size
	mostPerMinute  = 1_000_000      // far above what any portal allows
	mostInFlight   = 50
	mostReplicas   = 5 // what JetStream allows
)

var (
	streamName    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	subjectPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

// problems judges every group.
func (c Config) problems() problems {
	return slices.Concat(c.DocSpace.problems(), c.NATS.problems(), c.Poll.problems(), c.HTTP.problems(), c.Hints.problems(c.HTTP), c.Log.problems())
}

// problems judges the portal's address and credentials. It reads the secret
// files, so that an unreadable one is known before the first request.
func (c DocSpaceConfig) problems() problems {
	var found problems
	if what := wrongPortal(c.URL); what != "" {
		found.add("DOCSPACE_URL", "%s", what)
	}
	c.judgeCredentials(&found)
	if _, err := schema.ParsePrivacy(c.Privacy); err != nil {
		found.add("DOCSPACE_PRIVACY", "%s", err)
	}
	return found
}

// wrongPortal says what is wrong with the portal's address, "" when nothing.
func wrongPortal(address string) string {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return "must be set to the portal's address, such as https://docs.example.com"
	case err != nil, u.Scheme != "http" && u.Scheme != "https":
		return "must be an http or https address, got " + shownValue(address)
	case u.User != nil:
		return "must not carry a user or password; set DOCSPACE_USERNAME and DOCSPACE_PASSWORD"
	case u.Hostname() == "":
		return "must name a host, got " + shownValue(address)
	case strings.ContainsAny(address, "?#") || u.Path != "" && u.Path != "/":
		return "must end after the host name, such as https://docs.example.com, got " + shownValue(address)
	}
	return ""
}

func (c NATSConfig) problems() problems {
	var found problems
	c.judgeServer(&found)
	if !streamName.MatchString(c.Stream) {
		found.add("NATS_STREAM", "must be letters, digits, - and _, at most 255 of them, got %s", shownValue(c.Stream))
	}
	if !subjectPrefix.MatchString(c.SubjectPrefix) || len(c.SubjectPrefix) > longestPrefix {
		found.add("NATS_SUBJECT_PREFIX", "must be words of letters, digits, - and _ joined by dots, at most %d bytes, got %s", longestPrefix, shownValue(c.SubjectPrefix))
	}
	if !slices.Contains(publisher.Modes(), publisher.Mode(c.Commit)) {
		found.add("NATS_COMMIT", "must be auto, atomic or dedup, got %s", shownValue(c.Commit))
	}
	if c.Replicas < 1 || c.Replicas > mostReplicas {
		found.add("NATS_REPLICAS", "must be 1 to %d, got %d", mostReplicas, c.Replicas)
	}
	if c.MaxAge != 0 && c.MaxAge < shortestMaxAge {
		found.add("NATS_MAX_AGE", "must be 0s, which keeps events for ever, or at least %s, got %s", shortText(shortestMaxAge), shortText(c.MaxAge))
	}
	if c.MaxBytes != 0 && c.MaxBytes < leastMaxBytes {
		found.add("NATS_MAX_BYTES", "must be 0, which is no limit, or at least %d, got %d", leastMaxBytes, c.MaxBytes)
	}
	return found
}

// judgeServer looks at what only makes sense with, or without, NATS_URL.
func (c NATSConfig) judgeServer(found *problems) {
	files := []struct{ variable, path string }{
		{"NATS_CREDS_FILE", c.CredsFile},
		{"NATS_TLS_CA_FILE", c.TLSCAFile},
		{"NATS_TLS_CERT_FILE", c.TLSCertFile},
		{"NATS_TLS_KEY_FILE", c.TLSKeyFile},
	}
	for _, file := range files {
		switch err := readableFile(file.path); {
		case file.path == "":
		case c.URL == "":
			found.add(file.variable, "must be set only together with NATS_URL; without it the server inside this program is used")
		case err != nil:
			found.add(file.variable, "must be a file that can be read: %s", err)
		}
	}
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		found.add(missing(c.TLSCertFile, "NATS_TLS_CERT_FILE", "NATS_TLS_KEY_FILE"), "must be set too: certificate and key belong together")
	}
	if c.URL != "" {
		if what := wrongServers(c.URL); what != "" {
			found.add("NATS_URL", "%s", what)
		}
		return
	}
	if c.DataDir == "" {
		found.add("NATS_DATA_DIR", "must be set to a directory, such as ./data, or NATS_URL to a server")
	}
	if c.Replicas > 1 && c.Replicas <= mostReplicas {
		found.add("NATS_REPLICAS", "must be 1 for the server inside this program, got %d; set NATS_URL to use a cluster", c.Replicas)
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
			return "must be addresses such as nats://nats:4222 or tls://nats.example.com:4222, separated by commas, got " + shownValue(server)
		}
	}
	return ""
}

func (c PollConfig) problems() problems {
	var found problems
	if c.MinInterval < time.Second || c.MinInterval > longestPause {
		found.add("POLL_MIN_INTERVAL", "must be at least 1s and at most 24h, got %s", shortText(c.MinInterval))
	}
	switch {
	case c.MaxInterval > longestPause:
		found.add("POLL_MAX_INTERVAL", "must be at most 24h, got %s", shortText(c.MaxInterval))
	case c.MaxInterval < time.Second:
		found.add("POLL_MAX_INTERVAL", "must be at least 1s, got %s", shortText(c.MaxInterval))
	case c.MaxInterval < c.MinInterval:
		found.add("POLL_MAX_INTERVAL", "must be at least POLL_MIN_INTERVAL, which is %s, got %s", shortText(c.MinInterval), shortText(c.MaxInterval))
	}
	if c.RequestsPerMinute < 0 || c.RequestsPerMinute > mostPerMinute {
		found.add("POLL_REQUESTS_PER_MINUTE", "must be 0, which is no limit, to %d, got %d", mostPerMinute, c.RequestsPerMinute)
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > mostInFlight {
		found.add("POLL_MAX_IN_FLIGHT", "must be 1 to %d, got %d", mostInFlight, c.MaxInFlight)
	}
	return found
}

func (c HTTPConfig) problems() problems {
	var found problems
	if c.Addr != "" && !isAddress(c.Addr) {
		found.add("HTTP_ADDR", "must be host:port such as 127.0.0.1:8080, or empty to turn it off, got %s", shownValue(c.Addr))
	}
	return found
}

// problems judges the hints beside the state, which needs an address of its
// own: it must not be reachable from where hints come from.
func (c HintsConfig) problems(state HTTPConfig) problems {
	var found problems
	switch {
	case c.Addr == "":
	case !isAddress(c.Addr):
		found.add("HINTS_ADDR", "must be host:port such as 127.0.0.1:8081, or empty to turn it off, got %s", shownValue(c.Addr))
	case c.Addr == state.Addr && !strings.HasSuffix(c.Addr, ":0"):
		found.add("HINTS_ADDR", "must not be the address of HTTP_ADDR: hints come from outside, and the state is not for there")
	}
	switch secret := c.secret(); {
	case secret.set() && c.Addr == "":
		found.add(secret.name(), "must be set only together with HINTS_ADDR")
	case secret.set():
		secret.judge(&found)
	case c.Addr != "":
		found.add("HINTS_SECRET", "must be set to the secret key of the webhook in the portal, or HINTS_SECRET_FILE, to receive hints on HINTS_ADDR")
	}
	return found
}

// isAddress reports whether the text is host:port, with a port in digits.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	number, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && strconv.FormatUint(number, 10) == port
}

func (c LogConfig) problems() problems {
	var found problems
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Level) {
		found.add("LOG_LEVEL", "must be debug, info, warn or error, got %s", shownValue(c.Level))
	}
	if !slices.Contains([]string{"auto", "json", "text"}, c.Format) {
		found.add("LOG_FORMAT", "must be auto, json or text, got %s", shownValue(c.Format))
	}
	return found
}

// shortText writes 2m for what time.Duration calls 2m0s.
func shortText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

package config

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MostPerMinute is far above what any portal allows.
const MostPerMinute = 1_000_000

const (
	longestPause = 24 * time.Hour // between polls; more is a typing mistake
	mostInFlight = 50
)

// problems judges every group.
func (c Config) problems() problems {
	return slices.Concat(c.DocSpace.problems(), c.Events.problems(), c.NATS.problems(), c.Poll.problems(), c.HTTP.problems(), c.Hints.problems(c.HTTP), c.Log.problems())
}

// problems judges the portal's address and credentials. It reads the secret
// files, so that an unreadable one is known before the first request.
func (c DocSpace) problems() problems {
	var found problems
	if what := wrongPortal(c.URL); what != "" {
		found.add("DOCSPACE_URL", "%s", what)
	}
	c.judgeCredentials(&found)
	_, misset := c.readPrivacy()
	found = append(found, misset...)
	return found
}

// wrongPortal says what is wrong with the portal's address, "" when nothing.
func wrongPortal(address string) string {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return "must be set to the portal's address, such as https://docs.example.com"
	case err != nil, u.Scheme != "http" && u.Scheme != "https":
		return "must be an http or https address, got " + Shown(address)
	case u.User != nil:
		return "must not carry a user or password; set DOCSPACE_USERNAME and DOCSPACE_PASSWORD"
	case u.Hostname() == "":
		return "must name a host, got " + Shown(address)
	case strings.ContainsAny(address, "?#") || u.Path != "" && u.Path != "/":
		return "must end after the host name, such as https://docs.example.com, got " + Shown(address)
	}
	return ""
}

func (c Poll) problems() problems {
	var found problems
	if c.MinInterval < time.Second || c.MinInterval > longestPause {
		found.add("POLL_MIN_INTERVAL", "must be at least 1s and at most 24h, got %s", Short(c.MinInterval))
	}
	switch {
	case c.MaxInterval > longestPause:
		found.add("POLL_MAX_INTERVAL", "must be at most 24h, got %s", Short(c.MaxInterval))
	case c.MaxInterval < time.Second:
		found.add("POLL_MAX_INTERVAL", "must be at least 1s, got %s", Short(c.MaxInterval))
	case c.MaxInterval < c.MinInterval:
		found.add("POLL_MAX_INTERVAL", "must be at least POLL_MIN_INTERVAL, which is %s, got %s", Short(c.MinInterval), Short(c.MaxInterval))
	}
	if c.RequestsPerMinute < 0 || c.RequestsPerMinute > MostPerMinute {
		found.add("POLL_REQUESTS_PER_MINUTE", "must be 0, which is no limit, to %d, got %d", MostPerMinute, c.RequestsPerMinute)
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > mostInFlight {
		found.add("POLL_MAX_IN_FLIGHT", "must be 1 to %d, got %d", mostInFlight, c.MaxInFlight)
	}
	return found
}

func (c HTTP) problems() problems {
	var found problems
	if c.Addr != "" && !isAddress(c.Addr) {
		found.add("HTTP_ADDR", "must be host:port such as 127.0.0.1:8080, or empty to turn it off, got %s", Shown(c.Addr))
	}
	return found
}

// problems judges the hints beside the state, which needs an address of its
// own: it must not be reachable from where hints come from.
func (c Hints) problems(state HTTP) problems {
	var found problems
	switch {
	case c.Addr == "":
	case !isAddress(c.Addr):
		found.add("HINTS_ADDR", "must be host:port such as 127.0.0.1:8081, or empty to turn it off, got %s", Shown(c.Addr))
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

func (c Log) problems() problems {
	var found problems
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Level) {
		found.add("LOG_LEVEL", "must be debug, info, warn or error, got %s", Shown(c.Level))
	}
	if !slices.Contains([]string{"auto", "json", "text"}, c.Format) {
		found.add("LOG_FORMAT", "must be auto, json or text, got %s", Shown(c.Format))
	}
	return found
}

// Short writes 2m for what time.Duration calls 2m0s.
func Short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

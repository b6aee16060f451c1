// Package docspace reads an ONLYOFFICE DocSpace portal through its REST API:
// pages of a folder's log, folders, rooms, and who is asking.
//
// It knows the wire: every shape the server versions since 2.6 send, which
// refusal means what, when to ask again, and how fast asking is polite. It
// refuses to know what a row is for: which rows are new and what becomes of
// them is the caller's.
//
// Two choices a newcomer may question. Answers are read field by field rather
// than into tagged structs, because one odd field must spoil its own entry
// and never the page it came with. And a call repeats itself for a minute at
// most: patience beyond that belongs to the loop that polls, which can say
// what is wrong in the meantime.
package docspace

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Defaults of [Options].
const (
	DefaultMaxInFlight = 8
	DefaultTimeout     = 30 * time.Second
	DefaultMaxElapsed  = time.Minute
)

// Options of a [Client]; the zero value means the defaults.
type Options struct {
	Transport         http.RoundTripper // nil: pooled connections, HTTP/2, proxy from the environment
	UserAgent         string            // default "docspace-nats"
	RequestsPerMinute int               // of all calls together; 0: no limit
	MaxInFlight       int               // requests at the same time, default 8
	Timeout           time.Duration     // of one request up to the last byte of its answer, default 30 s
	MaxElapsed        time.Duration     // for the repetitions of one call, default 1 min; negative: never repeat

	// Words is what errors repeat of what the portal says in a refusal, which may
	// name people and titles; nil: all of it.
	Words func(string) string
	// Observe is told of every request: its route with {id} for numbers, the
	// HTTP status or 0 when no answer came, and how long it took.
	Observe func(route string, status int, took time.Duration)
}

// A Client asks one portal as one account. It is safe for concurrent use.
type Client struct {
	base       *url.URL
	auth       authorizer
	key        bool // the credentials are an API key
	http       *http.Client
	pace       *governor
	userAgent  string
	timeout    time.Duration
	maxElapsed time.Duration
	words      func(string) string
	observe    func(string, int, time.Duration)
	skew       atomic.Int64 // portal's clock minus ours, ns
}

// New returns a client of the portal at base, an http or https address. It
// sends nothing yet and reads no secret.
func New(base string, creds Credentials, opts Options) (*Client, error) {
	u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	inFlight := opts.MaxInFlight
	if inFlight <= 0 {
		inFlight = DefaultMaxInFlight
	}
	c := &Client{
		base:       u,
		key:        creds.APIKey != nil,
		pace:       newGovernor(opts.RequestsPerMinute, inFlight),
		userAgent:  opts.UserAgent,
		timeout:    opts.Timeout,
		maxElapsed: opts.MaxElapsed,
		words:      opts.Words,
		observe:    opts.Observe,
	}
	if c.userAgent == "" {
		c.userAgent = "docspace-nats"
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.maxElapsed == 0 {
		c.maxElapsed = DefaultMaxElapsed
	}
	if c.words == nil {
		c.words = func(s string) string { return s }
	}
	if c.observe == nil {
		c.observe = func(string, int, time.Duration) {}
	}
	transport := opts.Transport
	if transport == nil {
		transport = newTransport(inFlight)
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: sameOrigin}
	if c.auth, err = creds.authorizer(c.login); err != nil {
		return nil, err
	}
	return c, nil
}

// parseBase never repeats an address that carries a password.
func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil {
		return nil, fmt.Errorf("portal address: not an address")
	}
	if u.User != nil || strings.Contains(u.Opaque, "@") || strings.Contains(u.Path, "@") {
		return nil, fmt.Errorf("portal address: must not contain a user name or password")
	}
	shown, _, _ := strings.Cut(base, "?") // what follows may be a secret
	shown, _, _ = strings.Cut(shown, "#")
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("portal address: must be an http or https address, got %q", line(shown))
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("portal address: must end after the host or path, got %q", line(shown)+"…")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// Now returns the portal's clock as its latest answer told it: at most about
// a second and the way of that answer behind, and not ahead. Before the first
// answer it is this machine's clock.
func (c *Client) Now() time.Time {
	return time.Now().Add(time.Duration(c.skew.Load())).UTC()
}

// ServerTime asks the portal, without credentials, and returns its clock.
func (c *Client) ServerTime(ctx context.Context) (time.Time, error) {
	if _, err := c.Version(ctx); err != nil {
		return time.Time{}, err
	}
	return c.Now(), nil
}

// SetRequestsPerMinute replaces the budget, which replicas share; 0: no limit.
func (c *Client) SetRequestsPerMinute(n int) { c.pace.setBudget(n) }

// Close lets go of idle connections. The client stays usable.
func (c *Client) Close() { c.http.CloseIdleConnections() }

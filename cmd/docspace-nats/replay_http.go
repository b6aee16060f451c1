package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/schema"
)

const (
	// httpLanes is how many requests are under way at a time.
	httpLanes = 8

	// httpBytes ends a batch; a single event is always less.
	httpBytes = 1 << 20

	// httpPatience is how long a receiver may take to answer.
	httpPatience = 30 * time.Second

	// longestRetryAfter bounds what a receiver may ask for.
	longestRetryAfter = 10 * time.Minute

	// httpReason is how much of a refusal is shown.
	httpReason = 300

	// secretless is the longest part of a header or a query that is no secret, such
	// as "Bearer".
	secretless = 6
)

// An httpTarget sends batches of events, each of one folder.
type httpTarget struct {
	client  *http.Client
	url     string
	shown   string // without what may be secret
	headers map[string]string
	secrets []string // that a receiver may repeat
	batch   int

	mu   sync.Mutex
	hold time.Time // until when the receiver wants nothing
}

func newHTTPTarget(o *replayOptions) (*httpTarget, error) {
	headers, err := o.headers()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = httpLanes
	if transport.TLSClientConfig, err = o.tlsFiles.config(o.url.Hostname()); err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport: transport,
		Timeout:   httpPatience,
		// Who answers with another address may not be who the headers are for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &httpTarget{client: client, url: o.to, shown: o.target(), headers: headers, secrets: secretsOf(o.url, headers), batch: o.batch}, nil
}

// secretsOf are the parts of headers and of a query that may be secret, the longer
// ones first, since one may hold another.
func secretsOf(to *url.URL, headers map[string]string) []string {
	var parts []string
	for _, value := range headers {
		parts = append(append(parts, value), strings.Fields(value)...)
	}
	parts = append(parts, to.RawQuery)
	for _, values := range to.Query() {
		for _, value := range values {
			parts = append(parts, value, url.QueryEscape(value))
		}
	}
	parts = slices.DeleteFunc(parts, func(part string) bool { return len(part) <= secretless })
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	return parts
}

func (t *httpTarget) lane(folder string) string { return folder }

func (t *httpTarget) most() (lanes, events int) { return httpLanes, t.batch }

// A receiverError is an answer that is not the one that was hoped for, or none.
type receiverError struct {
	text  string
	later bool
	err   error
}

func (e *receiverError) Error() string   { return e.text }
func (e *receiverError) Unwrap() error   { return e.err }
func (e *receiverError) Temporary() bool { return e.later }

func (t *httpTarget) send(ctx context.Context, these []*replayItem) (safe, tried int, err error) {
	if err := t.wait(ctx); err != nil {
		return 0, 0, err
	}
	these = these[:withinBytes(these)]
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, batchBody(these))
	if err != nil {
		return 0, 0, &receiverError{text: "request: not possible with this address"} // whose text would show its query
	}
	request.Header.Set("User-Agent", "docspace-nats/"+thisBuild().Version)
	for name, value := range t.headers {
		request.Header.Set(name, value)
		if http.CanonicalHeaderKey(name) == "Host" {
			request.Host = value
		}
	}
	request.Header.Set("Content-Type", "application/cloudevents-batch+json; charset=utf-8")
	request.Header.Set("Docspace-Ingest-Mode", schema.Backfill)
	answer, err := t.client.Do(request)
	if err != nil {
		if inner := new(url.Error); errors.As(err, &inner) {
			err = inner.Err // without the address
		}
		return 0, len(these), &receiverError{text: schema.Text(err.Error()), later: true, err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode/100 == 2 {
		_, _ = io.CopyN(io.Discard, answer.Body, httpBytes) // so that the connection can be used again
		return len(these), 0, nil
	}
	return 0, len(these), t.refused(answer)
}

// refused tells what an answer means.
func (t *httpTarget) refused(answer *http.Response) error {
	code := answer.StatusCode
	e := &receiverError{text: fmt.Sprintf("it answers %d %s", code, http.StatusText(code))}
	if said := t.reason(answer.Body); said != "" {
		e.text += fmt.Sprintf(" (%s)", said)
	}
	switch {
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		e.later = true
		t.postpone(answer.Header.Get("Retry-After"))
	case code/100 == 3:
		e.text += fmt.Sprintf(" and points to %s; give the address that takes the events", schema.Text(shownLocation(answer)))
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.text += "; put the Authorization header it asks for into --header-file"
	case code == http.StatusRequestEntityTooLarge:
		e.text += "; give a smaller --batch"
	default:
		e.text += "; it must take JSON arrays of CloudEvents (application/cloudevents-batch+json) at this address"
	}
	return e
}

// reason is the beginning of what a receiver says, without the secrets it was sent.
func (t *httpTarget) reason(body io.Reader) string {
	const enough = 16 << 10
	text, _ := io.ReadAll(io.LimitReader(body, enough))
	said := schema.Text(string(text))
	for _, secret := range t.secrets {
		said = strings.ReplaceAll(said, secret, config.Hidden)
	}
	if len(said) > httpReason {
		said = schema.Text(said[:httpReason]) + "…"
	}
	return said
}

func shownLocation(answer *http.Response) string {
	to, err := answer.Location()
	if err != nil {
		return "nowhere"
	}
	return (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}).String()
}

// postpone notes what the receiver asks for, in seconds or as a time.
func (t *httpTarget) postpone(retryAfter string) {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(retryAfter, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(retryAfter); err == nil {
		wait = time.Until(at)
	}
	until := time.Now().Add(min(wait, longestRetryAfter))
	t.mu.Lock()
	defer t.mu.Unlock()
	if until.After(t.hold) {
		t.hold = until
	}
}

func (t *httpTarget) wait(ctx context.Context) error {
	t.mu.Lock()
	hold := t.hold
	t.mu.Unlock()
	return waitUntilTime(ctx, hold)
}

func waitUntilTime(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withinBytes is how many of the events one request holds.
func withinBytes(these []*replayItem) int {
	size := 0
	for i, item := range these {
		if size += len(item.Data) + 1; size > httpBytes && i > 0 {
			return i
		}
	}
	return len(these)
}

func (t *httpTarget) close() error {
	t.client.CloseIdleConnections()
	return nil
}

// batchBody is a JSON array of the events as they are stored.
func batchBody(these []*replayItem) io.Reader {
	body := []byte{'['}
	for i, item := range these {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, item.Data...)
	}
	return bytes.NewReader(append(body, ']'))
}

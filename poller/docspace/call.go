package docspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	maxBody    = 32 << 20  // of an answer, after decompression
	maxRefusal = 256 << 10 // of an error's body
)

// A call is one question to the portal.
type call struct {
	op        string // "history of folder 42"
	route     string // "files/folder/{id}/log"
	path      string // below api/2.0
	query     url.Values
	body      []byte   // JSON to post; nil: GET
	secrets   []string // never to be repeated in an error
	anonymous bool     // sent without credentials
}

// do asks until there is an answer, a refusal that will not change, or no
// patience left. read may run several times, last on the answer that counted.
func (c *Client) do(ctx context.Context, call call, read func(*scanner) error) error {
	p := newPatience(c.maxElapsed)
	var last error // of an attempt that ctx did not cut
	err := backoff.Retry(func() error {
		err := c.attempt(ctx, call, read)
		if ctx.Err() == nil {
			last = err
		}
		if p.worth(err) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(p, ctx))
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		if last != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%w (%w)", last, ctx.Err())
		}
		return fmt.Errorf("%s: %w", call.op, ctx.Err())
	}
	return err
}

// attempt asks once, and once more when the portal refused credentials that
// could be renewed.
func (c *Client) attempt(ctx context.Context, call call, read func(*scanner) error) error {
	if call.anonymous {
		return c.exchange(ctx, call, "", read)
	}
	authorization, err := c.auth.authorization(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", call.op, err)
	}
	err = c.exchange(ctx, call, authorization, read)
	// Access denied may be over with the next key: the file's new one can have
	// the scope, or the account, that this one lacks.
	if !errors.Is(err, ErrUnauthorized) && !(errors.Is(err, ErrForbidden) && c.auth.free()) {
		return err
	}
	renewed, renewErr := c.auth.renew(ctx, authorization)
	switch {
	case renewErr != nil && errors.Is(err, ErrForbidden):
		return err
	case temporary(renewErr):
		return fmt.Errorf("%s: %w", call.op, renewErr)
	case renewErr != nil:
		return fmt.Errorf("%w: renewing them: %w", err, renewErr)
	case renewed == "":
		return err
	}
	return c.exchange(ctx, call, renewed, read)
}

// exchange sends one request and reads its answer, nothing else.
func (c *Client) exchange(ctx context.Context, call call, authorization string, read func(*scanner) error) error {
	release, err := c.pace.acquire(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", call.op, err)
	}
	answer, err := c.send(ctx, call, authorization)
	release()
	if err != nil {
		return err
	}
	if answer.code < 200 || answer.code > 299 {
		secrets := append(call.secrets, strings.TrimPrefix(authorization, "Bearer "))
		return refusalOf(call.op, answer, secrets, c.words)
	}
	if answer.html() {
		return &NotJSONError{Op: call.op, URL: c.base.String(), HTML: true}
	}
	if err := decode(answer.body, read); err != nil {
		return &NotJSONError{Op: call.op, URL: c.base.String(), Err: err}
	}
	return nil
}

// An answer is a response that was read to its end.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

func (a answer) html() bool {
	body := bytes.TrimLeft(a.body, " \t\r\n")
	if len(body) == 0 || body[0] == '{' {
		return false // whatever a proxy made of the type
	}
	return body[0] == '<' || strings.Contains(a.header.Get("Content-Type"), "html")
}

func (c *Client) send(ctx context.Context, call call, authorization string) (answer, error) {
	rctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(rctx, call, authorization)
	if err != nil {
		return answer{}, err
	}
	sent := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		c.observe(call.route, 0, time.Since(sent))
		return answer{}, c.transportError(ctx, rctx, call.op, err)
	}
	defer resp.Body.Close()
	body, err := readBody(resp)
	if errors.Is(err, ErrTooLarge) {
		c.observe(call.route, resp.StatusCode, time.Since(sent))
		return answer{}, fmt.Errorf("%s: %w: more than %d MiB", call.op, err, maxBody>>20)
	}
	if err != nil {
		c.observe(call.route, 0, time.Since(sent))
		return answer{}, c.transportError(ctx, rctx, call.op, err)
	}
	c.observe(call.route, resp.StatusCode, time.Since(sent))
	c.settle(resp, sent)
	return answer{resp.StatusCode, resp.Header, body}, nil
}

func (c *Client) request(ctx context.Context, call call, authorization string) (*http.Request, error) {
	u := c.base.JoinPath("api/2.0", call.path)
	u.RawQuery = call.query.Encode()
	method, body := http.MethodGet, io.Reader(nil)
	if call.body != nil {
		method, body = http.MethodPost, bytes.NewReader(call.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call.op, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	if call.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return req, nil
}

// settle learns from an answer what time it is there and how it bears our pace.
func (c *Client) settle(resp *http.Response, sent time.Time) {
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.skew.Store(int64(time.Until(at)))
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		wait, _ := retryAfter(resp.Header, time.Now())
		c.pace.refused(sent, wait)
	case resp.StatusCode < 300:
		c.pace.accepted()
	}
}

// readBody reads to the end, so that the connection can be used again. The
// end of a refusal that goes on and on is not worth waiting for.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode >= 300 {
		return io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	}
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxBody {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	if n > maxBody {
		return nil, ErrTooLarge
	}
	return b.Bytes(), err
}

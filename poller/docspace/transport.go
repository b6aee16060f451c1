package docspace

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxRedirects = 5

// newTransport keeps as many connections open as may be in flight, and
// notices within half a minute when one is dead.
func newTransport(inFlight int) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = inFlight
	t.MaxConnsPerHost = inFlight
	t.MaxResponseHeaderBytes = 1 << 20
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}
	return t
}

// sameOrigin follows redirects within one scheme, host and port.
func sameOrigin(req *http.Request, via []*http.Request) error {
	from, to := origin(via[0].URL), origin(req.URL)
	if from != to {
		return &RedirectError{From: from, To: to}
	}
	if len(via) > maxRedirects {
		return &RedirectError{From: from}
	}
	return nil
}

func origin(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return line(u.Scheme + "://" + host)
	}
	return line(u.Scheme + "://" + host + ":" + port)
}

// transportError tells the caller's end from the request's: ctx is the
// caller's, rctx the request's own.
func (c *Client) transportError(ctx, rctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	var redirect *RedirectError
	if errors.As(err, &redirect) {
		redirect.Op = op
		return redirect
	}
	if rctx.Err() != nil {
		return &TransportError{Op: op, Err: fmt.Errorf("no complete answer from %s within %s", c.base.Host, c.timeout), Timeout: true}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		// Its text only: a dial that timed out must not look like a context that ended.
		return &TransportError{Op: op, Err: errors.New(err.Error()), Timeout: true}
	}
	var certificate *tls.CertificateVerificationError
	return &TransportError{Op: op, Err: err, final: errors.As(err, &certificate)}
}

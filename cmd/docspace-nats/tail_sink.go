package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// A tailSink is where tail writes lines to. It is used by one goroutine.
type tailSink interface {
	// write hands over lines, in order, and returns how many it has taken.
	write(ctx context.Context, lines [][]byte) (int, error)
	// confirm returns nil once every line that was written is safe: it survives
	// this process, and the receiver's as far as the receiver tells. After an
	// error all that was not confirmed must be written again.
	confirm(ctx context.Context) error
	// keeps reports whether lines that were written are still there after a
	// later write has failed.
	keeps() bool
	// lag is how long written lines may wait for confirm, where that is dear.
	lag() time.Duration
	// reopen lets go of what is open, after confirm, so that a file that was
	// renamed is made anew.
	reopen()
	close() error
}

// tailTarget is where --to or --file point, for messages.
func (o tailOptions) target() string {
	switch {
	case o.file != "":
		return o.file
	case o.to != "":
		return o.to
	}
	return "standard output"
}

func (o tailOptions) sink(stdout io.Writer) (tailSink, error) {
	switch {
	case o.file != "":
		return openTailFile(o.file, o.durable != "")
	case o.to != "":
		return o.netSink()
	}
	return &tailStdout{w: bufio.NewWriterSize(stdout, 64<<10)}, nil
}

// Kinds of --to.
var tailSchemes = []string{"tcp", "tls", "relp", "relp+tls"}

// parseTo takes scheme://host:port apart.
func parseTo(to string) (scheme, address, host string, err error) {
	u, err := url.Parse(to)
	if err != nil || !slices.Contains(tailSchemes, u.Scheme) || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", "", "", fmt.Errorf("must be tcp://host:port, tls://host:port, relp://host:port or relp+tls://host:port, got %s", shownValue(to))
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return "", "", "", fmt.Errorf("must name a port, as in %s://%s:514, got %s", u.Scheme, u.Hostname(), shownValue(to))
	}
	return u.Scheme, u.Host, u.Hostname(), nil
}

func (o tailOptions) netSink() (tailSink, error) {
	scheme, address, host, err := parseTo(o.to)
	if err != nil {
		return nil, err
	}
	d := tailDialer{address: address}
	if scheme == "tls" || scheme == "relp+tls" {
		d.tls = func() (*tls.Config, error) { return o.tlsFiles.config(host) }
		if _, err := d.tls(); err != nil { // now, rather than at the first event
			return nil, err
		}
	}
	if scheme == "relp" || scheme == "relp+tls" {
		return &relpSink{dialer: d}, nil
	}
	return &tcpSink{dialer: d, counted: o.framing == octetCounting, trusting: o.confirm == confirmNone}, nil
}

// netPatience bounds every step a receiver may keep us waiting in. Two of them
// are less than what a durable consumer waits for a sign of life.
const netPatience = 10 * time.Second

// A tailDialer connects to a receiver.
type tailDialer struct {
	address string
	tls     func() (*tls.Config, error) // nil for plain TCP
}

func (d tailDialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, netPatience)
	defer cancel()
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	if d.tls == nil {
		return dialer.DialContext(ctx, "tcp", d.address)
	}
	config, err := d.tls()
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: &dialer, Config: config}).DialContext(ctx, "tcp", d.address)
}

// sendAll writes in portions, each within the patience there is for it.
func sendAll(conn net.Conn, data []byte) error {
	const portion = 64 << 10
	for part := range slices.Chunk(data, portion) {
		if err := conn.SetWriteDeadline(time.Now().Add(netPatience)); err != nil {
			return err
		}
		if _, err := conn.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// tailStdout writes to standard output. Whoever reads there has what is
// flushed; there is nobody to ask for more.
type tailStdout struct{ w *bufio.Writer }

func (s *tailStdout) write(_ context.Context, lines [][]byte) (int, error) {
	for _, line := range lines {
		_, _ = s.w.Write(line) // the writer keeps its error for Flush
		_ = s.w.WriteByte('\n')
	}
	if err := s.w.Flush(); err != nil {
		return 0, &lostSinkError{err}
	}
	return len(lines), nil
}

func (s *tailStdout) confirm(context.Context) error { return nil }
func (s *tailStdout) keeps() bool                   { return true }
func (s *tailStdout) lag() time.Duration            { return 0 }
func (s *tailStdout) reopen()                       {}
func (s *tailStdout) close() error                  { return nil }

// A lostSinkError is one that will not pass: nobody can open standard output
// again.
type lostSinkError struct{ err error }

func (e *lostSinkError) Error() string { return e.err.Error() }
func (e *lostSinkError) Unwrap() error { return e.err }

package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// confirmLag is how long lines wait to be confirmed, since a confirmation costs
// a connection.
const confirmLag = 5 * time.Second

// A tcpSink sends lines over TCP, with or without TLS. Syslog over TCP has no
// acknowledgement: what was written may lie unread in the receiver's kernel, and
// be gone with the receiver. So a connection is confirmed by its end: this side
// says that nothing more comes, and the receiver, once it has read everything,
// closes its own side. Should it die instead, then with something unread the
// system resets the connection; with everything read and not yet written, the
// system closes it just as the receiver would, but closes the next connection,
// too, which was opened before for that reason.
//
// What is left to the receiver is to write what it reads before it reads on, as
// rsyslog does with queue.type="Direct". And all connections must reach the
// same process: behind a balancer of load this proves nothing.
type tcpSink struct {
	dialer   dialer
	counted  bool          // octet counting (RFC 6587), otherwise a line end
	trusting bool          // what was written counts as received
	witness  time.Duration // witnessed, except in tests

	conn    *watchedConn // nil while there is none
	written bool         // something on it is not confirmed
}

func (s *tcpSink) Write(ctx context.Context, lines [][]byte) (int, error) {
	if err := s.connect(ctx); err != nil {
		return 0, err
	}
	var all []byte
	for _, line := range lines {
		if s.counted {
			all = append(strconv.AppendInt(all, int64(len(line)), 10), ' ')
			all = append(all, line...)
			continue
		}
		all = append(append(all, line...), '\n')
	}
	s.written = true
	if err := sendAll(s.conn, all); err != nil {
		s.Reopen()
		return 0, err
	}
	return len(lines), nil
}

// connect makes sure that there is a connection which is not known to be gone.
// Lines that were written to one that is are lost with it.
func (s *tcpSink) connect(ctx context.Context) error {
	if s.conn != nil && s.conn.over() {
		lost := s.written
		s.Reopen()
		if lost {
			return errClosed
		}
	}
	if s.conn != nil {
		return nil
	}
	began := time.Now()
	conn, err := s.dialer.dial(ctx)
	if err != nil {
		return err
	}
	s.conn = watch(conn)
	if !s.trusting || s.dialer.tls == nil {
		return nil
	}
	// A receiver that refuses our certificate says so after the handshake is over
	// for this side, and what it is sent until then would count as received.
	if err := s.conn.stays(ctx, max(s.witnessing(), time.Since(began))); err != nil {
		s.Reopen()
		return err
	}
	return nil
}

var errClosed = errors.New("the receiver closed the connection before it confirmed what it has")

func (s *tcpSink) Confirm(ctx context.Context) error {
	switch {
	case !s.written:
		return nil
	case s.conn.over():
		s.Reopen()
		return errClosed
	case s.trusting:
		s.written = false
		return nil
	}
	next, err := s.dialer.dial(ctx)
	if err != nil {
		s.Reopen()
		return err
	}
	witness := watch(next)
	err = s.conn.finish(ctx)
	s.Reopen()
	if err == nil {
		err = witness.stays(ctx, s.witnessing())
	}
	if err != nil {
		_ = witness.Close()
		return err
	}
	s.conn = witness
	return nil
}

func (s *tcpSink) Keeps() bool { return false }

func (s *tcpSink) Lag() time.Duration {
	if s.trusting {
		return 0
	}
	return confirmLag
}

func (s *tcpSink) Reopen() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn, s.written = nil, false
	}
}

func (s *tcpSink) Close() error {
	s.Reopen()
	return nil
}

// A watchedConn is read all the time, so that its end is known as soon as it
// comes. What the receiver says is of no interest.
type watchedConn struct {
	net.Conn
	ended chan struct{}
	err   error // once ended is closed
}

func watch(conn net.Conn) *watchedConn {
	w := &watchedConn{Conn: conn, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		_, w.err = io.Copy(io.Discard, conn)
		if w.err == nil {
			w.err = io.EOF
		}
	}()
	return w
}

// over reports whether the receiver has ended the connection.
func (w *watchedConn) over() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// finish ends the connection and waits for the receiver to do the same.
func (w *watchedConn) finish(ctx context.Context) error {
	if err := w.arrived(ctx); err != nil {
		return err
	}
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || w.over() || !established(w.Conn) {
		return errClosed // for another reason than the end of what we send
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	timer := time.NewTimer(netPatience)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("the receiver has not closed the connection %s after its end, so nobody knows what it has; if it never does, use --confirm none, or relp://", netPatience)
	}
	if !errors.Is(w.err, io.EOF) && !errors.Is(w.err, io.ErrUnexpectedEOF) {
		return w.err
	}
	return nil
}

// witnessed is how long a connection must stay open after the one before it was
// closed. A system closes all connections of a process that dies at once.
const witnessed = 100 * time.Millisecond

func (s *tcpSink) witnessing() time.Duration { return cmp.Or(s.witness, witnessed) }

// stays reports whether the receiver keeps the connection for so long.
func (w *watchedConn) stays(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		if !established(w.Conn) {
			return errClosed // which the goroutine that reads has not come to notice
		}
		return nil
	case <-w.ended:
		return fmt.Errorf("the receiver has ended the connection: %w", w.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// arrived waits until the receiver's system has everything that was written.
func (w *watchedConn) arrived(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(netPatience); unsent(w.Conn) > 0; {
		if time.Now().After(end) {
			return fmt.Errorf("the receiver has not taken everything within %s", netPatience)
		}
		select {
		case <-tick.C:
		case <-w.ended:
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

package sink

import (
	"io"
	"net"
	"testing"
	"time"
)

// A peer is the other side of a tcpSink, played by hand.
type peer struct {
	t        *testing.T
	listener net.Listener
	sink     *tcpSink
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, listener: listener, sink: &tcpSink{dialer: dialer{address: listener.Addr().String()}}}
	t.Cleanup(func() { _, _ = listener.Close(), p.sink.Close() })
	return p
}

// write writes a line and returns the connection it comes on.
func (p *peer) write() net.Conn {
	p.t.Helper()
	if n, err := p.sink.Write(p.t.Context(), [][]byte{[]byte("one event")}); n != 1 || err != nil {
		p.t.Fatal(n, err)
	}
	return p.accept()
}

func (p *peer) accept() net.Conn {
	p.t.Helper()
	conn, err := p.listener.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (p *peer) confirm() chan error {
	done := make(chan error, 1)
	go func() { done <- p.sink.Confirm(p.t.Context()) }()
	return done
}

// holds reports what confirm returned.
func (p *peer) holds(done chan error, want bool) {
	p.t.Helper()
	select {
	case err := <-done:
		if (err == nil) != want {
			p.t.Errorf("confirmed: %v", err)
		}
	case <-time.After(time.Minute):
		p.t.Error("it waits")
	}
}

func TestAReceiverThatReadEverythingAndClosedHasConfirmed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	first := p.write()
	done := p.confirm()
	next := p.accept()
	if read, err := io.ReadAll(first); err != nil || string(read) != "one event\n" {
		t.Errorf("%q, %v", read, err)
	}
	_ = first.Close()
	p.holds(done, true)
	if _, err := p.sink.Write(t.Context(), [][]byte{[]byte("two")}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(next, make([]byte, len("two\n"))); err != nil {
		t.Errorf("the next line is not on the next connection: %v", err)
	}
}

func TestAReceiverThatDiesWithSomethingUnreadHasNotConfirmed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	first := p.write()
	done := p.confirm()
	p.accept()
	_ = first.Close()
	p.holds(done, false)
}

func TestAReceiverThatDiesBeforeItWritesWhatItReadHasNotConfirmed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	first := p.write()
	done := p.confirm()
	next := p.accept()
	if _, err := io.ReadAll(first); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	_ = next.Close()
	p.holds(done, false)
}

func TestAReceiverThatClosedBeforeItWasAskedHasNotConfirmed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	first := p.write()
	if _, err := io.ReadFull(first, make([]byte, len("one event\n"))); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	done := p.confirm() // whether or not the end has been noticed
	go func() { _, _ = p.listener.Accept() }()
	p.holds(done, false)
}

package sink

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"docspace-nats/publisher/natstest"
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
	case <-time.After(natstest.Patience):
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
	p.sink.witness = natstest.Patience // a system closes both at once, and this test may be held up in between
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

// A receiver says that it refuses a certificate when the handshake is over for the
// other side.
func TestARefusedCertificateIsNoticedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	authority := natstest.NewAuthority(t)
	pair, err := tls.LoadX509KeyPair(authority.Issue("receiver").Files(t))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(authority.File())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	p := newPeer(t)
	p.sink.trusting, p.sink.witness = true, natstest.Patience
	p.sink.dialer.tls = func() (*tls.Config, error) { return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, nil }
	go func() {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}).Handshake()
		_ = conn.Close()
	}()
	n, err := p.sink.Write(t.Context(), [][]byte{[]byte("one event")})
	if n != 0 || err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("%d lines were written, %v", n, err)
	}
}

package natstest

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// A Link is a network between clients and a server that can fail: after so many
// bytes, or only on the way back. What was forwarded before stays forwarded,
// as in a real network.
type Link struct {
	listener net.Listener
	target   string

	mu        sync.Mutex
	pairs     map[net.Conn]net.Conn // client to server
	dropFrom  string                // what the first answer to drop contains, "" for no drop
	dropping  bool
	remaining int // bytes still carried upwards before the cut, -1 for no cut
}

// NewLink listens on loopback and forwards to the server at serverURL.
func NewLink(t testing.TB, serverURL string) *Link {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{listener: listener, target: u.Host, pairs: make(map[net.Conn]net.Conn), remaining: -1}
	var accepting sync.WaitGroup
	accepting.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.Cut()
		accepting.Wait()
	})
	return l
}

// Conn connects through the link.
func (l *Link) Conn(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	// Only this address: the server's own would lead around the link.
	return connect(t, "nats://"+l.listener.Addr().String(), append(options, nats.IgnoreDiscoveredServers())...)
}

// DropAnswersFrom keeps from clients the first thing a server sends that
// contains text, and all that follows, until Cut.
func (l *Link) DropAnswersFrom(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropFrom = text
}

// CutAfter cuts the link once it has carried n more bytes to the server. New
// connections work.
func (l *Link) CutAfter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remaining = n
}

// Cut closes all connections. New ones work.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut()
}

func (l *Link) cut() {
	for client, server := range l.pairs {
		client.Close()
		server.Close()
	}
	clear(l.pairs)
	l.dropFrom, l.dropping, l.remaining = "", false, -1
}

func (l *Link) accept() {
	var pumps sync.WaitGroup
	defer pumps.Wait()
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.target)
		if err != nil {
			client.Close()
			continue
		}
		l.mu.Lock()
		l.pairs[client] = server
		l.mu.Unlock()
		pumps.Go(func() { pump(client, server, l.up) })
		pumps.Go(func() { pump(server, client, l.down) })
	}
}

// up forwards what a client sent, as far as the link lasts.
func (l *Link) up(to net.Conn, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.remaining < 0 {
		_, err := to.Write(b)
		return err
	}
	n := min(l.remaining, len(b))
	l.remaining -= n
	_, err := to.Write(b[:n])
	if l.remaining == 0 {
		l.cut()
	}
	return err
}

func (l *Link) down(to net.Conn, b []byte) error {
	l.mu.Lock()
	l.dropping = l.dropping || l.dropFrom != "" && bytes.Contains(b, []byte(l.dropFrom))
	drop := l.dropping
	l.mu.Unlock()
	if drop {
		return nil
	}
	_, err := to.Write(b)
	return err
}

func pump(from, to net.Conn, forward func(net.Conn, []byte) error) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && forward(to, b[:n]) != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

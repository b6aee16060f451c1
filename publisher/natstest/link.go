package natstest

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A Link is a network between clients and a server that can fail: at once,
// after so many bytes, only on the way back, or by being slow. What was
// forwarded before stays forwarded, as in a real network.
type Link struct {
	listener net.Listener
	target   string

	mu        sync.Mutex
	pairs     map[net.Conn]net.Conn // client to server
	broken    bool
	delay     time.Duration
	dropFrom  string // what the first answer to drop contains, "" for no drop
	dropping  bool
	lost      int
	remaining int // bytes still carried upwards before the cut, -1 for no cut
	tap       io.Writer
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

// URL is the address of the link, for clients of their own. A server in a
// cluster must not advertise addresses: they would lead around the link.
func (l *Link) URL() string { return "nats://" + l.listener.Addr().String() }

// Conn connects through the link.
func (l *Link) Conn(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	// Only this address: the server's own would lead around the link.
	return connect(t, l.URL(), append(options, nats.IgnoreDiscoveredServers())...)
}

// Tap copies all that clients send from now on to w.
func (l *Link) Tap(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tap = w
}

// DropAnswersFrom keeps from clients the first thing a server sends that
// contains text, and all that follows, until Cut.
func (l *Link) DropAnswersFrom(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropFrom = text
}

// Lost is how many times an answer that DropAnswersFrom waited for was dropped.
func (l *Link) Lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Delay makes everything take so much longer, each way.
func (l *Link) Delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
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

// Break closes all connections, and new ones at once, until Mend.
func (l *Link) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut()
	l.broken = true
}

// Mend ends Break.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = false
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
		if !l.join(client, server) {
			client.Close()
			server.Close()
			continue
		}
		pumps.Go(func() { l.pump(client, server, l.up) })
		pumps.Go(func() { l.pump(server, client, l.downward()) })
	}
}

// join adds a connection, unless the link is broken.
func (l *Link) join(client, server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return false
	}
	l.pairs[client] = server
	return true
}

// up forwards what a client sent, as far as the link lasts.
func (l *Link) up(to net.Conn, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tap != nil {
		_, _ = l.tap.Write(b)
	}
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

// longestDrop is of how many bytes a text to drop from may be.
const longestDrop = 256

// downward forwards what a server sent on one connection. It remembers the end of
// that: the text to drop from may arrive in two parts.
func (l *Link) downward() func(to net.Conn, b []byte) error {
	var before []byte
	return func(to net.Conn, b []byte) error {
		if l.drops(before, b) {
			return nil
		}
		before = slices.Concat(before, b)
		before = before[max(0, len(before)-longestDrop):]
		_, err := to.Write(b)
		return err
	}
}

// drops reports whether b is not to be forwarded, which came after before.
func (l *Link) drops(before, b []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dropping && l.dropFrom != "" {
		before = before[max(0, len(before)-len(l.dropFrom)+1):] // one that was forwarded as a whole does not count
		if bytes.Contains(slices.Concat(before, b), []byte(l.dropFrom)) {
			l.dropping = true
			l.lost++
		}
	}
	return l.dropping
}

// A chunk is some bytes on their way, and when they arrive.
type chunk struct {
	bytes []byte
	due   time.Time
}

// onTheWay is how many chunks a slow link carries before it takes no more.
const onTheWay = 256

// pump reads on while chunks wait, so that a delay costs time and no
// throughput.
func (l *Link) pump(from, to net.Conn, forward func(net.Conn, []byte) error) {
	chunks := make(chan chunk, onTheWay)
	go func() {
		defer close(chunks)
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			if n > 0 {
				chunks <- chunk{bytes.Clone(b[:n]), l.arrival()}
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		from.Close()
		to.Close()
		for range chunks { // until the reader has noticed
		}
	}()
	for c := range chunks {
		time.Sleep(time.Until(c.due))
		if forward(to, c.bytes) != nil {
			return
		}
	}
}

// arrival is when what is sent now arrives.
func (l *Link) arrival() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.delay)
}

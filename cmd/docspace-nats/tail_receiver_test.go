package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"docspace-nats/publisher/natstest"
)

// A tailReceiver takes lines as a syslog receiver does that writes what it read
// before it reads on: what it took survives its death, what it only read does
// not.
type tailReceiver struct {
	t     *testing.T
	take  func(r *tailReceiver, conn net.Conn, life *tailLife)
	tls   *tls.Config
	addr  string
	alive *tailLife // nil while it is dead

	mu    sync.Mutex
	lines []string
}

// A tailLife is what ends when the receiver dies.
type tailLife struct {
	listener  net.Listener
	accepting sync.WaitGroup
	serving   sync.WaitGroup

	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

// newTailReceiver listens on loopback. It lives until killed.
func newTailReceiver(t *testing.T, secure *tls.Config, take func(*tailReceiver, net.Conn, *tailLife)) *tailReceiver {
	t.Helper()
	r := &tailReceiver{t: t, take: take, tls: secure, addr: "127.0.0.1:0"}
	r.live()
	t.Cleanup(r.kill)
	return r
}

// live listens, at the same address as before. Should somebody else have taken it
// meanwhile, it tries again for a while.
func (r *tailReceiver) live() {
	r.t.Helper()
	var listener net.Listener
	natstest.Eventually(r.t, "the receiver listens on "+r.addr, func() bool {
		var err error
		listener, err = net.Listen("tcp", r.addr)
		return err == nil
	})
	r.addr = listener.Addr().String()
	life := &tailLife{listener: listener}
	r.alive = life
	life.accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			life.join(conn)
			if r.tls != nil {
				conn = tls.Server(conn, r.tls)
			}
			life.serving.Go(func() {
				defer conn.Close()
				r.take(r, conn, life)
			})
		}
	})
}

// kill closes everything, and what was read and not taken is lost. A system closes
// all connections of a process at once; here the newest ones come first, so that
// none that was opened to see this process go on outlives those before it.
func (r *tailReceiver) kill() {
	life := r.alive
	if life == nil {
		return
	}
	r.alive = nil
	_ = life.listener.Close()
	life.accepting.Wait()
	life.mu.Lock()
	life.dead = true
	for _, conn := range slices.Backward(life.conns) {
		_ = conn.Close()
	}
	life.mu.Unlock()
	life.serving.Wait()
}

func (l *tailLife) join(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
}

// keep writes a line to what survives, unless the receiver died meanwhile.
func (r *tailReceiver) keep(life *tailLife, line string) bool {
	life.mu.Lock()
	defer life.mu.Unlock()
	if life.dead {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return true
}

func (r *tailReceiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lines)
}

var externalID = regexp.MustCompile(` externalId=(\d+-\d+) `)

// ids are those of the lines, each of which must be one syslog message with one
// event.
func (r *tailReceiver) ids() (ids []string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		found := externalID.FindStringSubmatch(line)
		if found == nil || !strings.HasPrefix(line, "<134>1 2026-09-20T10:15:03.000Z docs.example.com docspace - FileMoved - CEF:0|ONLYOFFICE|DocSpace|1.0|5015|FileMoved|2|rt=") {
			r.t.Fatalf("no event: %q", line)
		}
		ids = append(ids, found[1])
	}
	return ids
}

// takeCounted reads messages with octet counting.
func takeCounted(r *tailReceiver, conn net.Conn, life *tailLife) {
	reader := bufio.NewReader(conn)
	for {
		number, err := reader.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(number, " "))
		if err != nil {
			r.t.Errorf("no count: %q", number)
			return
		}
		line := make([]byte, n)
		if _, err := io.ReadFull(reader, line); err != nil || !r.keep(life, string(line)) {
			return
		}
	}
}

// takeLines reads messages that end with the line.
func takeLines(r *tailReceiver, conn net.Conn, life *tailLife) {
	for reader := bufio.NewReader(conn); ; {
		line, err := reader.ReadString('\n')
		if err != nil || !r.keep(life, strings.TrimSuffix(line, "\n")) {
			return
		}
	}
}

// takeRELP speaks RELP, and answers what it has taken.
func takeRELP(r *tailReceiver, conn net.Conn, life *tailLife) {
	reader := bufio.NewReader(conn)
	for {
		var number, length int
		var command string
		if _, err := fmt.Fscanf(reader, "%d %s %d", &number, &command, &length); err != nil {
			return
		}
		data := make([]byte, length)
		if length > 0 {
			_, _ = reader.Discard(1)
		}
		if _, err := io.ReadFull(reader, data); err != nil {
			return
		}
		if end, err := reader.ReadByte(); err != nil || end != '\n' {
			r.t.Errorf("frame %d has no end", number)
			return
		}
		answer := "200 OK"
		switch command {
		case "open":
			answer += "\n" + string(data)
		case "syslog":
			if !r.keep(life, string(data)) {
				return
			}
		case "close":
			fmt.Fprintf(conn, "%d rsp 0\n0 serverclose 0\n", number)
			return
		}
		if _, err := fmt.Fprintf(conn, "%d rsp %d %s\n", number, len(answer), answer); err != nil {
			return
		}
	}
}

// Package natstest runs real NATS servers for tests: one or a cluster, in this
// process or in processes that can be killed, and links to them that fail.
// Every server listens on loopback only, on an address of its own where the system
// has several and on a port the system chooses, stores under t.TempDir() unless it is
// told where, and is gone when the test ends.
package natstest

import (
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// An Option changes the options of a server before it starts.
type Option func(*server.Options)

// A Server is a NATS server with JetStream in this process. Its methods may be
// called by several goroutines, Restart by one at a time.
type Server struct {
	t    testing.TB
	opts *server.Options // does not change once the first start gave the port
	srv  atomic.Pointer[server.Server]
}

// Run starts a server.
func Run(t testing.TB, options ...Option) *Server {
	t.Helper()
	opts := &server.Options{
		Host:      loopback(),
		Port:      server.RANDOM_PORT,
		JetStream: true,
		StoreDir:  t.TempDir(),
		NoLog:     true,
		NoSigs:    true,

		AuthTimeout: Patience.Seconds(),
	}
	for _, option := range options {
		option(opts)
	}
	s := &Server{t: t, opts: opts}
	s.start()
	t.Cleanup(s.Shutdown)
	return s
}

// URL is the address for clients. It stays the same over Restart.
func (s *Server) URL() string {
	return "nats://" + net.JoinHostPort(s.opts.Host, strconv.Itoa(s.opts.Port))
}

// Dir is the directory the server stores in.
func (s *Server) Dir() string { return s.opts.StoreDir }

// Embedded is the server itself, for what this package does not offer.
func (s *Server) Embedded() *server.Server { return s.srv.Load() }

// Conn returns a new connection that survives restarts of the server and is
// closed when the test ends. Nothing is buffered while it is disconnected.
func (s *Server) Conn(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, s.URL(), options...)
}

// Shutdown stops the server and waits until its files are closed. Stopping a
// stopped server does nothing.
func (s *Server) Shutdown() {
	srv := s.Embedded()
	srv.Shutdown()
	srv.WaitForShutdown()
}

// Restart stops the server and starts it again, on the same directory and port,
// with what the options change.
func (s *Server) Restart(options ...Option) {
	s.t.Helper()
	s.Shutdown()
	for _, option := range options {
		option(s.opts)
	}
	s.start()
}

func (s *Server) start() {
	s.t.Helper()
	opts := s.opts.Clone()
	srv, err := server.NewServer(opts)
	if err != nil {
		s.t.Fatalf("start a NATS server: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(Patience) {
		srv.Shutdown()
		s.t.Fatalf("a NATS server does not accept connections after %s", Patience)
	}
	if addr, ok := srv.Addr().(*net.TCPAddr); ok && s.opts.Port <= 0 {
		s.opts.Port = addr.Port
	}
	s.srv.Store(srv)
}

func connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.Timeout(Patience),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(10*time.Millisecond, 10*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, options...)...)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

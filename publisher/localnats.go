package publisher

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// localStart bounds how long the embedded server may take to recover its
	// files and to accept connections.
	localStart = 2 * time.Minute

	// localSync is how often the embedded server makes sure that the disk has
	// everything. A power cut can take what was stored since. That is harmless
	// for the promise: events and marks lie in one log, so the marks of lost
	// events are lost with them, and the rows are read and published again. A
	// consumer that had seen them sees them again, with the same event ids. A
	// killed process loses nothing: the operating system has the data.
	localSync = 10 * time.Second

	// lockName is the file in the directory that keeps a second process out.
	lockName = "lock"

	localPayload = 1 << 20
	localConns   = 1024
	localMemory  = 64 << 20 // for the state of consumers
)

// ErrLocalInUse is returned by StartLocal for a directory that another process
// uses.
var ErrLocalInUse = errors.New("another process uses this directory: stop it, or give this one another directory")

// LocalOptions say where the embedded server stores and listens.
type LocalOptions struct {
	Dir  string // created when absent, readable by its owner only
	Port int    // on 127.0.0.1; the system chooses another when it is taken, or 0

	// SyncAlways writes every commit through to the disk before it is
	// acknowledged, for those who want no consumer to see an event twice even
	// after a power cut. A backfill takes about a third longer, a live commit
	// a few milliseconds.
	SyncAlways bool

	// MaxStore bounds the disk it takes, in bytes; zero means three quarters
	// of what is free at the start.
	MaxStore int64

	// Log receives what the server has to say; nil drops it.
	Log func(level LocalLevel, text string)
}

// Local is a NATS server with JetStream inside this process, for a single
// machine: a user who has only a portal needs nothing else. It listens on
// 127.0.0.1 without credentials, so every user of the machine can connect.
type Local struct {
	srv  *server.Server
	lock *os.File
}

// StartLocal starts the server and waits until it has recovered what is in Dir
// and accepts connections.
func StartLocal(o LocalOptions) (*Local, error) {
	if o.Dir == "" {
		return nil, errors.New("embedded NATS: the directory is not set")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	// The server itself does not notice a second one on the same files, and
	// the two would destroy them.
	lock, err := lockFile(filepath.Join(o.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("embedded NATS in %s: %w", o.Dir, err)
	}
	srv, err := startServer(o)
	if err != nil && o.Port != 0 && taken(o.Port) {
		o.Port = 0
		srv, err = startServer(o)
	}
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("embedded NATS in %s: %w", o.Dir, err)
	}
	return &Local{srv: srv, lock: lock}, nil
}

// LocalUsable tells why StartLocal could not use a directory, nil when it could.
// A directory that is absent is not created.
func LocalUsable(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, os.ErrNotExist) && at != filepath.Dir(at) {
			continue // its parent has to take it
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no directory", at)
		}
		probe, err := os.CreateTemp(at, ".docspace-nats-*")
		if err != nil {
			return err
		}
		_ = probe.Close()
		_ = os.Remove(probe.Name())
		break
	}
	name := filepath.Join(dir, lockName)
	if _, err := os.Stat(name); err != nil {
		return nil // nobody ever used it
	}
	lock, err := lockFile(name)
	if err != nil {
		return err
	}
	return lock.Close()
}

func startServer(o LocalOptions) (*server.Server, error) {
	srv, err := server.NewServer(o.serverOptions())
	if err != nil {
		return nil, err
	}
	log := &localLog{to: o.Log, fatal: make(chan string, 1)}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if err := waitReady(srv, log.fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, err
	}
	return srv, nil
}

// taken reports whether somebody listens on a port of this machine.
func taken(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	_ = listener.Close()
	return false
}

// waitReady waits until clients can connect, or the server gives up, which it
// tells only to its log.
func waitReady(srv *server.Server, fatal <-chan string) error {
	for start := time.Now(); time.Since(start) < localStart; {
		select {
		case reason := <-fatal:
			return errors.New(reason)
		default:
		}
		if srv.ReadyForConnections(50 * time.Millisecond) {
			return nil
		}
	}
	return fmt.Errorf("it does not accept connections after %s", localStart)
}

func (o LocalOptions) serverOptions() *server.Options {
	port := o.Port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return &server.Options{
		ServerName:         "docspace-nats",
		Host:               "127.0.0.1",
		Port:               port,
		MaxPayload:         localPayload,
		MaxConn:            localConns,
		JetStream:          true,
		StoreDir:           o.Dir,
		JetStreamMaxStore:  o.MaxStore,
		JetStreamMaxMemory: localMemory,
		SyncInterval:       localSync,
		SyncAlways:         o.SyncAlways,
		NoSigs:             true, // signals are the program's business
		NoSystemAccount:    true,
	}
}

var _ nats.InProcessConnProvider = (*Local)(nil)

// URL is the address for other programs on this machine.
func (l *Local) URL() string {
	addr, ok := l.srv.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(addr.Port))
}

// InProcessConn connects without a socket. It makes Local usable as
// ConnectOptions.Local.
func (l *Local) InProcessConn() (net.Conn, error) { return l.srv.InProcessConn() }

// Shutdown stops the server, waits until its files are closed, and gives the
// directory free. Connections should be drained before.
func (l *Local) Shutdown() {
	l.srv.Shutdown()
	l.srv.WaitForShutdown()
	_ = l.lock.Close()
}

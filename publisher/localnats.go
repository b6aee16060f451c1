package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// localStart bounds how long the embedded server may take to recover its
	// files and to accept connections.
	localStart = 2 * time.Minute

	// localSync is how often the embedded server makes sure that the disk has
	// everything, unless told otherwise. A power cut can take what was stored since. That is harmless
	// for the promise: events and marks lie in one log, so the marks of lost
	// events are lost with them, and the rows are read and published again. A
	// consumer that had seen them sees them again, with the same event ids. A
	// killed process loses nothing: the operating system has the data.
	localSync = 10 * time.Second

	// lockName is the file in the directory that keeps a second process out,
	// addressName the one that tells other programs where the server listens.
	lockName    = "lock"
	addressName = "address"

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

	// SyncInterval is how often the disk is made sure to have everything; zero
	// means every ten seconds.
	SyncInterval time.Duration

	// MaxStore bounds the disk it takes, in bytes: at the limit it refuses what
	// is new and drops nothing. Zero means three quarters of what would be free
	// without it at the start.
	MaxStore int64

	// Log receives what the server has to say; nil drops it.
	Log func(level LocalLevel, text string)
}

// Local is a NATS server with JetStream inside this process, for a single
// machine: a user who has only a portal needs nothing else. It listens on
// 127.0.0.1 without credentials, so every user of the machine can connect.
//
// A write that fails, as on a full disk, stops it; it starts again by itself
// once the disk takes data: see localrepair.go.
type Local struct {
	o      LocalOptions // with the port it got
	lock   *os.File
	stop   context.CancelFunc
	done   chan struct{} // closed when watch has ended
	failed chan string   // what the server says about a write that failed

	mu      sync.Mutex
	srv     *server.Server // nil while it is stopped
	trouble error          // why it is
}

// StartLocal starts the server and waits until it has recovered what is in Dir
// and accepts connections.
func StartLocal(o LocalOptions) (*Local, error) {
	if o.Dir == "" {
		return nil, errors.New("embedded NATS: the directory is not set")
	}
	// What is below is closed to others even where the directory itself is
	// somebody else's, such as the mount point of a volume.
	for _, dir := range []string{o.Dir, filepath.Join(o.Dir, server.JetStreamStoreDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("embedded NATS: %w", err)
		}
	}
	// The server itself does not notice a second one on the same files, and
	// the two would destroy them.
	lock, err := lockFile(filepath.Join(o.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("embedded NATS in %s: %w", o.Dir, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Local{o: o, lock: lock, stop: stop, done: make(chan struct{}), failed: make(chan string, 1)}
	if taken(o.Port) {
		l.o.Port = 0
	}
	err = l.start()
	if err != nil && l.o.Port != 0 && taken(o.Port) { // since a moment
		l.o.Port = 0
		err = l.start()
	}
	if err != nil {
		stop()
		_ = lock.Close()
		return nil, fmt.Errorf("embedded NATS in %s: %w", o.Dir, err)
	}
	go l.watch(ctx)
	return l, nil
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
		if err := room(at); err != nil {
			return err
		}
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

// start starts the server, at first and after each repair, on the same port.
func (l *Local) start() error {
	srv, err := server.NewServer(l.o.serverOptions())
	if err != nil {
		return err
	}
	log := &localLog{to: l.o.Log, fatal: make(chan string, 1), failed: l.failed}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	if err := waitReady(srv, log.fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if addr, ok := srv.Addr().(*net.TCPAddr); ok {
		l.o.Port = addr.Port
	}
	l.srv, l.trouble = srv, nil
	l.tellAddress(srv)
	return nil
}

// taken reports whether somebody listens on a port of this machine; nobody does on
// the one the system has still to choose.
func taken(port int) bool {
	if port == 0 {
		return false
	}
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
		SyncInterval:       cmp.Or(o.SyncInterval, localSync),
		SyncAlways:         o.SyncAlways,
		NoSigs:             true, // signals are the program's business
		NoSystemAccount:    true,
	}
}

var _ nats.InProcessConnProvider = (*Local)(nil)

// URL is the address for other programs on this machine.
func (l *Local) URL() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(l.o.Port))
}

// InProcessConn connects without a socket. It makes Local usable as
// ConnectOptions.Local, which connects again when a repair is done.
func (l *Local) InProcessConn() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.srv == nil {
		return nil, l.trouble
	}
	return l.srv.InProcessConn()
}

// Trouble tells why the server is stopped, nil when it is not.
func (l *Local) Trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}

// Shutdown stops the server, waits until its files are closed, and gives the
// directory free. Connections should be drained before.
func (l *Local) Shutdown() {
	l.stop()
	<-l.done
	l.halt(errors.New("the embedded server was shut down"))
	_ = os.Remove(filepath.Join(l.o.Dir, addressName))
	_ = l.lock.Close()
}

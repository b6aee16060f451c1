package natstest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A ServerProcess is a NATS server in its own process, for what a server in
// this process cannot show: being killed, and using processor time of its own.
// Its methods may be called by any goroutine, by one at a time.
type ServerProcess struct {
	t     testing.TB
	name  string // empty outside a cluster
	host  string
	dir   string // where it stores
	ports string // where it says its port
	port  int
	args  []string
	cmd   *exec.Cmd
	ended chan struct{}
	log   *bytes.Buffer
}

// Process builds the server of this module once per test binary, and starts it
// with JetStream on a directory of its own. args are more command line
// arguments.
func Process(t testing.TB, args ...string) *ServerProcess {
	t.Helper()
	p := newProcess(t, filepath.Join(t.TempDir(), "data"), args...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func newProcess(t testing.TB, dir string, args ...string) *ServerProcess {
	p := &ServerProcess{t: t, host: loopback(), dir: dir, ports: t.TempDir(), args: args}
	t.Cleanup(p.Kill)
	return p
}

// Name is the name of the server in its cluster.
func (p *ServerProcess) Name() string { return p.name }

// URL is the address for clients. It stays the same over Restart.
func (p *ServerProcess) URL() string {
	return "nats://" + net.JoinHostPort(p.host, strconv.Itoa(p.port))
}

// PID is the process id of the running server.
func (p *ServerProcess) PID() int { return p.cmd.Process.Pid }

// Conn is Server.Conn.
func (p *ServerProcess) Conn(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, p.URL(), options...)
}

// Kill ends the process at once, as a crash would, and waits for it. Killing a
// killed server does nothing.
func (p *ServerProcess) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.cmd = nil
}

// Log is what the server has said since its last start. It must have been
// killed.
func (p *ServerProcess) Log() string { return p.log.String() }

// Restart kills the server and starts it again on the same directory and port.
func (p *ServerProcess) Restart() {
	p.t.Helper()
	p.Kill()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// Start starts a killed server, on the same directory and port. Should somebody
// else have taken the port meanwhile, it tries again for a while.
func (p *ServerProcess) Start() error {
	binary, err := buildServer()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(Patience)
	for {
		if err := p.launch(binary); err != nil {
			return err
		}
		err := p.waitReady(deadline)
		if err == nil {
			return nil
		}
		p.Kill()
		if p.port == 0 || time.Now().After(deadline) {
			return fmt.Errorf("start a NATS server: %w:\n%s", err, p.log)
		}
	}
}

func (p *ServerProcess) launch(binary string) error {
	port := "-1"
	if p.port != 0 {
		port = strconv.Itoa(p.port)
	}
	log, ended := new(bytes.Buffer), make(chan struct{})
	cmd := exec.Command(binary, append([]string{
		"--addr", p.host, "--port", port, "--jetstream",
		"--store_dir", p.dir, "--ports_file_dir", p.ports,
	}, p.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a NATS server: %w", err)
	}
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	p.cmd, p.ended, p.log = cmd, ended, log
	return nil
}

// waitReady polls until the server answers, because it can say its port only
// by writing it to a file.
func (p *ServerProcess) waitReady(deadline time.Time) error {
	file := filepath.Join(p.ports, fmt.Sprintf("%s_%d.ports", filepath.Base(p.cmd.Path), p.cmd.Process.Pid))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		select {
		case <-p.ended:
			return errors.New("it ended by itself")
		case <-tick.C:
		}
		if p.port == 0 {
			p.port = portIn(file)
			continue
		}
		if nc, err := nats.Connect(p.URL()); err == nil {
			nc.Close()
			return nil
		}
	}
	return fmt.Errorf("it does not answer after %s", Patience)
}

// buildServer returns the path of the server binary. The go command keeps it in
// its build cache, so nothing is left behind.
var buildServer = sync.OnceValues(func() (string, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("go", "tool", "-n", "github.com/nats-io/nats-server/v2")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w\n%s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
})

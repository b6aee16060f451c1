package natstest

import (
	"bytes"
	"fmt"
	"net"
	"os"
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
type ServerProcess struct {
	t    testing.TB
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// Process builds the server of this module once per test binary, and starts it
// with JetStream on a directory of its own. args are more command line
// arguments.
func Process(t testing.TB, args ...string) *ServerProcess {
	t.Helper()
	p := &ServerProcess{t: t, dir: t.TempDir(), args: args}
	p.start()
	t.Cleanup(p.Kill)
	return p
}

// URL is the address for clients. It stays the same over Restart.
func (p *ServerProcess) URL() string {
	return "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
}

// PID is the process id of the running server.
func (p *ServerProcess) PID() int { return p.cmd.Process.Pid }

// Conn is Server.Conn.
func (p *ServerProcess) Conn(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, p.URL(), options...)
}

// Kill ends the process at once, as a crash would, and waits for it.
func (p *ServerProcess) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// Restart kills the server and starts it again on the same directory and port.
func (p *ServerProcess) Restart() {
	p.t.Helper()
	p.Kill()
	p.start()
}

func (p *ServerProcess) start() {
	p.t.Helper()
	binary, err := buildServer()
	if err != nil {
		p.t.Fatal(err)
	}
	ports := filepath.Join(p.dir, "ports")
	if err := os.MkdirAll(ports, 0o700); err != nil {
		p.t.Fatal(err)
	}
	port := "-1"
	if p.port != 0 {
		port = strconv.Itoa(p.port)
	}
	p.log = new(bytes.Buffer)
	p.cmd = exec.Command(binary, append([]string{
		"--addr", "127.0.0.1", "--port", port, "--jetstream",
		"--store_dir", filepath.Join(p.dir, "data"), "--ports_file_dir", ports,
	}, p.args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start a NATS server: %v", err)
	}
	p.waitReady(ports)
}

// waitReady polls until the server answers, because it can say its port only
// by writing it to a file.
func (p *ServerProcess) waitReady(ports string) {
	p.t.Helper()
	file := filepath.Join(ports, fmt.Sprintf("%s_%d.ports", filepath.Base(p.cmd.Path), p.cmd.Process.Pid))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(startup); time.Now().Before(deadline); <-tick.C {
		if p.port == 0 {
			p.port = portIn(file)
			continue
		}
		nc, err := nats.Connect(p.URL())
		if err != nil {
			continue
		}
		nc.Close()
		return
	}
	p.Kill()
	p.t.Fatalf("the NATS server process does not answer after %s:\n%s", startup, p.log)
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

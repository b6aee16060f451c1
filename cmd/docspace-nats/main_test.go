package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher/natstest"
)

// TestMain lets the test binary stand in for other programs: for this one in
// scripts, and for a portal and a naive connector in processes of their own.
func TestMain(m *testing.M) {
	_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" "+endsAtOnce))
	usualPatience.page = 15 * time.Second // on a busy machine
	code := 0
	testscript.Main(roles{m}, map[string]func(){
		"docspace-nats":  main,
		"portal-process": portalMain,
		"naive-process":  naiveMain,
		"config-process": configMain,
	})
	os.Exit(code)
}

// endsAtOnce is for the race detector, which otherwise holds every process for a
// second at its end, to let other threads write their reports. Scripts start
// hundreds.
const endsAtOnce = "atexit_sleep_ms=10"

// raceSettings is the environment that processes with a race detector need.
func raceSettings() string { return "GORACE=" + os.Getenv("GORACE") }

// configMain prints the configuration and what is wrong with it.
func configMain() {
	cfg, err := config.Load()
	fmt.Printf("%+v\n%v\n", cfg, err)
}

// roles lets more tests run at once, and removes the built program after them.
type roles struct{ *testing.M }

func (r roles) Run() int {
	natstest.Together()
	code := r.M.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	return code
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// program builds the program as a user would and returns its path.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "docspace-nats-test-*"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, "docspace-nats"), ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "docspace-nats")
}

// role returns a command that runs the test binary as another program.
func role(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Args = append([]string{name}, args...)
	return cmd
}

// A process is a program under test.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{}
	err    error
	most   atomic.Int64 // resident memory, where the system tells while it runs
}

// start runs the program with exactly this environment.
func start(t testing.TB, cmd *exec.Cmd, env ...string) *process {
	t.Helper()
	p, err := launch(cmd, env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// launch is start for other goroutines than the test's. The caller kills the
// process.
func launch(cmd *exec.Cmd, env ...string) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), raceSettings()}, env...)
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	go p.weigh()
	return p, nil
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// weigh looks at the process's memory while it runs. What the system tells when it has
// ended may be that of the process that started it, from before the program was loaded.
func (p *process) weigh() {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-p.ended:
			return
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			return
		}
		if match := highWater.FindSubmatch(status); match != nil {
			kib, _ := strconv.ParseInt(string(match[1]), 10, 64)
			p.most.Store(kib << 10)
		}
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// finish waits for the process to end by itself, with success.
func (p *process) finish(t testing.TB) {
	t.Helper()
	select {
	case <-p.ended:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	if p.err != nil {
		t.Fatalf("%s: %v\n%s", p.cmd, p.err, p.stderr.String())
	}
}

// peak is the largest resident memory of an ended process, in bytes.
func (p *process) peak() int64 {
	if most := p.most.Load(); most > 0 {
		return most
	}
	return p.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// cpu is the processor time of an ended process, in seconds.
func (p *process) cpu() float64 {
	return (p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()).Seconds()
}

// startPortal runs a simulated portal in a process of its own and returns its
// address and key.
func startPortal(t testing.TB, rooms, rows int) (address, key string) {
	t.Helper()
	cmd := role(t, "portal-process", fmt.Sprint(rooms), fmt.Sprint(rows))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, cmd)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(errors.Join(err, errors.New(p.stderr.String())))
	}
	address, key, _ = strings.Cut(strings.TrimSpace(line), " ")
	return address, key
}

// writeFile makes a file in a directory of the test.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

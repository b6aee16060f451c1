//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"docspace-nats/publisher/natstest"
)

// A replica is a connector with links of its own, and somebody who starts it
// again whenever it ends.
type replica struct {
	name  string
	path  string
	env   []string
	links []*natstest.Link
	tally *stormTally

	mu      sync.Mutex
	process *process
	log     *replicaLog
	commits map[string]float64 // of this process, by outcome
	down    time.Duration      // how long to wait before the next one
	ending  bool
	killed  bool
	err     error // why it must not have ended
	gone    chan struct{}
}

// begin starts the connector, again and again until end.
func (r *replica) begin(t *testing.T) {
	t.Helper()
	r.gone = make(chan struct{})
	if err := r.launch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.end() })
	go func() {
		defer close(r.gone)
		for r.follow() {
		}
	}()
}

func (r *replica) launch() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ending {
		return nil
	}
	r.log, r.killed = &replicaLog{tally: r.tally}, false
	cmd := exec.Command(r.path, "run")
	cmd.Stderr = r.log
	var err error
	r.process, err = launch(cmd, r.env...)
	return err
}

// follow waits for the end of the process and starts the next one.
func (r *replica) follow() bool {
	<-r.process.ended
	r.mu.Lock()
	down := r.down
	r.down = 0
	r.tally.addCommits(r.commits)
	r.commits = nil
	r.judgeEnd()
	over := r.ending || r.err != nil
	r.mu.Unlock()
	if over {
		return false
	}
	wait(context.Background(), down)
	if err := r.launch(); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = err
		return false
	}
	return true
}

// judgeEnd says what the end of a process means: one that gives up at its start
// because there is no NATS is started again, as by any supervisor.
func (r *replica) judgeEnd() {
	exit, ended := errors.AsType[*exec.ExitError](r.process.err)
	switch {
	case r.killed:
	case r.ending && r.process.err == nil:
	case ended && exit.ExitCode() == exitFailed && !r.ending:
		r.tally.add("ended by itself, and was started again: " + r.log.reason())
	default:
		r.err = fmt.Errorf("%s ended with %v\n%s", r.name, r.process.err, r.log.tail())
	}
}

// kill ends the process at once. The next one begins after a while.
func (r *replica) kill(ctx context.Context, down time.Duration) {
	r.scrape(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.killed = down, true
	_ = r.process.cmd.Process.Kill()
}

// signal sends a signal to the process that runs at this moment.
func (r *replica) signal(s os.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.process.cmd.Process.Signal(s)
}

// end asks the process to stop, and returns why that, or another of its ends,
// was wrong.
func (r *replica) end() error {
	r.mu.Lock()
	r.ending = true
	_ = r.process.cmd.Process.Signal(syscall.SIGCONT)
	_ = r.process.cmd.Process.Signal(os.Interrupt)
	r.mu.Unlock()
	select {
	case <-r.gone:
	case <-time.After(natstest.Patience):
		r.kill(context.Background(), 0)
		<-r.gone
		return fmt.Errorf("%s does not stop when asked to\n%s", r.name, r.log.tail())
	}
	return r.err
}

// serves reports whether the process has got so far that it can be asked to stop, or
// ended as it must not.
func (r *replica) serves() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err != nil || r.log.address() != ""
}

func (r *replica) lastWords() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name + ":\n" + r.log.tail()
}

// scrape reads the counters of commits, if the process is able to tell them.
func (r *replica) scrape(ctx context.Context) {
	r.mu.Lock()
	log := r.log
	r.mu.Unlock()
	commits, err := scrapeCommits(ctx, log.address())
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == log {
		r.commits = commits
	}
}

func scrapeCommits(ctx context.Context, address string) (map[string]float64, error) {
	if address == "" {
		return nil, errors.New("not known yet")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	commits := make(map[string]float64)
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), `docspace_nats_commits_total{outcome="`)
		if outcome, value, found := strings.Cut(rest, `"} `); ok && found {
			commits[outcome], _ = strconv.ParseFloat(value, 64)
		}
	}
	return commits, nil
}

// A replicaLog takes what a connector says, counts it, and keeps the end.
type replicaLog struct {
	tally *stormTally

	mu   sync.Mutex
	rest []byte // of a line
	last []string
	addr string
	why  string // the last error
}

// kept is how many lines a replicaLog keeps.
const kept = 40

func (l *replicaLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.line(string(line))
		l.rest = rest
	}
}

func (l *replicaLog) line(text string) {
	l.last = append(l.last, text)
	if len(l.last) > kept {
		l.last = l.last[1:]
	}
	var line struct {
		Level   string `json:"level"`
		Message string `json:"message"`
		Addr    string `json:"addr"`
		Error   string `json:"error"`
	}
	if json.Unmarshal([]byte(text), &line) != nil {
		return
	}
	if line.Addr != "" {
		l.addr = line.Addr
	}
	if line.Level == "error" {
		l.why = line.Error
	}
	settings := strings.HasPrefix(line.Message, "NATS_") // what they promise less
	if line.Level != "info" && !settings || line.Message == "NATS is back" {
		l.tally.add("logged: " + line.Message)
	}
}

func (l *replicaLog) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

func (l *replicaLog) reason() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

func (l *replicaLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}

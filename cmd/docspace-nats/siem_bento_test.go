//go:build unix

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docspace-nats/publisher/natstest"
)

// A siemAckWait is short, since events in the hands of a killed pipeline come
// back only after it.
const siemAckWait = 5 * time.Second

// A bento runs with one of the files that users copy.
type bento struct {
	*process
	log *siemLog
}

func startBento(t *testing.T, path, config string, env ...string) bento {
	t.Helper()
	log := new(siemLog)
	cmd := exec.Command(path, "-c", filepath.Join(siemDir, "bento", config))
	cmd.Stdout, cmd.Stderr = log, log
	env = append([]string{"BENTO_ADDRESS=127.0.0.1:0", "SINK_TIMEOUT=1s", "RETRY_IN_PLACE=3s"}, env...)
	return bento{start(t, cmd, env...), log}
}

// A siemLog keeps what a program says, and can be waited for.
type siemLog struct {
	mu     sync.Mutex
	text   bytes.Buffer
	change chan struct{}
}

func (l *siemLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.change != nil {
		close(l.change)
		l.change = nil
	}
	return l.text.Write(b)
}

func (l *siemLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// says waits until a text was said so many times more than now.
func (l *siemLog) says(t *testing.T, text string, times int) {
	t.Helper()
	timeout := time.NewTimer(natstest.Patience)
	defer timeout.Stop()
	for want := strings.Count(l.String(), text) + times; ; {
		l.mu.Lock()
		said := strings.Count(l.text.String(), text)
		if l.change == nil {
			l.change = make(chan struct{})
		}
		change := l.change
		l.mu.Unlock()
		if said >= want {
			return
		}
		select {
		case <-change:
		case <-timeout.C:
			t.Fatalf("nobody says %q:\n%s", text, l)
		}
	}
}

// The collector is busy, hangs, refuses connections and forgets to answer, and
// Bento is killed twice.
func TestSIEMBentoLosesNoEventOnItsWayToSplunk(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	path := slim(t, "bento")
	c := newCollector(t)
	s.consumer(t, "pull.json", "siem-splunk", siemAckWait)
	env := []string{"NATS_URL=" + s.url, "HEC_URL=" + c.url(), "HEC_TOKEN=" + c.token, "DEADLETTER=" + filepath.Join(t.TempDir(), "dead.jsonl")}
	b := startBento(t, path, "splunk-hec.yaml", env...)
	began := time.Now()
	part := func(percent int) {
		t.Helper()
		c.holds(len(s.events) * percent / 100)
		t.Logf("%3d %% after %s", percent, time.Since(began).Round(100*time.Millisecond))
	}
	part(10)
	c.be(busy)
	c.meets(8) // longer than it tries again in place
	c.be(wellDisposed)
	part(25)
	c.be(hanging)
	c.meets(2)
	c.be(wellDisposed)
	part(40)
	c.close()
	b.log.says(t, "connection refused", 2)
	c.open()
	part(55)
	b.kill()
	b = startBento(t, path, "splunk-hec.yaml", env...)
	part(70)
	c.be(forgetful)
	c.meets(2)
	c.be(wellDisposed)
	part(85)
	c.be(hanging)
	c.meets(1)
	b.kill()
	c.be(wellDisposed)
	b = startBento(t, path, "splunk-hec.yaml", env...)
	s.waitRead(t, "siem-splunk")
	t.Logf("all acknowledged after %s", time.Since(began).Round(100*time.Millisecond))
	b.kill()
	s.judge(t, c.ids())
	s.holdsEvents(t, c)
}

func TestSIEMBentoKeepsTheOrderOfFoldersWhileNothingFails(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	c := newCollector(t)
	s.consumer(t, "pull.json", "siem-splunk", time.Minute)
	b := startBento(t, slim(t, "bento"), "splunk-hec.yaml", "NATS_URL="+s.url, "HEC_URL="+c.url(), "HEC_TOKEN="+c.token)
	began := time.Now()
	s.waitRead(t, "siem-splunk")
	t.Logf("%.0f events/s", float64(len(s.events))/time.Since(began).Seconds())
	b.kill()
	if again, overtaken := s.judge(t, c.ids()); again+overtaken > 0 {
		t.Errorf("%d events came again and %d were overtaken, although nothing failed", again, overtaken)
	}
}

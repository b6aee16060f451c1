//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// rsyslog and tail are killed in turn. Each line is read back and
// held against the event in the stream, field by field.
func TestSIEMRsyslogWritesEachEventInOneLineInOrder(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	r := newRsyslog(t)
	r.start(t)
	args := []string{"tail", "--durable", "siem-rsyslog", "--from", "beginning", "--to", "relp://127.0.0.1:" + r.port}
	sender := func() *process { return start(t, exec.Command(program(t), args...), "NATS_URL="+s.url) }
	tail := sender()
	began := time.Now()
	const kills = 8
	for i := range kills {
		r.holds(t, len(s.events)*(i+1)/(kills+2)+s.rng.IntN(1+len(s.events)/(4*kills)))
		t.Logf("%d lines after %s", r.lines(t), time.Since(began).Round(100*time.Millisecond))
		// One at a time: rsyslog has something in hand only while tail sends.
		if i%2 == 0 {
			r.kill()
			r.start(t)
		} else {
			tail.kill()
			tail = sender()
		}
	}
	s.waitRead(t, "siem-rsyslog")
	t.Logf("all acknowledged after %s", time.Since(began).Round(100*time.Millisecond))
	tail.kill()
	r.kill()

	s.readsBack(t, readFile(t, r.file), kills)
}

// readsBack holds every line against its event, and the lines against the
// stream. Of each kill one line may have stayed in part.
func (s *siemSource) readsBack(t *testing.T, text string, kills int) {
	t.Helper()
	byID := make(map[string]storedEvent, len(s.events))
	for _, e := range s.events {
		byID[e.event.ID] = e
	}
	var ids []string
	longest, parts := 0, 0
	for line := range strings.Lines(text) {
		at, portal, cef, err := splitLine(strings.TrimSuffix(line, "\n"))
		var got cefEvent
		if err == nil {
			got, err = readCEF(cef)
		}
		e, ok := byID[got.extension["externalId"]]
		want := cefOf(e)
		if !ok || err != nil || len(got.extension) != len(want.extension)+1 { // and msg
			if parts++; parts > kills {
				t.Fatalf("%v: %q (seed %d)", err, line, s.seed)
			}
			continue
		}
		if msg := got.extension["msg"]; strings.HasSuffix(msg, "(history)") != (e.event.IngestMode == schema.Backfill) && utf8.RuneCountInString(msg) != 1023 { // words for people, as long as the format lets them be
			t.Fatalf("msg is %q: %s\n%d bytes (seed %d)", msg, line, len(line), s.seed)
		}
		delete(got.extension, "msg")
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(cefEvent{})); diff != "" {
			t.Fatalf("%s (seed %d) (-event +line):\n%s", e.data, s.seed, diff)
		}
		if !at.Equal(e.event.Time) || portal != e.event.Data.Portal {
			t.Fatalf("at %s in %s: %s", at, portal, e.data)
		}
		ids = append(ids, e.event.ID)
		longest = max(longest, len(line))
	}
	t.Logf("the longest line has %d bytes; %d lines stayed in part", longest, parts)
	if _, overtaken := s.judge(t, ids); overtaken > 0 {
		t.Errorf("%d events were overtaken within their folder", overtaken)
	}
}

// While rsyslog is kept from writing, nothing counts as delivered, so killing it
// then loses nothing.
func TestSIEMRsyslogConfirmsNothingBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	r := newRsyslog(t)
	if err := syscall.Mkfifo(r.file, 0o600); err != nil { // nobody reads from it
		t.Fatal(err)
	}
	r.start(t)
	start(t, exec.Command(program(t), "tail", "--durable", "siem-held", "--from", "beginning", "--to", "relp://127.0.0.1:"+r.port), "NATS_URL="+s.url)
	patience := time.NewTimer(3 * time.Second)
	defer patience.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for held := false; !held; {
		select {
		case <-tick.C:
			if n := s.unread(t, "siem-held"); n < len(s.events) {
				t.Fatalf("%d events are acknowledged, and none is written", len(s.events)-n)
			}
		case <-patience.C:
			held = true
		}
	}
	r.kill()
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	s.waitRead(t, "siem-held")
	r.kill()
	var ids []string
	for line := range strings.Lines(readFile(t, r.file)) {
		_, rest, _ := strings.Cut(line, " externalId=")
		id, _, _ := strings.Cut(rest, " ")
		ids = append(ids, id)
	}
	s.judge(t, ids)
}

// splitLine takes the syslog fields off.
func splitLine(line string) (at time.Time, portal, cef string, err error) {
	when, rest, ok := strings.Cut(line, " ")
	portal, cef, found := strings.Cut(rest, " ")
	if !ok || !found {
		return at, portal, cef, errors.New("not time, host and message")
	}
	at, err = time.Parse(time.RFC3339Nano, when)
	return at, portal, cef, err
}

// cefOf is what a line must hold of an event, worked out here from the event
// and what the format is documented to be.
func cefOf(e storedEvent) cefEvent {
	d := e.event.Data
	x := make(map[string]string)
	put := func(key, value string) {
		if value != "" {
			x[key] = value
		}
	}
	labelled := func(key, label, value string) {
		if value != "" {
			x[key], x[key+"Label"] = value, label
		}
	}
	put("rt", strconv.FormatInt(e.event.Time.UnixMilli(), 10))
	put("externalId", e.event.ID)
	put("cat", d.Action.Category)
	put("act", d.ECS.Action)
	put("outcome", d.Outcome)
	put("dhost", d.Portal)
	put("suid", d.Actor.ID)
	put("suser", d.Actor.Name)
	if d.Member != nil {
		put("duid", d.Member.ID)
		put("duser", d.Member.Name)
	}
	if d.Target != nil {
		put("fname", d.Target.Name)
		put("fileId", d.Target.ID)
		put("fileType", d.Target.Kind)
		put("oldFileName", d.Target.PreviousName)
	}
	labelled("cs1", "folderId", d.Feed.FolderID)
	labelled("cs2", "folderTitle", d.Feed.Title)
	if d.From != nil {
		labelled("cs3", "from", d.From.Name)
	}
	if d.To != nil {
		labelled("cs4", "to", d.To.Name)
	}
	labelled("cn1", "auditId", d.AuditID)
	labelled("flexString1", "ingestMode", e.event.IngestMode)
	return cefEvent{
		header:    []string{"ONLYOFFICE", "DocSpace", d.SchemaVersion, strconv.Itoa(d.Action.Code), d.Action.Key, strconv.Itoa(2 * d.Severity)},
		extension: x,
	}
}

// An rsyslog is a process of its own, apart from the system's: with the file
// that users copy, except for where it listens and writes.
type rsyslog struct {
	path   string
	dir    string
	port   string
	file   string // what it writes
	before string // the command that runs before it
	*process

	read    int64 // bytes of the file
	written int   // lines in them
}

func newRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	path, err := exec.LookPath("rsyslogd")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/rsyslogd"); err != nil {
			t.Fatalf("rsyslogd is missing: apt-get install rsyslog rsyslog-relp, or leave this test out with -skip TestSIEMRsyslog: %v", err)
		}
	}
	dir := t.TempDir()
	r := &rsyslog{path: path, dir: dir, file: filepath.Join(dir, "events.cef"), port: freePort(t)}
	recipe := readFile(t, filepath.Join(siemDir, "rsyslog", "docspace.conf"))
	for from, to := range map[string]string{`port="2514"`: `port="` + r.port + `"`, "/var/log/docspace/events.cef": r.file} {
		if !strings.Contains(recipe, from) {
			t.Fatalf("the recipe does not hold %s", from)
		}
		recipe = strings.ReplaceAll(recipe, from, to)
	}
	_, command, _ := strings.Cut(readFile(t, filepath.Join(siemDir, "rsyslog", "whole-lines.conf")), "/bin/sh -c '")
	command, _, found := strings.Cut(command, "'")
	if !found || !strings.Contains(command, "/var/log/docspace/events.cef") {
		t.Fatal("whole-lines.conf has no command for the file")
	}
	r.before = strings.ReplaceAll(command, "/var/log/docspace/events.cef", r.file)
	config := fmt.Sprintf("global(workDirectory=%q)\n", dir) + recipe
	if err := os.WriteFile(r.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rsyslog) config() string { return filepath.Join(r.dir, "rsyslog.conf") }

// start returns when it listens: it does not say so.
func (r *rsyslog) start(t *testing.T) {
	t.Helper()
	pid := filepath.Join(r.dir, "rsyslog.pid")
	_ = os.Remove(pid) // of a killed one, which would keep the next from starting
	if out, err := exec.Command("/bin/sh", "-c", r.before).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", r.before, err, out)
	}
	r.process = start(t, exec.Command(r.path, "-n", "-f", r.config(), "-i", pid))
	natstest.Eventually(t, "rsyslogd listens on port "+r.port, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+r.port)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}, &r.stderr)
}

// holds waits for so many lines.
func (r *rsyslog) holds(t *testing.T, n int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(siemPatience()); time.Now().Before(deadline); <-tick.C {
		if r.lines(t) >= n {
			return
		}
	}
	t.Fatalf("%d lines, want %d", r.lines(t), n)
}

// lines counts what was written, and reads on where it stopped before.
func (r *rsyslog) lines(t *testing.T) int {
	t.Helper()
	f, err := os.Open(r.file)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	more, err := io.ReadAll(io.NewSectionReader(f, r.read, math.MaxInt64-r.read))
	if err != nil {
		t.Fatal(err)
	}
	r.read += int64(len(more))
	r.written += bytes.Count(more, []byte("\n"))
	return r.written
}

// freePort asks the system for one, for programs that cannot say theirs.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A telegrafLine is an event as the recipe writes it.
type telegrafLine struct {
	Name      string            `json:"name"`
	Timestamp int64             `json:"timestamp"`
	Tags      map[string]string `json:"tags"`
	Fields    struct {
		ID         string `json:"id"`
		Code       int    `json:"code"`
		ActorName  string `json:"actor_name"`
		TargetName string `json:"target_name"`
	} `json:"fields"`
}

func TestSIEMTelegrafGoesOnAfterARestartWithoutReadingAgain(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	path := slim(t, "telegraf")
	out := filepath.Join(t.TempDir(), "events.json")
	s.consumer(t, "push.json", "siem-telegraf", time.Minute)
	run := func() *process {
		t.Helper()
		return start(t, exec.Command(path, filepath.Join(siemDir, "telegraf", "docspace.conf")), "NATS_URL="+s.url, "TELEGRAF_FILE="+out)
	}
	p := run()
	s.waitRead(t, "siem-telegraf")
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.finish(t)
	before := len(s.events)
	if again, _ := s.judge(t, lineIDs(readTelegraf(t, out))); again > 0 {
		t.Errorf("%d events came again", again)
	}

	p = run()
	s.portal.Upload(nil, s.room, "after the restart 1.docx", "after the restart 2.docx")
	s.publish(t)
	if len(s.events) != before+2 {
		t.Fatalf("%d events in the stream, want %d", len(s.events), before+2)
	}
	s.waitRead(t, "siem-telegraf")
	p.kill()
	lines := readTelegraf(t, out)
	if again, _ := s.judge(t, lineIDs(lines)); again > 0 {
		t.Errorf("%d events were read again after the restart", again)
	}
	byID := make(map[string]storedEvent, len(s.events))
	for _, e := range s.events {
		byID[e.event.ID] = e
	}
	for _, line := range lines {
		e := byID[line.Fields.ID]
		want := ""
		if e.event.Data.Target != nil {
			want = e.event.Data.Target.Name
		}
		if line.Name != "docspace" || line.Timestamp != e.event.Time.Unix() || line.Tags["subject"] != e.subject || line.Tags["action"] != e.event.Data.Action.Name ||
			line.Fields.Code != e.event.Data.Action.Code || line.Fields.ActorName != e.event.Data.Actor.Name || line.Fields.TargetName != want {
			t.Fatalf("got %+v, want %s %s", line, e.subject, e.data)
		}
	}
}

func readTelegraf(t *testing.T, file string) (lines []telegrafLine) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line telegrafLine
		if err := json.NewDecoder(strings.NewReader(scanner.Text())).Decode(&line); err != nil {
			t.Fatalf("%v: %s", err, scanner.Text())
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func lineIDs(lines []telegrafLine) []string {
	ids := make([]string, len(lines))
	for i, line := range lines {
		ids[i] = line.Fields.ID
	}
	return ids
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"docspace-nats/publisher/natstest"
)

func TestAFileHoldsEveryEventHoweverOftenTailIsKilled(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 20_000)
	path := filepath.Join(t.TempDir(), "events.ndjson")
	args := []string{"tail", "--durable", "siem", "--from", "beginning", "--file", path}
	env := []string{"NATS_URL=" + r.server.URL(), "GOMAXPROCS=1"}
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for range 20 {
		p := start(t, exec.Command(program(t), args...), env...)
		more := size() + r.rng.Int64N(900_000)
		tick := time.NewTicker(time.Millisecond)
		for quiet := time.Now().Add(2 * time.Second); size() < more && time.Now().Before(quiet); {
			<-tick.C
		}
		tick.Stop()
		p.kill()
		if r.rng.IntN(2) == 0 { // as a kill in the middle of a write leaves it
			tear(t, path, r.rng.Int64N(700))
		}
	}
	start(t, exec.Command(program(t), append(args, "--no-follow")...), env...).finish(t)
	r.holds(idsOf(t, readFile(t, path)))
	r.acknowledged("siem")
}

// tear adds a part of an event.
func tear(t *testing.T, path string, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"specversion":"1.0","id":"` + strings.Repeat("9", int(n))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatWasRenamedIsMadeAnewOnSIGHUP(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 500)
	path := filepath.Join(t.TempDir(), "events.ndjson")
	p := start(t, exec.Command(program(t), "tail", "--durable", "siem", "--from", "beginning", "--file", path), "NATS_URL="+r.server.URL())
	lines := func() int {
		b, _ := os.ReadFile(path)
		return bytes.Count(b, []byte("\n"))
	}
	natstest.Eventually(t, "the first events are there", func() bool { return lines() == 500 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	// The file is made anew with the first line that is written to it.
	natstest.Eventually(t, "the file is there again", func() bool {
		r.store(1)
		return lines() > 0
	})
	r.acknowledged("siem") // the last one may have come after the look
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.finish(t)
	r.acknowledged("siem")
	r.holds(idsOf(t, readFile(t, path+".1")+readFile(t, path)))
}

func TestAFullDiskTearsNoLineAndLosesNoEvent(t *testing.T) {
	t.Parallel()
	dir := natstest.SmallDisk(t, 4<<20)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newTailRig(t, 2500)
	path := filepath.Join(dir, "events.ndjson")
	is := r.start("--durable", "siem", "--from", "beginning", "--file", path)
	is.says("no space left on device; trying again")
	var full string
	natstest.Eventually(t, "no line is torn between two attempts", func() bool {
		full = readFile(t, path)
		return strings.HasSuffix(full, "\n")
	})
	idsOf(t, full)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	is.says("works again")
	is.stop()
	is.finish()
	r.acknowledgedTo("siem", strings.Count(readFile(t, path), "\n"))
	r.tail("--durable", "siem", "--no-follow", "--file", path)
	got := readFile(t, path)
	if !strings.HasPrefix(got, full) {
		t.Error("what could be read before is not there any more")
	}
	ids := idsOf(t, got)
	r.holds(ids)
	if len(ids) != 2500 {
		t.Errorf("%d lines", len(ids))
	}
}

func TestAFileThatIsTakenAwayIsMadeAnew(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 100)
	path := filepath.Join(t.TempDir(), "events.ndjson")
	is := r.start("--durable", "siem", "--from", "beginning", "--file", path)
	lines := func() int {
		b, _ := os.ReadFile(path)
		return bytes.Count(b, []byte("\n"))
	}
	natstest.Eventually(t, "the first events are there", func() bool { return lines() == 100 })
	r.acknowledged("siem")
	before := readFile(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.store(100)
	r.acknowledged("siem")
	is.stop()
	is.finish()
	after, _ := os.ReadFile(path)
	r.holds(idsOf(t, before+string(after)))
}

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"docspace-nats/schema"
)

// The CloudEvents SDK of another language reads what is on the wire, as a user
// who may do nothing else.
func TestSIEMNodeReadsEveryEventSinceATime(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	dir := nodeRecipe(t)
	since := s.events[len(s.events)/2].at.Truncate(time.Millisecond) // as far as JavaScript can tell
	cmd := exec.Command("node", "read.mjs", since.UTC().Format(time.RFC3339Nano))
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout = &out
	began := time.Now()
	start(t, cmd, "NATS_URL="+s.server, "NATS_USER=reader", "NATS_PASSWORD="+natsPasswords["reader"]).finish(t)
	t.Logf("node took %s", time.Since(began).Round(100*time.Millisecond))

	var want []storedEvent
	for _, e := range s.events {
		if !e.at.Before(since) {
			want = append(want, e)
		}
	}
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<20)
	for i, e := range want {
		if !lines.Scan() {
			t.Fatalf("%d events, want %d (seed %d)", i, len(want), s.seed)
		}
		got, err := schema.Decode(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		// The SDK writes times with milliseconds, and the rest as it is.
		if string(got.AppendJSON(nil)) != string(e.event.AppendJSON(nil)) {
			t.Fatalf("got %s, want %s (seed %d)", lines.Bytes(), e.data, s.seed)
		}
	}
	if lines.Scan() {
		t.Errorf("one more than the %d events since %s: %s (seed %d)", len(want), since, lines.Bytes(), s.seed)
	}
}

func TestSIEMNodeEndsQuietlyWhenNobodyReadsOn(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "read.mjs")
	cmd.Dir, cmd.Stdout = nodeRecipe(t), w
	reader := start(t, cmd, "NATS_URL="+s.server, "NATS_USER=reader", "NATS_PASSWORD="+natsPasswords["reader"])
	_ = w.Close()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Errorf("no event: %v", err)
	}
	_ = r.Close()
	reader.finish(t)
}

// nodeRecipe installs what the lock file of the examples names.
func nodeRecipe(t *testing.T) (dir string) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatalf("npm is missing: install Node.js, or leave this test out with -skip TestSIEMNode: %v", err)
	}
	dir = t.TempDir()
	for _, file := range []string{"package.json", "package-lock.json", "read.mjs"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(readFile(t, filepath.Join(deployDir, "consume", file))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

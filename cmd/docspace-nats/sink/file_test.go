package sink

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docspace-nats/publisher/natstest"
)

func TestATornLastLineIsRepaired(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before  string
		durable bool
		want    string
	}{
		{"", true, "new\n"},
		{"a\nb\n", true, "a\nb\nnew\n"},
		{"a\nb", true, "a\nnew\n"},
		{"torn", true, "new\n"},
		{"a\n" + strings.Repeat("x", 200_000), true, "a\nnew\n"},
		{"a\nb", false, "a\nb\nnew\n"},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFile(path, c.durable)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.Write(t.Context(), [][]byte{[]byte("new")}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, path); got != c.want {
			t.Errorf("%.10q: got %.40q, want %.40q", c.before, got, c.want)
		}
	}
}

func TestAFileWithoutLinesIsNotCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	image := bytes.Repeat([]byte{1}, longestLine+200_000)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path, true); err == nil || !strings.Contains(err.Error(), "is it a file of lines?") {
		t.Errorf("got %v", err)
	}
	if got := readFile(t, path); got != string(image) {
		t.Error("it was changed")
	}
}

func TestTwoProcessesDoNotShareAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	first, err := OpenFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path, true); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := OpenFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}

func TestAFileThatWasEmptiedToMakeRoomIsNotFilledWithZeros(t *testing.T) {
	t.Parallel()
	dir := natstest.SmallDisk(t, 4<<20)
	path := filepath.Join(dir, "events.ndjson")
	f, err := OpenFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	line := [][]byte{bytes.Repeat([]byte("a"), 60_000)}
	fill := func() {
		for {
			if _, err := f.Write(t.Context(), line); err != nil {
				return
			}
		}
	}
	fill()
	if err := os.Truncate(path, 0); err != nil { // as an operator does, or copytruncate
		t.Fatal(err)
	}
	fill()
	got := readFile(t, path)
	if strings.Contains(got, "\x00") || !strings.HasSuffix(got, "\n") {
		t.Errorf("%d bytes, %d zeros, ends with %q", len(got), strings.Count(got, "\x00"), got[len(got)-1])
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package publisher

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
)

// A disk that lost or mangled the newest data takes marks with their events, or
// leaves events without a mark, which the next commits find.
func TestDamageAtTheEndOfTheFilesIsMadeGoodByCommittingFromTheMark(t *testing.T) {
	t.Parallel()
	for how, damage := range map[string]func([]byte) []byte{
		"the last bytes are mangled":   func(b []byte) []byte { return mangle(b, len(b)-300) },
		"the last file is cut in half": func(b []byte) []byte { return b[:len(b)/2] },
		"the last file is mangled":     func(b []byte) []byte { return mangle(b, 0) },
		"the last file is empty":       func([]byte) []byte { return nil },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir, files := written(t)
			rewrite(t, files[len(files)-1], damage)
			j := reopened(t, dir)
			mark, err := j.Mark(t.Context(), 7)
			if err != nil {
				t.Fatal(err)
			}
			if mark.Accounted >= writtenEvents {
				t.Fatal("nothing was damaged")
			}
			for mark.Accounted < writtenEvents {
				mark = push(t, j, mark, 500)
			}
			checkInvariants(t, j, 7)
		})
	}
}

// What is gone from the middle is gone: the server drops what it cannot read,
// says nothing, and goes on with the rest.
func TestDamageInTheMiddleOfTheFilesCostsWhatIsDamagedAndStopsNothing(t *testing.T) {
	t.Parallel()
	dir, files := written(t)
	rewrite(t, files[0], func(b []byte) []byte { return mangle(b, len(b)/2) })
	j := reopened(t, dir)
	mark, err := j.Mark(t.Context(), 7)
	if err != nil || mark.Accounted != writtenEvents {
		t.Fatalf("mark: %d rows, %v", mark.Accounted, err)
	}
	left, err := storedIDs(t.Context(), j, 7)
	if err != nil || len(left) == 0 || len(left) >= writtenEvents {
		t.Fatalf("%d events are left: %v", len(left), err)
	}
	push(t, j, mark, 10)
	if now, err := storedIDs(t.Context(), j, 7); err != nil || len(now) != len(left)+10 {
		t.Errorf("%d events after ten more than %d: %v", len(now), len(left), err)
	}
}

const writtenEvents = 2000

// written fills a directory with some files of large events and returns them.
func written(t *testing.T) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	l := startLocal(t, LocalOptions{Dir: dir})
	j := open(t, localConn(t, l), Options{})
	for mark := (checkpoint.Mark{Folder: 7}); mark.Accounted < writtenEvents; {
		events := following(mark, 500)
		for i := range events {
			events[i].Data.Feed.Title = strings.Repeat("x", 6000)
		}
		next, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
		if err != nil {
			t.Fatal(err)
		}
		mark = next
	}
	j.nc.Close()
	l.Shutdown()
	messages := filepath.Join(dir, "jetstream", "$G", "streams", "DOCSPACE", "msgs")
	files, err := filepath.Glob(filepath.Join(messages, "*.blk"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v: %v", files, err)
	}
	// Without the index, as after a crash, the server reads the files themselves.
	if err := os.Remove(filepath.Join(messages, "index.db")); err != nil {
		t.Fatal(err)
	}
	return dir, files
}

func reopened(t *testing.T, dir string) *JetStream {
	t.Helper()
	l := startLocal(t, LocalOptions{Dir: dir})
	t.Cleanup(l.Shutdown)
	return open(t, localConn(t, l), Options{})
}

func rewrite(t *testing.T, file string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mangle overwrites 300 bytes.
func mangle(b []byte, at int) []byte {
	copy(b[at:], strings.Repeat("?", 300))
	return b
}

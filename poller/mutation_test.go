package poller

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// A mutation is a bug that somebody writing such a program could well make.
type mutation struct {
	file     string // from this directory
	old, new string

	// A history that is known to catch it. Which do depends on everything a
	// history does: when it no longer does, others are tried.
	version string
	seed    uint64
}

var mutations = map[string]mutation{
	"pages are counted by their top-level entries": {"compose.go",
		"next.Accounted += r.size() - r.removed",
		`next.Accounted += len(r.unseen) - r.removed
	for _, row := range r.rows {
		if row.Group.Position <= 1 {
			next.Accounted++
		}
	}`, "3.7.2", 1},
	"related entries are ignored": {"docspace/decode.go",
		`s.array("related", func() { p.row(s) })`,
		`s.skip()`, "3.7.2", 1},
	"the mark is kept before the commit": {"poller.go",
		"stored, err := p.commit(ctx, events, mark, next)",
		`stored, err := p.commit(ctx, nil, mark, next)
			if err == nil {
				stored, err = p.commit(ctx, events, stored, next)
			}`, "3.6.1", 4},
	"late rows are not searched for": {"fresh.go",
		"(missing > 0 || top.beneath(mark)) && !w.searched(missing)",
		"missing > 1<<30", "3.7.2", 21},
	"a gap that is shown again is counted as a new row": {"tally.go",
		"t.cured += p.Rows",
		"t.cured += 0", "3.7.2", 12610437037072697696},
	"rows without ids are believed to be all there": {"unnumbered.go",
		"!b.still() || len(b.fresh.rows) != b.want",
		"!b.still()", "3.1.1", 19},
	"rows alike are taken for one": {"balance.go",
		"b.fresh.add(s.rows[i], remembered[k]+again[k], indexes[i])",
		"if again[k] == 0 {\n\t\t\tb.fresh.add(s.rows[i], remembered[k], indexes[i])\n\t\t}", "3.1.1", 7},
	"the filter is forgotten": {"compose.go",
		"if p.passes(row) {",
		"if p.passes(row) || row.ID%16 == 0 {", "3.7.2", 1},
	"an upgrade forgets what was published": {"renumber.go",
		"ids: ids(b.known)",
		"ids: ids(b.known[len(b.known)-min(1, len(b.known)):])", upgraded, 12154176526286597385},
}

// The random histories are worth something only if they fail when the program
// is wrong. Each bug is put into a copy of the source that only the compiler
// sees.
func TestMutationsAreCaughtByTheRandomHistories(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range mutations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := filepath.Join(here, m.file)
			text, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), m.old); n != 1 {
				t.Fatalf("%q is %d times in %s: say anew what the bug would be", m.old, n, m.file)
			}
			dir := t.TempDir()
			mutant, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
			write(t, mutant, []byte(strings.Replace(string(text), m.old, m.new, 1)))
			replaced, err := json.Marshal(map[string]map[string]string{"Replace": withoutOtherTests(t, here, map[string]string{source: mutant})})
			if err != nil {
				t.Fatal(err)
			}
			write(t, overlay, replaced)
			for _, tried := range [][]string{
				{"-run", "TestRandomHistories/^" + m.version + "$", "-seed", fmt.Sprint(m.seed), "-histories", "1"},
				{"-run", "TestRandomHistories", "-histories", "100"},
			} {
				args := append([]string{"test", "-vet=off", "-count=1", "-timeout=3m", "-failfast", "-overlay", overlay, "."}, tried...)
				out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
				if failed := regexp.MustCompile(`seed \d+, .*`).Find(out); err != nil && failed != nil {
					t.Logf("caught: %s", failed)
					return
				}
				t.Logf("not caught with %q: %v\n%s", tried, err, out)
			}
			t.Error("no history fails")
		})
	}
}

// withoutOtherTests leaves all tests but the histories out of what is compiled.
func withoutOtherTests(t *testing.T, dir string, replaced map[string]string) map[string]string {
	t.Helper()
	tests, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tests {
		if name := filepath.Base(file); name != "history_test.go" && name != "rig_test.go" && name != "norace_test.go" {
			replaced[file] = ""
		}
	}
	return replaced
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

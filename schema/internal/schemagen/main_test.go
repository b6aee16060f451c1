package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/schema"
)

func TestTheGeneratedSchemasAreUpToDate(t *testing.T) {
	t.Parallel()
	files, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	if want := len(schema.Families()) + 1; len(files) != want {
		t.Errorf("%d files, want %d", len(files), want)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what its sources say; run go generate ./schema (-want +got):\n%s", name, diff)
		}
	}
}

// A rule about an action that does not exist would never be noticed.
func TestEveryRuleIsAboutActionsOfItsFamilyThatALogShows(t *testing.T) {
	t.Parallel()
	for _, f := range families() {
		exist := "," + strings.Join(f.actions(shown), ",") + ","
		for _, r := range f.rules {
			if len(r.names(f)) == 0 {
				t.Errorf("family %s: the rule for %v is about nothing", f.Name, r.requires)
			}
			for _, name := range append(r.names(f), r.except...) {
				if !strings.Contains(exist, ","+name+",") {
					t.Errorf("family %s: a rule about %s, which no log shows", f.Name, name)
				}
			}
		}
	}
}

func TestAnEventSchemaWithoutABlockIsRefused(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	broken := strings.Replace(string(text), `"tags": {`, `"labels": {`, 1)
	if err := os.WriteFile(filepath.Join(dir, "event.schema.json"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := generate(dir); err == nil || !strings.Contains(err.Error(), "tags") {
		t.Errorf("generate: %v, want an error that names tags", err)
	}
}

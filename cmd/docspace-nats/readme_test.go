package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/queue/queuetest"
	"docspace-nats/publisher"
	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

func TestTheReadmeTableIsTheConfiguration(t *testing.T) {
	holdReadme(t, "config", config.Table())
}

func TestTheReadmeListsThePermissionsThatAreTried(t *testing.T) {
	var b strings.Builder
	b.WriteString("| The connector has to | on | for |\n|---|---|---|\n")
	for _, p := range publisher.Permissions(publisher.Options{}) {
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", p.Operation, p.Subject, p.Why)
	}
	holdReadme(t, "permissions", b.String())
}

func TestTheReadmeShowsARealEvent(t *testing.T) {
	golden := readFile(t, filepath.Join(schematest.Dir(t, schema.Version), "5015-file-moved.json"))
	// The address of the schema is left out unless one is configured.
	event := regexp.MustCompile(`(?m)^  "dataschema": .*\n`).ReplaceAllString(golden, "")
	holdReadme(t, "event", "```json\n"+strings.TrimSpace(event)+"\n```\n")
}

func TestTheReadmeShowsAStatus(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r := &statusReport{At: at, Stream: "DOCSPACE", Mode: publisher.Atomic, Portal: "docs.example.com", Answered: true, Replicas: []replicaStatus{
		{Name: "connector-0/1", Version: "1.0.0", Started: at.Add(-80 * time.Hour), Watched: 3, Requests: 41, Budget: 300},
		{Name: "connector-1/1", Version: "1.0.0", Started: at.Add(-80 * time.Hour), Watched: 3, Requests: 44, Budget: 300},
	}}
	marks := []checkpoint.Mark{
		{Folder: 2731, Revision: 1, Accounted: 20157, NewestEvent: at.Add(-4 * time.Second)},
		{Folder: 2734, Revision: 2, State: checkpoint.Backfilling, Accounted: 8910, NewestEvent: at.Add(-200 * 24 * time.Hour)},
		{Folder: 2738, Revision: 3, State: checkpoint.Blind, Accounted: 1904, NewestEvent: at.Add(-72 * time.Hour)},
	}
	live := map[int]folderLive{
		2731: {folderPolls{Title: "Équipe produit", State: checkpoint.Watching, Polled: at.Add(-time.Second), Due: at.Add(4 * time.Second)}, "connector-0/1"},
		2734: {folderPolls{Title: "Support", State: checkpoint.Backfilling, Unread: 41005, Polled: at.Add(-2 * time.Second), Polling: true}, "connector-1/1"},
		2738: {folderPolls{Title: "Board", State: checkpoint.Blind, Reason: `folder 2738: 403 Forbidden: "Access denied"`,
			Polled: at.Add(-26 * time.Second), Due: at.Add(94 * time.Second)}, "connector-1/1"},
	}
	r.Folders = folders(nil, marks, live, nil)
	r.count()
	holdReadme(t, "status", "```text\n$ docspace-nats status\n"+r.text(screen{})+"```\n")
}

var update = flag.Bool("update", false, "rewrite the golden files and the generated part of the README")

// holdReadme compares a part of the README, between its begin and end marks,
// with what it should be; -update rewrites it. Parts are held one after the
// other, since they share a file.
func holdReadme(t *testing.T, part, want string) {
	t.Helper()
	holdPart(t, filepath.Join(repositoryDir, "README.md"), part, want)
}

// holdPart is holdReadme for any document.
func holdPart(t *testing.T, path, part, want string) {
	t.Helper()
	begin, end := "<!-- "+part+":begin -->\n", "<!-- "+part+":end -->"
	before, rest, begins := strings.Cut(readFile(t, path), begin)
	got, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s has no %s and %s", path, begin, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run the tests of this package with -update (-want +got):\n%s", diff)
	}
}

func TestEveryTestThatIsNamedExists(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, folder := range []string{"cmd", "poller", "publisher", "checkpoint", "schema"} {
		for _, file := range filesUnder(t, filepath.Join(repositoryDir, folder)) {
			if strings.HasSuffix(file, "_test.go") {
				source.WriteString(readFile(t, file))
			}
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(readFile(t, filepath.Join(repositoryDir, "README.md")), -1)
	if len(named) < 5 {
		t.Errorf("only %d tests named: is this test looking in the right place?", len(named))
	}
	for _, name := range named {
		if !strings.Contains(source.String(), "func "+name[1]+"(") {
			t.Errorf("README.md names %s, which does not exist", name[1])
		}
	}
}

func TestThePageForConsumersInstallsTheVersionsItsExamplesRunWith(t *testing.T) {
	t.Parallel()
	page := readFile(t, filepath.Join(deployDir, "consume", "README.md"))
	for file, version := range map[string]string{
		"Makefile": `github\.com/nats-io/natscli/nats@(v\S+)`,
		"go.mod":   `github\.com/nats-io/nats\.go v(\S+)`,
	} {
		match := regexp.MustCompile(version).FindStringSubmatch(readFile(t, filepath.Join(repositoryDir, file)))
		if match == nil || !strings.Contains(page, "@v"+strings.TrimPrefix(match[1], "v")) {
			t.Errorf("deploy/consume/README.md does not install what %s has: %v", file, match)
		}
	}
}

func TestEverySignalIsExplained(t *testing.T) {
	t.Parallel()
	_, signals, found := strings.Cut(readFile(t, filepath.Join(repositoryDir, "README.md")), "\n## Signals\n")
	if !found {
		t.Fatal("README.md has no part that explains the signals")
	}
	signals, _, _ = strings.Cut(signals, "\n## ")
	var names []string
	for _, state := range checkpoint.States() {
		names = append(names, string(state))
	}
	for action := range schema.Catalogue() {
		if action.Category == "connector" {
			names = append(names, action.Name)
		}
	}
	for _, name := range names {
		if !strings.Contains(signals, "`"+name+"`") {
			t.Errorf("README.md does not explain %s", name)
		}
	}
}

func TestEveryMetricThatIsNamedExists(t *testing.T) {
	t.Parallel()
	exist := make(map[string]bool)
	descs := make(chan *prometheus.Desc, 100)
	poller.NewMetrics().Describe(descs)
	schedule := poller.NewSchedule(nil, queuetest.NewMemory(time.Minute).Replica(), poller.ScheduleOptions{})
	schedule.Describe(descs)
	poller.NewHintQueue(schedule).Describe(descs)
	new(poller.Patrol).Describe(descs)
	replicasGauge(new(publisher.Replicas)).Describe(descs)
	close(descs)
	name := regexp.MustCompile(`docspace_nats_[a-z_]+`)
	for desc := range descs {
		exist[name.FindString(desc.String())] = true
	}
	named := 0
	for _, file := range append(filesUnder(t, deployDir), filepath.Join(repositoryDir, "README.md")) {
		for _, metric := range name.FindAllString(readFile(t, file), -1) {
			named++
			if !exist[metric] {
				t.Errorf("%s names the metric %s, which does not exist", file, metric)
			}
		}
	}
	if named < 2 {
		t.Errorf("only %d metrics named: is this test looking in the right place?", named)
	}
}

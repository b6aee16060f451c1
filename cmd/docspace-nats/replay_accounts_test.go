package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/schema"
)

// The reader of deploy/nats may replay, and is told what it lacks for a job and
// for another stream: exactly what deploy/nats says to add.
func TestTheReadersPermissionsAndThoseOfThePageAreEnoughForReplay(t *testing.T) {
	t.Parallel()
	for _, more := range [][]string{nil, replayPermissions(t)} {
		opts := natsOptions(t)
		for _, user := range opts.Users {
			if user.Username == "reader" {
				user.Permissions.Publish.Allow = append(user.Permissions.Publish.Allow, more...)
			}
		}
		url := natsServerWith(t, opts)
		js, err := jetstream.New(natsUser(t, url, "operator"))
		if err != nil {
			t.Fatal(err)
		}
		for name, subjects := range map[string][]string{"DOCSPACE": {"docspace.folder.>", "docspace.checkpoint.*"}, "REPLAY": {"replay.folder.>"}} {
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects}); err != nil {
				t.Fatal(err)
			}
		}
		e := schema.Event{SpecVersion: "1.0", ID: "7-1", Type: "x", PartitionKey: "7"}
		e.Data.Feed.FolderID, e.Data.Action.Category, e.Data.Action.Name = "7", "file", "moved"
		if _, err := js.Publish(t.Context(), e.NATSSubject("docspace"), e.Encode()); err != nil {
			t.Fatal(err)
		}
		cfg := config.NATS{URL: config.ServerURL(url), User: "reader", Password: config.Secret(natsPasswords["reader"]), Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: "_INBOX"}
		var stdout, stderr tailBuffer
		if err := runReplay(t.Context(), cfg, replayLine(t, "--job", "once"), &stdout, &stderr); err != nil {
			t.Fatalf("with %q: %v", more, err)
		}
		if diff := cmp.Diff([]string{"7-1"}, idsOf(t, stdout.String())); diff != "" {
			t.Errorf("with %q (-want +got):\n%s", more, diff)
		}
		left := strings.Contains(stderr.String(), `job once is done, but what remembers it stays`) && strings.Contains(stderr.String(), "CONSUMER.DELETE.DOCSPACE.replay_once")
		if left != (more == nil) {
			t.Errorf("with %q it says %s", more, stderr.String())
		}
		if more == nil {
			continue
		}
		if err := runReplay(t.Context(), cfg, replayLine(t, "--to-prefix", "replay"), &stdout, &stderr); err != nil {
			t.Errorf("%v\n%s", err, stderr.String())
		}
	}
}

// replayPermissions are those that deploy/nats says to add.
func replayPermissions(t *testing.T) (subjects []string) {
	t.Helper()
	page := readFile(t, filepath.Join(deployDir, "nats", "README.md"))
	_, part, _ := strings.Cut(page, "`docspace-nats replay` works")
	part, _, _ = strings.Cut(part, "\n* ")
	for _, match := range regexp.MustCompile("`([$A-Z.]+DOCSPACE\\.\\*|\\$JS\\.API\\.[A-Z.]+|[a-z]+\\.folder\\.>)`").FindAllStringSubmatch(part, -1) {
		subjects = append(subjects, match[1])
	}
	if len(subjects) != 3 {
		t.Fatalf("deploy/nats/README.md names %q", subjects)
	}
	return subjects
}

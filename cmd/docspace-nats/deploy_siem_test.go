package main

import (
	"path/filepath"
	"testing"
)

var siemDir = filepath.Join(deployDir, "siem")

// goldenEvents are an event of every kind, by file name.
func goldenEvents(t *testing.T) map[string][]byte {
	t.Helper()
	events := make(map[string][]byte)
	dir := filepath.Join(repositoryDir, "poller", "testdata")
	for _, file := range append(filesUnder(t, filepath.Join(dir, "events")), filepath.Join(dir, "connector-gap.json")) {
		events[filepath.Base(file)] = []byte(readFile(t, file))
	}
	if len(events) < 100 {
		t.Fatalf("only %d golden events: is this looking in the right place?", len(events))
	}
	return events
}

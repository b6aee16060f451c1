package poller

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	gocmp "github.com/google/go-cmp/cmp"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

var update = flag.Bool("update", false, "rewrite the golden events of a version of the contract that is not released")

// The golden events are the contract's, and lie with it. What is here is how
// they come about: from rows as the portal sends them, and from what can
// happen to a folder.
func TestEveryEntryBecomesItsGoldenEvent(t *testing.T) {
	t.Parallel()
	contract := schematest.Compile(t)
	events := goldenEvents(t)
	for name, event := range events {
		encoded := event.Encode()
		if err := contract.Judge(encoded); err != nil {
			t.Errorf("%s: %v\n%s", name, err, encoded)
		}
		compareGolden(t, name, encoded)
	}
	for name := range schematest.Goldens(t) {
		if _, made := events[name]; !made {
			dropGolden(t, name)
		}
	}
}

// goldenEvents returns all golden events, by name.
func goldenEvents(t testing.TB) map[string]schema.Event {
	events := make(map[string]schema.Event)
	for name, entry := range goldenEntries(t) {
		rows := decodePage(t, entry).Entries
		for i, row := range rows {
			numbered := name
			if len(rows) > 1 {
				numbered = fmt.Sprintf("%s-%d", name, i+1)
			}
			events[numbered] = feedOf(name).Event(row, 0, schema.Live, false, recorded)
		}
	}
	maps.Copy(events, eventsOfOtherReadings(t))
	maps.Copy(events, connectorEvents())
	return events
}

// eventsOfOtherReadings are events of rows that were read late, or long after
// they happened, or are too large.
func eventsOfOtherReadings(t testing.TB) map[string]schema.Event {
	id := int64(91000)
	entry := func(name string) docspace.Entry {
		row := decodePage(t, goldenEntries(t)[name]).Entries[0]
		if row.ID > 0 {
			row.ID, id = id, id+1
		}
		return row
	}
	const plain = "5011-file-uploaded"
	long, unknown := entry(plain), entry("unknown-code")
	long.Data.Title = strings.Repeat("Minutes of the meeting ", 4000) + ".docx"
	unknown.Raw = jsontext.Value(`{"id":91001,"action":{"id":5299,"key":"RoomSealEnabled"},"data":{"note":"` + strings.Repeat("sealed ", 10_000) + `"}}`)
	unread := goldenFeed
	unread.Kind, unread.Title = "", ""
	return map[string]schema.Event{
		"truncated-title":                 goldenFeed.Event(long, 0, schema.Live, false, recorded),
		"truncated-raw":                   goldenFeed.Event(unknown, 0, schema.Live, false, recorded),
		"reading-backfill":                goldenFeed.Event(entry(plain), 0, schema.Backfill, false, recorded),
		"reading-late":                    goldenFeed.Event(entry(plain), 0, schema.Live, true, recorded),
		"reading-late-without-row-ids":    goldenFeed.Event(entry("server-without-row-ids"), 1, schema.Live, true, recorded),
		"reading-of-a-folder-not-yet-met": unread.Event(entry(plain), 0, schema.Live, false, recorded),
	}
}

// connectorEvents are what the connector says when a reading ends in another
// state than the one before.
func connectorEvents() map[string]schema.Event {
	refused := func(code int, message string) *docspace.StatusError {
		return &docspace.StatusError{Op: "history of folder 1204", Code: code, Message: message}
	}
	events := make(map[string]schema.Event)
	for name, test := range map[string]struct {
		was    checkpoint.State
		reason string // of a mark that was lost
		found  reading
	}{
		"connector-gap-hidden":       {found: reading{unseen: []unseenRow{{index: 44, status: http.StatusOK}, {index: 41, status: http.StatusOK}}}},
		"connector-gap-unrenderable": {found: reading{unseen: []unseenRow{{index: 0, status: http.StatusInternalServerError}}}},
		"connector-blind-forbidden":  {found: reading{refused: refused(http.StatusForbidden, "Access denied")}},
		"connector-blind-not-found":  {found: reading{refused: refused(http.StatusNotFound, "")}},
		"connector-seeing":           {was: checkpoint.Blind},
		"connector-rewound":          {found: reading{rewound: "row 90440 was published and is gone"}},
		"connector-unreconciled":     {found: reading{missing: 3}},
		"connector-reconciled":       {was: checkpoint.Rewound},
		"connector-shrunk":           {found: reading{removed: 12}},
		"connector-reset":            {reason: "the mark was lost; the folder is read again, and what is in the stream is not stored again"},
	} {
		mark := checkpoint.Mark{Folder: 1204, State: cmp.Or(test.was, checkpoint.Watching), Reason: test.reason, Accounted: 1312}
		if test.reason == "" {
			mark.Revision = 70441
		}
		next := mark
		next.State, next.Reason = stateAfter(mark, test.found)
		next.Accounted += test.found.size() - test.found.removed
		for _, event := range transition(goldenFeed, mark, next, test.found, schema.Live, recorded) {
			events[name] = event
		}
	}
	maps.Copy(events, changedEvents())
	return events
}

// changedEvents are what an operator's change of a mark says.
func changedEvents() map[string]schema.Event {
	p := New(nil, nil, Options{Feed: goldenFeed})
	mark := checkpoint.Mark{Folder: 1204, Revision: 70441, Accounted: 1312, Anchor: recorded.AddDate(0, -6, 0), Changes: 1}
	reset := Change{Move: Move{Command: ResetMark}, Prev: mark, Next: mark.Reset(recorded.AddDate(-1, 0, 0)), Again: 1312, Older: 400}
	mark.Anchor, mark.Changes = time.Time{}, 0
	set := Change{Move: Move{Command: SetMark}, Prev: mark, Next: mark.MovedOn(90_000), Skipped: 88_688}
	reset.Next.Writer, set.Next.Writer = "host-3/4711", "host-3/4711"
	return map[string]schema.Event{
		"connector-mark-changed-reset": p.changed(reset, "the index was lost", recorded),
		"connector-mark-changed-set":   p.changed(set, "history is not wanted", recorded),
	}
}

// goldenKey is the key of the golden pseudonyms.
var goldenKey = func() *schema.Key {
	key, err := schema.NewKey("2026-1", []byte("the key of the goldens is public"))
	if err != nil {
		panic(err)
	}
	return key
}()

// feedOf is the feed a golden is made with: most with the defaults.
func feedOf(name string) Feed {
	feed := goldenFeed
	switch {
	case strings.HasPrefix(name, "privacy-full"):
		feed.Privacy = schema.Full
	case strings.HasPrefix(name, "privacy-pseudonymous"):
		feed.Privacy = schema.Pseudonymous(goldenKey)
	case strings.HasPrefix(name, "privacy-minimal"):
		feed.Privacy = schema.Minimal(goldenKey)
	case name == "raw-always":
		feed.Raw = schema.RawAlways
	case name == "raw-never":
		feed.Raw = schema.RawNever
	}
	return feed
}

// compareGolden holds an event against the file of that name. A file of a
// released version is never written.
func compareGolden(t *testing.T, name string, encoded []byte) {
	t.Helper()
	indented := jsontext.Value(slices.Clone(encoded))
	if err := indented.Indent(jsontext.WithIndent("  ")); err != nil {
		t.Fatal(err)
	}
	got := string(indented) + "\n"
	path := filepath.Join(schematest.Dir(t, schema.Version), name+".json")
	want, err := os.ReadFile(path)
	if err == nil && string(want) == got {
		return
	}
	if released(t, name) {
		return
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s, rewritten by -update (-want +got):\n%s", path, gocmp.Diff(string(want), got))
}

// dropGolden is for a file no event is made for any more.
func dropGolden(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(schematest.Dir(t, schema.Version), name+".json")
	switch {
	case released(t, name):
	case *update:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s: no entry and no case makes this event; -update removes it", path)
	}
}

// released reports, as a failure, that a golden of a released version would
// have to change.
func released(t *testing.T, name string) bool {
	t.Helper()
	if !schematest.Released(t, schema.Version) {
		return false
	}
	t.Errorf("%s: events are not what they were in version %s of the contract, which is released; raise schema.Version and run -update", name, schema.Version)
	return true
}

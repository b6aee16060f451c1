package schema_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

// goldenEvents returns the golden events of the newest version, decoded.
func goldenEvents(t *testing.T) map[string]schema.Event {
	t.Helper()
	events := make(map[string]schema.Event)
	for name, text := range schematest.Goldens(t) {
		event, err := schema.Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		events[name] = event
	}
	return events
}

// An archive may hold events of any version: the newest schemas describe them
// all.
func TestGoldenEventsOfEveryVersionKeepTheNewestContract(t *testing.T) {
	t.Parallel()
	contract := schematest.Compile(t)
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "v*", "*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d golden events, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := contract.Judge(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestEveryActionALogCanShowHasAGolden(t *testing.T) {
	t.Parallel()
	shown := make(map[int]bool)
	said := make(map[string]bool)
	for _, event := range goldenEvents(t) {
		if action := event.Data.Action; action.Known {
			shown[action.Code], said[action.Category+"."+action.Name] = true, true
		}
	}
	for action := range schema.Catalogue() {
		switch {
		case action.Code == 0 && !said[action.Category+"."+action.Name]:
			t.Errorf("%s has no golden", action.Key)
		case action.Tracked && !shown[action.Code] && !shown[action.ReportedAs]:
			t.Errorf("%d %s has no golden", action.Code, action.Key)
		}
	}
}

// Readers that keep what they read under its id keep all golden events.
func TestNoTwoGoldenEventsShareAnID(t *testing.T) {
	t.Parallel()
	names := make(map[string]string)
	for name, event := range goldenEvents(t) {
		if other, taken := names[event.ID]; taken {
			t.Errorf("%s and %s have the id %s", name, other, event.ID)
		}
		names[event.ID] = name
	}
}

func TestEveryFieldOfTheSchemaOccursInAGolden(t *testing.T) {
	t.Parallel()
	occur := make(map[string]bool)
	var visit func(path string, value any)
	visit = func(path string, value any) {
		occur[path] = true
		if object, is := value.(map[string]any); is {
			for name, inner := range object {
				visit(path+"."+name, inner)
			}
		}
	}
	for name, text := range schematest.Goldens(t) {
		var event any
		if err := json.Unmarshal(text, &event); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		visit("event", event)
	}
	described := 0
	var check func(path string, s *jsonschema.Schema)
	check = func(path string, s *jsonschema.Schema) {
		for s.Ref != nil {
			s = s.Ref
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			described++
			if !occur[path+"."+name] {
				t.Errorf("%s.%s occurs in no golden event", path, name)
			}
			check(path+"."+name, s.Properties[name])
		}
	}
	check("event", schematest.Compile(t).Schema(schema.EventSchema))
	if described < 50 {
		t.Errorf("only %d fields described: is this test looking in the right place?", described)
	}
}

// Shapes that readers must be ready for, and that no single field tells.
func TestEveryShapeHasAGolden(t *testing.T) {
	t.Parallel()
	events := goldenEvents(t)
	for shape, is := range map[string]func(*schema.Event) bool{
		"an action of no catalogue": func(e *schema.Event) bool { return !e.Data.Action.Known && e.Data.Action.Key != "" && e.Data.Raw != "" },
		"an action without a name":  func(e *schema.Event) bool { return !e.Data.Action.Known && e.Data.Action.Key == "" },
		"an action under a new name": func(e *schema.Event) bool {
			_, known := schema.Lookup(e.Data.Action.Code)
			return known && !e.Data.Action.Known
		},
		"an unknown action in a family of its own": func(e *schema.Event) bool {
			return !e.Data.Action.Known && schema.FamilyOf(e.Data.Action.Category) != schema.Other
		},
		"a row without an id":   func(e *schema.Event) bool { return e.Sequence == "" && e.Data.Action.Category != "connector" },
		"history":               func(e *schema.Event) bool { return e.IngestMode == schema.Backfill },
		"a target that is gone": func(e *schema.Event) bool { return e.Data.Target != nil && e.Data.Target.ID == "" && e.Subject == "" },
		"a raw row left out":    func(e *schema.Event) bool { return e.Data.Truncated && e.Data.Raw == "" && !e.Data.Action.Known },
		"a text cut":            func(e *schema.Event) bool { return e.Data.Truncated && e.Data.Action.Known },
		"a failure":             func(e *schema.Event) bool { return e.Data.Outcome == schema.Failure },
	} {
		if !slices.ContainsFunc(slices.Collect(maps.Values(events)), func(e schema.Event) bool { return is(&e) }) {
			t.Errorf("no golden event shows %s", shape)
		}
	}
	for _, kind := range []string{"", schema.ActorAnonymous, schema.ActorRemoved, schema.ActorSystem, schema.ActorConnector} {
		if !slices.ContainsFunc(slices.Collect(maps.Values(events)), func(e schema.Event) bool { return e.Data.Actor.Kind == kind }) {
			t.Errorf("no golden event has an actor of kind %q", kind)
		}
	}
}

// The schemas of families ask for what a known action always has: each rule
// refuses a golden event that lost what it asks for.
func TestAFamilySchemaRefusesWhatItsActionsMustHave(t *testing.T) {
	t.Parallel()
	contract, goldens := schematest.Compile(t), schematest.Goldens(t)
	for name, lost := range map[string]string{
		"5015-file-moved":                         "target to",
		"5111-file-index-changed":                 "target index",
		"5119-file-version-removed":               "target version",
		"5022-folder-copied":                      "target to",
		"5107-folder-index-changed":               "target index",
		"5085-room-create-user":                   "target member",
		"5094-room-group-added":                   "target member",
		"5088-room-external-link-created":         "target link link.id",
		"5097-room-external-link-revoked":         "target link",
		"5098-room-external-link-renamed":         "link link.id",
		"5159-room-change-owner":                  "target owner previous_owner",
		"5116-room-life-time-set":                 "target lifetime",
		"5152-form-completely-filled":             "target",
		"5154-agent-created":                      "target",
		"connector-gap-hidden":                    "target connector connector.reason connector.rows connector.first_index connector.accounted",
		"connector-blind-forbidden":               "connector.reason connector.status connector.detail",
		"connector-reset":                         "connector.reason connector.detail",
		"connector-rewound":                       "connector.detail",
		"connector-unreconciled":                  "connector.rows connector.detail",
		"connector-shrunk":                        "connector.rows connector.detail",
		"connector-mark-changed-reset":            "connector.reason connector.accounted_before connector.again connector.skipped connector.changes connector.writer",
		"5020-folder-renamed":                     "target",
		"5080-room-logo-created":                  "target",
		"6047-form-opened-for-filling":            "target",
		"5201-file-saved-but-user-quota-exceeded": "target",
	} {
		for path := range strings.FieldsSeq(lost) {
			var event map[string]any
			if err := json.Unmarshal(goldens[name], &event); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			holder := event["data"].(map[string]any)
			block, field, nested := strings.Cut(path, ".")
			if nested {
				holder, block = holder[block].(map[string]any), field
			}
			if holder[block] == nil {
				t.Fatalf("%s has no %s to lose", name, path)
			}
			delete(holder, block)
			text, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			if err := contract.Judge(text); err == nil {
				t.Errorf("%s without %s is accepted", name, path)
			}
		}
	}
}

// An action that no log shows today is published all the same when one does.
func TestEveryActionOfTheCatalogueMakesAnEventOfTheContract(t *testing.T) {
	t.Parallel()
	contract := schematest.Compile(t)
	origin := schema.Origin{Portal: "docs.example.com", SourceBase: "https://docs.example.com", Folder: 7, SchemaBase: "https://schemas.example.com"}
	at := time.Date(2026, 9, 20, 10, 15, 3, 0, time.UTC)
	for action := range schema.Catalogue() {
		if action.Code == 0 {
			continue // what the connector says is held by its goldens
		}
		e := origin.Event(action, true, schema.Live, at, at)
		e.ID, e.Sequence, e.Data.AuditID = schema.EventID(7, 1), schema.Sequence(1), "1"
		e.Data.Malformed = "nothing but the action is known"
		if action.Target != "" {
			e.Data.Target = &schema.Target{Kind: action.Target}
		}
		if err := contract.Judge(e.Encode()); err != nil {
			t.Errorf("%d %s: %v", action.Code, action.Key, err)
		}
	}
}

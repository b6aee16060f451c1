package poller

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// Blocks that only some actions have, and which those are. A block that turns up
// elsewhere, or no longer here, changes what consumers rely on.
func TestEachBlockIsInTheEventsOfItsActionsAndInNoOthers(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"from":                  "5013 5015 5022 5024",
		"to":                    "5013 5015 5022 5024",
		"target.previous_name":  "5001 5020 5071 5155",
		"target.folder_type":    "5019",
		"link":                  "5088 5090 5097 5098",
		"link.previous_title":   "5098",
		"link.replacement_id":   "5097",
		"member":                "5075 5084 5085 5094 5095 5096 5118",
		"member.is_system":      "5094 5095",
		"access_label":          "5075 5085 5094 5095 5118",
		"previous_access_label": "5075 5095",
		"owner":                 "5159",
		"previous_owner":        "5159",
		"lifetime":              "5116",
		"tags":                  "5078 5079",
		"version":               "5034 5119",
		"index":                 "5107 5111",
	}
	codes := make(map[string]map[int]bool)
	for _, data := range goldenData(t) {
		code := int(data["action"].(map[string]any)["code"].(float64))
		for path := range want {
			if has(data, path) {
				if codes[path] == nil {
					codes[path] = make(map[int]bool)
				}
				codes[path][code] = true
			}
		}
	}
	got := make(map[string]string)
	for path, of := range codes {
		var all []string
		for code := range of {
			all = append(all, strconv.Itoa(code))
		}
		slices.Sort(all)
		got[path] = strings.Join(all, " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("codes by block (-want +got):\n%s", diff)
	}
}

func TestOutcomeAndSeverityOfAnEventAreThoseOfItsAction(t *testing.T) {
	t.Parallel()
	for name, data := range goldenData(t) {
		action, known := schema.Lookup(int(data["action"].(map[string]any)["code"].(float64)))
		if !known {
			t.Errorf("%s: no action", name)
			continue
		}
		severity := action.Severity
		if life, ok := data["lifetime"].(map[string]any); ok && life["delete_permanently"] == true {
			severity = 3 // files that expire are gone for good
		}
		if data["outcome"] != action.Outcome || data["severity"] != float64(severity) || data["ocsf"].(map[string]any)["severity_id"] != float64(severity) {
			t.Errorf("%s: %v, severity %v, %v; want %s, %d", name, data["outcome"], data["severity"], data["ocsf"], action.Outcome, severity)
		}
	}
}

// goldenData returns the data of the golden events of known actions, by file.
func goldenData(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "schema", "testdata", "golden", "v1.0", "[0-9q]*.json"))
	if err != nil || len(files) < 70 {
		t.Fatalf("%d golden events, %v", len(files), err)
	}
	all := make(map[string]map[string]any)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var event struct{ Data map[string]any }
		if err := json.Unmarshal(text, &event, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = event.Data
	}
	return all
}

func has(data map[string]any, path string) bool {
	block, rest, deeper := strings.Cut(path, ".")
	value, found := data[block]
	if !found || !deeper {
		return found
	}
	inner, ok := value.(map[string]any)
	return ok && has(inner, rest)
}

// The portal encodes the names of people, and nothing else, as HTML.
func TestWhatThePortalEncodesIsDecodedOnceAndNothingElse(t *testing.T) {
	t.Parallel()
	const name, title = `Ané O'Neil &amp;lt; <b> "🦊"`, `R&amp;D &#39;26&#39; <b>.docx`
	for _, version := range []string{"3.2.1", "3.7.2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			r := newRigOf(t, docspacetest.Options{Seed: 1, Version: version}, Options{})
			ana := r.portal.AddUser(name, "ana@example.com")
			r.portal.InviteUser(nil, r.room, ana, "Editor")
			r.portal.Upload(ana, r.room, title)
			r.poll(t)
			names, titles := make(map[string]bool), make(map[string]bool)
			for _, e := range r.ledger.Events(r.room) {
				names[e.Data.Actor.Name] = true
				titles[targetName(e)] = true
			}
			if !names[name] || !titles[title] {
				t.Errorf("actors %v, want %q; targets %v, want %q", names, name, titles, title)
			}
		})
	}
}

// Whatever field of a row holds it, and whatever the action: no text reaches an
// event but by the rule for text.
func TestNoTextOfARowEscapesTheRule(t *testing.T) {
	t.Parallel()
	const hostile = " \u202egpj.exe\u200b\r\nCEF:0|\U000e0041\u200d\u200dx\u2028\x7f\xff@example.com "
	held := 0
	for action := range schema.Catalogue() {
		if !action.Tracked {
			continue
		}
		for _, privacy := range []schema.Privacy{schema.Full, schema.Standard, schema.Pseudonymous(goldenKey), schema.Minimal(goldenKey)} {
			row := docspace.Entry{ID: 7, Date: recorded}
			fillText(reflect.ValueOf(&row.Data).Elem(), hostile)
			fillText(reflect.ValueOf(&row.Initiator).Elem(), hostile)
			row.Action.Code, row.Malformed = action.Code, hostile
			feed := goldenFeed
			feed.Title, feed.Privacy = hostile, privacy
			event := feed.Event(row, 0, schema.Live, false, recorded)
			var back any
			if err := json.Unmarshal(event.Encode(), &back); err != nil {
				t.Fatal(err)
			}
			held += holdStrings(t, action.Key, back)
		}
	}
	if held < 1000 {
		t.Errorf("%d strings looked at", held)
	}
}

// fillText puts a text into every string of a value, those behind pointers included.
func fillText(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillText(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillText(v.Index(0), text)
		fillText(v.Index(1), text)
	case reflect.Struct:
		for _, field := range v.Fields() {
			fillText(field, text)
		}
	}
}

func holdStrings(t *testing.T, action string, value any) (held int) {
	switch v := value.(type) {
	case string:
		if schema.Text(v) != v {
			t.Errorf("%s: %q", action, v)
		}
		return 1
	case []any:
		for _, item := range v {
			held += holdStrings(t, action, item)
		}
	case map[string]any:
		for _, item := range v {
			held += holdStrings(t, action, item)
		}
	}
	return held
}

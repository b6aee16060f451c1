package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"docspace-nats/schema"
)

// Within version 1 nothing a reader relies on goes away: no field is removed or
// changes its type, what was always there stays so, and no event of an older
// version breaks a newer schema.
func TestNoSchemaBreaksOneThatWasReleased(t *testing.T) {
	t.Parallel()
	newest := decoded(t, schemas(t))
	for _, version := range releasedVersions(t) {
		files := make(map[string][]byte)
		kept, err := filepath.Glob(filepath.Join("testdata", "released", "v"+version, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range kept {
			if files[filepath.Base(file)], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range breaks(decoded(t, files), newest) {
			t.Errorf("since version %s: %s", version, b)
		}
	}
}

func TestEveryBreakOfTheContractIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, from, to string
		want           string
	}{
		"a field is removed":          {"event", `"sequence": {`, `"sequenced": {`, "event: sequence: is gone"},
		"a nested field is removed":   {"event", `"is_system": {`, `"system": {`, "data: member: is_system: is gone"},
		"a field is retyped":          {"event", `"severity": { "description": "OCSF severity_id; no event of its own exceeds 4.", "type": "integer"`, `"severity": { "type": "string"`, `severity: type was "integer" and is "string"`},
		"a type is widened":           {"event", `"value": { "type": "integer" }`, `"value": { "type": ["integer", "string"] }`, "value: type"},
		"a field becomes required":    {"event", `"required": ["specversion",`, `"required": ["specversion", "subject",`, "event: subject is asked for"},
		"a field is no more required": {"event", `"required": ["specversion", "id",`, `"required": ["specversion",`, "event: id was always there"},
		"an enumeration shrinks":      {"event", `"enum": ["live", "backfill"]`, `"enum": ["live"]`, `"backfill" is refused`},
		"an enumeration appears":      {"event", `"version": { "type": "string" }`, `"version": { "type": "string", "enum": ["1.8.0"] }`, "enum"},
		"a constant changes":          {"event", `"const": "application/json"`, `"const": "application/cbor"`, "const"},
		"a pattern changes":           {"event", `"pattern": "^[0-9]{20}$"`, `"pattern": "^[0-9]{19}$"`, "pattern"},
		"a bound appears":             {"event", `"folder_id": { "type": "string", "minLength": 1 }`, `"folder_id": { "type": "string", "minLength": 1, "maxLength": 9 }`, "maxLength"},
		"a bound goes":                {"event", `"maximum": 6 }`, `"multipleOf": 1 }`, "maximum"},
		"fields are closed":           {"event", `"required": ["folder_id"],`, `"required": ["folder_id"], "additionalProperties": false,`, "additionalProperties"},
		"items change":                {"event", `"tags": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/text" } }`, `"tags": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/count" } }`, "items"},
		"a definition changes":        {"event", `"num": { "type": "string"`, `"num": { "type": "integer"`, "audit_id: type"},
		"another definition is meant": {"event", `"email": { "$ref": "#/$defs/text" }`, `"email": { "$ref": "#/$defs/count" }`, "email"},
		"a condition changes":         {"event", `"if": { "required": ["sequence"] }`, `"if": { "required": ["subject"] }`, "event: if"},
		"a rule is dropped":           {"room", `"member"`, `"link"`, "invite_resend"},
		"a rule is about less": {"file", `"copied",
                  "moved"`, `"copied"`, `"moved"`},
		"a rule is about more": {"file", `"copied",
                  "moved"`, `"copied",
                  "moved",
                  "uploaded"`, `"uploaded"`},
		"an action is renamed": {"room", `"invite_resend",`, `"invite_again",`, "room: the action invite_resend is gone"},
		"a family is gone":     {"", "", "", "agent.schema.json: is gone"},
		"a family's field":     {"folder", `"parent": {`, `"above": {`, "folder: parent: is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := breaks(decoded(t, schemas(t)), edited(t, test.file, test.from, test.to))
			if len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), test.want) {
				t.Errorf("found %q, want one with %q", found, test.want)
			}
		})
	}
}

func TestWhatReadersAreToldToExpectIsNoBreak(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, from, to string }{
		"nothing":                {"event", `"live"`, `"live"`},
		"a new field":            {"event", `"late": {`, `"early": { "type": "boolean" }, "late": {`},
		"an enumeration grows":   {"event", `"enum": ["live", "backfill"]`, `"enum": ["live", "backfill", "replay"]`},
		"a description changes":  {"event", `"description": "When it happened."`, `"description": "When."`},
		"a definition is inline": {"event", `"title": { "$ref": "#/$defs/text" },`, `"title": ` + definition(t, "text") + `,`},
		"a rule about what no older version knew": {"file", `"copied",
                  "moved"`, `"copied",
                  "moved",
                  "teleported"`},
		"an action is learnt": {"file", `"examples": [`, `"examples": ["teleported",`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := breaks(decoded(t, schemas(t)), edited(t, test.file, test.from, test.to)); len(found) > 0 {
				t.Errorf("said to break: %q", found)
			}
		})
	}
}

// edited returns the schemas with one text replaced, or without that of agents.
func edited(t *testing.T, file, from, to string) documents {
	t.Helper()
	files := schemas(t)
	if file == "" {
		delete(files, "agent.schema.json")
		return decoded(t, files)
	}
	text := string(files[file+".schema.json"])
	if !strings.Contains(text, from) {
		t.Fatalf("%s has no %s", file, from)
	}
	files[file+".schema.json"] = []byte(strings.ReplaceAll(text, from, to))
	return decoded(t, files)
}

// documents are schemas that refer to each other, by file name.
type documents map[string]map[string]any

func decoded(t *testing.T, files map[string][]byte) documents {
	t.Helper()
	all := make(documents)
	for name, text := range files {
		var document map[string]any
		if err := json.Unmarshal(text, &document); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = document
	}
	return all
}

// breaks says what of the older schemas the newer ones do not keep.
func breaks(older, newer documents) []string {
	var found []string
	for _, file := range slices.Sorted(maps.Keys(older)) {
		if newer[file] == nil {
			found = append(found, file+": is gone")
			continue
		}
		c := comparison{older: older, newer: newer, file: file, known: knownActions(older[file])}
		path := strings.TrimSuffix(file, ".schema.json")
		for _, action := range missing(c.known, knownActions(newer[file])) {
			c.say(path, "the action %s is gone, and with it a type and a subject", action)
		}
		c.schemas(path, older[file], newer[file])
		found = append(found, c.found...)
	}
	return found
}

type comparison struct {
	older, newer documents
	file         string
	known        []any // names of actions
	found        []string
}

func (c *comparison) say(path, format string, args ...any) {
	c.found = append(c.found, path+": "+fmt.Sprintf(format, args...))
}

// annotations say nothing about what is valid.
var annotations = []string{"$schema", "$id", "$defs", "title", "description", "examples"}

func (c *comparison) schemas(path string, older, newer map[string]any) {
	older, newer = c.older.resolve(c.file, older), c.newer.resolve(c.file, newer)
	keywords := maps.Clone(older)
	maps.Copy(keywords, newer)
	for _, keyword := range slices.Sorted(maps.Keys(keywords)) {
		was, is := older[keyword], newer[keyword]
		switch {
		case slices.Contains(annotations, keyword):
		case keyword == "properties":
			c.properties(path, object(was), object(is))
		case keyword == "required":
			c.required(path, list(was), list(is))
		case keyword == "enum" && was != nil && is != nil:
			for _, value := range missing(list(was), list(is)) {
				c.say(path, "%q is refused, and was not", value)
			}
		case keyword == "items" && was != nil && is != nil:
			c.schemas(path+": items", object(was), object(is))
		case keyword == "allOf":
			c.rules(path, list(was), list(is))
		case !reflect.DeepEqual(was, is):
			c.say(path, "%s was %s and is %s", keyword, text(was), text(is))
		}
	}
}

func (c *comparison) properties(path string, older, newer map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(older)) {
		if newer[name] == nil {
			c.say(path+": "+name, "is gone")
			continue
		}
		c.schemas(path+": "+name, object(older[name]), object(newer[name]))
	}
}

func (c *comparison) required(path string, older, newer []any) {
	for _, name := range missing(older, newer) {
		c.say(path, "%v was always there and may be missing", name)
	}
	for _, name := range missing(newer, older) {
		c.say(path, "%v is asked for, and events of older versions may lack it", name)
	}
}

// rules compares what is said of single actions. A new rule may only be about
// actions that the older version did not know.
func (c *comparison) rules(path string, older, newer []any) {
	was, is := perAction(older), perAction(newer)
	for _, rule := range slices.Sorted(maps.Keys(was)) {
		if _, kept := is[rule]; !kept {
			c.say(path, "no longer: %s", rule)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(is)) {
		if _, kept := was[rule]; !kept && (is[rule] == nil || slices.Contains(c.known, is[rule])) {
			c.say(path, "new: %s", rule)
		}
	}
}

// perAction takes rules apart: one for each action they are about, as a text,
// with the name of the action; nil for a rule about no action.
func perAction(rules []any) map[string]any {
	apart := make(map[string]any)
	for _, rule := range rules {
		rule := object(rule)
		name := object(object(object(object(object(rule["if"])["properties"])["action"])["properties"])["name"])
		names := list(name["enum"])
		if len(names) == 0 {
			apart[text(rule)] = nil
		}
		for _, action := range names {
			apart[text(action)+" has "+text(rule["then"])] = action
		}
	}
	return apart
}

func knownActions(document map[string]any) []any {
	action := object(object(document["properties"])["action"])
	return list(object(object(action["properties"])["name"])["examples"])
}

// resolve follows a reference; what stands beside it counts, too.
func (d documents) resolve(file string, schema map[string]any) map[string]any {
	reference, is := schema["$ref"].(string)
	if !is {
		return schema
	}
	other, pointer, _ := strings.Cut(reference, "#")
	if other == "" {
		other = file
		if !strings.HasPrefix(file, "event.") {
			other = "event.schema.json" // only what came from there refers to itself
		}
	}
	target := d[other]
	for _, name := range strings.Split(pointer, "/")[1:] {
		target = object(target[name])
	}
	resolved := maps.Clone(d.resolve(other, target))
	for name, value := range schema {
		if name != "$ref" {
			resolved[name] = value
		}
	}
	return resolved
}

func missing(from, in []any) []any {
	return slices.DeleteFunc(slices.Clone(from), func(value any) bool { return slices.Contains(in, value) })
}

func object(value any) map[string]any { o, _ := value.(map[string]any); return o }
func list(value any) []any            { l, _ := value.([]any); return l }

func text(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err) // it was JSON
	}
	return string(b)
}

// definition is the text of a definition that fills one line of the event's
// schema.
func definition(t *testing.T, name string) string {
	t.Helper()
	event, err := schema.JSONSchema(schema.EventSchema, "")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(event)) {
		if text, found := strings.CutPrefix(strings.TrimSpace(line), strconv.Quote(name)+": "); found {
			return strings.TrimSuffix(text, ",")
		}
	}
	t.Fatalf("the schema of the event has no definition of %s on one line", name)
	return ""
}

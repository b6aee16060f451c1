package schema

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := JSONSchema(EventSchema, "")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(SchemaURL(schemaBase, EventSchema), document); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile(SchemaURL(schemaBase, EventSchema))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, event string) error {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(event))
	if err != nil {
		return err
	}
	return s.Validate(document)
}

func TestTheSchemaAcceptsEventsAndRefusesBrokenOnes(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	e := sample()
	good := string(e.Encode())
	if err := validate(s, good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"no id":               {`"id":"1234-98765",`, ``},
		"id of another shape": {`"id":"1234-98765"`, `"id":"98765"`},
		"no time zone":        {`"time":"2026-09-20T10:15:03Z"`, `"time":"2026-09-20T10:15:03"`},
		"local time":          {`"time":"2026-09-20T10:15:03Z"`, `"time":"2026-09-20T10:15:03+02:00"`},
		"no such day":         {`"time":"2026-09-20T10:15:03Z"`, `"time":"2026-02-30T10:15:03Z"`},
		"relative source":     {`"source":"https://docs.example.com/api`, `"source":"/api`},
		"space in the type":   {`.file.moved.v1`, `.file.mo ved.v1`},
		"null":                {`"name":"Drafts"`, `"name":null`},
		"empty text":          {`"name":"Drafts"`, `"name":""`},
		"a line in a text":    {`"name":"Drafts"`, `"name":"Dra\nfts"`},
		"number as id":        {`"folder_id":"1234"`, `"folder_id":1234`},
		"unknown outcome":     {`"outcome":"success"`, `"outcome":"maybe"`},
		"no actor":            {`"anonymous":false`, `"anon":false`},
		"sequence alone":      {`"audit_id":"98765",`, ``},
		"audit id alone":      {`"sequence":"00000000000000098765",`, ``},
		"a foreign connector": {`"ecs":{`, `"connector":{},"ecs":{`},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing to edit in %s", name, good)
		}
		if err := validate(s, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := validate(s, strings.Replace(good, `"outcome"`, `"later":{"a":[1]},"outcome"`, 1)); err != nil {
		t.Errorf("a field of a later version: %v", err)
	}
}

func TestTheSchemaDescribesEveryFieldAndNoOther(t *testing.T) {
	t.Parallel()
	root := compiled(t)
	compareFields(t, "event", reflect.TypeFor[Event](), root)
}

func compareFields(t *testing.T, path string, goType reflect.Type, s *jsonschema.Schema) {
	for s.Ref != nil {
		s = s.Ref
	}
	if len(s.Properties) != goType.NumField() {
		t.Errorf("%s: %d fields in the schema, %d in Go", path, len(s.Properties), goType.NumField())
	}
	for i := range goType.NumField() {
		field := goType.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		property, described := s.Properties[name]
		if !described {
			t.Errorf("%s.%s is not in the schema", path, name)
			continue
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			compareFields(t, path+"."+name, inner, property)
		}
	}
}

func TestTheSchemasCanBePublishedAnywhere(t *testing.T) {
	t.Parallel()
	files := 0
	for name, text := range Files("https://schemas.example.com/x/") {
		files++
		if strings.Contains(string(text), "schemas.example.org") {
			t.Errorf("%s names the address of the examples", name)
		}
		if id := `"$id": "https://schemas.example.com/x/v1/` + name + `"`; strings.HasSuffix(name, ".json") && !strings.Contains(string(text), id) {
			t.Errorf("%s has no %s", name, id)
		}
	}
	if want := len(SchemaNames()) + 2; files != want {
		t.Errorf("%d files, want %d", files, want)
	}
	if SchemaURL("", EventSchema) != "" {
		t.Error("there is a schema address without a base")
	}
	if _, err := JSONSchema("../event", ""); err == nil {
		t.Error("there is a schema nobody wrote")
	}
}

func TestAnEventNamesTheSchemaOfItsData(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 20, 10, 15, 3, 0, time.UTC)
	for key, want := range map[string]string{
		"FileMoved": "file", "RoomOfNoVersionSealed": "room", "UserOfNoVersionBlessed": "other",
	} {
		action, known := Resolve(map[string]int{"FileMoved": 5015}[key], key)
		e := Origin{Folder: 7, SchemaBase: "https://schemas.example.com/"}.Event(action, known, Live, at, at)
		if want := "https://schemas.example.com/v1/" + want + ".schema.json"; e.DataSchema != want {
			t.Errorf("%s: %s, want %s", key, e.DataSchema, want)
		}
	}
}

func TestEveryConnectorEventValidates(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	at := time.Date(2026, 9, 20, 10, 15, 3, 999_999_999, time.FixedZone("", 3600))
	first := int64(0)
	for _, kind := range []string{Gap, Blind, Seeing, Rewound, Reset, Unreconciled, Reconciled, Shrunk, MarkChanged} {
		for _, origin := range []Origin{
			{Portal: "docs.example.com", SourceBase: "https://docs.example.com", Folder: 7, Kind: "room", Title: "Deal\nroom", SchemaBase: schemaBase},
			{Portal: "docs.example.com", SourceBase: "https://docs.example.com", Folder: 7},
		} {
			e := origin.Connector(kind, 17, Backfill, at, Connector{
				Reason: "unrenderable", Detail: "the portal answers 500\nfor row 0", Status: 500,
				FirstIndex: &first, Rows: 1, Accounted: &first,
				AccountedBefore: &first, Anchor: at, AnchorBefore: at, Again: &first, Skipped: &first, Changes: 1, Writer: "host/7",
			})
			if err := validate(s, string(e.Encode())); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if got, want := e.NATSSubject("docspace"), "docspace.folder.7.connector."+kind; got != want {
				t.Errorf("subject %s, want %s", got, want)
			}
			if !strings.HasPrefix(e.ID, "7-"+kind+"-17-") || e.Data.Actor.Kind != ActorConnector || e.Data.TimeUnknown || e.Time.Nanosecond() != 999_000_000 {
				t.Errorf("%s: %+v", kind, e)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a kind nobody knows made an event")
		}
	}()
	Origin{}.Connector("party", 1, Live, at, Connector{})
}

func TestAnUnreadableDateIsReplacedAndSaidSo(t *testing.T) {
	t.Parallel()
	action, known := Resolve(5015, "FileMoved")
	recorded := time.Date(2026, 9, 20, 12, 0, 0, 123_456_789, time.FixedZone("", 7200))
	for _, when := range []time.Time{{}, time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)} {
		e := Origin{Folder: 1}.Event(action, known, Live, when, recorded)
		if want := recorded.UTC().Truncate(time.Millisecond); !e.Data.TimeUnknown || e.Time != want || e.RecordedTime != want {
			t.Errorf("%v: time %v, recorded %v, unknown %t", when, e.Time, e.RecordedTime, e.Data.TimeUnknown)
		}
	}
}

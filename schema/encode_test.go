package schema

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyEvent draws an event with anything in any field, so that a field that is
// added later is drawn too.
func anyEvent(t *rapid.T, text *rapid.Generator[string]) Event {
	var e Event
	fill(t, reflect.ValueOf(&e).Elem(), text)
	return e
}

func fill(t *rapid.T, v reflect.Value, text *rapid.Generator[string]) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		seconds := rapid.Int64Range(time.Time{}.Unix(), 253402300799).Draw(t, "seconds")
		v.Set(reflect.ValueOf(time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text.Draw(t, "text"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "present") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), text)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 4).Draw(t, "length"), 4))
		for i := range v.Len() {
			fill(t, v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), text)
		}
	default:
		t.Fatalf("an event has a field of kind %s, which nothing encodes", v.Kind())
	}
}

var hostileText = rapid.OneOf(
	rapid.String(),
	rapid.SampledFrom([]string{"", "\x00\x1f\x7f", "\xff\xc0\xaf", "<script>&amp;", "\u2028\u2029", "\"\\\b\f\n\r\t", "a\xe2\x80b", "🦊"}),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
)

func TestTheEncoderWritesWhatTheStructTagsSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t, hostileText)
		want, err := json.Marshal(&e, jsontext.AllowInvalidUTF8(true))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.appendJSON(nil); string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

func TestWhatIsEncodedDecodesToTheSameEvent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t, rapid.String())
		e.SpecVersion, e.ID, e.Type = "1.0", "1-2", "x"
		got, err := Decode(e.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Data.Tags) == 0 {
			e.Data.Tags = nil
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAppendKeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	e := sample()
	if got := string(e.AppendJSON([]byte("before"))); got != "before"+string(e.Encode()) {
		t.Errorf("got %.60s…", got)
	}
}

func TestATimeNoCalendarCanWriteDoesNotBreakTheEvent(t *testing.T) {
	t.Parallel()
	e := sample()
	for _, at := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)} {
		e.Time = at
		if _, err := Decode(e.Encode()); err != nil {
			t.Errorf("year %d: %v", at.Year(), err)
		}
	}
	e.Time = time.Date(2026, 3, 2, 1, 0, 0, 0, time.FixedZone("", 3*3600))
	if got := string(e.Encode()); !strings.Contains(got, `"time":"2026-03-01T22:00:00Z"`) {
		t.Errorf("not in UTC: %.300s", got)
	}
}

func TestDecodeRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"nothing":       "",
		"no JSON":       "<html>",
		"an array":      "[]",
		"another thing": `{"specversion":"1.0","id":"1"}`,
		"other version": `{"specversion":"2.0","id":"1","type":"x"}`,
		"wrong type":    `{"specversion":"1.0","id":1,"type":"x"}`,
		"two documents": `{"specversion":"1.0","id":"1","type":"x"}{}`,
		"too large":     `{"specversion":"1.0","id":"1","type":"x","y":"` + strings.Repeat("y", maxDecode) + `"}`,
	} {
		if _, err := Decode([]byte(input)); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.HasPrefix(err.Error(), "decode event: ") {
			t.Errorf("%s: %v does not say what was attempted", name, err)
		}
	}
	if _, err := Decode([]byte(`{"specversion":"1.0","id":"1","type":"x","later":{"a":[1]},"data":{"new":1}}`)); err != nil {
		t.Errorf("fields of a later version: %v", err)
	}
}

// sample is an event of usual size: a file moved inside a room.
func sample() Event {
	action, known := Resolve(5015, "FileMoved")
	e := Origin{
		Portal: "docs.example.com", SourceBase: "https://docs.example.com",
		Folder: 1234, Kind: "room", Title: "Deal room A",
		SchemaBase: schemaBase,
	}.Event(action, known, Live,
		time.Date(2026, 9, 20, 10, 15, 3, 0, time.UTC), time.Date(2026, 9, 20, 10, 15, 9, 412e6, time.UTC))
	e.ID, e.Sequence, e.Subject = EventID(1234, 98765), Sequence(98765), SubjectOf("file", "5678")
	d := &e.Data
	d.AuditID = "98765"
	d.Actor = Full.Actor("c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11", "Zoë Müller", "zoe.mueller@example.com", false)
	d.Target = &Target{Kind: "file", ID: "5678", Name: "Budget 2026.xlsx", Extension: "xlsx"}
	d.From = &Place{FolderID: "2001", Name: "Drafts"}
	d.To = &Place{FolderID: "2002", Name: "Final"}
	d.Group = &Group{LeadAuditID: "98767", Size: 3, Position: 3}
	return e
}

func BenchmarkAppendJSON(b *testing.B) {
	e := sample()
	buffer := e.AppendJSON(nil)
	b.SetBytes(int64(len(buffer)))
	b.ReportAllocs()
	for b.Loop() {
		buffer = e.AppendJSON(buffer[:0])
	}
}

func BenchmarkMarshalByReflection(b *testing.B) {
	e := sample()
	b.SetBytes(int64(len(e.Encode())))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(&e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	e := sample()
	encoded := e.Encode()
	b.SetBytes(int64(len(encoded)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

package docspace

import (
	"encoding/json"

	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func envelope(total int, rows ...string) string {
	return fmt.Sprintf(`{"response":[%s],"count":%d,"total":%d,"links":[],"status":0,"statusCode":200}`,
		strings.Join(rows, ","), len(rows), total)
}

func readPage(t testing.TB, body string) Page {
	t.Helper()
	var p pageReader
	if err := decode([]byte(body), p.read); err != nil {
		t.Fatalf("decode: %v\n%s", err, body)
	}
	return p.page()
}

// readRow decodes a page of one row made of a date, an action and fields.
func readRow(t testing.TB, fields string) Entry {
	t.Helper()
	page := readPage(t, envelope(1, `{"action":{"id":5011,"key":"FileUploaded"},"date":"2026-03-02T15:04:05.0000000+03:00"`+fields+`}`))
	if len(page.Entries) != 1 {
		t.Fatalf("%d rows, want 1", len(page.Entries))
	}
	return page.Entries[0]
}

func TestARowIsReadAsThePortalSendsIt(t *testing.T) {
	t.Parallel()
	got := readPage(t, envelope(1, fileRow(90412, 1))).Entries[0]
	want := Entry{
		ID:     90412,
		Action: Action{Code: 5011, Name: "FileUploaded"},
		Initiator: User{
			ID: "4c65a238-ca50-4374-b904-0d51d4c18221", Name: "Mike O'Neil 1", Email: "mike+1@example.com",
		},
		Date: time.Date(2026, 3, 2, 12, 4, 58, 0, time.UTC),
		Data: Data{ID: "7001", Title: "Plan 1.docx", ParentID: "1310", ParentTitle: "Contracts", ParentType: new(0)},
		Raw:  jsontext.Value(fileRow(90412, 1)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryVariantOfDataIsRead(t *testing.T) {
	t.Parallel()
	mike := User{ID: "4c65a238-ca50-4374-b904-0d51d4c18221", Name: "Mike O'Neil 1", Email: "mike+1@example.com"}
	for name, test := range map[string]struct {
		data string
		want Data
	}{
		"user file update": {`{"userName":"Mike","initiatorName":"Mike","title":"Plan.docx","id":7781}`,
			Data{UserName: "Mike", Title: "Plan.docx", ID: "7781"}},
		"initiator name alone": {`{"initiatorName":"Mike"}`, Data{UserName: "Mike"}},
		"file rename":          {`{"oldTitle":"a.docx","newTitle":"b.docx","id":1}`, Data{OldTitle: "a.docx", NewTitle: "b.docx", ID: "1"}},
		"move within a room": {`{"title":"b","toFolderId":"1311","parentTitle":"Done","parentType":0,"fromParentTitle":"Contracts","fromParentType":16,"fromFolderId":1310,"id":7781}`,
			Data{Title: "b", ToFolderID: "1311", ParentTitle: "Done", ParentType: new(0), FromParentTitle: "Contracts", FromParentType: new(16), FromFolderID: "1310", ID: "7781"}},
		"index":          {`{"oldIndex":3,"newIndex":0,"id":7}`, Data{OldIndex: new(3), NewIndex: new(0), ID: "7"}},
		"version":        {`{"version":2,"id":7}`, Data{Version: new(2), ID: "7"}},
		"purged file":    {`{"title":"b.docx","id":0}`, Data{Title: "b.docx", ID: "0"}},
		"folder created": {`{"title":"C","type":0,"id":1310}`, Data{Title: "C", Type: new(0), ID: "1310"}},
		"life time": {`{"lifeTime":{"deletePermanently":true,"period":1,"value":12},"id":1}`,
			Data{LifeTime: &LifeTime{Value: 12, Period: 1, DeletePermanently: true}, ID: "1"}},
		"member": {`{"user":` + profileJSON(1) + `,"access":"Editor","oldAccess":"Viewer"}`,
			Data{User: &mike, Access: "Editor", OldAccess: "Viewer"}},
		"group": {`{"group":{"id":"8b1f","name":"QA","isSystem":false},"access":"Editor"}`,
			Data{Members: &UserGroup{ID: "8b1f", Name: "QA", System: new(false)}, Access: "Editor"}},
		"group before 3.5": {`{"group":{"id":"8b1f","name":"QA"}}`, Data{Members: &UserGroup{ID: "8b1f", Name: "QA"}}},
		"owner":            {`{"owner":` + profileJSON(1) + `,"oldOwner":` + profileJSON(1) + `}`, Data{Owner: &mike, OldOwner: &mike}},
		"tags":             {`{"tags":["alpha","beta"]}`, Data{Tags: []string{"alpha", "beta"}}},
		"link":             {`{"title":"Shared link","id":"5a0c-1","access":"Viewer"}`, Data{Title: "Shared link", ID: "5a0c-1", Access: "Viewer"}},
		"nulls":            {`{"title":null,"parentType":null,"user":null,"lifeTime":null,"tags":null,"id":null}`, Data{}},
		"unknown fields":   {`{"title":"x","mood":{"a":[1,{"b":null}]},"score":1e999}`, Data{Title: "x"}},
		"numbers as text":  {`{"parentType":"16","id":"7","parentId":"9"}`, Data{ParentType: new(16), ID: "7", ParentID: "9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := readRow(t, `,"data":`+test.data)
			if diff := cmp.Diff(test.want, got.Data); diff != "" || got.Malformed != "" {
				t.Errorf("malformed %q\n%s", got.Malformed, diff)
			}
		})
	}
}

func TestPeopleAreReadWithoutGuessing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		profile string
		want    User
	}{
		"external":           {`{"id":"00000000-0000-0000-0000-000000000000","displayName":"Bob (External user)","isAnonim":false}`, User{Name: "Bob (External user)", Anonymous: true}},
		"guest":              {`{"id":"712d9ec3","displayName":"guest","isAnonim":true}`, User{ID: "712d9ec3", Name: "guest", Anonymous: true}},
		"entities":           {`{"id":"a","displayName":"O&#39;Neil &amp; &lt;Co&gt;"}`, User{ID: "a", Name: "O'Neil & <Co>"}},
		"guest address":      {`{"id":"a","profileUrl":"https://d/accounts/guests/filter?search=user%40x.y"}`, User{ID: "a", Email: "user@x.y"}},
		"search for no mail": {`{"id":"a","profileUrl":"https://d/accounts/people/filter?search=mike"}`, User{ID: "a"}},
		"broken link":        {`{"id":"a","profileUrl":"::?search=%zz@"}`, User{ID: "a"}},
		"nothing":            {`{}`, User{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := readRow(t, `,"initiator":`+test.profile)
			if diff := cmp.Diff(test.want, got.Initiator); diff != "" || got.Malformed != "" {
				t.Errorf("malformed %q\n%s", got.Malformed, diff)
			}
		})
	}
}

func TestRelatedRowsAreUnfoldedAndKeepTheirGroup(t *testing.T) {
	t.Parallel()
	page := readPage(t, envelope(4,
		`{"related":[{"id":7},{"id":6}],"id":9}`, // met before the lead's own id
		`{"id":8,"related":[]}`))
	var got []string
	for _, e := range page.Entries {
		got = append(got, fmt.Sprint(e.ID, e.Group))
	}
	want := []string{"9 {9 3 1}", "8 {0 0 0}", "7 {9 3 2}", "6 {9 3 3}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutIDsThePortalsOrderStays(t *testing.T) {
	t.Parallel()
	page := readPage(t, envelope(4,
		`{"data":{"title":"a"},"related":[{"data":{"title":"b"}},{"data":{"title":"c"}}]}`, `{"id":3,"data":{"title":"d"}}`))
	var got string
	for _, e := range page.Entries {
		got += e.Data.Title
	}
	if got != "abcd" {
		t.Errorf("order %q, want abcd", got)
	}
}

func TestUnfoldingReturnsEveryRowOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.Int64Range(1, 1<<31-1), 0, 100, rapid.ID[int64]).Draw(t, "ids")
		var rows []string
		for rest := ids; len(rest) > 0; {
			size := rapid.IntRange(1, len(rest)).Draw(t, "size")
			var related []string
			for _, id := range rest[1:size] {
				related = append(related, fmt.Sprintf(`{"id":%d}`, id))
			}
			rows = append(rows, fmt.Sprintf(`{"id":%d,"related":[%s]}`, rest[0], strings.Join(related, ",")))
			rest = rest[size:]
		}
		var p pageReader
		if err := decode([]byte(envelope(len(ids), rows...)), p.read); err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, e := range p.entries {
			got = append(got, e.ID)
		}
		slices.Sort(ids)
		slices.Reverse(ids)
		if diff := cmp.Diff(ids, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRawIsTheRowWithoutItsRelatedRows(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		`{"id":1,"x":[1,2]}`:                             `{"id":1,"x":[1,2]}`,
		`{"id":1,"related":[]}`:                          `{"id":1}`,
		`{"id":1,"related":[{"x":2}],"z":"é\u00e9"}`:     `{"id":1,"z":"é\u00e9"}`,
		`{"related":[{"x":2}],"id":1}`:                   `{"id":1}`,
		`{"related":[] , "id":1}`:                        `{ "id":1}`,
		"{ \"id\" : 1 ,\n \"related\" : [ {\"x\":2} ] }": "{ \"id\" : 1 }",
		`{"related":[],"related":[],"id":1}`:             `{"id":1}`,
		`{"id":1,"related":null}`:                        `{"id":1}`,
		`{"related":[]}`:                                 `{}`,
	} {
		page := readPage(t, `{"total":1, "response": [ `+row+` ] }`)
		if got := string(page.Entries[0].Raw); got != want {
			t.Errorf("raw of %s: %s, want %s", row, got, want)
		}
	}
}

func TestRowsNestedDeepDoNotCostTheSquareOfTheirSize(t *testing.T) {
	t.Parallel()
	body := `{"x":1}`
	for range 100 {
		body = `{"x":1,"related":[` + body + `]}`
	}
	page := readPage(t, envelope(101, body))
	if len(page.Entries) != 101 {
		t.Fatalf("%d rows, want 101", len(page.Entries))
	}
	if raw := page.Entries[0].Raw; string(raw) != `{"x":1}` || cap(raw) > 16 {
		t.Errorf("raw %s holds %d bytes", raw, cap(raw))
	}
}

func TestOneOddRowSpoilsOnlyItself(t *testing.T) {
	t.Parallel()
	date := `"date":"2026-03-02T15:04:05Z"`
	for row, want := range map[string]string{
		`null`:  "entry: null where the object should be",
		`"row"`: "entry: string where the object should be",
		`[1]`:   "entry: array where the object should be",
		`{` + date + `,"action":{"id":5011},"data":[]}`:                        "data: array where the object should be",
		`{` + date + `,"action":{"id":5011},"data":"x"}`:                       "data: string where the object should be",
		`{` + date + `,"action":{"id":5011},"id":-4}`:                          "id: below zero",
		`{` + date + `,"action":{"id":5011},"id":1.5}`:                         "id: not a whole number",
		`{` + date + `,"action":{"id":5011},"id":99999999999999999999}`:        "id: not a whole number",
		`{` + date + `,"action":{"id":5011},"data":{"title":{}}}`:              "data.title: object where the text should be",
		`{` + date + `,"action":{"id":5011},"data":{"parentType":4294967296}}`: "data.parentType: number out of range",
		`{` + date + `,"action":{"id":5011},"data":{"tags":[1,{}]}}`:           "data.tags: object where the text should be",
		`{` + date + `,"action":{"id":5011},"initiator":"mike"}`:               "initiator: string where the profile should be",
		`{` + date + `,"action":{"id":5011},"initiator":{"isAnonim":"no"}}`:    "initiator: isAnonim: string where the yes or no should be",
		`{` + date + `,"action":{"id":"FileUploaded"}}`:                        "action.id: not a whole number",
		`{` + date + `}`:                                         "action: no code",
		`{"action":{"id":5011}}`:                                 "date: missing",
		`{"action":{"id":5011},"date":"yesterday"}`:              "date: not a date",
		`{"action":{"id":5011},"date":17}`:                       "date: number where the date should be",
		`{"action":{"id":5011},"related":{"id":3},` + date + `}`: "related: object where the array should be",
	} {
		page := readPage(t, envelope(2, fileRow(9, 1), row))
		if len(page.Entries) != 2 {
			t.Errorf("%s: %d rows, want 2", row, len(page.Entries))
			continue
		}
		good := slices.IndexFunc(page.Entries, func(e Entry) bool { return e.ID == 9 })
		if page.Entries[good].Malformed != "" {
			t.Errorf("%s: its neighbour is malformed: %s", row, page.Entries[good].Malformed)
		}
		bad := page.Entries[1-good]
		if !strings.Contains(bad.Malformed, want) || !bad.Raw.IsValid() {
			t.Errorf("%s: malformed %q, want %q; raw %s", row, bad.Malformed, want, bad.Raw)
		}
	}
}

func TestIDsNeverPassThroughFloats(t *testing.T) {
	t.Parallel()
	e := readRow(t, `,"id":9007199254740993,"data":{"id":9007199254740995,"parentId":"9007199254740997"}`)
	if e.ID != 9007199254740993 || e.Data.ID != "9007199254740995" || e.Data.ParentID != "9007199254740997" {
		t.Errorf("ids %d, %s, %s", e.ID, e.Data.ID, e.Data.ParentID)
	}
	if e := readRow(t, `,"id":"9007199254740993"`); e.ID != 9007199254740993 {
		t.Errorf("id %d out of a string", e.ID)
	}
}

func TestBrokenTextIsRepairedNotRefused(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"a\xffb":                  "a\ufffdb",
		`a\ud800b`:                "a\ufffdb",
		`a\ud83d\ude00b`:          "a😀b",
		"\xef\xbb\xbf":            "\ufeff",
		`a\u0000b`:                "a\x00b",
		"a\xed\xa0\x80b \\u00e9 ": "a\ufffd\ufffd\ufffdb é ",
	} {
		e := readRow(t, `,"data":{"title":"`+sent+`"},"related":[]`)
		if e.Data.Title != want || e.Malformed != "" {
			t.Errorf("title %q reads %q, malformed %q", sent, e.Data.Title, e.Malformed)
		}
		if !e.Raw.IsValid() || strings.Contains(string(e.Raw), "related") {
			t.Errorf("raw of title %q: %q", sent, e.Raw)
		}
	}
	if page := readPage(t, "\ufeff"+envelope(0)); page.Total != 0 {
		t.Errorf("total %d after a byte order mark", page.Total)
	}
}

func TestOfRepeatedNamesTheLastCounts(t *testing.T) {
	t.Parallel()
	e := readRow(t, `,"id":1,"id":2,"data":{"title":"a","title":"b"}`)
	if e.ID != 2 || e.Data.Title != "b" || e.Malformed != "" {
		t.Errorf("id %d, title %q, malformed %q", e.ID, e.Data.Title, e.Malformed)
	}
}

func TestEscapedNamesAreTheSameNames(t *testing.T) {
	t.Parallel()
	if e := readRow(t, `,"\u0069d":7`); e.ID != 7 {
		t.Errorf("id %d, want 7", e.ID)
	}
}

func TestWhatIsNoPageIsRefused(t *testing.T) {
	t.Parallel()
	var p pageReader
	for body, temporary := range map[string]bool{
		`{"total":1}`:                         false,
		`{"response":[]}`:                     false,
		`{"response":null,"total":1}`:         false,
		`{"response":{},"total":1}`:           false,
		`{"response":[],"total":-1}`:          false,
		`{"response":[],"total":1e3}`:         false,
		`{"response":[],"total":99999999999}`: false,
		`{"response":[],"total":1}{}`:         false,
		`[]`:                                  false,
		`"text"`:                              false,
		`{"response":[` + strings.Repeat("{},", maxRows) + `{}],"total":9}`: false,
		``:                                   true,
		`{"response":[{"id":1}],"total":1`:   true,
		`{"response":[{"id":1},{"id":`:       true,
		`{"response":[{"id":1},{"id":]}]}`:   true,
		`{"response":[],"total":1}garbage`:   true,
		strings.Repeat(`{"response":[`, 1e5): true,
		`{"total":1,"response":` + strings.Repeat(`[{"related":`, 1e5): true,
	} {
		err := decode([]byte(body), p.read)
		if err == nil {
			t.Errorf("%.60s: no error", body)
			continue
		}
		if got := (&NotJSONError{Err: err}).Temporary(); got != temporary {
			t.Errorf("%.60s: temporary %v, want %v: %v", body, got, temporary, err)
		}
	}
}

func TestWhatIsWrongWithJSONNamesNoneOfItsMembers(t *testing.T) {
	t.Parallel()
	var p pageReader
	for _, body := range []string{
		`{"response":[{"initiator":{"Zoe Mueller":{"id" "x"`, `{"Zoe Mueller":[1 2]}`, `{"data":{"Zoe Mueller":"\q"}}`,
	} {
		err := &NotJSONError{Op: "history of folder 7", URL: "https://docs.example.com", Err: decode([]byte(body), p.read)}
		if text := err.Error(); strings.Contains(text, "Zoe") || !strings.Contains(text, "after byte") {
			t.Errorf("%s: %s", body, text)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add(fullPage(10))
	for _, row := range []string{
		`{"id":1,"related":[{"id":2,"related":[{"id":3}]}]}`, `{"related":[],"id":"7"}`, `null`, `{"date":{"utcTime":"2026-03-02T12:04:05"}}`,
		`{"data":{"user":{"id":"00000000-0000-0000-0000-000000000000"},"tags":["a"]}}`, "{\"data\":{\"title\":\"\xff\\ud800\"}}",
	} {
		f.Add([]byte(envelope(3, row, row)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p pageReader
		if decode(body, p.read) != nil {
			return
		}
		page := p.page()
		if page.Total < 0 || len(page.Entries) > maxRows {
			t.Fatalf("total %d, %d rows", page.Total, len(page.Entries))
		}
		for _, e := range page.Entries {
			if !e.Raw.IsValid(jsontext.AllowDuplicateNames(true)) {
				t.Fatalf("raw %q", e.Raw)
			}
			var fields map[string]any
			if e.Raw.Kind() == jsontext.KindBeginObject && json.Unmarshal(e.Raw, &fields) == nil && fields["related"] != nil {
				t.Fatalf("raw %q holds related rows", e.Raw)
			}
			if _, err := e.Date.MarshalJSON(); err != nil || len(e.Malformed) > maxLine || e.ID < 0 {
				t.Fatalf("date %v, malformed %q, id %d", e.Date, e.Malformed, e.ID)
			}
		}
	})
}

package docspacetest

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

func TestEveryTextIsValidJSONAndSurvives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.String().Draw(r, "text")
		w := writer{b: []byte{'{'}}
		w.str("title", text)
		w.endObject()
		var got struct {
			Title string `json:"title"`
		}
		if err := json.Unmarshal(w.b, &got); err != nil || got.Title != text {
			r.Fatalf("%q became %q as %s, %v", text, got.Title, w.b, err)
		}
	})
}

func TestTextIsEscapedAsTheServerDoes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Ångström <b> & "it's" + C:\x`: `Ångström <b> & \"it's\" + C:\\x`,
		"a\n\t\x01\x7f":                `a\n\t\u0001\u007F`,
		"🦊":                            `\uD83E\uDD8A`,
		"non\u00a0breaking\u2028line":  `non\u00A0breaking\u2028line`,
		"broken\xff":                   `broken\uFFFD`,
	} {
		if got := string(appendEscaped(nil, text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestHostileNamesReachTheReaderUnchanged(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	for _, stem := range fileStems {
		p.Upload(nil, room, stem)
		var data struct {
			Title string `json:"title"`
		}
		if err := json.Unmarshal(read(t, p, room, "count=1").Response[0].Data, &data); err != nil || data.Title != stem {
			t.Errorf("%q became %q, %v", stem, data.Title, err)
		}
	}
}

func TestContentsListFoldersBeforeFiles(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.CreateFolder(nil, room, "Sub")
	p.Upload(nil, room, "a", "b", "c")
	agent := p.CreateAgent(nil, "Helper")
	if p.CreateFolder(nil, p.RoomsRoot(), "no room") != 0 || p.Upload(nil, 999999, "nowhere")[0] != 0 {
		t.Error("something was made where nothing can be")
	}
	for path, want := range map[string][]string{
		"files/" + itoa(room) + "?count=2":              {`"files":[{"id":`, `"title":"a"`, `"title":"Sub"`, `"count":2,"total":4`, `"pathParts":[{"id":2,"title":"Rooms"},`},
		"files/" + itoa(room) + "?count=2&startIndex=3": {`"title":"c"`, `"folders":[]`, `"startIndex":3,"count":1,"total":4`},
		"files/" + itoa(p.RoomsRoot()):                  {`"title":"Sales"`, `"rootFolderType":14`},
		"files/folder/" + itoa(room):                    {`{"response":{"parentId":2,`, `"roomType":2`, `"fileEntryType":1},"count":1`},
		"ai/agents":                                     {`"roomType":9`, `"id":` + itoa(agent), `"total":1`},
		"files/rooms?searchArea=7":                      {`The value '7' is not valid for SearchArea.`},
	} {
		_, body := get(t, p, path)
		for _, part := range want {
			if !strings.Contains(body, part) {
				t.Errorf("%s: no %s in %s", path, part, body)
			}
		}
	}
}

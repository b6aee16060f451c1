package line

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/schema"
)

var happened = time.Date(2026, 9, 20, 10, 15, 3, 120e6, time.UTC)

// moved is an event in which every text is given.
func moved(text string) *schema.Event {
	e := &schema.Event{ID: "1234-98765", Time: happened, PartitionKey: "1234", IngestMode: schema.Live}
	e.Data = schema.Data{
		SchemaVersion: "1.0",
		Portal:        "docs.example.com",
		AuditID:       "98765",
		Feed:          schema.Feed{FolderID: "1234", Kind: "room", Title: text},
		Action:        schema.ActionRef{Code: 5015, Key: "FileMoved", Category: "file", Name: "moved", Known: true},
		Outcome:       schema.Success,
		Severity:      1,
		Actor:         schema.Actor{ID: "c7e1", Name: text, Email: text},
		Target:        &schema.Target{Kind: "file", ID: "5678", Name: text, PreviousName: text},
		From:          &schema.Place{FolderID: "2001", Name: text},
		To:            &schema.Place{FolderID: "2002", Name: text},
		Link:          &schema.Link{ID: "0f3c", Title: text, AccessLabel: text},
		Member:        &schema.Member{Kind: schema.MemberUser, ID: "4a0d", Name: text},
		ECS:           schema.ECS{Kind: "event", Action: "file-moved"},
	}
	return e
}

// hostile are texts that try to be something else.
var hostile = []string{
	"a|b", "a=b", `a\b`, `\`, `\\`, `|\|`, "=", "a=b c=d", "]", `"`, `"]`, `x" y="z`, "two\nlines", "two\r\nlines", "\r", "\n",
	"CEF:0|Evil|x|1|2|3|10|act=forged", "x\nCEF:0|Evil|x|1|2|3|10|act=forged", "<13>1 - evil - - - - x", "17 <13>1 - evil - - - - x",
	"\x1b[2J\x1b]0;owned\x07", "\u009b31m", "exe.\u202egpj", "\u2066a\u2069", "nul\x00nul", "\u2028", "\u2029", "\u0085", "\xff\xfe", "é\xc3",
	" space ", "\u00a0", "\t", "act=forged", " act=forged", "x act=forged", `x\ act=forged`, "🙂", "e\u0301", "\ufeff",
}

func TestWhateverATitleContainsCEFIsOneLineAndReadsBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		holdCEF(t, moved(text), text)
	}
}

// holdCEF reads back every field that holds the text.
func holdCEF(t *testing.T, e *schema.Event, text string) {
	t.Helper()
	got := CEF([]byte("before "), e)
	if err := oneLine(got); err != nil {
		t.Fatal(err)
	}
	header, fields, err := parseCEF(strings.TrimPrefix(string(got), "before "))
	if err != nil {
		t.Fatalf("%q: %v in %q", text, err, got)
	}
	if diff := cmp.Diff([]string{"ONLYOFFICE", "DocSpace", "1.0", "5015", "FileMoved", "2"}, header); diff != "" {
		t.Fatalf("%q: header (-want +got):\n%s", text, diff)
	}
	want := map[string]string{
		"rt": "1789899303120", "externalId": "1234-98765", "cat": "file", "act": "file-moved", "outcome": "success", "dhost": "docs.example.com",
		"suid": "c7e1", "duid": "4a0d", "fileId": "5678", "fileType": "file", "cs1": "1234", "cn1": "98765", "flexString1": "live",
		"cs3": "2001", "cs4": "2002", "cs5": "0f3c",
	}
	for key, label := range map[string]string{"cs1": "folderId", "cs2": "folderTitle", "cs3": "from", "cs4": "to", "cs5": "link", "cs6": "accessLabel",
		"cn1": "auditId", "flexString1": "ingestMode", "flexString2": "actorEmail"} {
		want[key+"Label"] = label
	}
	for key, most := range map[string]int{"suser": 1023, "duser": 1023, "fname": 1023, "oldFileName": 1023, "cs2": 4000, "cs3": 4000, "cs4": 4000,
		"cs5": 4000, "cs6": 4000, "flexString2": 4000} {
		clean := []rune(schema.Text(text))
		short := strings.TrimSpace(string(clean[:min(len(clean), most)]))
		switch {
		case short != "":
			want[key] = short
		case text != "" && (key == "cs3" || key == "cs4" || key == "cs5"):
			delete(want, key) // a name of nothing visible stands for no id
			fallthrough
		default:
			if want[key] == "" {
				delete(want, key+"Label")
			}
		}
	}
	delete(fields, "msg")
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Fatalf("%q (-want +got):\n%s", text, diff)
	}
}

func TestWhateverATitleContainsSyslogIsOneMessageWithItsPayload(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		e := moved(text)
		e.ID, e.Data.Portal, e.Data.Action.Key = text, text, text
		payload := CEF(nil, e)
		for _, id := range []string{"", "docspace@32473", text} {
			got := Syslog(nil, e, Header{Facility: Local0, App: text, SDID: id}, payload)
			if err := oneLine(got); err != nil {
				t.Fatal(err)
			}
			m, err := parseSyslog(string(got))
			if err != nil {
				t.Fatalf("%q: %v in %q", text, err, got)
			}
			if m.text != string(payload) || m.priority != 134 || !m.at.Equal(happened) {
				t.Errorf("%q: got %+v", text, m)
			}
			if id != "" && m.params["id"] != schema.Text(text) {
				t.Errorf("%q: the id reads %q", text, m.params["id"])
			}
		}
	}
}

func TestWhateverATitleContainsTextIsOneLineAndTheColumnsBeforeItStay(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		got := Text(nil, moved(text), Style{})
		if err := oneLine(got); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(string(got), "2026-09-20 10:15:03  1234      file.moved                      ") {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestNamesInWideLettersKeepTheColumnsAfterThem(t *testing.T) {
	t.Parallel()
	for name, shown := range map[string]string{
		"Anna":        "Anna                        ",
		"山田 太郎":       "山田 太郎                   ",
		"👩 Zoe\u0301": "👩 Zoe\u0301" + strings.Repeat(" ", 22),
		"山田山田山田山田山田山田山田": "山田山田山田山田山田山田…   ",
	} {
		e := moved("x")
		e.Data.Actor.Name = name
		if got := string(Text(nil, e, Style{})); !strings.Contains(got, "  "+shown+`"x" was "x"`) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestOnlyTheColoursAreEscapeSequences(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		got := string(Text(nil, moved(text), Style{Color: true}))
		for _, colour := range []string{faint, cyan, reset} {
			got = strings.ReplaceAll(got, colour, "")
		}
		if err := oneLine([]byte(got)); err != nil {
			t.Error(err)
		}
	}
}

func TestALineForPeopleTellsWhoDidWhatWithWhat(t *testing.T) {
	t.Parallel()
	e := moved("")
	e.Data.Actor.Name, e.Data.Target.Name, e.Data.From.Name, e.Data.To.Name = "Zoë Müller", "Budget 2026.xlsx", "Drafts", "Final"
	e.Data.Link, e.Data.Member, e.Data.Late = nil, nil, true
	const want = `2026-09-20 12:15:03  1234      file.moved                      Zoë Müller                  "Budget 2026.xlsx" from "Drafts" to "Final" (late)`
	if got := string(Text(nil, e, Style{Zone: time.FixedZone("", 2*60*60)})); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestALongNameIsCutAndItsIDIsToldAndAPseudonymFits(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"pname-hvuiowtpyb42xbz2boea":          `pname-hvuiowtpyb42xbz2boea  "x"`,
		"Zoë Alexandra Müller-Lüdenscheidt X": `Zoë Alexandra Müller-Lüde…  "x" by "c7e1"`,
	} {
		e := moved("")
		e.Data.Actor.Name, e.Data.Target.Name, e.Data.From, e.Data.To, e.Data.Link, e.Data.Member = name, "x", nil, nil, nil, nil
		if got := string(Text(nil, e, Style{})); !strings.HasSuffix(got, "file.moved                      "+want) {
			t.Errorf("got %s", got)
		}
	}
}

func TestSeveritiesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	for severity, want := range map[int][2]string{1: {"2", "<134>"}, 2: {"4", "<133>"}, 3: {"6", "<132>"}, 4: {"8", "<131>"}, 0: {"2", "<134>"}, 9: {"8", "<131>"}} {
		e := moved("x")
		e.Data.Severity = severity
		header, _, err := parseCEF(string(CEF(nil, e)))
		if err != nil {
			t.Fatal(err)
		}
		if got := Syslog(nil, e, Header{Facility: Local0}, nil); header[5] != want[0] || !strings.HasPrefix(string(got), want[1]) {
			t.Errorf("severity %d: CEF %s, syslog %s", severity, header[5], got)
		}
	}
}

func TestAnEventAboutTheConnectorHasItsNameForACode(t *testing.T) {
	t.Parallel()
	e := schema.Origin{Portal: "docs.example.com", SourceBase: "https://docs.example.com", Folder: 42}.
		Connector(schema.Blind, 7, schema.Live, happened, schema.Connector{Reason: "forbidden", Detail: "the portal says = 403"})
	header, fields, err := parseCEF(string(CEF(nil, &e)))
	if err != nil {
		t.Fatal(err)
	}
	if header[3] != "connector.blind" || fields["reason"] != "forbidden" || !strings.Contains(fields["msg"], "the portal says = 403") {
		t.Errorf("got %q %q", header, fields)
	}
}

func TestALineOfAChangedMarkTellsTheCommandAndTheNumbers(t *testing.T) {
	t.Parallel()
	again, skipped := int64(263), int64(0)
	for reason, want := range map[string]string{
		"reset":            `"42" reset: 263 again, 0 skipped "siem was down"`,
		"\x1b[31mx (late)": `"42" changed: 263 again, 0 skipped "siem was down"`,
	} {
		e := schema.Origin{Portal: "docs.example.com", SourceBase: "https://docs.example.com", Folder: 42}.
			Connector(schema.MarkChanged, 7, schema.Live, happened, schema.Connector{Reason: reason, Detail: "siem was down", Again: &again, Skipped: &skipped})
		if got := string(Text(nil, &e, Style{})); !strings.HasSuffix(got, "  "+want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

func TestAnEmptyEventIsALineToo(t *testing.T) {
	t.Parallel()
	if _, _, err := parseCEF(string(CEF(nil, &schema.Event{}))); err != nil {
		t.Error(err)
	}
	if _, err := parseSyslog(string(Syslog(nil, &schema.Event{}, Header{}, []byte("x")))); err != nil {
		t.Error(err)
	}
	if err := oneLine(Text(nil, &schema.Event{}, Style{})); err != nil {
		t.Error(err)
	}
}

func TestAHugeTitleIsCutToWhatCEFAllows(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("ü=", 256<<10)
	holdCEF(t, moved(text), text)
	if got := len(CEF(nil, moved(text))); got > 200<<10 {
		t.Errorf("%d bytes", got)
	}
}

func FuzzLines(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := moved(text)
		holdCEF(t, e, text)
		e.ID, e.Data.Portal, e.Data.Action.Key = text, text, text
		payload := CEF(nil, e)
		m, err := parseSyslog(string(Syslog(nil, e, Header{App: text, SDID: text}, payload)))
		if err != nil || m.text != string(payload) {
			t.Fatalf("%v: %q", err, m.text)
		}
		for _, color := range []bool{false, true} {
			shown := strings.NewReplacer(faint, "", cyan, "", reset, "").Replace(string(Text(nil, e, Style{Color: color})))
			if err := oneLine([]byte(shown)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

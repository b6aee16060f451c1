package poller

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

var (
	goldenFeed = Feed{
		Portal: "docs.example.com", SourceBase: "https://docs.example.com",
		Folder: 1204, Kind: "room", Title: "Sales room",
		SchemaBase: "https://schemas.example.org/docspace-activity",
	}
	recorded = time.Date(2026, 3, 2, 12, 4, 9, 412_345_678, time.UTC)
)

func TestGoldenEventsTellNoSecretInStandardPrivacy(t *testing.T) {
	t.Parallel()
	for name, entry := range goldenEntries(t) {
		if strings.HasPrefix(name, "privacy-") {
			continue
		}
		for _, e := range decodePage(t, entry).Entries {
			feed := goldenFeed
			feed.Raw = schema.RawAlways
			event := feed.Event(e, 0, schema.Live, false, recorded)
			encoded := string(event.Encode())
			for _, secret := range []string{"example.com\"", "@example", "%40", "avatar", "filehandler", "/s/abc", "profileUrl"} {
				allowed := strings.ReplaceAll(encoded, `"portal":"docs.example.com"`, "")
				if strings.Contains(allowed, secret) {
					t.Errorf("%s tells %q: %s", name, secret, encoded)
				}
			}
		}
	}
}

func TestARowSaysWhenItIsLateAndHowItWasRead(t *testing.T) {
	t.Parallel()
	row := decodePage(t, goldenEntries(t)["5011-file-uploaded"]).Entries[0]
	for _, mode := range []string{schema.Live, schema.Backfill} {
		for _, late := range []bool{false, true} {
			event := goldenFeed.Event(row, 0, mode, late, recorded)
			if event.IngestMode != mode || event.Data.Late != late {
				t.Errorf("%s, late %t: %s, late %t", mode, late, event.IngestMode, event.Data.Late)
			}
		}
	}
}

func TestOneRowInTwoFoldersIsTwoEventsWithOneAuditID(t *testing.T) {
	t.Parallel()
	row := decodePage(t, goldenEntries(t)["5011-file-uploaded"]).Entries[0]
	other := goldenFeed
	other.Folder = 1310
	a, b := goldenFeed.Event(row, 0, schema.Live, false, recorded), other.Event(row, 0, schema.Live, false, recorded)
	if a.ID == b.ID || a.MsgID() == b.MsgID() || a.NATSSubject("docspace") == b.NATSSubject("docspace") {
		t.Errorf("the same identity twice: %s and %s", a.MsgID(), b.MsgID())
	}
	if a.Data.AuditID != b.Data.AuditID || a.Sequence != b.Sequence {
		t.Errorf("audit ids %s and %s", a.Data.AuditID, b.Data.AuditID)
	}
}

// A server without row ids sends volatile fields that must not change what a
// row is known by: people removed since, files purged since.
func TestARowWithoutAnIDKeepsItsIdentityWhenPeopleAndFilesGo(t *testing.T) {
	t.Parallel()
	row := decodePage(t, goldenEntries(t)["server-without-row-ids"]).Entries[0]
	before := goldenFeed.Event(row, 0, schema.Live, false, recorded)
	if !strings.HasPrefix(before.ID, "1204-h") || before.Sequence != "" || before.Data.AuditID != "" {
		t.Fatalf("id %s, sequence %q, audit id %q", before.ID, before.Sequence, before.Data.AuditID)
	}
	changed := row
	changed.Initiator = docspace.User{Name: "profile removed"}
	changed.Data.ID = "0"
	changed.Group = docspace.Group{Size: 2, Position: 2}
	changed.Data.OldAccess = "gone"
	if after := goldenFeed.Event(changed, 0, schema.Live, false, recorded); after.ID != before.ID {
		t.Errorf("the row was %s and is %s", before.ID, after.ID)
	}
	for name, edit := range map[string]func(*docspace.Entry){
		"title":  func(e *docspace.Entry) { e.Data.Title = "Other.docx" },
		"second": func(e *docspace.Entry) { e.Date = e.Date.Add(time.Second) },
		"action": func(e *docspace.Entry) { e.Action.Code = 5000 },
		"tags":   func(e *docspace.Entry) { e.Data.Tags = []string{"a"} },
		"folder": func(e *docspace.Entry) { e.Data.ParentID = "9" },
	} {
		other := row
		edit(&other)
		if goldenFeed.Event(other, 0, schema.Live, false, recorded).ID == before.ID {
			t.Errorf("a row with another %s has the same id", name)
		}
	}
}

func TestARowTooLargeToShowSaysSo(t *testing.T) {
	t.Parallel()
	row := docspace.Entry{ID: 1, Action: docspace.Action{Code: 5299, Name: "RoomSealEnabled"}, Date: recorded}
	row.Raw = jsontext.Value(`"` + strings.Repeat("x", 1<<20) + `"`)
	event := goldenFeed.Event(row, 0, schema.Live, false, recorded)
	if event.Data.Raw != "" || !event.Data.Truncated {
		t.Errorf("raw of %d bytes, truncated %t", len(event.Data.Raw), event.Data.Truncated)
	}
}

func BenchmarkEvent(b *testing.B) {
	page := decodePage(b, goldenEntries(b)["5015-file-moved"])
	b.ReportAllocs()
	for b.Loop() {
		event := goldenFeed.Event(page.Entries[0], 0, schema.Live, false, recorded)
		if event.ID == "" {
			b.Fatal("no id")
		}
	}
}

func BenchmarkEventAndEncode(b *testing.B) {
	page := decodePage(b, goldenEntries(b)["5015-file-moved"])
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		event := goldenFeed.Event(page.Entries[0], 0, schema.Live, false, recorded)
		buffer = event.AppendJSON(buffer[:0])
	}
	b.SetBytes(int64(len(buffer)))
}

// goldenEntries are the entries as the portal sends them, by name.
func goldenEntries(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/entries/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d entries, %v", len(files), err)
	}
	entries := make(map[string][]byte, len(files))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		entries[strings.TrimSuffix(filepath.Base(file), ".json")] = content
	}
	return entries
}

// decodePage reads an entry the way the program does: through the client.
func decodePage(t testing.TB, entry []byte) docspace.Page {
	t.Helper()
	body := fmt.Sprintf(`{"response":[%s],"count":1,"total":1,"status":0,"statusCode":200}`, entry)
	client, err := docspace.New("https://docs.example.com", docspace.Credentials{APIKey: docspace.Fixed("sk-test")}, docspace.Options{
		Transport: answer(body), MaxElapsed: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := client.History(context.Background(), 1204, docspace.Query{Count: docspace.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// An answer is a portal that says the same to everybody.
type answer string

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body:    io.NopCloser(strings.NewReader(string(a))),
		Request: r,
	}, nil
}

// Rows of a server without ids may be alike in everything it keeps, within a
// second.
func TestRowsThatAreAlikeKeepIdentitiesOfTheirOwn(t *testing.T) {
	t.Parallel()
	row := docspace.Entry{Action: docspace.Action{Code: 5085, Name: "RoomCreateUser"}, Date: recorded}
	ids := make(map[string]bool)
	for ordinal := range 100 {
		ids[goldenFeed.Event(row, ordinal, schema.Live, false, recorded).ID] = true
	}
	if len(ids) != 100 {
		t.Fatalf("100 rows have %d ids", len(ids))
	}
}

// A log does not show most actions of the catalogue. Should a newer portal show
// one, its event is as the contract says, too.
func TestTheSubjectOfEveryActionNamesAKindAndAnID(t *testing.T) {
	t.Parallel()
	subject := regexp.MustCompile("^[a-z]+/[A-Za-z0-9._-]+$") // as in event.schema.json
	for action := range schema.Catalogue() {
		row := docspace.Entry{ID: 1, Date: recorded}
		row.Action.Code, row.Action.Name, row.Data.ID = action.Code, action.Key, "5678"
		event := goldenFeed.Event(row, 0, schema.Live, false, recorded)
		if event.Subject != "" && !subject.MatchString(event.Subject) {
			t.Errorf("%d %s: subject %q", action.Code, action.Key, event.Subject)
		}
	}
}

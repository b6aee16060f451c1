package docspacetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// across asks a portal of each version, and lists the answers in order.
func across(t *testing.T, o Options, ask func(p *Portal, session string) string) (answers []string) {
	t.Helper()
	for _, version := range Versions() {
		o.Version = version
		if o.Now == nil {
			o.Now = at(noon)
		}
		p := New(o)
		answers = append(answers, ask(p, signIn(t, p, p.Password())))
	}
	return answers
}

// outcome is a status, and with 200 the rows and numbers of a page.
func outcome(t *testing.T, p *Portal, as, path string) string {
	t.Helper()
	answer, body := getAs(t, p, as, path)
	if answer.StatusCode != 200 {
		return fmt.Sprint(answer.StatusCode)
	}
	return fmt.Sprint(strings.Count(body, `"related"`))
}

func repeat(pairs ...any) (all []string) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, slices.Repeat([]string{pairs[i].(string)}, pairs[i+1].(int))...)
	}
	return all
}

// countClamped, dateWindow, dateNeedsZone, fieldsProjected
func TestParametersAreReadAsEachVersionReadsThem(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]string{
		"":                              repeat("120", 3, "100", 4),
		"count=100":                     repeat("100", 7),
		"count=119":                     repeat("119", 3, "400", 4),
		"count=5000":                    repeat("120", 3, "400", 4),
		"count=0":                       repeat("0", 3, "400", 4),
		"count=-1":                      repeat("120", 3, "400", 4),
		"count=abc":                     repeat("120", 3, "400", 4),
		"count=":                        repeat("120", 3, "400", 4),
		"startIndex=-1&count=50":        repeat("50", 3, "500", 4),
		"startIndex=x&count=50":         repeat("50", 3, "400", 4),
		"toDate=1999-01-01T00:00:00Z":   repeat("120", 1, "0", 6),
		"fromDate=nonsense":             repeat("120", 1, "400", 6),
		"fromDate=2026-03-02T15:04:05":  repeat("120", 1, "120", 2, "100", 3, "400", 1), // by the server's clock
		"fromDate=2026-03-02T15:04:06":  repeat("120", 1, "0", 5, "400", 1),
		"toDate=2026-03-02":             repeat("120", 1, "0", 5, "400", 1),
		"fields=id,related&count=1":     repeat("1", 7),
		"fields=id,action&count=1":      repeat("1", 3, "0", 4),
		"FROMDATE=2026-03-02T12:04:06Z": repeat("120", 1, "0", 6),
	} {
		got := across(t, Options{ServerZone: time.FixedZone("server", 3*3600)}, func(p *Portal, session string) string {
			room := p.CreateRoom(nil, "Sales")
			for range 119 {
				p.SetLogo(nil, room)
			}
			return outcome(t, p, session, logPath(room)+"?"+query)
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// badRequestTold, errorsTranslated, projectionUndates
func TestBodiesAreWrittenAsEachVersionWritesThem(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"files/folder/1/log?startIndex=0&count=x&fromDate=x": repeat("", 1, `"status":0,"statusCode":200}`, 5, `"status":1,"statusCode":400}`, 1),
		"files/folder/999/log":                               repeat("The required folder was not found", 3, "Der erforderliche Ordner wurde nicht gefunden", 4),
		"files/folder/1200/log?fields=date":                  repeat(`"date":"2026`, 3, `[{"date":{"utcTime":"2026`, 2, `[{"date":"2026`, 2),
		"files/folder/1200/log?count=1":                      repeat(`"date":"2026`, 7),
		"settings/version/build":                             repeat(`"docSpace":"1.0.0"`, 7),
	} {
		i := 0
		got := across(t, Options{Language: "de", Build: "1.0.0"}, func(p *Portal, session string) string {
			p.CreateRoom(nil, "Sales")
			_, body := getAs(t, p, session, path)
			i++
			if part := want[i-1]; strings.Contains(body, part) {
				return part
			}
			return body
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// keysAccepted, bearersAccepted, writeMeansRead, filesNeedBoth, openAsksScope
func TestCredentialsAreAcceptedAsEachVersionAcceptsThem(t *testing.T) {
	t.Parallel()
	key := func(scopes ...string) func(*Portal) string {
		return func(p *Portal) string { return p.AddKey(nil, scopes...) }
	}
	token := func(scopes ...string) func(*Portal) string {
		return func(p *Portal) string { return p.AddToken(nil, scopes...) }
	}
	const log, rooms, self, open = "files/folder/1200/log", "files/rooms", "people/@self", "settings"
	for name, x := range map[string]struct {
		credential func(*Portal) string
		path       string
		want       []string
	}{
		"key":                      {key(), log, repeat("401", 2, "200", 5)},
		"key for everything":       {key("*"), log, repeat("401", 2, "200", 5)},
		"key to read files":        {key("files:read"), log, repeat("401", 2, "200", 5)},
		"key to write files":       {key("files:write"), log, repeat("401", 2, "403", 1, "200", 4)},
		"key to read all":          {key("*:read"), log, repeat("401", 2, "403", 1, "200", 4)},
		"key to read rooms":        {key("rooms:read"), log, repeat("401", 2, "403", 5)},
		"files key for rooms":      {key("files:read"), rooms, repeat("401", 2, "403", 5)},
		"rooms key for rooms":      {key("rooms:read"), rooms, repeat("401", 2, "200", 5)},
		"accounts key for self":    {key("accounts.self:read"), self, repeat("401", 2, "200", 5)},
		"files key for the portal": {key("files:read"), "portal", repeat("401", 2, "200", 1, "403", 4)},
		"files key for settings":   {key("files:read"), open, repeat("200", 6, "403", 1)},
		"key about itself":         {key("rooms:read"), "keys/@self", repeat("404", 2, "200", 5)},
		"token":                    {token(), log, repeat("401", 1, "200", 6)},
		"token to read files":      {token("files:read"), log, repeat("401", 1, "403", 1, "200", 5)},
		"token to do both":         {token("files:read", "files:write"), log, repeat("401", 1, "200", 6)},
		"token for rooms":          {token("rooms:read"), rooms, repeat("401", 1, "200", 6)},
		"token about itself":       {token(), "keys/@self", repeat("404", 2, "404", 5)},
	} {
		got := across(t, Options{}, func(p *Portal, _ string) string {
			p.CreateRoom(nil, "Sales")
			answer, _ := getAs(t, p, "Bearer "+x.credential(p), x.path)
			return fmt.Sprint(answer.StatusCode)
		})
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// agentsKnown, templatesKnown
func TestPlacesAreThereFromTheirVersionOn(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"ai/agents":                        repeat("404", 5, "200", 2),
		"files/rooms?count=1000":           repeat("200", 3, "400", 4),
		"files/rooms?searchArea=Templates": repeat("400", 2, "200", 5),
		"files/1200?count=-1":              repeat("200", 3, "400", 4),
	} {
		got := across(t, Options{}, func(p *Portal, session string) string {
			p.CreateRoom(nil, "Sales")
			answer, _ := getAs(t, p, session, path)
			return fmt.Sprint(answer.StatusCode)
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if got := New(Options{Version: "3.5.0"}).CreateAgent(nil, "Helper"); got != 0 {
		t.Errorf("an agent %d before there were any", got)
	}
}

// roomsOvertake, formsOvertake
func TestAnOutageHoldsBackWhatGoesThroughTheQueue(t *testing.T) {
	t.Parallel()
	got := across(t, Options{}, func(p *Portal, _ string) string {
		now := noon
		p.now = func() time.Time { return now }
		restore := p.Outage()
		room := p.CreateRoom(nil, "Sales")
		file := p.Upload(nil, room, make([]string, 40)...)[0]
		p.OpenForm(nil, file)
		p.RemoveMember(nil, room, p.Owner())
		now = now.Add(time.Hour)
		var at []string
		for _, r := range p.Rows(room) {
			at = append(at, r.Key)
		}
		restore()
		rows := p.Rows(room)
		if len(rows) != 43 {
			t.Errorf("%d rows after the outage, want 43", len(rows))
		}
		if !slices.IsSortedFunc(rows, func(a, b Row) int { return int(a.ID - b.ID) }) || rows[42].Date.After(noon.Add(time.Second)) {
			t.Error("late rows have no higher ids, or not the dates of when they happened")
		}
		return strings.Join(at, " ")
	})
	want := repeat("RoomRemoveUser", 1, "RoomCreated RoomRemoveUser", 3, "RoomCreated FormOpenedForFilling RoomRemoveUser", 3)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not held back (-want +got):\n%s", diff)
	}
}

// orderedByID
func TestBeforeThreeRowsOfOneSecondHaveNoOrder(t *testing.T) {
	t.Parallel()
	got := across(t, Options{}, func(p *Portal, session string) string {
		room := p.CreateRoom(nil, "Sales")
		for i := range 40 {
			p.Rename(nil, room, itoa(i))
		}
		early := p.Record(Action{Code: 5072, Folder: room, Entry: room, At: noon.Add(-time.Hour)})
		_, a := getAs(t, p, session, logPath(room)+"?count=41")
		_, b := getAs(t, p, session, logPath(room)+"?count=41")
		newest := strings.Contains(a, "RoomArchived")
		return fmt.Sprint(a == b, early > 0 && newest)
	})
	if diff := cmp.Diff(repeat("false false", 1, "true true", 6), got); diff != "" {
		t.Errorf("the same twice, and the newest row with the oldest date on top (-want +got):\n%s", diff)
	}
}

func TestAnUpgradeShowsWhatWasThereAllAlong(t *testing.T) {
	t.Parallel()
	p := New(Options{Version: "3.0.4", Now: at(noon)})
	eve := p.AddGuest("Eve", "eve@example.com")
	p.SetTitle(eve, "Auditor")
	room := p.CreateRoom(eve, "Sales")
	gone, kept := p.Upload(eve, room, "a.docx")[0], p.Upload(eve, room, "b.docx")[0]
	p.PurgeFile(kept) // 3.0 remembers its id for ever
	p.StartForm(nil, gone)
	if n := p.Count(room); n != 3 || p.Version() != "3.0.4" {
		t.Fatalf("%d rows on %s, want 3 without one of 3.1", n, p.Version())
	}
	if answer, _ := get(t, p, logPath(room)); answer.StatusCode != 401 {
		t.Errorf("%d for a key before 3.1", answer.StatusCode)
	}
	session := signIn(t, p, p.Password())
	_, before := getAs(t, p, session, logPath(room))
	p.Upgrade("3.6.1")
	p.PurgeFile(gone)
	p.StartForm(nil, p.Upload(nil, room, "c.pdf")[0])
	after := read(t, p, room, "")
	if strings.Contains(before, `{"id":9`) || !strings.Contains(before, `"title":"Auditor"`) {
		t.Errorf("3.0 shows ids or no titles: %s", before)
	}
	if diff := cmp.Diff(truth(p, room), sorted(ids(after.flat()))); diff != "" || len(after.flat()) != 5 {
		t.Errorf("ids after the upgrade (-want +got):\n%s", diff)
	}
	rows := p.Rows(room)
	if rows[1].Entry != 0 || rows[2].Entry != kept {
		t.Errorf("entries %d and %d, want 0 and %d: only purges of the new version forget", rows[1].Entry, rows[2].Entry, kept)
	}
	p.Upgrade("3.7.2")
	_, body := get(t, p, logPath(room))
	if strings.Contains(body, "Auditor") || !strings.Contains(body, "/accounts/guests/") {
		t.Errorf("profiles still look as before: %s", body)
	}
	for _, bad := range []string{"3.6.1", "4.0.0", ""} {
		if !panics(func() { p.Upgrade(bad) }) {
			t.Errorf("an upgrade to %q went well", bad)
		}
	}
	if !panics(func() { New(Options{Version: "3.7"}) }) {
		t.Error("a portal of an unknown version")
	}
}

func panics(do func()) (did bool) {
	defer func() { did = recover() != nil }()
	do()
	return
}

func sorted(ids []int64) []int64 {
	slices.Sort(ids)
	return ids
}

func TestEveryVersionLivesThroughTraffic(t *testing.T) {
	t.Parallel()
	for _, version := range Versions() {
		p := New(Options{Version: version, Now: at(noon)})
		r := rand.New(rand.NewPCG(1, 2))
		p.Populate(r, 3)
		for range 500 {
			p.Act(r)
		}
		session := signIn(t, p, p.Password())
		for _, room := range p.Rooms() {
			if answer, body := getAs(t, p, session, logPath(room)); answer.StatusCode != 200 {
				t.Errorf("%s: room %d answers %d %s", version, room, answer.StatusCode, body)
			}
			for _, row := range p.Rows(room) {
				if k := kindByCode[row.StoredCode]; versions[k.since] > version {
					t.Errorf("%s keeps %s", version, row.Key)
				}
			}
		}
	}
}

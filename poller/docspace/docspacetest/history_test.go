package docspacetest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPagesAdvanceByRowsAndNotByEntries(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.Upload(nil, room, make([]string, 250)...)

	first := read(t, p, room, "startIndex=0&count=100")
	if len(first.Response) != 1 || first.Count != 100 || first.Total != 251 {
		t.Fatalf("%d entries, count %d, total %d; want 1 group of 100 of 251", len(first.Response), first.Count, first.Total)
	}
	if n := len(*first.Response[0].Related); n != 99 {
		t.Errorf("%d related, want 99", n)
	}
	for _, e := range *first.Response[0].Related {
		if e.Related != nil {
			t.Fatalf("row %d is nested and has related", e.ID)
		}
	}
	last := read(t, p, room, "startIndex=200&count=100")
	if got := len(last.flat()); got != 51 || last.Count != 51 {
		t.Errorf("last page holds %d rows and says %d, want 51", got, last.Count)
	}
	beyond := read(t, p, room, "startIndex=900")
	if len(beyond.Response) != 0 || beyond.Count != 0 || beyond.Total != 251 {
		t.Errorf("a page beyond the end: %+v", beyond)
	}
	want := []struct{ Href, Action string }{{p.URL() + "/api/2.0/" + logPath(room) + "?startIndex=900", "GET"}}
	if got := fmt.Sprint(beyond.Links); got != fmt.Sprint(want) || beyond.StatusCode != 200 {
		t.Errorf("links %v, want %v", got, want)
	}
}

func TestOnlySomeActionsMergeAndOnlyForOnePersonMinuteAndFolder(t *testing.T) {
	t.Parallel()
	now := noon.Truncate(time.Minute)
	p := New(Options{Now: func() time.Time { return now }})
	ana := p.AddUser("Ana", "ana@example.com")
	room := p.CreateRoom(nil, "Sales")
	sub := p.CreateFolder(nil, room, "Sub")
	file := p.Upload(nil, room, "a")[0] // 1: alone in its minute below
	now = now.Add(time.Minute)
	p.Upload(nil, room, "b", "c") // 2: together
	p.Upload(ana, room, "d")      // 3: other person
	p.Upload(nil, sub, "e")       // 4: other folder
	p.Update(nil, file)           // 5, 6: never
	p.Update(nil, file)
	p.UploadOver(nil, file) // 7: merges as an upload would, but is shown as an update
	now = now.Add(time.Minute)
	p.Upload(nil, room, "f") // 8: other minute

	var sizes []string
	for _, e := range read(t, p, room, "").Response {
		sizes = append(sizes, fmt.Sprint(e.Action.Key, " ", 1+len(*e.Related)))
	}
	want := []string{
		"FileUploaded 1", "UserFileUpdated 1", "UserFileUpdated 1", "UserFileUpdated 1", "FileUploaded 1", "FileUploaded 1", "FileUploaded 2",
		"FileUploaded 1", "FolderCreated 1", "RoomCreated 1",
	}
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestReordersMergeAcrossDaysAndPeople(t *testing.T) {
	t.Parallel()
	now := noon
	p := New(Options{Now: func() time.Time { return now }})
	ana := p.AddUser("Ana", "ana@example.com")
	room := p.CreateTypedRoom(nil, VirtualDataRoom, "Data")
	file := p.Upload(nil, room, "a")[0]
	sub := p.CreateFolder(nil, room, "Sub")
	p.ReorderFile(nil, file, 2)
	p.Lock(nil, file)
	now = now.Add(50 * time.Hour)
	p.ReorderFolder(ana, sub, 1)
	p.Reorder(nil, file, sub)

	got := read(t, p, room, "").Response
	if len(got) != 6 || len(*got[0].Related) != 1 || len(*got[1].Related) != 1 || got[1].Action.ID != 5107 || (*got[1].Related)[0].Action.ID != 5111 {
		t.Fatalf("want the bulk reorder as one group and the single ones as another, got %+v", got)
	}
}

func TestEntriesAreOrderedByDateAndRowsByID(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	old := p.Record(Action{Code: 5072, Folder: room, Entry: room, At: noon.Add(-time.Hour)})
	first := p.Record(Action{Code: 5073, Folder: room, Entry: room})
	second := p.Record(Action{Code: 5072, Folder: room, Entry: room})
	early := p.Record(Action{Code: 5073, Folder: room, Entry: room, At: noon.Add(-2 * time.Hour)})
	created := p.Rows(room)[0].ID

	if diff := cmp.Diff([]int64{second, first, created, old, early}, ids(read(t, p, room, "").flat())); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	// The page is cut by id all the same: the earliest row is the newest.
	if diff := cmp.Diff([]int64{early}, ids(read(t, p, room, "count=1").flat())); diff != "" {
		t.Errorf("newest row (-want +got):\n%s", diff)
	}
}

func TestARoomShowsEverythingBelowItAndARootNothing(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	sub := p.CreateFolder(nil, room, "Sub")
	p.Upload(nil, sub, "a")
	if p.Count(room) != 3 || p.Count(sub) != 2 {
		t.Errorf("room %d rows, folder %d; want 3 and 2", p.Count(room), p.Count(sub))
	}
	for _, root := range []int{p.RoomsRoot(), p.ArchiveRoot(), p.MyDocuments(nil), p.TrashRoot(nil)} {
		if got := read(t, p, root, ""); got.Total != 0 || len(got.Response) != 0 {
			t.Errorf("root %d shows %+v", root, got)
		}
	}
}

func TestAMoveIsOneRowWithinARoomAndTwoBetweenRooms(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	a, b := p.CreateRoom(nil, "A"), p.CreateRoom(nil, "B")
	sub := p.CreateFolder(nil, a, "Sub")
	file := p.Upload(nil, a, "x")[0]
	inA, inSub, inB := p.Count(a), p.Count(sub), p.Count(b)
	p.Move(nil, file, sub)
	if p.Count(a) != inA+1 || p.Count(sub) != inSub+1 {
		t.Errorf("within the room: %d and %d more rows, want 1 and 1", p.Count(a)-inA, p.Count(sub)-inSub)
	}
	p.Move(nil, file, b)
	if p.Count(a) != inA+2 || p.Count(sub) != inSub+2 || p.Count(b) != inB+1 {
		t.Errorf("between rooms: room %d, folder %d, other room %d", p.Count(a)-inA, p.Count(sub)-inSub, p.Count(b)-inB)
	}
	source, target := read(t, p, a, "count=1").Response[0], read(t, p, b, "count=1").Response[0]
	if source.ID == target.ID || source.Action != target.Action {
		t.Errorf("halves %+v and %+v", source, target)
	}
	if !strings.Contains(string(target.Data), `"parentTitle":"B"`) || strings.Contains(string(source.Data), "parentTitle") {
		t.Errorf("only the target's half knows the title: %s and %s", source.Data, target.Data)
	}
}

func TestInsideAnAgentBothHalvesOfAMoveAreInOneLog(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	agent := p.CreateAgent(nil, "Helper")
	sub := p.CreateFolder(nil, agent, "Knowledge")
	file := p.Upload(nil, agent, "x")[0]
	before := p.Count(agent)
	p.Move(nil, file, sub)
	if got := p.Count(agent) - before; got != 2 {
		t.Errorf("%d rows, want both halves", got)
	}
}

func TestCopyingAFolderTellsEveryEntryInIt(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	a, b := p.CreateRoom(nil, "A"), p.CreateRoom(nil, "B")
	sub := p.CreateFolder(nil, a, "Sub")
	p.Upload(nil, sub, "x", "y")
	before := p.Count(b)
	twin := p.Copy(nil, sub, b)
	if got := p.Count(b) - before; got != 3 || len(p.Files(twin)) != 2 {
		t.Errorf("%d rows and %d files, want 3 and 2", got, len(p.Files(twin)))
	}
}

func TestPurgingChangesOldRows(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	ana := p.AddUser("Ana", "ana@example.com")
	room := p.CreateRoom(nil, "Sales")
	sub := p.CreateFolder(nil, room, "Sub")
	file := p.Upload(nil, room, "x.docx")[0]
	rows := p.Count(room)
	p.PurgeFile(file)
	if data := string(read(t, p, room, "count=1").Response[0].Data); !strings.HasSuffix(data, `"id":0}`) || !strings.Contains(data, "fileid=0") {
		t.Errorf("the file still has an id: %s", data)
	}
	p.PurgeFolder(sub)
	if answer, _ := get(t, p, logPath(sub)); answer.StatusCode != http.StatusNotFound {
		t.Errorf("log of a purged folder: %d, want 404", answer.StatusCode)
	}
	if p.Count(room) != rows {
		t.Errorf("the room has %d rows, want its %d", p.Count(room), rows)
	}
	p.InviteUser(ana, room, ana, "Viewer")
	p.ChangeAccess(ana, room, ana, "Editor")
	p.RemoveUser(ana)
	changed := read(t, p, room, "count=1").Response[0]
	if changed.Initiator.ID != lostUserID || changed.Initiator.DisplayName != "profile removed" {
		t.Errorf("initiator %+v, want the lost user", changed.Initiator)
	}
	want := `{"user":{"id":"00000000-0000-0000-0000-000000000000","displayName":"Ana","hasAvatar":false,"isAnonim":false},"access":"Editor"}`
	if string(changed.Data) != want {
		t.Errorf("data %s, want %s", changed.Data, want)
	}
}

func TestARenamedUserLooksDifferentInOldRowsAndIsEncoded(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	ana := p.AddUser("Ana", "ana+x@example.com")
	room := p.CreateRoom(ana, "Sales")
	p.RenameUser(ana, `Ané O'Neil <b> 🦊`)
	got := read(t, p, room, "").Response[0].Initiator
	if want := "An&#233; O&#39;Neil &lt;b&gt; &#129418;"; got.DisplayName != want {
		t.Errorf("display name %q, want %q", got.DisplayName, want)
	}
	if want := "/accounts/people/filter?search=ana%2Bx%40example.com"; !strings.HasSuffix(got.ProfileURL, want) {
		t.Errorf("profile %q, want …%s", got.ProfileURL, want)
	}
}

func TestAnExternalEditorIsATypedNameOnlyWhenSaving(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	file := p.Upload(p.External("Bob"), room, "x")[0]
	p.Update(p.External("Bob"), file)
	p.Update(p.External("Anonymous"), file)
	var got []string
	for _, e := range read(t, p, room, "count=3").Response {
		got = append(got, e.Initiator.ID[:8]+" "+e.Initiator.DisplayName)
	}
	if diff := cmp.Diff([]string{"00000000 Anonymous", "00000000 Bob (External user)", "712d9ec3 guest"}, got); diff != "" {
		t.Errorf("initiators (-want +got):\n%s", diff)
	}
}

func TestTheHourSkippedInSpringIsShownAnHourLate(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{Now: at(noon), TimeZone: berlin})
	room := p.CreateRoom(nil, "Sales")
	for instant, want := range map[string]string{
		"2026-03-29T01:59:59Z": "2026-03-29T03:59:59.0000000+02:00",
		"2026-03-29T02:30:00Z": "2026-03-29T05:30:00.0000000+02:00",
		"2026-03-29T03:00:00Z": "2026-03-29T05:00:00.0000000+02:00",
		"2026-01-15T12:00:00Z": "2026-01-15T13:00:00.0000000+01:00",
	} {
		when, err := time.Parse(time.RFC3339, instant)
		if err != nil {
			t.Fatal(err)
		}
		p.Record(Action{Code: 5072, Folder: room, Entry: room, At: when})
		if got := read(t, p, room, "count=1").Response[0].Date; got != want {
			t.Errorf("%s is shown as %s, want %s", instant, got, want)
		}
	}
	p.SetTimeZone(time.UTC)
	if got := read(t, p, room, "count=1").Response[0].Date; !strings.HasSuffix(got, "0000000Z") {
		t.Errorf("date %s after moving to UTC", got)
	}
}

func TestALateRowAppearsBelowTheTop(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	publish := p.Reserve(Action{Code: 5072, Folder: room, Entry: room})
	p.SetLogo(nil, room)
	before := ids(read(t, p, room, "").flat())
	publish()
	publish()
	after := ids(read(t, p, room, "").flat())
	if len(before) != 2 || len(after) != 3 || after[0] != before[0] || after[1] >= before[0] || after[2] != before[1] {
		t.Errorf("before %v, after %v: want one row more, in the middle", before, after)
	}
}

func TestARedeliveredRowHasTheContentAndANewID(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	sub := p.CreateFolder(nil, room, "Sub")
	p.Upload(nil, sub, "x")
	id := p.Redeliver(p.Rows(room)[2].ID)
	for _, folder := range []int{room, sub} {
		rows := p.Rows(folder)
		was, is := rows[len(rows)-2], rows[len(rows)-1]
		if is.ID != id || id <= was.ID {
			t.Fatalf("ids %d and %d, want %d last", was.ID, is.ID, id)
		}
		if is.ID = was.ID; is != was {
			t.Errorf("%+v, want %+v", is, was)
		}
	}
	if p.Redeliver(1) != 0 {
		t.Error("a row that never was, was delivered again")
	}
}

func TestAPortalPutBackGivesIDsOutAgain(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.SetLogo(nil, room)
	id := p.Rows(room)[1].ID
	p.Upload(nil, room, make([]string, 600)...)
	newest := p.Rows(room)[601].ID
	p.Rewind(id)
	if p.Count(room) != 2 {
		t.Fatalf("%d rows, want 2", p.Count(room))
	}
	p.SetLogo(nil, room)
	if got := p.Rows(room)[2].ID; got <= id || got >= newest {
		t.Errorf("next id %d, want one between %d and %d", got, id, newest)
	}
	p.Prune(room, 2)
	if p.Count(room) != 1 {
		t.Errorf("%d rows after pruning, want 1", p.Count(room))
	}
}

func TestRowsRecordedBetweenTheTwoStatementsAreOnThePageOnly(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.Between(func(folder int) {
		p.Between(nil)
		p.SetLogo(nil, folder)
	})
	if got := read(t, p, room, ""); got.Total != 1 || got.Count != 1 || len(got.flat()) != 2 {
		t.Errorf("total %d, count %d, %d rows; want 1, 1, 2", got.Total, got.Count, len(got.flat()))
	}
	p.AfterPage(func(folder, start int) {
		p.AfterPage(nil)
		p.SetLogo(nil, folder)
	})
	if got := read(t, p, room, ""); got.Total != 2 || len(got.flat()) != 2 || p.Count(room) != 3 {
		t.Errorf("total %d, %d rows of %d; want 2, 2, 3", got.Total, len(got.flat()), p.Count(room))
	}
}

func TestADroppedRowCountsAndIsNotShown(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.Record(Action{Code: 5072, Folder: room, Entry: room, Unexplained: true})
	if got := read(t, p, room, ""); got.Total != 2 || got.Count != 2 || len(got.flat()) != 1 {
		t.Errorf("total %d, count %d, %d rows; want 2, 2, 1", got.Total, got.Count, len(got.flat()))
	}
}

func TestOnlyThePortalsOwnGroupsSayThatTheyAre(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.2.1", "3.7.2"} {
		p := New(Options{Version: version, Now: at(noon)})
		room := p.CreateRoom(nil, "Sales")
		p.AddGroup(nil, room, p.NewGroup("QA"), "Viewer")
		p.AddGroup(nil, room, p.Everyone(), "Viewer")
		_, body := get(t, p, logPath(room))
		system, other := strings.Count(body, `"name":"Everyone","isSystem":true`), strings.Count(body, `"name":"QA","isSystem":false`)
		if told := version == "3.7.2"; (system == 1) != told || (other == 1) != told {
			t.Errorf("%s tells of %d groups that they are the system's, of %d that they are not: %s", version, system, other, body)
		}
	}
}

func TestCodesAndFieldsOfALaterServerAreShown(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.Record(Action{Code: 5161, Key: "RoomFrozen", Folder: room, Entry: room, Title: "Sales"})
	p.Record(Action{Code: 5205, Folder: room, Entry: room, Title: "Sales"})
	got := read(t, p, room, "").Response
	if got[0].Action.ID != 5205 || got[0].Action.Key != "" || got[1].Action.ID != 5161 || got[1].Action.Key != "RoomFrozen" {
		t.Errorf("actions %+v and %+v", got[0].Action, got[1].Action)
	}
	p.ExtraFields(true)
	p.DateObjects(true)
	p.HideIDs(true)
	_, body := get(t, p, logPath(room))
	for _, want := range []string{`"severity":3`, `"retention":{"held":true}`, `"traceId"`, `"date":{"utcTime":"2026-03-02T12:04:05.0000000Z","timeZoneOffset":"00:00:00"}`, `{"response":[{"action":`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

// However people act and wherever pages are cut: the pages hold each row once.
func TestPagesHoldEveryRowOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		now := noon
		p := New(Options{Now: func() time.Time { return now }})
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		p.Populate(rng, 2)
		for range rapid.IntRange(0, 150).Draw(r, "acts") {
			now = now.Add(time.Duration(rng.IntN(20)) * time.Second)
			p.Act(rng)
		}
		count := rapid.IntRange(1, 100).Draw(r, "count")
		for _, room := range p.Rooms() {
			var got []int64
			for start := 0; start < p.Count(room); start += count {
				got = append(got, ids(read(t, p, room, fmt.Sprintf("startIndex=%d&count=%d", start, count)).flat())...)
			}
			slices.Sort(got)
			if diff := cmp.Diff(truth(p, room), got); diff != "" {
				r.Fatalf("room %d (-want +got):\n%s", room, diff)
			}
		}
	})
}

// The spans only save work: a window holds what a look at every row would find.
func TestADateWindowHoldsExactlyItsRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var h history
		dates := rapid.SliceOfN(rapid.Int64Range(0, 500), 1, 2000).Draw(r, "dates")
		order := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "order"), 0)).Perm(len(dates))
		if rapid.Bool().Draw(r, "in order") {
			slices.Sort(order)
		}
		for _, i := range order {
			h.add(&row{id: int64(i), date: dates[i]})
		}
		window := span{rapid.Int64Range(-1, 500).Draw(r, "from"), rapid.Int64Range(0, 501).Draw(r, "to")}
		start, count := rapid.IntRange(0, 600).Draw(r, "start"), rapid.IntRange(1, 100).Draw(r, "count")
		var all []int64
		for i := len(dates) - 1; i >= 0; i-- {
			if window.holds(dates[i]) {
				all = append(all, int64(i))
			}
		}
		if got := h.count(window); got != len(all) {
			r.Fatalf("counted %d, want %d", got, len(all))
		}
		var got []int64
		for _, x := range h.page(nil, window, start, count) {
			got = append(got, x.id)
		}
		want := all[min(start, len(all)):min(start+count, len(all))]
		if !slices.Equal(got, want) {
			r.Fatalf("page %v, want %v", got, want)
		}
	})
}

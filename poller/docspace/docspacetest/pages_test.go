package docspacetest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/pages")

// A playbook is one fixed story, told to a portal of each version: everything a
// log can hold, with a minute between two acts and a second within one.
type playbook struct {
	p     *Portal
	clock time.Time
	room  int
}

func (b *playbook) tick(d time.Duration) { b.clock = b.clock.Add(d) }

// acts does one thing after another.
func (b *playbook) acts(all ...func()) {
	for _, act := range all {
		b.tick(time.Minute)
		act()
	}
}

func play(version string) *playbook {
	b := &playbook{clock: noon.Truncate(time.Minute)}
	b.p = New(Options{Version: version, TimeZone: time.FixedZone("Moscow", 3*3600), Now: func() time.Time { return b.clock }})
	p := b.p
	mike := known(p, "4c65a238-ca50-4374-b904-0d51d4c1822b", "Mike O'Neil", "mike@example.com")
	p.SetTitle(mike, "Head of sales")
	ana := p.AddUser("Ana", "ana@example.com")
	bob := p.AddUser("Bob", "bob@example.com")
	eve := p.AddGuest("Eve", "eve@partner.example")
	group := Group{ID: "8b1f6a9c-2f7e-4f0b-8c55-0a4de5b0d9aa", Name: "QA"}
	other := p.CreateRoom(mike, "Elsewhere")
	b.tick(time.Minute)
	room := p.CreateRoom(mike, "Sales")
	b.room = room
	var contracts, done, plan, sheet, gone int
	var link string
	b.acts(
		func() { contracts = p.CreateFolder(mike, room, "Contracts") },
		func() { done = p.CreateFolder(mike, room, "Done") },
		func() { plan = p.Upload(eve, contracts, "Plan.docx")[0] },
		func() { p.Upload(nil, room, "a.png"); b.tick(time.Second); p.Upload(nil, room, "b.png") },
		func() { sheet = p.Create(mike, contracts, "Budget.xlsx") },
		func() { p.UploadOver(nil, plan) },
		func() { p.Update(mike, plan) },
		func() { p.Update(p.External("Kim"), plan) },
		func() { p.RestoreVersion(nil, plan, 3) },
		func() { p.RemoveVersion(nil, plan, 2) },
		func() { p.Rename(nil, plan, "Plan 2.docx") },
		func() { p.Lock(nil, plan) }, func() { p.Unlock(nil, plan) },
		func() { p.EnableCustomFilter(nil, sheet) }, func() { p.DisableCustomFilter(nil, sheet) },
		func() { p.Convert(nil, plan, "Plan.pdf") },
		func() { p.ReorderFile(nil, plan, 3) }, func() { p.ReorderFile(nil, plan, 5) }, func() { p.ReorderFolder(nil, contracts, 1) },
		func() { p.ReorderContents(nil, room) },
		func() { p.OpenForm(nil, plan) }, func() { p.SubmitForm(nil, plan) }, func() { p.StartForm(nil, plan) },
		func() { p.FillFormPart(nil, plan) }, func() { p.CompleteForm(nil, plan) }, func() { p.StopForm(nil, plan) },
		func() { p.SaveOverUserQuota(nil, plan) }, func() { p.SaveOverRoomQuota(nil, plan) },
		func() { p.RefuseOverUserQuota(nil, room, "Big.mp4") }, func() { p.RefuseOverRoomQuota(nil, room, "Big.mp4") },
		func() { p.Move(nil, plan, done) }, func() { p.MoveOver(nil, plan, other) },
		func() { p.Copy(nil, sheet, room) }, func() { p.CopyOver(nil, sheet, other) },
		func() { p.Move(nil, done, contracts) }, func() { p.Copy(nil, done, other) }, func() { p.CopyOver(nil, done, other) },
		func() {
			p.Record(Action{Code: 5024, Folder: room, To: room, From: contracts, Entry: done, Title: "Done"})
		},
		func() { p.Rename(nil, contracts, "Deals") }, func() { p.RenameRoom(nil, room, "Sales room") },
	)
	b.acts(
		func() { p.InviteUser(nil, room, ana, "Viewer") }, func() { p.InviteUser(nil, room, eve, "閲覧者") },
		func() { p.InviteUser(nil, room, bob, "Editor") }, func() { p.ChangeAccess(nil, room, bob, "Viewer") },
		func() { p.ChangeAccess(mike, room, mike, "Editor") }, func() { p.ResendInvite(nil, room, ana) },
		func() { p.RemoveMember(nil, room, ana) },
		func() { p.AddGroup(nil, room, group, "Editor") }, func() { p.ChangeGroupAccess(nil, room, group, "Viewer", "Editor") },
		func() { p.RemoveGroup(nil, room, group) },
		func() { p.AddTags(nil, room, "alpha", "b, c") }, func() { p.RemoveTags(nil, room, "alpha") },
		func() { link = p.CreateLink(nil, room, "Shared link", "Viewer") }, func() { p.RenameLink(nil, room, link, "Partners") },
		func() { link = p.RevokeLink(nil, room, link, "New link") }, func() { p.DeleteLink(nil, room, link) },
		func() { p.SetLogo(System(), room) }, func() { p.RemoveLogo(Guest(), room) },
		func() { p.ChangeColor(nil, room) }, func() { p.ChangeCover(nil, room) }, func() { p.ExportIndex(nil, room) },
		func() { p.DenyDownload(nil, room) }, func() { p.AllowDownload(nil, room) },
		func() { p.SetWatermark(nil, room) }, func() { p.RemoveWatermark(nil, room) },
		func() { p.EnableIndexing(nil, room) }, func() { p.DisableIndexing(nil, room) },
		func() { p.SetLifeTime(nil, room, LifeTime{Value: 12, DeletePermanently: true}) }, func() { p.DisableLifeTime(nil, room) },
		func() { p.Archive(nil, room) }, func() { p.Unarchive(nil, room) },
		func() { p.ChangeOwner(nil, room, mike) },
		// What another log would show, so that one page has it all.
		func() { p.Record(Action{Code: 5100, Folder: room, Entry: room, Title: "Copy"}) },
		func() { p.Record(Action{Code: 5154, Folder: room, Entry: room, Title: "Helper"}) },
		func() { p.Record(Action{Code: 5155, Folder: room, Entry: room, Title: "Helper", Note: "Bot"}) },
		func() {
			p.Record(Action{Code: 5161, Key: "OfALaterVersion", Folder: room, Entry: room, Title: "Sales room"})
		},
		func() { gone = p.Upload(nil, room, "gone.txt")[0] }, func() { p.PurgeFile(gone) },
		func() { gone = p.Upload(nil, done, "deleted.txt")[0]; b.tick(time.Second); p.Delete(nil, gone) },
		func() { p.Trash(nil, sheet) }, func() { p.Trash(nil, done) },
		func() { p.Delete(nil, contracts) },
		func() { p.RemoveUser(bob) },
	)
	return b
}

// body is the page that shows it all, one entry to a line.
func (b *playbook) body(t *testing.T) []byte {
	t.Helper()
	answer, body := getAs(t, b.p, signIn(t, b.p, b.p.Password()), logPath(b.room)+"?startIndex=0&count=100")
	if answer.StatusCode != 200 {
		t.Fatalf("%d %s", answer.StatusCode, body)
	}
	rest := strings.LastIndex(body, `],"count":`)
	var entries []jsontext.Value
	if err := json.Unmarshal([]byte(strings.TrimPrefix(body[:rest+1], `{"response":`)), &entries); err != nil {
		t.Fatal(err)
	}
	var lined bytes.Buffer
	lined.WriteString(`{"response":[`)
	for i, e := range entries {
		lined.WriteString([]string{"\n", ",\n"}[min(i, 1)])
		lined.Write(e)
	}
	lined.WriteString("\n" + body[rest:] + "\n")
	return lined.Bytes()
}

func TestEachVersionSendsThePageOnRecord(t *testing.T) {
	t.Parallel()
	for _, version := range Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			got := play(version).body(t)
			file := filepath.Join("testdata", "pages", version+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
				t.Errorf("page differs from the record (-want +got):\n%s", diff)
			}
		})
	}
}

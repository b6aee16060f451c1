package poller

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

// What the schemas say is always there, is there: whatever people do, in every
// server version, in every privacy mode, with files purged and people removed
// since, by people and under titles nobody can show.
func TestEveryEventOfRandomHistoriesKeepsTheContract(t *testing.T) {
	t.Parallel()
	contract := schematest.Compile(t)
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	const modes = 4
	seen, events := make(map[int]bool), 0
	for i, version := range docspacetest.Versions()[1:] { // the first is refused
		entries := randomEntries(t, version, first+uint64(i))
		for mode, privacy := range [modes]schema.Privacy{schema.Standard, schema.Full, schema.Pseudonymous(goldenKey), schema.Minimal(goldenKey)} {
			feed := goldenFeed
			feed.Privacy, feed.Raw = privacy, schema.RawMode(i%3)
			for at, e := range entries {
				if raced && at%modes != mode {
					continue // what is made of a row is nobody else's: each mode has its share
				}
				event := feed.Event(e, i, schema.Backfill, i%2 == 0, recorded)
				encoded := event.Encode()
				if err := contract.Judge(encoded); err != nil {
					t.Fatalf("seed %d, %s, %v: %v\n%s\nof %s", first, version, privacy, err, encoded, e.Raw)
				}
				if blocks := undescribed(t, contract, encoded); len(blocks) > 0 {
					t.Fatalf("seed %d, %s: the schema of its family does not describe %v\n%s", first, version, blocks, encoded)
				}
				seen[e.Action.Code] = true
				events++
			}
		}
	}
	t.Logf("%d events of %d actions", events, len(seen))
	for action := range schema.Catalogue() {
		if action.Tracked && action.ReportedAs == 0 && !seen[action.Code] {
			t.Errorf("nobody did %d %s", action.Code, action.Key)
		}
	}
}

// A row can lack what rows of its kind always tell. Then its event says so, and
// the contract promises nothing about it.
func TestTheEventOfARowThatTellsNothingKeepsTheContract(t *testing.T) {
	t.Parallel()
	contract := schematest.Compile(t)
	for action := range schema.Catalogue() {
		if !action.InLog() {
			continue
		}
		for _, data := range []docspace.Data{{}, {ID: "0", ToFolderID: "0", Title: "Plan", OldTitle: "Plan", Version: new(int)}, {ID: "\u202e", User: &docspace.User{}}} {
			for _, privacy := range modes {
				feed := goldenFeed
				feed.Privacy = privacy
				row := docspace.Entry{ID: 1, Date: recorded, Data: data, Raw: jsontext.Value(`{"id":1}`)}
				row.Action.Code, row.Action.Name = action.Code, action.Key
				event := feed.Event(row, 0, schema.Live, false, recorded)
				if err := contract.Judge(event.Encode()); err != nil {
					t.Errorf("%s, %s of %+v: %v", privacy, action.Key, data, err)
				}
				if told := event.Data.Malformed != ""; told != (event.Data.Raw != "") && privacy.ShowsRaw() {
					t.Errorf("%s, %s of %+v: malformed is %q, raw %q", privacy, action.Key, data, event.Data.Malformed, event.Data.Raw)
				}
			}
		}
	}
}

// randomEntries is what the portal shows of a few rooms where people did many
// things.
func randomEntries(t *testing.T, version string, seed uint64) []docspace.Entry {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	r := newRigOf(t, docspacetest.Options{Seed: seed, Version: version}, Options{})
	r.portal.ExtraFields(rng.IntN(2) == 0)
	r.portal.DateObjects(rng.IntN(4) == 0)
	r.portal.Populate(rng, 3)
	var agents []int
	if agent := r.portal.CreateAgent(nil, "Helper"); agent != 0 { // older versions have none
		r.portal.RenameRoom(nil, agent, "Other helper")
		agents = append(agents, agent)
	}
	nameless := r.portal.AddGuest("\u202e", "nameless@example.com")
	for range 600 {
		r.portal.Act(rng)
		if rng.IntN(60) == 0 {
			doEverything(r.portal, rng, nameless)
		}
	}
	r.portal.RemoveUser(nameless)
	var entries []docspace.Entry
	for _, room := range append(r.portal.Rooms(), agents...) {
		entries = append(entries, everyEntry(t, r.client, room)...)
	}
	return entries
}

// doEverything has somebody do all there is to do in a room, under titles that
// may be nothing but what the rule for texts leaves out, and purges some of what
// it was done to.
func doEverything(p *docspacetest.Portal, rng *rand.Rand, who *docspacetest.User) {
	rooms := p.Rooms()
	room, title := rooms[rng.IntN(len(rooms))], "Plan 7.pdf"
	if rng.IntN(2) == 0 {
		title = "\u202e\u2066"
	}
	change := func(verbs ...func(*docspacetest.User, int)) {
		for _, verb := range verbs {
			verb(who, room)
		}
	}
	change(p.SetLogo, p.RemoveLogo, p.ChangeColor, p.ChangeCover, p.ExportIndex, p.DenyDownload, p.AllowDownload,
		p.SetWatermark, p.RemoveWatermark, p.EnableIndexing, p.DisableIndexing, p.DisableLifeTime)
	p.SetLifeTime(who, room, docspacetest.LifeTime{Value: rng.IntN(3), Period: rng.IntN(4)})
	p.InviteUser(nil, room, who, title)
	p.ChangeAccess(nil, room, who, title)
	p.ResendInvite(nil, room, who)
	p.ChangeOwner(nil, room, who)
	p.ChangeOwner(who, room, p.Owner())
	p.RemoveMember(nil, room, who)
	group := p.NewGroup(title)
	p.AddGroup(who, room, group, title)
	p.ChangeGroupAccess(who, room, group, title, title)
	p.RemoveGroup(who, room, group)
	p.AddTags(who, room, title)
	p.RemoveTags(who, room, title)
	link := p.CreateLink(who, room, title, title)
	p.RenameLink(who, room, link, title)
	p.DeleteLink(who, room, p.RevokeLink(who, room, link, title))

	folder, other := p.CreateFolder(who, room, title), p.CreateFolder(who, room, title)
	p.Rename(who, folder, title+title)
	p.Move(who, other, folder)
	p.Copy(who, other, room)
	p.ReorderFolder(who, folder, 2)
	p.ReorderContents(who, folder)
	p.Delete(who, other)

	file := p.Upload(who, folder, title)[0]
	p.Rename(who, file, title+title)
	p.Move(who, file, room)
	p.Copy(who, file, folder)
	p.RemoveVersion(who, file, 1)
	p.Convert(who, file, title)
	p.RefuseOverUserQuota(who, folder, title)
	p.RefuseOverRoomQuota(who, folder, title)
	p.ReorderFile(who, file, 3)
	for _, verb := range []func(*docspacetest.User, int){
		p.EnableCustomFilter, p.DisableCustomFilter, p.OpenForm, p.SubmitForm, p.StartForm, p.FillFormPart,
		p.CompleteForm, p.StopForm, p.SaveOverUserQuota, p.SaveOverRoomQuota, p.Lock, p.Unlock, p.UploadOver,
	} {
		verb(who, file)
	}
	p.RestoreVersion(who, file, 1)
	if rng.IntN(2) == 0 {
		p.PurgeFile(file)
	}
	p.Trash(who, folder)
	p.Archive(who, room)
	p.Unarchive(who, room)
	p.CopyRoom(who, room, title)
}

func everyEntry(t *testing.T, client *docspace.Client, folder int) []docspace.Entry {
	t.Helper()
	var all []docspace.Entry
	for start := 0; ; start += docspace.MaxPage {
		page, err := client.History(t.Context(), folder, docspace.Query{Start: start, Count: docspace.MaxPage})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Entries...)
		if start+docspace.MaxPage >= page.Total {
			return all
		}
	}
}

// undescribed are the blocks of a known, well-formed event that the schema of
// its family does not mention.
func undescribed(t *testing.T, contract schematest.Contract, encoded []byte) []string {
	t.Helper()
	var event struct {
		Data map[string]jsontext.Value `json:"data"`
	}
	if err := json.Unmarshal(encoded, &event); err != nil {
		t.Fatal(err)
	}
	var action schema.ActionRef
	if err := json.Unmarshal(event.Data["action"], &action); err != nil {
		t.Fatal(err)
	}
	properties := contract.Schema(schema.FamilyOf(action.Category)).Properties
	return slices.DeleteFunc(slices.Sorted(maps.Keys(event.Data)), func(block string) bool { return properties[block] != nil })
}

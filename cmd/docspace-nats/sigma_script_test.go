package main

import (
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
)

// A person acts on a stage. The words of scenarios are these methods: what
// somebody does, each time to a file or folder nobody has touched, in "Sales"
// unless they say where.
type person string

const (
	ada     person = "" // owns the portal
	mallory person = "Mallory"
	eve     person = "Eve"
	anybody person = "anybody" // came by a link, without an account
)

// repeat lets acts happen in turn, n in all, with this much time after each.
func repeat(n int, pace time.Duration, acts ...act) act {
	return func(s *stage) {
		for i := range n {
			acts[i%len(acts)](s)
			pause(pace)(s)
		}
	}
}

// pause lets time pass.
func pause(d time.Duration) act {
	return func(s *stage) { s.now.Add(int64(d / time.Second)) }
}

// polled has the connector store what happened so far.
func polled(s *stage) { s.watch() }

// next takes something off the stock.
func (s *stage) next(kind string) int {
	left := s.stock[kind]
	if len(left) == 0 {
		s.t.Fatalf("no %s left for the scenario", kind)
	}
	s.stock[kind] = left[1:]
	return left[0]
}

// on returns an act of this person on something fresh.
func (p person) on(kind string, do func(*docspacetest.Portal, *docspacetest.User, int)) act {
	return func(s *stage) { do(s.portal, s.people[p], s.next(kind)) }
}

// in returns an act of this person on a room.
func (p person) in(room string, do func(*docspacetest.Portal, *docspacetest.User, int)) act {
	return func(s *stage) { do(s.portal, s.people[p], s.rooms[room]) }
}

func (p person) deletes() act      { return p.on("file", (*docspacetest.Portal).Delete) }
func (p person) deletesDraft() act { return p.on("draft", (*docspacetest.Portal).Delete) }
func (p person) trashes() act      { return p.on("file", (*docspacetest.Portal).Trash) }

func (p person) deletesFolder() act { return p.on("folder", (*docspacetest.Portal).Delete) }
func (p person) trashesFolder() act { return p.on("folder", (*docspacetest.Portal).Trash) }

func (p person) removesVersion() act {
	return p.on("file", func(portal *docspacetest.Portal, by *docspacetest.User, file int) { portal.RemoveVersion(by, file, 1) })
}

func (p person) rewrites() act      { return p.on("file", (*docspacetest.Portal).UploadOver) }
func (p person) rewritesDraft() act { return p.on("draft", (*docspacetest.Portal).UploadOver) }

func (p person) uploads(title string) act {
	return func(s *stage) { s.portal.Upload(s.people[p], s.rooms["Sales"], title) }
}

// rewritesAgain saves the file that is next, and leaves it next.
func (p person) rewritesAgain(s *stage) { s.portal.UploadOver(s.people[p], s.stock["file"][0]) }

// renames gives files another ending.
func (p person) renames(ending string) act      { return p.renaming("file", ending) }
func (p person) renamesDraft(ending string) act { return p.renaming("draft", ending) }

func (p person) renaming(kind, ending string) act {
	return p.on(kind, func(portal *docspacetest.Portal, by *docspacetest.User, file int) {
		portal.Rename(by, file, "Offer"+ending)
	})
}

// renamesToEach renames a file to each of these types.
func (p person) renamesToEach(types []string) act {
	return func(s *stage) {
		for _, ending := range types {
			p.renames("." + ending)(s)
		}
	}
}

// renamesAgain renames the file that is next, and leaves it next.
func (p person) renamesAgain(ending string) act {
	return func(s *stage) {
		s.portal.Rename(s.people[p], s.stock["file"][0], "Offer"+strings.Repeat("!", len(s.stock["file"]))+ending)
	}
}

func (p person) moves(to string) act       { return p.moving("file", to) }
func (p person) movesFolder(to string) act { return p.moving("folder", to) }
func (p person) movesDraft(to string) act  { return p.moving("draft", to) }

func (p person) moving(kind, to string) act {
	return func(s *stage) { s.portal.Move(s.people[p], s.next(kind), s.rooms[to]) }
}

func (p person) copies(to string) act {
	return func(s *stage) { s.portal.Copy(s.people[p], s.next("file"), s.rooms[to]) }
}

func (p person) copiesFolder(to string) act {
	return func(s *stage) { s.portal.Copy(s.people[p], s.next("folder"), s.rooms[to]) }
}

func (p person) createsLink(room string) act {
	return p.in(room, func(portal *docspacetest.Portal, by *docspacetest.User, room int) {
		portal.CreateLink(by, room, "Auditors", "Viewer")
	})
}

// unlinks renames, revokes and deletes a link that was there all along.
func unlinks(p person) act {
	return p.in("Sales", func(portal *docspacetest.Portal, by *docspacetest.User, room int) {
		const link = "0f3c2a44-8f0b-4d0c-bb1e-3a3c4f9f2d10"
		portal.RenameLink(by, room, link, "Accountants")
		portal.DeleteLink(by, room, portal.RevokeLink(by, room, link, "Accountants"))
	})
}

func (p person) adds(member person, room string) act {
	return func(s *stage) { s.portal.InviteUser(s.people[p], s.rooms[room], s.people[member], "Viewer") }
}

func (p person) addsGroup(of func(*stage) docspacetest.Group, room string) act {
	return func(s *stage) { s.portal.AddGroup(s.people[p], s.rooms[room], of(s), "Viewer") }
}

func (p person) changesGroup(of func(*stage) docspacetest.Group) act {
	return func(s *stage) {
		s.portal.ChangeGroupAccess(s.people[p], s.rooms["Sales"], of(s), "Editor", "Viewer")
	}
}

func (p person) removesGroup(of func(*stage) docspacetest.Group) act {
	return func(s *stage) { s.portal.RemoveGroup(s.people[p], s.rooms["Sales"], of(s)) }
}

func everyone(s *stage) docspacetest.Group { return s.portal.Everyone() }
func qa(s *stage) docspacetest.Group       { return s.qa }

func (p person) raises(member person) act {
	return func(s *stage) {
		s.portal.ChangeAccess(s.people[p], s.rooms["Sales"], s.people[member], "Content creator")
	}
}

func (p person) removes(member person) act {
	return func(s *stage) { s.portal.RemoveMember(s.people[p], s.rooms["Sales"], s.people[member]) }
}

func (p person) reinvites(member person) act {
	return func(s *stage) { s.portal.ResendInvite(s.people[p], s.rooms["Sales"], s.people[member]) }
}

func (p person) handsOver(owner person) act {
	return func(s *stage) { s.portal.ChangeOwner(s.people[p], s.rooms["Sales"], s.people[owner]) }
}

func (p person) allowsDownload(room string) act {
	return p.in(room, (*docspacetest.Portal).AllowDownload)
}
func (p person) deniesDownload() act         { return p.in("Sales", (*docspacetest.Portal).DenyDownload) }
func (p person) setsWatermark() act          { return p.in("Sales", (*docspacetest.Portal).SetWatermark) }
func (p person) removesWatermark() act       { return p.in("Sales", (*docspacetest.Portal).RemoveWatermark) }
func (p person) archives() act               { return p.in("Sales", (*docspacetest.Portal).Archive) }
func (p person) unarchives() act             { return p.in("Sales", (*docspacetest.Portal).Unarchive) }
func (p person) exportsIndex() act           { return p.in("Sales", (*docspacetest.Portal).ExportIndex) }
func (p person) enablesIndex() act           { return p.in("Sales", (*docspacetest.Portal).EnableIndexing) }
func (p person) limitsLife(forGood bool) act { return p.in("Sales", lifeTime(forGood)) }
func (p person) unlimitsLife() act           { return p.in("Sales", (*docspacetest.Portal).DisableLifeTime) }

func lifeTime(forGood bool) func(*docspacetest.Portal, *docspacetest.User, int) {
	return func(portal *docspacetest.Portal, by *docspacetest.User, room int) {
		portal.SetLifeTime(by, room, docspacetest.LifeTime{Value: 7, DeletePermanently: forGood})
	}
}

func (p person) copiesRoom(s *stage)  { s.portal.CopyRoom(s.people[p], s.rooms["Sales"], "Sales 2") }
func (p person) createsRoom(s *stage) { s.portal.CreateRoom(s.people[p], "Finance") }

// createsAgentInSecret tells the connector nothing.
func (p person) createsAgentInSecret(s *stage) { s.portal.CreateAgent(s.people[p], "Agent") }

// createsAgent has the connector watch the agent, which is in no list of rooms.
func (p person) createsAgent(s *stage) { s.agent(p) }

func (s *stage) agent(by person) int {
	if s.rooms["agent"] == 0 {
		s.rooms["agent"] = s.portal.CreateAgent(s.people[by], "Agent")
		s.cfg.DocSpace.Folders = append(s.cfg.DocSpace.Folders, s.rooms["agent"])
	}
	return s.rooms["agent"]
}

func (p person) opensForm() act   { return p.filling("file", (*docspacetest.Portal).OpenForm) }
func (p person) submitsForm() act { return p.filling("file", (*docspacetest.Portal).SubmitForm) }
func (p person) opensDraft() act  { return p.filling("draft", (*docspacetest.Portal).OpenForm) }

// filling acts on the same form every time.
func (p person) filling(kind string, do func(*docspacetest.Portal, *docspacetest.User, int)) act {
	return func(s *stage) { do(s.portal, s.people[p], s.stock[kind][0]) }
}

func (p person) exceedsQuota(room string) act {
	return p.in(room, func(portal *docspacetest.Portal, by *docspacetest.User, room int) {
		portal.RefuseOverUserQuota(by, room, "Film.mp4")
	})
}

func (p person) exceedsRoomQuota(room string) act {
	return p.in(room, func(portal *docspacetest.Portal, by *docspacetest.User, room int) {
		portal.RefuseOverRoomQuota(by, room, "Film.mp4")
	})
}

func (p person) savesOverQuota() act { return p.on("file", (*docspacetest.Portal).SaveOverUserQuota) }

// What happens to the connector.

// denied closes a room to the connector.
func denied(s *stage) {
	s.portal.Fail(docspacetest.Fault{Folder: s.rooms["Sales"], Times: -1, Do: docspacetest.AccessDenied()})
}

// failing lets the portal fail as a whole.
func failing(s *stage) { s.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.ServerError()}) }

// healed ends whatever keeps the connector from reading.
func healed(s *stage) { s.portal.Calm() }

// restored puts the portal back to a backup ten rows old.
func restored(s *stage) {
	rows := s.portal.Rows(s.rooms["Sales"])
	s.portal.Rewind(rows[len(rows)-10].ID)
}

// poisoned makes the newest row one the portal cannot render.
func poisoned(s *stage) {
	s.portal.Upload(nil, s.rooms["Sales"], "Poison.docx")
	s.portal.PoisonAt(s.rooms["Sales"], 0, 500)
}

// overtaken lets a row become visible after more rows than are remembered.
func overtaken(s *stage) {
	sales := s.rooms["Sales"]
	publish := s.portal.Reserve(docspacetest.Action{Code: 5072, Folder: sales, Entry: sales, Title: "Sales"})
	s.portal.Fill(sales, 3000, 1)
	s.watch()
	s.forgetEvents()
	publish()
}

// forgetEvents drops the folder's oldest events, so that nobody can tell late
// rows from stored ones.
func (s *stage) forgetEvents() {
	subject := s.cfg.NATS.SubjectPrefix + ".folder.>"
	if err := s.stream.Purge(s.t.Context(), jetstream.WithPurgeSubject(subject), jetstream.WithPurgeKeep(100)); err != nil {
		s.t.Fatal(err)
	}
}

// pruned removes the oldest rows of a log.
func pruned(s *stage) { s.portal.Prune(s.rooms["Sales"], 5) }

// unmarked removes all marks and their copy.
func unmarked(s *stage) {
	if err := s.js.DeleteStream(s.t.Context(), s.cfg.NATS.Stream+"_MARKS"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.stream.Purge(s.t.Context(), jetstream.WithPurgeSubject(s.cfg.NATS.SubjectPrefix+".checkpoint.*")); err != nil {
		s.t.Fatal(err)
	}
	s.portal.Upload(nil, s.rooms["Sales"], "Plan.docx")
}

// remarked has a room published again.
func remarked(s *stage) {
	keeper, err := keepMarks(s.t.Context(), client{name: "checkpoint reset", tell: teller("checkpoint reset", io.Discard)}, s.cfg.NATS, publisher.Attach)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { keeper.close() }()
	if err := keeper.ask(s.cfg); err != nil {
		s.t.Fatal(err)
	}
	plan, err := keeper.poller.Plan(s.t.Context(), s.rooms["Sales"], poller.Move{Command: poller.ResetMark})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := plan.Make(s.t.Context(), "a test", func(poller.Change) error { return nil }); err != nil {
		s.t.Fatal(err)
	}
}

package poller

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// A Feed is a folder as its events name it, and what they may tell.
type Feed struct {
	Portal     string   // host, "docs.example.com"
	Formerly   []string // hosts the same portal had before
	SourceBase string   // address of the portal, "https://docs.example.com"
	Folder     int
	Kind       string // "room" or "folder"; "" unknown
	Title      string // "" unknown
	SchemaBase string // where the JSON Schemas lie; "" leaves their address out
	Privacy    schema.Privacy
	Raw        schema.RawMode
}

// Codes whose rows need to be read in a way of their own, or always tell
// something that others do not.
const (
	fileCopied      = 5013
	fileMoved       = 5015
	folderCopied    = 5022
	folderMoved     = 5024
	userRole        = 5075
	userRemoved     = 5084
	userInvited     = 5085
	groupAdded      = 5094
	groupRole       = 5095
	groupRemoved    = 5096
	folderIndexed   = 5107
	fileIndexed     = 5111
	userReinvited   = 5118
	versionRemoved  = 5119
	ownerChanged    = 5159
	folderRenamed   = 5020
	fileUpdated     = 5034
	linkCreated     = 5088
	linkDeleted     = 5090
	linkRevoked     = 5097
	linkRenamed     = 5098
	lifetimeSet     = 5116
	savedRoomQuota  = 5203
	refusedByRoom   = 5204
	severityExposed = 3
)

// Event turns a row into the event that is published for it. Ordinal is how
// many rows alike were published before; it matters only for rows without an
// id. Mode is schema.Live or schema.Backfill; late says that later rows were
// published before. The result depends on nothing but the arguments, and no
// row is refused: what cannot be understood is said and, unless forbidden,
// shown as received.
func (f Feed) Event(e docspace.Entry, ordinal int, mode string, late bool, recorded time.Time) schema.Event {
	action, known := schema.Resolve(e.Action.Code, e.Action.Name)
	event := f.origin().Event(action, known, mode, e.Date, recorded)
	f.identify(&event, e, ordinal)
	d := &event.Data
	d.Late = late
	d.Actor = f.actor(e)
	d.Group = group(e.Group)
	d.Malformed = schema.Text(malformed(e, known))
	if known {
		f.describe(d, e, action)
	}
	event.Subject = f.subject(d)
	if f.showsRaw(e, known) {
		d.Raw = f.Privacy.RedactRaw(e.Raw)
		d.Truncated = d.Raw == "" && len(e.Raw) > 0
	}
	return event
}

// forget drops what the row's event will not need, so that a commit's worth of
// rows stays small.
func (f Feed) forget(e *docspace.Entry) {
	if _, known := schema.Resolve(e.Action.Code, e.Action.Name); !f.showsRaw(*e, known) {
		e.Raw = nil
	}
}

func (f Feed) showsRaw(e docspace.Entry, known bool) bool {
	return f.Privacy.ShowsRaw() && (f.Raw == schema.RawAlways || f.Raw == schema.RawUnknown && (!known || malformed(e, known) != ""))
}

// malformed says what of a row could not be understood, or is not there although
// rows of its kind always tell it: the contract says so of all others.
func malformed(e docspace.Entry, known bool) string {
	if e.Malformed != "" || !known {
		return e.Malformed
	}
	if field := lacking(e); field != "" {
		return "data." + field + ": missing"
	}
	return ""
}

// lacking names the field, "" for none.
func lacking(e docspace.Entry) string {
	d := e.Data
	switch e.Action.Code {
	case fileCopied, fileMoved, folderCopied, folderMoved:
		return unless(purged(d.ToFolderID) != "" || d.ToFolderID != "" && placeKind(d.ParentType) != "", "toFolderId")
	case fileIndexed, folderIndexed:
		return unless(d.OldIndex != nil || d.NewIndex != nil, "newIndex")
	case versionRemoved:
		return unless(d.Version != nil && *d.Version != 0, "version")
	case userInvited, userRole, userRemoved, userReinvited:
		return unless(d.User != nil, "user")
	case groupAdded, groupRole, groupRemoved:
		return unless(d.Members != nil && d.User == nil, "group")
	case linkCreated, linkRenamed, linkRevoked:
		return unless(schema.ID(d.ID) != "", "id")
	case ownerChanged:
		return cmp.Or(unless(d.Owner != nil, "owner"), unless(d.OldOwner != nil, "oldOwner"))
	case lifetimeSet:
		return unless(d.LifeTime != nil, "lifeTime")
	}
	return ""
}

func unless(told bool, field string) string {
	if told {
		return ""
	}
	return field
}

// Connector returns an event about the connector's own work on the folder. See
// schema.ConnectorID for revision.
func (f Feed) Connector(kind string, revision uint64, mode string, at time.Time, c schema.Connector) schema.Event {
	return f.origin().Connector(kind, revision, mode, at, c)
}

func (f Feed) origin() schema.Origin {
	return schema.Origin{
		Portal: f.Portal, SourceBase: f.SourceBase, Folder: f.Folder,
		Kind: f.Kind, Title: f.Title, SchemaBase: f.SchemaBase, Privacy: f.Privacy,
	}
}

// identify gives the event its id. A row of a server that sends no ids is
// known by what of it never changes, and by how many alike came before it.
func (f Feed) identify(event *schema.Event, e docspace.Entry, ordinal int) {
	if e.ID <= 0 {
		event.ID = schema.HashedEventID(f.Portal, f.Folder, weakKey(e), ordinal)
		return
	}
	event.ID = schema.EventID(f.Folder, e.ID)
	event.Sequence = schema.Sequence(e.ID)
	event.Data.AuditID = strconv.FormatInt(e.ID, 10)
}

// actor is who did it. Where the portal lost the profile it may still tell the
// name; for files refused or saved over the room's quota that field holds the
// title of the room instead.
func (f Feed) actor(e docspace.Entry) schema.Actor {
	who := e.Initiator
	if who.ID == "" && who.Name == "" && e.Action.Code != savedRoomQuota && e.Action.Code != refusedByRoom {
		who.Name = e.Data.UserName
	}
	return f.Privacy.Actor(who.ID, who.Name, who.Email, who.Anonymous)
}

// describe fills the blocks the action has something to say in.
func (f Feed) describe(d *schema.Data, e docspace.Entry, action schema.Action) {
	switch action.Code {
	case linkCreated, linkDeleted, linkRevoked, linkRenamed:
		f.describeLink(d, e)
		return
	}
	data := e.Data
	d.Target = f.target(e, action)
	d.AccessLabel, d.PreviousAccessLabel = f.Privacy.Title(data.Access), f.Privacy.Title(data.OldAccess)
	if data.ToFolderID != "" {
		d.To = f.place(data.ToFolderID, data.ParentTitle, data.ParentType)
		d.From = f.place(data.FromFolderID, data.FromParentTitle, data.FromParentType)
	} else {
		d.Parent = f.place(data.ParentID, data.ParentTitle, data.ParentType)
	}
	d.Member = f.member(data)
	d.Owner, d.PreviousOwner = f.person(data.Owner), f.person(data.OldOwner)
	for _, tag := range data.Tags {
		if tag = f.Privacy.Title(tag); tag != "" {
			d.Tags = append(d.Tags, tag)
		}
	}
	if data.Version != nil {
		d.Version = *data.Version
	}
	if version, restored := restoredVersion(e); restored {
		d.Version = version
	}
	if data.OldIndex != nil || data.NewIndex != nil {
		d.Index = &schema.Index{Old: data.OldIndex, New: data.NewIndex}
	}
	if life := data.LifeTime; life != nil {
		d.Lifetime = lifetime(*life)
		if action.Code == lifetimeSet && life.DeletePermanently {
			d.Severity, d.OCSF.SeverityID = severityExposed, severityExposed
		}
	}
}

// describeLink reads the rows about external links. A link of a file or folder
// is renamed under the same code as one of the room, so a renamed link has no
// target. The row of a revoked link carries its title, but the id and the
// former title of the link that replaced it.
func (f Feed) describeLink(d *schema.Data, e docspace.Entry) {
	data := e.Data
	link := schema.Link{
		ID: f.Privacy.IDOf("link", data.ID), Title: f.Privacy.Title(data.Title),
		PreviousTitle: f.Privacy.Title(data.OldTitle), AccessLabel: f.Privacy.Title(data.Access),
	}
	if e.Action.Code == linkRevoked {
		link.ReplacementID, link.ReplacementTitle = link.ID, link.PreviousTitle
		link.ID, link.PreviousTitle = "", ""
	}
	if link != (schema.Link{}) {
		d.Link = &link
	}
	if e.Action.Code != linkRenamed {
		d.Target = f.room()
	}
}

// target is what was acted on. Rows about the room itself carry no id: it is
// the watched room. Of a purged file whose name nobody can show, the kind is
// left.
func (f Feed) target(e docspace.Entry, action schema.Action) *schema.Target {
	data, kind := e.Data, action.Target
	title, former := schema.Text(cmp.Or(data.NewTitle, data.Title)), schema.Text(data.OldTitle)
	if _, restored := restoredVersion(e); restored {
		title = ""
	}
	if isObject(data.OldTitle) {
		former = ""
	}
	if data.ID == "" && title == "" && former == "" && kind == "room" {
		return f.room()
	}
	t := schema.Target{
		Kind: kind, ID: f.Privacy.IDOf(kind, purged(data.ID)), FolderType: data.Type,
		Name: f.Privacy.NameOf(kind, title), PreviousName: f.Privacy.NameOf(kind, former),
	}
	if kind == "file" {
		t.Extension = f.Privacy.Title(extension(title))
	}
	if t == (schema.Target{}) {
		return nil
	}
	return &t
}

func (f Feed) room() *schema.Target {
	return &schema.Target{Kind: "room", ID: strconv.Itoa(f.Folder), Name: f.Privacy.Title(f.Title)}
}

func (f Feed) member(data docspace.Data) *schema.Member {
	switch {
	case data.User != nil:
		p := f.person(data.User)
		return &schema.Member{Kind: schema.MemberUser, ID: p.ID, Name: p.Name, Email: p.Email}
	case data.Members != nil:
		m := f.Privacy.Group(data.Members.ID, data.Members.Name, data.Members.System)
		return &m
	}
	return nil
}

func (f Feed) person(u *docspace.User) *schema.Person {
	if u == nil {
		return nil
	}
	p := f.Privacy.Person(u.ID, u.Name, u.Email)
	return &p
}

// subject names the most specific thing with an id; the watched folder, when
// the action is about it or about nothing that has one.
func (f Feed) subject(d *schema.Data) string {
	switch {
	case d.Link != nil && d.Link.ID != "":
		return schema.SubjectOf("link", d.Link.ID)
	case d.Member != nil && d.Member.ID != "":
		return schema.SubjectOf(d.Member.Kind, d.Member.ID)
	case d.Owner != nil && d.Owner.ID != "":
		return schema.SubjectOf("user", d.Owner.ID)
	case d.Target != nil && d.Target.Kind != "room" && d.Target.Kind != "folder":
		return schema.SubjectOf(d.Target.Kind, d.Target.ID)
	case d.Target != nil:
		return schema.SubjectOf("folder", d.Target.ID)
	}
	return schema.SubjectOf("folder", strconv.Itoa(f.Folder))
}

func group(g docspace.Group) *schema.Group {
	if g == (docspace.Group{}) {
		return nil
	}
	block := schema.Group{Size: g.Size, Position: g.Position}
	if g.Lead > 0 {
		block.LeadAuditID = strconv.FormatInt(g.Lead, 10)
	}
	return &block
}

func (f Feed) place(id, title string, folderType *int) *schema.Place {
	p := schema.Place{FolderID: f.Privacy.IDOf("folder", purged(id)), Name: f.Privacy.Title(title), Kind: placeKind(folderType)}
	if p == (schema.Place{}) {
		return nil
	}
	return &p
}

// placeKind says in a word what the portal's number for a folder means.
func placeKind(folderType *int) string {
	if folderType == nil {
		return ""
	}
	switch *folderType {
	case 0:
		return "folder"
	case 3:
		return "trash"
	case 5:
		return "documents"
	case 15, 16, 19, 22, 29, 31:
		return "room"
	case 20:
		return "archive"
	case 14, 30, 34:
		return "rooms"
	case 25, 26, 27, 28:
		return "form_folder"
	}
	return ""
}

func lifetime(l docspace.LifeTime) *schema.Lifetime {
	block := schema.Lifetime{Value: l.Value, DeletePermanently: l.DeletePermanently}
	if periods := [...]string{"day", "month", "year"}; 0 <= l.Period && l.Period < len(periods) {
		block.Period = periods[l.Period]
	}
	return &block
}

// restoredVersion recognises a file that was set back to an older version: the
// portal reports it as an update without a user name and with the number of
// the version where the title belongs.
func restoredVersion(e docspace.Entry) (int, bool) {
	if e.Action.Code != fileUpdated || e.Data.UserName != "" || len(e.Data.Title) > 9 {
		return 0, false
	}
	n, err := strconv.ParseUint(e.Data.Title, 10, 31)
	return int(n), err == nil && n > 0
}

// isObject recognises the description of a folder that one server path stores
// where its former title belongs.
func isObject(s string) bool {
	return strings.HasPrefix(s, "{") && jsontext.Value(s).IsValid()
}

// purged returns an id, or "" for the 0 that takes its place once the thing is
// gone for good.
func purged(id string) string {
	if id == "0" {
		return ""
	}
	return schema.ID(id)
}

// extension is the file name's, in lower case and without the dot.
func extension(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || len(name)-dot > 17 || strings.ContainsRune(name[dot:], ' ') {
		return ""
	}
	return strings.ToLower(name[dot+1:])
}

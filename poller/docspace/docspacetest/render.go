package docspacetest

import (
	"strconv"
	"strings"
)

// A view writes entries for one response: what is not stored with a row (who
// people are now, what can be done with a file, addresses) is computed here.
type view struct {
	*call
	p *Portal
	*writer
	shown properties
}

// entry writes a group: its newest row with the others in related.
func (v view) entry(s *scratch, g *group) {
	v.row(s.rows[g.first])
	if v.shown&showRelated != 0 {
		v.array("related")
		for i := s.next[g.first]; i != 0; i = s.next[i] {
			v.row(s.rows[i])
			v.endObject()
		}
		v.endArray()
	}
	v.endObject()
}

// row writes an entry and leaves its object open.
func (v view) row(r *row) {
	v.item()
	if v.shown&showID != 0 && !v.p.nameless[r.id] {
		v.num("id", r.id)
	}
	if v.shown&showAction != 0 {
		v.action(r.kind.reported(v.profile))
	}
	if v.shown&showInitiator != 0 {
		v.initiator(r)
	}
	if v.shown&showDate != 0 {
		v.date("date", r.date, v.p.zone, v.quirks.dateObjects)
	}
	if v.quirks.extraFields {
		v.num("severity", 3)
		v.array("labels")
		v.value("reviewed")
		v.endArray()
	}
	if v.shown&showData == 0 || r.kind.shape == shapeNone {
		return
	}
	v.object("data")
	v.data(r)
	if v.quirks.extraFields {
		v.object("retention")
		v.flag("held", true)
		v.endObject()
	}
	v.endObject()
}

func (v view) action(k *kind) {
	v.object("action")
	v.num("id", int64(k.code))
	if k.key != "" {
		v.str("key", k.key)
	}
	v.endObject()
}

func (v view) initiator(r *row) {
	if r.kind.shape == shapeFileEdited && v.profile.has(savedByName) {
		v.key("initiator")
		v.raw(nameOnly(r.note))
		return
	}
	v.user("initiator", r.initiator(), v.base)
}

// data writes the fields of the row's shape, in the server's order.
func (v view) data(r *row) {
	switch r.kind.shape {
	case shapeFile:
		v.file(r, true)
		v.entryIn(r)
	case shapeFileCreated:
		v.file(r, false)
		v.entryIn(r)
	case shapeFileEdited:
		v.str("userName", r.note)
		v.file(r, true)
		v.str("initiatorName", r.note)
		v.entryIn(r)
	case shapeFileRenamed:
		v.file(r, true)
		v.renamedIn(r)
	case shapeFileOperation:
		v.file(r, true)
		v.operation(r)
	case shapeFileIndex:
		v.index(r)
		v.file(r, true)
		v.entryIn(r)
	case shapeFileVersion:
		v.num("version", int64(r.more.Version))
		v.entryIn(r)
	case shapeEntry:
		v.str("title", r.title)
		v.id(r)
	case shapeEntryParent:
		v.entryIn(r)
	case shapeFolderCreated:
		v.str("title", r.title)
		v.parent(r.at)
		v.num("type", typeFolder)
		v.id(r)
	case shapeOperation:
		v.operation(r)
	case shapeRenamed:
		v.titles(r)
		v.id(r)
	case shapeFolderRenamed:
		v.renamedIn(r)
	case shapeFolderIndex:
		v.index(r)
		v.entryIn(r)
	case shapeLifeTime:
		v.lifeTime(r.more.LifeTime)
		v.str("title", r.title)
		v.id(r)
	default:
		v.membership(r)
	}
}

// membership writes the shapes that are about people and links.
func (v view) membership(r *row) {
	switch r.kind.shape {
	case shapeUser:
		v.member("user", r.more.Member, r.more.memberName)
		v.access(r)
	case shapeGroup:
		v.group(r.more.Group)
		v.access(r)
	case shapeOwner:
		v.member("owner", r.more.Member, r.more.memberName)
		v.member("oldOwner", r.more.Former, r.more.formerName)
	case shapeTags:
		v.array("tags")
		for _, tag := range strings.Split(strings.Join(r.more.Tags, ","), ",") {
			v.comma()
			v.value(tag)
		}
		v.endArray()
	case shapeLinkCreated:
		v.str("title", r.title)
		v.str("id", r.more.Link)
		v.str("access", r.more.Access)
	case shapeLinkRenamed, shapeLinkRevoked:
		v.str("title", r.title)
		v.str("id", r.more.Link)
		v.str("oldTitle", r.note)
	case shapeLinkDeleted:
		v.str("title", r.title)
	}
}

func (v view) id(r *row) { v.num("id", int64(v.p.shownEntry(r))) }

// entryIn writes title, parent and id.
func (v view) entryIn(r *row) {
	v.str("title", r.title)
	v.parent(r.at)
	v.id(r)
}

func (v view) parent(in *place) {
	v.str("parentTitle", in.title)
	v.num("parentId", int64(in.id))
	v.num("parentType", int64(in.kind))
}

func (v view) titles(r *row) {
	v.str("oldTitle", r.note)
	v.str("newTitle", r.title)
}

func (v view) renamedIn(r *row) {
	v.titles(r)
	v.num("parentId", int64(r.at.id))
	v.str("parentTitle", r.at.title)
	v.num("parentType", int64(r.at.kind))
	v.id(r)
}

func (v view) index(r *row) {
	v.num("oldIndex", int64(r.more.OldIndex))
	v.num("newIndex", int64(r.more.Index))
}

// operation writes a move or copy. The half a source shows knows the id of the
// target only.
func (v view) operation(r *row) {
	v.str("title", r.title)
	v.key("toFolderId")
	v.b = append(v.b, '"')
	v.b = strconv.AppendInt(v.b, int64(r.at.id), 10)
	v.b = append(v.b, '"')
	if r.at.title != "" {
		v.str("parentTitle", r.at.title)
	}
	v.num("parentType", int64(r.at.kind))
	if r.from != nil {
		v.str("fromParentTitle", r.from.title)
		v.num("fromParentType", int64(r.from.kind))
		v.num("fromFolderId", int64(r.from.id))
	}
	v.id(r)
}

func (v view) lifeTime(l *LifeTime) {
	if l == nil {
		return
	}
	v.object("lifeTime")
	v.flag("deletePermanently", l.DeletePermanently)
	v.num("period", int64(l.Period))
	v.num("value", int64(l.Value))
	v.endObject()
}

// member writes a person as they are now, or by the name of then once the
// profile is gone.
func (v view) member(k string, u *User, name string) {
	if u == nil || u.removed() {
		v.key(k)
		v.raw(nameOnly(name))
		return
	}
	v.user(k, u, v.base)
}

func (v view) group(g *Group) {
	if g == nil {
		return
	}
	v.object("group")
	v.str("id", g.ID)
	v.str("name", g.Name)
	if v.profile.has(systemGroups) {
		v.flag("isSystem", g.System)
	}
	v.endObject()
}

// access writes the labels of a change of rights. The old one is lost together
// with the profile of the person.
func (v view) access(r *row) {
	if r.kind.code != 5096 {
		v.str("access", r.more.Access)
	}
	if r.kind.code != 5075 && r.kind.code != 5095 {
		return
	}
	if r.more.Member == nil || !r.more.Member.removed() {
		v.str("oldAccess", r.more.OldAccess)
	}
}

// file writes what can be done with a file and where it is read.
func (v view) file(r *row, url bool) {
	if !v.profile.has(fileAbilities) {
		return
	}
	v.key("accessibility")
	v.raw(accessibility(r.title, v.profile))
	if !url {
		return
	}
	v.key("viewUrl")
	v.b = append(v.b, '"')
	v.raw(v.base)
	v.raw("/filehandler.ashx?action=download&fileid=")
	v.b = strconv.AppendInt(v.b, int64(v.p.shownEntry(r)), 10)
	v.b = append(v.b, '"')
}

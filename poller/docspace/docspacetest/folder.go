package docspacetest

import (
	"fmt"
	"slices"
	"time"
)

// Folder types, as parentType and type show them.
const (
	typeFolder    = 0
	typeTrash     = 3
	typeUser      = 5
	typeRooms     = 14
	typeArchive   = 20
	typeTemplates = 30
	typeAgents    = 34
)

// A RoomType is the kind of a room, numbered as the rooms list does.
type RoomType int

// The kinds of room.
const (
	FormFillingRoom   RoomType = 1
	CollaborationRoom RoomType = 2
	CustomRoom        RoomType = 5
	PublicRoom        RoomType = 6
	VirtualDataRoom   RoomType = 8
	AgentRoom         RoomType = 9
)

var folderTypes = map[RoomType]int{
	FormFillingRoom: 15, CollaborationRoom: 16, CustomRoom: 19, PublicRoom: 22, VirtualDataRoom: 29, AgentRoom: 31,
}

// A place is a folder as a row remembers it: the names of that moment.
type place struct {
	id    int
	title string
	kind  int
}

type folder struct {
	id         int
	parent     *folder // nil for a root
	place      *place
	room       RoomType // 0 for a plain folder
	owner      *User
	members    map[*User]string // of a room, with their access
	links      map[string]string
	tags       []string
	index      int // among its neighbours, in an indexed room
	created    time.Time
	children   []*folder
	files      []*document
	history    history
	externalID string // of a third-party room
}

type document struct {
	id      int
	parent  *folder
	slot    int // position among the parent's files
	title   string
	owner   *User
	version int32
	index   int32
	created int64
}

func (f *folder) root() *folder {
	for f.parent != nil {
		f = f.parent
	}
	return f
}

// container is what a move must stay within to be one row: the room, or a
// person's documents.
func (f *folder) container() *folder {
	for f.parent != nil && f.room == 0 {
		f = f.parent
	}
	return f
}

// appendChain appends the folders whose log shows what happens in f: f and all
// above it, except the root.
func appendChain(dst []*folder, f *folder) []*folder {
	for ; f.parent != nil; f = f.parent {
		if !slices.Contains(dst, f) {
			dst = append(dst, f)
		}
	}
	return dst
}

// within reports whether f is outer or lies below it.
func (f *folder) within(outer *folder) bool {
	for ; f != nil; f = f.parent {
		if f == outer {
			return true
		}
	}
	return false
}

// readable reports whether u may read the folder and so its log.
func (f *folder) readable(u *User) bool {
	root := f.root()
	switch root.place.kind {
	case typeUser, typeTrash:
		return root.owner == u
	}
	if u.admin || f.parent == nil {
		return true
	}
	room := f.container()
	_, member := room.members[u]
	return member || room.owner == u
}

func (p *Portal) addFolder(parent *folder, owner *User, title string, kind int) *folder {
	f := &folder{
		id:      p.entryID(),
		parent:  parent,
		owner:   owner,
		created: p.now(),
	}
	f.place = &place{f.id, title, kind}
	p.folders[f.id] = f
	if parent != nil {
		parent.children = append(parent.children, f)
	}
	return f
}

func (p *Portal) addFile(parent *folder, owner *User, title string, at int64) *document {
	f := &document{id: p.entryID(), title: title, owner: owner, version: 1, created: at}
	p.files[f.id] = f
	parent.adopt(f)
	return f
}

// writable is a folder that may hold files and folders: not one that holds
// rooms, nor one that is not there.
func (p *Portal) writable(id int) *folder {
	f := p.folders[id]
	if f == nil {
		return nil
	}
	switch f.place.kind {
	case typeRooms, typeArchive, typeTemplates, typeAgents:
		return nil
	}
	return f
}

// entryID numbers files and folders alike, so that an id names one entry.
func (p *Portal) entryID() int {
	id := p.nextEntry
	p.nextEntry++
	return id
}

func (f *folder) adopt(x *document) {
	x.parent, x.slot = f, len(f.files)
	f.files = append(f.files, x)
}

func (x *document) leave() {
	files := x.parent.files
	last := len(files) - 1
	files[x.slot] = files[last]
	files[x.slot].slot = x.slot
	files[last] = nil
	x.parent.files = files[:last]
}

func (f *folder) moveTo(parent *folder) {
	f.parent.children = slices.DeleteFunc(f.parent.children, func(c *folder) bool { return c == f })
	f.parent = parent
	parent.children = append(parent.children, f)
}

func (f *folder) rename(title string) { f.place = &place{f.id, title, f.place.kind} }

// RoomsRoot is the id of the folder that holds all rooms. Like that of every
// root its log is readable and always empty.
func (p *Portal) RoomsRoot() int { return p.roomsRoot.id }

// ArchiveRoot is the id of the folder that holds archived rooms.
func (p *Portal) ArchiveRoot() int { return p.archive.id }

// MyDocuments is the id of a person's own root folder.
func (p *Portal) MyDocuments(u *User) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	u = p.actor(u)
	if u.mine == nil {
		u.mine = p.addFolder(nil, u, "My documents", typeUser)
	}
	return u.mine.id
}

// TrashRoot is the id of a person's trash.
func (p *Portal) TrashRoot(u *User) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trashOf(p.actor(u)).id
}

func (p *Portal) trashOf(u *User) *folder {
	if u.trash == nil {
		u.trash = p.addFolder(nil, u, "Trash", typeTrash)
	}
	return u.trash
}

// ThirdPartyRoom adds a room that lies in a foreign storage. It is listed under
// a string id and has no log.
func (p *Portal) ThirdPartyRoom(title string) (id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &folder{parent: p.roomsRoot, owner: p.owner, room: PublicRoom, created: p.now()}
	f.place = &place{0, title, folderTypes[PublicRoom]}
	f.externalID = fmt.Sprintf("sbox-%d-|%s", len(p.external)+1, p.hex(6))
	p.external = append(p.external, f)
	return f.externalID
}

// PurgeFolder removes a folder or room for good, with all below it: its log is
// gone, the logs above keep their rows, and files below lose their id there.
func (p *Portal) PurgeFolder(id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.folders[id]; f != nil && f.parent != nil {
		p.purge(f)
	}
}

func (p *Portal) purge(f *folder) {
	for len(f.children) > 0 {
		p.purge(f.children[0])
	}
	for len(f.files) > 0 {
		p.purgeFile(f.files[len(f.files)-1])
	}
	f.parent.children = slices.DeleteFunc(f.parent.children, func(c *folder) bool { return c == f })
	delete(p.folders, f.id)
}

// PurgeFile removes a file for good: rows about it show the id 0 from now on.
func (p *Portal) PurgeFile(id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.files[id]; f != nil {
		p.purgeFile(f)
	}
}

func (p *Portal) purgeFile(f *document) {
	f.leave()
	delete(p.files, f.id)
	if p.profile.has(purgeForgetsID) {
		p.purged[f.id] = true
	}
}

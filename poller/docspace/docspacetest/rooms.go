package docspacetest

import (
	"maps"
	"slices"
)

// CreateRoom adds a collaboration room (5070) and returns its id.
func (p *Portal) CreateRoom(by *User, title string) int {
	return p.CreateTypedRoom(by, CollaborationRoom, title)
}

// CreateTypedRoom adds a room of any type (5070; for an agent 5154). It returns
// 0 for an agent on a version without them.
func (p *Portal) CreateTypedRoom(by *User, room RoomType, title string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if room == AgentRoom && !p.profile.has(agentsKnown) {
		return 0
	}
	code, root := 5070, p.roomsRoot
	if room == AgentRoom {
		code, root = 5154, p.agents
	}
	f := p.addRoom(root, by, room, title)
	p.record(Action{Code: code, By: by, Folder: f.id, Entry: f.id, Title: title})
	return f.id
}

// CreateAgent adds an AI agent (5154) and returns its id.
func (p *Portal) CreateAgent(by *User, title string) int {
	return p.CreateTypedRoom(by, AgentRoom, title)
}

// CopyRoom makes a new room after an existing one (5100) and returns its id.
func (p *Portal) CopyRoom(by *User, room int, title string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.folders[room]
	if old == nil || old.room == 0 {
		return 0
	}
	f := p.addRoom(old.parent, by, old.room, title)
	maps.Copy(f.members, old.members)
	p.record(Action{Code: 5100, By: by, Folder: f.id, Entry: f.id, Title: title})
	return f.id
}

func (p *Portal) addRoom(root *folder, by *User, room RoomType, title string) *folder {
	f := p.addFolder(root, p.actor(by), title, folderTypes[room])
	f.room = room
	f.members = make(map[*User]string)
	f.links = make(map[string]string)
	return f
}

// onRoom records an action about a room in the room itself.
func (p *Portal) onRoom(code, id int, by *User, fill func(*folder, *Action)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.folders[id]
	if f == nil || f.room == 0 {
		return
	}
	a := Action{Code: code, By: by, Folder: id, Entry: id, Title: f.place.title}
	if fill != nil {
		fill(f, &a)
	}
	p.record(a)
}

// RenameRoom is Rename, for a room.
func (p *Portal) RenameRoom(by *User, room int, title string) { p.Rename(by, room, title) }

// Archive puts a room away (5072); its log stays readable.
func (p *Portal) Archive(by *User, room int) {
	p.onRoom(5072, room, by, func(f *folder, _ *Action) { f.moveTo(p.archive) })
}

// Unarchive takes it back (5073).
func (p *Portal) Unarchive(by *User, room int) {
	p.onRoom(5073, room, by, func(f *folder, _ *Action) { f.moveTo(p.roomsRoot) })
}

// InviteUser makes a person a member (5085). Access is the label people see,
// in whatever language the inviting person uses.
func (p *Portal) InviteUser(by *User, room int, member *User, access string) {
	p.onRoom(5085, room, by, func(f *folder, a *Action) {
		f.members[member] = access
		a.Member, a.Access = member, access
	})
}

// ChangeAccess gives a member other rights (5075).
func (p *Portal) ChangeAccess(by *User, room int, member *User, access string) {
	p.onRoom(5075, room, by, func(f *folder, a *Action) {
		a.Member, a.Access, a.OldAccess = member, access, f.members[member]
		f.members[member] = access
	})
}

// RemoveMember takes a person out of a room (5084).
func (p *Portal) RemoveMember(by *User, room int, member *User) {
	p.onRoom(5084, room, by, func(f *folder, a *Action) {
		a.Member, a.Access = member, f.members[member]
		delete(f.members, member)
	})
}

// ResendInvite invites once more (5118).
func (p *Portal) ResendInvite(by *User, room int, member *User) {
	p.onRoom(5118, room, by, func(f *folder, a *Action) { a.Member, a.Access = member, f.members[member] })
}

// AddGroup makes a group of users members (5094).
func (p *Portal) AddGroup(by *User, room int, group Group, access string) {
	p.onRoom(5094, room, by, func(_ *folder, a *Action) { a.Group, a.Access = &group, access })
}

// ChangeGroupAccess gives a group other rights (5095).
func (p *Portal) ChangeGroupAccess(by *User, room int, group Group, access, old string) {
	p.onRoom(5095, room, by, func(_ *folder, a *Action) { a.Group, a.Access, a.OldAccess = &group, access, old })
}

// RemoveGroup takes a group out of a room (5096).
func (p *Portal) RemoveGroup(by *User, room int, group Group) {
	p.onRoom(5096, room, by, func(_ *folder, a *Action) { a.Group = &group })
}

// NewGroup names a group of users.
func (p *Portal) NewGroup(name string) Group {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Group{ID: p.guid(), Name: name}
}

// Everyone is the portal's own group of all its members.
func (p *Portal) Everyone() Group {
	return Group{ID: everyoneID, Name: "Everyone", System: true}
}

// ChangeOwner hands a room over (5159).
func (p *Portal) ChangeOwner(by *User, room int, owner *User) {
	p.onRoom(5159, room, by, func(f *folder, a *Action) {
		a.Member, a.Former = owner, f.owner
		f.owner = owner
	})
}

// AddTags tags a room (5078). A comma tears a tag apart when it is shown.
func (p *Portal) AddTags(by *User, room int, tags ...string) {
	p.onRoom(5078, room, by, func(f *folder, a *Action) {
		f.tags = append(f.tags, tags...)
		a.Tags = tags
	})
}

// RemoveTags takes tags away (5079).
func (p *Portal) RemoveTags(by *User, room int, tags ...string) {
	p.onRoom(5079, room, by, func(f *folder, a *Action) {
		f.tags = slices.DeleteFunc(f.tags, func(t string) bool { return slices.Contains(tags, t) })
		a.Tags = tags
	})
}

// CreateLink opens a room to whoever has the link (5088) and returns its GUID.
func (p *Portal) CreateLink(by *User, room int, title, access string) string {
	var id string
	p.onRoom(5088, room, by, func(f *folder, a *Action) {
		id = p.guid()
		f.links[id] = title
		a.Link, a.Title, a.Access = id, title, access
	})
	return id
}

// RenameLink gives a link another title (5098).
func (p *Portal) RenameLink(by *User, room int, link, title string) {
	p.onRoom(5098, room, by, func(f *folder, a *Action) {
		a.Link, a.Title, a.Note = link, title, f.links[link]
		f.links[link] = title
	})
}

// DeleteLink ends a link (5090).
func (p *Portal) DeleteLink(by *User, room int, link string) {
	p.onRoom(5090, room, by, func(f *folder, a *Action) {
		a.Link, a.Title = link, f.links[link]
		delete(f.links, link)
	})
}

// RevokeLink replaces a link by a new one (5097) and returns the new GUID.
func (p *Portal) RevokeLink(by *User, room int, link, title string) string {
	var id string
	p.onRoom(5097, room, by, func(f *folder, a *Action) {
		id = p.guid()
		a.Link, a.Title, a.Note = id, f.links[link], title
		delete(f.links, link)
		f.links[id] = title
	})
	return id
}

// SetLogo gives a room a picture (5080).
func (p *Portal) SetLogo(by *User, room int) { p.onRoom(5080, room, by, nil) }

// RemoveLogo takes it away (5081).
func (p *Portal) RemoveLogo(by *User, room int) { p.onRoom(5081, room, by, nil) }

// ChangeColor gives a room another colour (5102).
func (p *Portal) ChangeColor(by *User, room int) { p.onRoom(5102, room, by, nil) }

// ChangeCover gives a room another cover (5103).
func (p *Portal) ChangeCover(by *User, room int) { p.onRoom(5103, room, by, nil) }

// ExportIndex saves the index of a room as a file (5106).
func (p *Portal) ExportIndex(by *User, room int) { p.onRoom(5106, room, by, nil) }

// DenyDownload forbids downloading from a room (5109).
func (p *Portal) DenyDownload(by *User, room int) { p.onRoom(5109, room, by, nil) }

// AllowDownload allows it again (5110).
func (p *Portal) AllowDownload(by *User, room int) { p.onRoom(5110, room, by, nil) }

// SetWatermark marks the documents of a room (5112).
func (p *Portal) SetWatermark(by *User, room int) { p.onRoom(5112, room, by, nil) }

// RemoveWatermark ends that (5113).
func (p *Portal) RemoveWatermark(by *User, room int) { p.onRoom(5113, room, by, nil) }

// EnableIndexing numbers the entries of a room (5114).
func (p *Portal) EnableIndexing(by *User, room int) { p.onRoom(5114, room, by, nil) }

// DisableIndexing ends that (5115).
func (p *Portal) DisableIndexing(by *User, room int) { p.onRoom(5115, room, by, nil) }

// SetLifeTime limits how long files of a room live (5116).
func (p *Portal) SetLifeTime(by *User, room int, life LifeTime) {
	p.onRoom(5116, room, by, func(_ *folder, a *Action) { a.LifeTime = &life })
}

// DisableLifeTime lifts the limit (5117).
func (p *Portal) DisableLifeTime(by *User, room int) { p.onRoom(5117, room, by, nil) }

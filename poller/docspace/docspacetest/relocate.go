package docspacetest

import "slices"

// Move takes a file (5015) or folder (5025, shown as 5024) to another folder:
// one row within a room, two between rooms, the target's before the source's.
func (p *Portal) Move(by *User, entry, to int) { p.move(by, entry, to, 5015) }

// MoveOver moves a file over another one of its name (5016, shown as 5015).
func (p *Portal) MoveOver(by *User, entry, to int) { p.move(by, entry, to, 5016) }

func (p *Portal) move(by *User, entry, to, fileCode int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	target := p.writable(to)
	if target == nil {
		return
	}
	if f := p.files[entry]; f != nil {
		source := f.parent
		f.leave()
		target.adopt(f)
		p.relocated(Action{Code: fileCode, By: by, Entry: entry, Title: f.title}, source, target)
		return
	}
	f := p.folders[entry]
	if f == nil || f.parent == nil || f.room != 0 || target.within(f) {
		return
	}
	source := f.parent
	f.moveTo(target)
	p.relocated(Action{Code: 5025, By: by, Entry: entry, Title: f.place.title}, source, target)
}

// relocated records a move or copy from one folder to another.
func (p *Portal) relocated(a Action, source, target *folder) {
	a.Folder, a.To = target.id, target.id
	home := target.container()
	if home == source.container() && home.room != AgentRoom {
		a.From = source.id
		p.record(a)
		return
	}
	p.record(a)
	a.Folder, a.SourceHalf = source.id, true
	p.record(a)
}

// Copy copies a file (5013), or a folder with one row for each entry in it
// (5022, 5013), and returns the id of the copy. Rows are as for Move; both
// halves of a pair name the copy.
func (p *Portal) Copy(by *User, entry, to int) int { return p.copyEntry(by, entry, to, 5013, 5022) }

// CopyOver copies a file (5014, shown as 5013) or folder (5023, shown as 5022)
// over another one of its name.
func (p *Portal) CopyOver(by *User, entry, to int) int {
	return p.copyEntry(by, entry, to, 5014, 5023)
}

func (p *Portal) copyEntry(by *User, entry, to, fileCode, folderCode int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	target := p.writable(to)
	if target == nil {
		return 0
	}
	if f := p.files[entry]; f != nil {
		return p.copyFile(by, f, target, fileCode)
	}
	f := p.folders[entry]
	if f == nil || f.parent == nil || f.room != 0 || target.within(f) {
		return 0
	}
	return p.copyFolder(by, f, target, fileCode, folderCode)
}

func (p *Portal) copyFile(by *User, f *document, target *folder, code int) int {
	twin := p.addFile(target, p.actor(by), f.title, p.now().Unix())
	p.relocated(Action{Code: code, By: by, Entry: twin.id, Title: f.title}, f.parent, target)
	return twin.id
}

func (p *Portal) copyFolder(by *User, f, target *folder, fileCode, folderCode int) int {
	twin := p.addFolder(target, p.actor(by), f.place.title, typeFolder)
	p.relocated(Action{Code: folderCode, By: by, Entry: twin.id, Title: f.place.title}, f.parent, target)
	for _, child := range slices.Clone(f.children) {
		p.copyFolder(by, child, twin, fileCode, folderCode)
	}
	for _, x := range slices.Clone(f.files) {
		p.copyFile(by, x, twin, fileCode)
	}
	return twin.id
}

// Trash moves a file (5017) or folder (5026) to the person's trash.
func (p *Portal) Trash(by *User, entry int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	trash := p.trashOf(p.actor(by))
	if f := p.files[entry]; f != nil {
		p.record(Action{Code: 5017, By: by, Folder: f.parent.id, Entry: entry, Title: f.title})
		f.leave()
		trash.adopt(f)
		return
	}
	if f := p.folders[entry]; f != nil && f.parent != nil && f.room == 0 {
		p.record(Action{Code: 5026, By: by, Folder: f.parent.id, Entry: entry, Title: f.place.title})
		f.moveTo(trash)
	}
}

// TrashFolder is Trash, for a folder.
func (p *Portal) TrashFolder(by *User, folder int) { p.Trash(by, folder) }

// Delete removes a file (5018) or folder (5027) for good. Done in the trash it
// is in no log. A room disappears with its log and without a row in any.
func (p *Portal) Delete(by *User, entry int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.files[entry]; f != nil {
		p.record(Action{Code: 5018, By: by, Folder: f.parent.id, Entry: entry, Title: f.title})
		p.purgeFile(f)
		return
	}
	if f := p.folders[entry]; f != nil && f.parent != nil {
		p.record(Action{Code: 5027, By: by, Folder: f.parent.id, Entry: entry, Title: f.place.title})
		p.purge(f)
	}
}

package docspacetest

import "strconv"

// CreateFolder adds a folder (5019) and returns its id.
func (p *Portal) CreateFolder(by *User, parent int, title string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.writable(parent)
	if in == nil {
		return 0
	}
	f := p.addFolder(in, p.actor(by), title, typeFolder)
	p.record(Action{Code: 5019, By: by, Folder: parent, Entry: f.id, Title: title})
	return f.id
}

// Create adds a new empty file (5000) and returns its id.
func (p *Portal) Create(by *User, folder int, title string) int {
	return p.newFile(5000, by, folder, title)
}

// Upload adds files (5011) and returns their ids.
func (p *Portal) Upload(by *User, folder int, titles ...string) []int {
	ids := make([]int, len(titles))
	for i, title := range titles {
		ids[i] = p.newFile(5011, by, folder, title)
	}
	return ids
}

func (p *Portal) newFile(code int, by *User, folder int, title string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.writable(folder)
	if in == nil {
		return 0
	}
	f := p.addFile(in, p.actor(by), title, p.now().Unix())
	p.record(Action{Code: code, By: by, Folder: folder, Entry: f.id, Title: title})
	return f.id
}

// onFile records an action about a file in the folder it lies in.
func (p *Portal) onFile(code, id int, by *User, fill func(*document, *Action)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[id]
	if f == nil {
		return
	}
	a := Action{Code: code, By: by, Folder: f.parent.id, Entry: id, Title: f.title}
	if fill != nil {
		fill(f, &a)
	}
	p.record(a)
}

// saved records an action that tells who saved the file.
func (p *Portal) saved(code, file int, by *User) {
	p.onFile(code, file, by, func(f *document, a *Action) {
		f.version++
		a.Note = p.actor(by).Name()
	})
}

// UploadOver uploads a new version of a file (5099, shown as 5034).
func (p *Portal) UploadOver(by *User, file int) { p.onFile(5099, file, by, bump) }

// Update saves a file in the editor (5034).
func (p *Portal) Update(by *User, file int) { p.saved(5034, file, by) }

// RestoreVersion makes an earlier version current (5044). It is shown as 5034
// under a title that is the number of the version.
func (p *Portal) RestoreVersion(by *User, file, version int) {
	p.onFile(5044, file, by, func(f *document, a *Action) {
		f.version++
		a.Title = strconv.Itoa(version)
	})
}

// RemoveVersion deletes one version of a file (5119).
func (p *Portal) RemoveVersion(by *User, file, version int) {
	p.onFile(5119, file, by, func(_ *document, a *Action) { a.Version = version })
}

// Lock keeps others from changing a file (5006).
func (p *Portal) Lock(by *User, file int) { p.onFile(5006, file, by, nil) }

// Unlock lets others change it again (5007).
func (p *Portal) Unlock(by *User, file int) { p.onFile(5007, file, by, nil) }

// EnableCustomFilter gives a spreadsheet's readers filters of their own (5120).
func (p *Portal) EnableCustomFilter(by *User, file int) { p.onFile(5120, file, by, nil) }

// DisableCustomFilter takes them away (5121).
func (p *Portal) DisableCustomFilter(by *User, file int) { p.onFile(5121, file, by, nil) }

// OpenForm starts to fill in a form (6047).
func (p *Portal) OpenForm(by *User, file int) { p.saved(6047, file, by) }

// SubmitForm sends a filled form (6046).
func (p *Portal) SubmitForm(by *User, file int) { p.saved(6046, file, by) }

// StartForm starts a round of filling among several people (5150).
func (p *Portal) StartForm(by *User, file int) { p.saved(5150, file, by) }

// FillFormPart completes one person's part (5151).
func (p *Portal) FillFormPart(by *User, file int) { p.saved(5151, file, by) }

// CompleteForm completes the last part (5152).
func (p *Portal) CompleteForm(by *User, file int) { p.saved(5152, file, by) }

// StopForm ends the round early (5153).
func (p *Portal) StopForm(by *User, file int) { p.saved(5153, file, by) }

// SaveOverUserQuota saves a file beyond its person's quota (5201).
func (p *Portal) SaveOverUserQuota(by *User, file int) { p.saved(5201, file, by) }

// SaveOverRoomQuota saves a file beyond its room's quota (5203). Where a person
// is named otherwise, the row has the title of the room.
func (p *Portal) SaveOverRoomQuota(by *User, file int) {
	p.onFile(5203, file, by, func(f *document, a *Action) {
		f.version++
		a.Note = f.parent.container().place.title
	})
}

// RefuseOverUserQuota does not save a file, for its person's quota (5202).
func (p *Portal) RefuseOverUserQuota(by *User, folder int, title string) {
	p.Record(Action{Code: 5202, By: by, Folder: folder, Title: title, Note: p.actor(by).Name()})
}

// RefuseOverRoomQuota does not save a file, for its room's quota (5204).
func (p *Portal) RefuseOverRoomQuota(by *User, folder int, title string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.folders[folder]; in != nil {
		p.record(Action{Code: 5204, By: by, Folder: folder, Title: title, Note: in.container().place.title})
	}
}

// Convert adds a copy of a file in another format (5035) and returns its id.
func (p *Portal) Convert(by *User, file int, title string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.files[file]
	if old == nil {
		return 0
	}
	f := p.addFile(old.parent, p.actor(by), title, p.now().Unix())
	p.record(Action{Code: 5035, By: by, Folder: old.parent.id, Entry: f.id, Title: title})
	return f.id
}

// Rename gives a file (5001), a folder (5020), a room (5071) or an agent (5155)
// another title.
func (p *Portal) Rename(by *User, entry int, title string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.files[entry]; f != nil {
		old := f.title
		f.title = title
		p.record(Action{Code: 5001, By: by, Folder: f.parent.id, Entry: entry, Title: title, Note: old})
		return
	}
	f := p.folders[entry]
	if f == nil || f.parent == nil {
		return
	}
	a := Action{Code: 5020, By: by, Folder: f.parent.id, Entry: entry, Title: title, Note: f.place.title}
	switch f.room {
	case 0:
	case AgentRoom:
		a.Code, a.Folder = 5155, f.id
	default:
		a.Code, a.Folder = 5071, f.id
	}
	f.rename(title)
	p.record(a)
}

// ReorderFile gives a file of an indexed room another place (5111). Such rows
// are shown together for the same file, however far apart they are.
func (p *Portal) ReorderFile(by *User, file, index int) {
	p.onFile(5111, file, by, func(f *document, a *Action) {
		a.Index, a.OldIndex, f.index = index, int(f.index), int32(index)
		a.Context = reorderContext(f.parent, f.owner)
	})
}

// ReorderFolder gives a folder of an indexed room another place (5107).
func (p *Portal) ReorderFolder(by *User, folder, index int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.folders[folder]
	if f == nil || f.parent == nil || f.room != 0 {
		return
	}
	p.record(Action{
		Code: 5107, By: by, Folder: f.parent.id, Entry: folder, Title: f.place.title,
		Index: index, OldIndex: f.index, Context: reorderContext(f.parent, f.owner),
	})
	f.index = index
}

// Reorder gives several entries new places in one go (5107, 5111), numbered in
// the order they are named.
func (p *Portal) Reorder(by *User, entries ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	context := p.guid()
	for i, id := range entries {
		a := Action{By: by, Entry: id, Index: i + 1, Context: context}
		if f := p.files[id]; f != nil {
			a.Code, a.Folder, a.Title = 5111, f.parent.id, f.title
			a.OldIndex, f.index = int(f.index), int32(i+1)
		} else if f := p.folders[id]; f != nil && f.parent != nil && f.room == 0 {
			a.Code, a.Folder, a.Title = 5107, f.parent.id, f.place.title
			a.OldIndex, f.index = f.index, i+1
		}
		p.record(a)
	}
}

// ReorderContents numbers everything in a folder or room anew (5108).
func (p *Portal) ReorderContents(by *User, folder int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.folders[folder]
	if f == nil || f.parent == nil {
		return
	}
	a := Action{Code: 5108, By: by, Folder: f.parent.id, Entry: folder, Title: f.place.title}
	if f.room != 0 {
		a.Folder = folder
	}
	p.record(a)
}

// reorderContext is what the server keeps of a single reorder, and groups by.
func reorderContext(parent *folder, creator *User) string {
	room := parent.container()
	return strconv.Itoa(room.id) + "|" + room.place.title + "|" + creator.ID + "|" + strconv.Itoa(parent.id) + "|" + parent.place.title
}

func bump(f *document, _ *Action) { f.version++ }

package docspacetest

import (
	"slices"
	"sync"
	"time"
)

// A Row is what the portal knows about a row, to compare with what was read.
type Row struct {
	ID          int64
	Code        int // as reported
	StoredCode  int
	Key         string // of the reported code
	Date        time.Time
	UserID      string // as reported
	Entry       int    // as reported: 0 once the file is purged
	Title       string
	Unexplained bool // in the total but in no page
}

// Redeliver stores the content of a row once more, under a new id, as a message
// queue does that was not told of its success. It returns 0 for an unknown id.
func (p *Portal) Redeliver(id int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.redeliver(id)
}

func (p *Portal) redeliver(id int64) int64 {
	var again *row
	var refs []*folder
	for _, f := range p.folders {
		at := f.history.find(id)
		if at == len(f.history.rows) || f.history.rows[at].id != id {
			continue
		}
		if again == nil {
			again = p.newRow()
			*again = *f.history.rows[at]
			again.id = p.auditID()
		}
		refs = append(refs, f)
	}
	if again == nil {
		return 0
	}
	p.insert(again, refs)
	return again.id
}

// Rewind makes the portal what it was when id was its newest row, like a backup
// put back: later rows are gone, and their ids will be given out again.
func (p *Portal) Rewind(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.folders {
		f.history.cut(f.history.rows[:f.history.find(id+1)])
	}
	p.nextID = id + 1
	p.queue.waiting = nil
	if p.chaos != nil {
		p.chaos.held = slices.DeleteFunc(p.chaos.held, func(late parcel) bool { return late.row.id > id })
	}
}

// Restore puts a backup back the way the server does: every request is refused
// with 403 while it lasts, and when done is called the portal is what it was
// when id was its newest row.
func (p *Portal) Restore(id int64) (done func()) {
	heal := p.Fail(Fault{Times: -1, Do: Restoring()})
	return sync.OnceFunc(func() {
		p.Rewind(id)
		heal()
	})
}

// Prune removes the oldest n rows of one folder's log. No known server does it.
func (p *Portal) Prune(folder, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.folders[folder]; f != nil {
		f.history.cut(f.history.rows[min(max(n, 0), len(f.history.rows)):])
	}
}

// Count is the number of visible rows of a folder's log.
func (p *Portal) Count(folder int) int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if f := p.folders[folder]; f != nil {
		return len(f.history.rows)
	}
	return 0
}

// Rows lists the visible rows of a folder's log, ascending by id.
func (p *Portal) Rows(folder int) []Row {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f := p.folders[folder]
	if f == nil {
		return nil
	}
	rows := make([]Row, len(f.history.rows))
	for i, r := range f.history.rows {
		k := r.kind.reported(p.profile)
		rows[i] = Row{
			ID: r.id, Code: k.code, StoredCode: r.kind.code, Key: k.key, Date: time.Unix(r.date, 0).UTC(),
			UserID: r.initiator().shownID(), Entry: p.shownEntry(r), Title: r.title,
			Unexplained: r.more != nil && r.more.Unexplained,
		}
	}
	return rows
}

// Rooms lists the ids of active rooms, in the order they came there.
func (p *Portal) Rooms() []int { return p.list(p.roomsRoot.id, false) }

// Folders lists the ids of all folders below a folder, parents first.
func (p *Portal) Folders(below int) []int { return p.list(below, true) }

func (p *Portal) list(id int, deep bool) []int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	top := p.folders[id]
	if top == nil {
		return nil
	}
	var ids []int
	var walk func(*folder)
	walk = func(f *folder) {
		for _, c := range f.children {
			ids = append(ids, c.id)
			if deep {
				walk(c)
			}
		}
	}
	walk(top)
	return ids
}

// Files lists the ids of the files that lie directly in a folder.
func (p *Portal) Files(in int) []int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f := p.folders[in]
	if f == nil {
		return nil
	}
	ids := make([]int, len(f.files))
	for i, x := range f.files {
		ids[i] = x.id
	}
	return ids
}

package docspacetest

import (
	"slices"
	"time"
)

// An Action is one thing done, for Record and Reserve. The verbs of Portal fill
// it in for every code of the log; by hand it is needed for old dates, unknown
// codes and rows a sound server would not write.
type Action struct {
	Code int       // as stored
	By   *User     // nil: the owner
	At   time.Time // zero: now. Stored in whole seconds, rounded.

	Folder int // where: the folder holding the entry, or the entry itself for a room
	Entry  int // file, folder or room
	Title  string
	Note   string // the old title of a renaming, the name of who saved a file
	To     int    // target folder of a move or copy
	From   int    // its source, when one row tells both
	// SourceHalf marks the row the source of a move or copy to another room
	// gets: it knows the target's id and not its title.
	SourceHalf bool

	Member    *User // whose access changed; the new owner
	Former    *User // the owner before
	Group     *Group
	Access    string
	OldAccess string
	Link      string // GUID
	Tags      []string
	Version   int
	Index     int
	OldIndex  int
	LifeTime  *LifeTime
	Context   string // of a reorder: equal ones are shown together

	Key         string // the name shown for a code that is not in the catalogue
	Unexplained bool   // no interpreter: counted in total, left out of the page
}

// A Group is a group of users.
type Group struct {
	ID     string
	Name   string
	System bool // the portal's own, "everyone" for instance; told by versions from 3.5 on
}

// A LifeTime is how long the files of a room live.
type LifeTime struct {
	Value             int
	Period            int // 0 days, 1 months, 2 years
	DeletePermanently bool
}

// A row is one stored action. It never changes once it is visible.
type row struct {
	id    int64
	date  int64 // seconds since 1970
	kind  *kind
	by    *User
	entry int
	title string
	note  string
	at    *place // the folder the entry lies in, or went to
	from  *place // where it came from; nil unless one row tells both
	more  *extra // nil for most rows
}

// An extra is what only some kinds of row keep.
type extra struct {
	Action
	memberName string // at the time, for when the profile is gone
	formerName string
}

// Record stores an action and returns its audit id. It returns 0 when the
// action gets none now: its folder is not there, the message queue is down, or
// the server version does not keep such actions for the logs of folders.
func (p *Portal) Record(a Action) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record(a)
}

func (p *Portal) record(a Action) int64 {
	r := p.build(a)
	if r == nil {
		return 0
	}
	p.tell(r)
	if (p.queue.down || p.chaos.strikes()) && !r.kind.overtakes(p.profile) {
		p.queue.waiting = append(p.queue.waiting, parcel{r, slices.Clone(p.refs)})
		return 0
	}
	r.id = p.auditID()
	if p.chaos.strikes() {
		p.chaos.held = append(p.chaos.held, parcel{r, slices.Clone(p.refs)})
		return r.id
	}
	p.insert(r, p.refs)
	return r.id
}

func (p *Portal) insert(r *row, refs []*folder) {
	for _, f := range refs {
		f.history.add(r)
	}
	p.announce()
}

// build makes the row, without an id, and leaves in p.refs the folders whose
// log shows it: those above the entry, and the entry itself when it is a folder
// that was neither deleted nor seen leaving. It returns nil for an action that
// reaches no log.
func (p *Portal) build(a Action) *row {
	f := p.folders[a.Folder]
	if f == nil {
		return nil
	}
	k := kindByCode[a.Code]
	switch {
	case k == nil:
		k = &kind{code: a.Code, key: a.Key, shape: shapeEntryParent}
	case k.since > p.profile:
		p.auditID() // stored all the same, for no folder to show
		return nil
	}
	at := a.At
	if at.IsZero() {
		at = p.now()
	}
	r := p.newRow()
	*r = row{
		date: at.Round(time.Second).Unix(), kind: k, by: p.actor(a.By),
		entry: a.Entry, title: a.Title, note: a.Note, at: f.place,
	}
	if a.Entry == a.Folder && f.parent != nil {
		r.at = f.parent.place
	}
	p.refs = appendChain(p.refs[:0], f)
	if to := p.folders[a.To]; to != nil && k.operation() {
		r.at = to.place
		if from := p.folders[a.From]; from != nil {
			r.from = from.place
			p.refs = appendChain(p.refs, from)
		}
		if a.SourceHalf {
			r.at = &place{id: a.To}
		}
	}
	if own := p.folders[a.Entry]; own != nil && !a.SourceHalf && k.code != 5027 && !slices.Contains(p.refs, own) {
		p.refs = append(p.refs, own)
	}
	if r.needsMore(a) {
		r.more = &extra{Action: a, memberName: a.Member.nameOrNone(), formerName: a.Former.nameOrNone()}
		r.more.Tags = slices.Clone(a.Tags)
		if !p.profile.has(oldIndexKept) {
			r.more.OldIndex = a.Index // overwritten before it is stored
		}
	}
	return r
}

func (r *row) needsMore(a Action) bool {
	switch r.kind.shape {
	case shapeFileIndex, shapeFolderIndex, shapeFileVersion, shapeLifeTime, shapeUser, shapeGroup, shapeOwner, shapeTags,
		shapeLinkCreated, shapeLinkRenamed, shapeLinkDeleted, shapeLinkRevoked:
		return true
	}
	return a.Unexplained
}

// initiator is whom the row shows: a typed name is known to savings only.
func (r *row) initiator() *User {
	if r.by.typed && r.kind.shape != shapeFileEdited {
		return guestUser
	}
	return r.by
}

// shownEntry is the id the row shows: none once the file is gone for good.
func (p *Portal) shownEntry(r *row) int {
	if p.purged[r.entry] {
		return 0
	}
	return r.entry
}

func (p *Portal) actor(u *User) *User {
	if u == nil {
		return p.owner
	}
	return u
}

// auditID takes the next id. Ids count all actions of the portal, also those no
// folder shows, so there are gaps.
func (p *Portal) auditID() int64 {
	if p.rng.Uint32()%8 == 0 {
		p.nextID += 1 + int64(p.rng.Uint32()%3)
	}
	id := p.nextID
	p.nextID++
	return id
}

func (p *Portal) newRow() *row {
	if len(p.slab) == 0 {
		p.slab = make([]row, 256)
	}
	r := &p.slab[0]
	p.slab = p.slab[1:]
	return r
}

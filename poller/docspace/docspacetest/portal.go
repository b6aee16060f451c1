// Package docspacetest is a simulated DocSpace portal: people, rooms, folders
// and files, the log the server keeps of what is done to them, and the REST
// routes that show it, with the habits of a real server that lose or repeat
// rows for a careless reader.
//
// A Portal is an http.Handler and an http.RoundTripper. The second needs no
// sockets, so it also works where all waiting is simulated. Everything is
// decided by Options.Seed and the calls made: nothing is random otherwise.
//
// The package writes its own JSON and shares no types with the client: a
// server that reused the client's structs would agree with its mistakes.
package docspacetest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Options configure a Portal. The zero value means the defaults.
type Options struct {
	Host     string           // default "docspace.example.com"
	TimeZone *time.Location   // of the tenant; default UTC
	Now      func() time.Time // default time.Now
	Seed     uint64           // names, keys and GUIDs
	APIKey   string           // of the owner; default one made from Seed
	// RateLimit is how many requests a user may make within a minute; further
	// ones are answered 429. Default: no limit, as on a self-hosted server.
	RateLimit int
}

// A Portal is a simulated server. Its methods may be called at any time, from
// any goroutine, and from its own hooks.
//
// What people do is a method named after it: Upload, Rename, Trash. Each takes
// the person first, nil meaning the owner of the portal. Done to a file, folder
// or room that is not there, it does nothing and returns zero.
type Portal struct {
	host     string
	now      func() time.Time
	profile  profile
	apiKey   string
	password string
	limiter  limiter
	tally    tally

	mu        sync.RWMutex // guards all below
	rng       *rand.Rand
	zone      *time.Location
	owner     *User
	users     []*User
	folders   map[int]*folder
	files     map[int]*document
	purged    map[int]bool // files whose id the log no longer tells
	roomsRoot *folder
	archive   *folder
	templates *folder
	agents    *folder
	external  []*folder // third-party rooms
	nextEntry int
	nextID    int64
	slab      []row // rows are cut from here, so that a million are cheap
	refs      []*folder
	changed   chan struct{} // nil while nobody waits
	keys      map[string]*apiKey
	tokens    map[string]*User
	poison    map[int64]int
	quirks    quirks
	hooks     hooks
	faults    []*scripted
}

type quirks struct{ gzip, noIDs, dateObjects, extraFields bool }

type hooks struct {
	request func(*http.Request)
	between func(folder int)
	after   func(folder, start int)
}

// New returns a portal with its root folders, one owner and an API key.
func New(o Options) *Portal {
	if o.Host == "" {
		o.Host = "docspace.example.com"
	}
	if o.TimeZone == nil {
		o.TimeZone = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Portal{
		host:      o.Host,
		now:       o.Now,
		profile:   v372,
		rng:       rand.New(rand.NewPCG(o.Seed, 0x646f6373)),
		zone:      o.TimeZone,
		folders:   make(map[int]*folder),
		files:     make(map[int]*document),
		purged:    make(map[int]bool),
		nextID:    90001,
		keys:      make(map[string]*apiKey),
		tokens:    make(map[string]*User),
		poison:    make(map[int64]int),
		nextEntry: 1,
	}
	p.limiter.limit = o.RateLimit
	p.tally.routes = make(map[Route]int)
	p.owner = p.addUser("Nora Lindqvist", "nora@example.com", false)
	p.owner.admin = true
	p.password = p.hex(8)
	p.apiKey = o.APIKey
	if p.apiKey == "" {
		p.apiKey = "sk-" + p.hex(32)
	}
	p.keys[p.apiKey] = &apiKey{id: p.guid(), user: p.owner, created: p.now()}
	p.owner.mine = p.addFolder(nil, p.owner, "My documents", typeUser)
	p.roomsRoot = p.addFolder(nil, p.owner, "Rooms", typeRooms)
	p.archive = p.addFolder(nil, p.owner, "Archive", typeArchive)
	p.owner.trash = p.addFolder(nil, p.owner, "Trash", typeTrash)
	p.templates = p.addFolder(nil, p.owner, "Room templates", typeTemplates)
	p.agents = p.addFolder(nil, p.owner, "AI agents", typeAgents)
	p.nextEntry = 1200
	return p
}

// Host is the portal's own host name.
func (p *Portal) Host() string { return p.host }

// URL is the portal's address, for clients that use it as a RoundTripper.
func (p *Portal) URL() string { return "https://" + p.host }

// APIKey is the owner's key, with every permission.
func (p *Portal) APIKey() string { return p.apiKey }

// Username is what the owner signs in with, together with Password.
func (p *Portal) Username() string { return p.owner.Email }

// Password opens the session of every user of this portal.
func (p *Portal) Password() string { return p.password }

// Owner is the person who owns the portal and whom nil stands for.
func (p *Portal) Owner() *User { return p.owner }

// SetTimeZone changes the tenant's setting, and with it the text of every date.
func (p *Portal) SetTimeZone(zone *time.Location) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zone = zone
}

// Gzip makes the portal compress what clients accept compressed.
func (p *Portal) Gzip(on bool) { p.set(func(q *quirks) { q.gzip = on }) }

// HideIDs leaves the audit id out of the entries, as servers before 3.6 do.
func (p *Portal) HideIDs(on bool) { p.set(func(q *quirks) { q.noIDs = on }) }

// DateObjects shows dates as {"utcTime":…,"timeZoneOffset":…}.
func (p *Portal) DateObjects(on bool) { p.set(func(q *quirks) { q.dateObjects = on }) }

// ExtraFields adds fields no version is known to send, at every level.
func (p *Portal) ExtraFields(on bool) { p.set(func(q *quirks) { q.extraFields = on }) }

func (p *Portal) set(change func(*quirks)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.quirks)
}

// OnRequest sets what happens before any request is answered, whatever becomes
// of it. Nil ends it.
func (p *Portal) OnRequest(f func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks.request = f
}

// Between sets what happens between the two statements of a log request, the
// COUNT and the page: a row recorded there is in the page and not in the total.
// Nil ends it.
func (p *Portal) Between(f func(folder int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks.between = f
}

// AfterPage sets what happens when a page of a log has been read and not yet
// been sent: a row recorded there pushes the next page down. Nil ends it.
func (p *Portal) AfterPage(f func(folder, start int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks.after = f
}

// Changed returns a channel that is closed when a row becomes visible.
func (p *Portal) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

func (p *Portal) announce() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func (p *Portal) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.rng.Uint32())
	}
	return hex.EncodeToString(b)
}

func (p *Portal) guid() string {
	h := p.hex(16)
	return fmt.Sprintf("%s-%s-4%s-8%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:])
}

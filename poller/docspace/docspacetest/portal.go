// Package docspacetest is a simulated DocSpace portal: people, rooms, folders
// and files, the log the server keeps of what is done to them, and the REST
// routes that show it, with the habits of a real server that lose or repeat
// rows for a careless reader.
//
// A Portal is an http.Handler and an http.RoundTripper. The second needs no
// sockets, so it also works where all waiting is simulated. Everything is
// decided by Options.Seed and the calls made: nothing is random otherwise.
//
// It is a server of one of Versions; what tells them apart is one table. What
// goes wrong is ordered: for single requests by Fail, for single rows by Poison
// and HideID, for the way of rows into the logs by Reserve and Outage, and all
// of it by chance by Chaos, until Calm.
//
// The package writes its own JSON and shares no types with the client: a
// server that reused the client's structs would agree with its mistakes.
package docspacetest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a Portal. The zero value means the defaults.
type Options struct {
	Version  string           // of the server, one of Versions; default the last
	Host     string           // default "docspace.example.com"
	TimeZone *time.Location   // of the tenant; default UTC
	Language string           // of the portal: "en", "de", "fr" or "ja"; default "en"
	Now      func() time.Time // default time.Now
	Seed     uint64           // names, keys and GUIDs
	APIKey   string           // of the owner; default one made from Seed
	// ServerZone is the time zone of the server process, by which versions up to
	// 3.6 read dates without an offset. Default UTC.
	ServerZone *time.Location
	// Build is the version the portal tells, which need not be its own: it comes
	// from a setting that packages forget. Default the version.
	Build string
	// RateLimit is how many requests a user may make within a minute; further
	// ones are answered 429. Default: no limit, as on a self-hosted server.
	RateLimit int
	// Parallel is how many GETs of one user may be in hand at one time; others
	// are answered 429 at once, with no header. A hosted portal allows 50.
	// Default: no limit.
	Parallel int
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
	told     string // the version it tells
	server   *time.Location
	phrases  phrases
	apiKey   string
	password string
	limiter  limiter
	tally    tally
	shuffles atomic.Uint64

	mu        sync.RWMutex // guards all below
	profile   profile
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
	nameless  map[int64]bool // rows that do not tell their id
	quirks    quirks
	hooks     hooks
	webhooks  []chan []byte
	posted    int64 // to webhooks
	faults    []*scripted
	queue     queue
	chaos     *chaos
}

// New returns a portal with its root folders, one owner and an API key. It
// panics on a version that is not one of Versions.
func New(o Options) *Portal {
	if o.Version == "" {
		o.Version = versions[len(versions)-1]
	}
	if o.Build == "" {
		o.Build = o.Version
	}
	if o.ServerZone == nil {
		o.ServerZone = time.UTC
	}
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
		told:      o.Build,
		server:    o.ServerZone,
		phrases:   phrasesOf(o.Language),
		profile:   profileOf(o.Version),
		rng:       rand.New(rand.NewPCG(o.Seed, 0x646f6373)),
		zone:      o.TimeZone,
		folders:   make(map[int]*folder),
		files:     make(map[int]*document),
		purged:    make(map[int]bool),
		nextID:    90001,
		keys:      make(map[string]*apiKey),
		tokens:    make(map[string]*User),
		poison:    make(map[int64]int),
		nameless:  make(map[int64]bool),
		nextEntry: 1,
	}
	p.limiter = limiter{limit: o.RateLimit, parallel: o.Parallel, asked: make(map[*User][]time.Time), inHand: make(map[*User]int)}
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

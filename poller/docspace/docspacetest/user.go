package docspacetest

import (
	"html"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
)

// Ids the server gives to those who are no profile of the portal.
const (
	lostUserID   = "4a515a15-d4d6-4b8e-828e-e0586f18f3a3"
	systemUserID = "a37ee56e-3302-4a7b-b67e-ddbea64cd032"
	guestUserID  = "712d9ec3-5d2b-4b13-824f-71f00191dcca"
	noUserID     = "00000000-0000-0000-0000-000000000000"
	everyoneID   = "c5cc67d1-c3e8-43c0-a3ad-3928ae3e5b5e" // a group
)

// A User is a person of the portal, or one of those it knows without a profile.
type User struct {
	ID    string // GUID; a removed user's rows no longer show it
	Email string

	title string
	card  *Card
	guest bool // invited from outside
	typed bool // known by a typed name only
	admin bool
	mine  *folder
	trash *folder
	face  atomic.Pointer[face]
}

// A face is how a user looks in a response, rendered once. The address of the
// portal, which follows the request, goes between head and tail.
type face struct {
	name       string
	removed    bool
	head, tail string
	local      bool // head is all, there is no address in it
}

var (
	guestUser = newFixed(guestUserID, "guest", true)
	system    = newFixed(systemUserID, "asc system", false)
)

// System is who background jobs of the server act as.
func System() *User { return system }

// Guest is whoever follows an external link without signing in.
func Guest() *User { return guestUser }

func newFixed(id, name string, anonymous bool) *User {
	u := &User{ID: id}
	w := writer{}
	w.person(id, name, "")
	w.raw("/accounts/people/filter")
	head, tail := split(w.b, "profileUrl", anonymous)
	u.face.Store(&face{name: name, head: head, tail: tail})
	return u
}

// AddUser adds a member of the portal.
func (p *Portal) AddUser(name, email string) *User {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addUser(name, email, false)
}

// AddGuest adds a person invited from outside the portal.
func (p *Portal) AddGuest(name, email string) *User {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addUser(name, email, true)
}

func (p *Portal) addUser(name, email string, guest bool) *User {
	u := &User{ID: p.guid(), Email: email, guest: guest}
	p.show(u, name)
	p.users = append(p.users, u)
	return u
}

// External is an editor without an account who typed a name. It may act in
// Update only; elsewhere it counts as Guest.
func (p *Portal) External(name string) *User {
	u := &User{ID: noUserID, typed: true}
	shown := name
	if name != p.phrases.unnamed {
		shown += " (" + p.phrases.external + ")"
	}
	u.face.Store(&face{name: name, head: nameOnly(shown), local: true})
	return u
}

// RenameUser changes a profile, and with it how all earlier rows look.
func (p *Portal) RenameUser(u *User, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u = p.actor(u); !u.removed() {
		p.show(u, name)
	}
}

// SetTitle gives a person a title, such as a position in a company. Versions
// up to 3.6 show it wherever they show the person.
func (p *Portal) SetTitle(u *User, title string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u = p.actor(u)
	u.title = title
	if !u.removed() {
		p.show(u, u.Name())
	}
}

// A Card is what the portal knows of a person and shows in no log. Each field
// is any text.
type Card struct{ Phone, Notes, Avatar, Group, Contact, Location, Birthday string }

// SetCard makes the portal show a person as a whole employee record wherever it
// shows the person. The type of the field allows for that; no version is known
// to do it.
func (p *Portal) SetCard(u *User, card Card) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u = p.actor(u)
	u.card = &card
	if !u.removed() {
		p.show(u, u.Name())
	}
}

// RemoveUser removes a profile: earlier rows name the lost user instead, and
// the user's keys and sessions end. The owner stays.
func (p *Portal) RemoveUser(u *User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.actor(u) == p.owner {
		return
	}
	gone := *newFixed(lostUserID, p.phrases.removed, false).face.Load()
	gone.name = u.Name()
	gone.removed = true
	u.face.Store(&gone)
	for key, k := range p.keys {
		if k.user == u {
			delete(p.keys, key)
		}
	}
	for token, holder := range p.tokens {
		if holder == u {
			delete(p.tokens, token)
		}
	}
}

// Name is the profile's current name; a removed user's last one.
func (u *User) Name() string { return u.face.Load().name }

func (u *User) nameOrNone() string {
	if u == nil {
		return ""
	}
	return u.Name()
}

func (u *User) removed() bool { return u.face.Load().removed }

// shownID is the id responses carry.
func (u *User) shownID() string {
	if u.removed() {
		return lostUserID
	}
	return u.ID
}

// show renders a user as this version does.
func (p *Portal) show(u *User, name string) {
	w := writer{}
	title := ""
	if p.profile.has(userTitles) {
		title = u.title
	}
	w.person(u.ID, name, title)
	page := "/accounts/people/filter?search="
	if u.guest && p.profile.has(guestsApart) {
		page = "/accounts/guests/filter?search="
	}
	w.raw(page + url.QueryEscape(u.Email))
	head, tail := split(w.b, "profileUrl", false)
	if u.card != nil {
		head = strings.ReplaceAll(head, "/static/images/default_user_photo", "/storage/userPhotos/"+url.PathEscape(u.card.Avatar))
		tail = strings.TrimSuffix(tail, "}") + "," + u.card.members(name, u.Email) + "}"
	}
	u.face.Store(&face{name: name, head: head, tail: tail})
}

// members are what an employee record has beyond an embedded user.
func (c *Card) members(name, email string) string {
	first, last, _ := strings.Cut(name, " ")
	w := writer{b: []byte{'{'}}
	w.str("firstName", first)
	w.str("lastName", last)
	w.str("userName", email)
	w.str("email", email)
	w.array("contacts")
	w.item()
	w.str("type", "GTalk")
	w.str("value", c.Contact)
	w.endObject()
	w.endArray()
	w.str("birthday", c.Birthday)
	w.str("sex", "female")
	w.str("department", c.Group)
	w.array("groups")
	w.item()
	w.str("id", noUserID)
	w.str("name", c.Group)
	w.str("manager", name)
	w.endObject()
	w.endArray()
	w.str("location", c.Location)
	w.str("notes", c.Notes)
	w.str("mobilePhone", c.Phone)
	w.flag("isAdmin", false)
	return string(w.b[1:])
}

// person writes an embedded user up to the path of its profile.
func (w *writer) person(id, name, title string) {
	w.b = append(w.b, '{')
	w.str("id", id)
	w.str("displayName", encodeHTML(name))
	if title != "" {
		w.str("title", title)
	}
	for _, size := range [...]struct{ key, pixels string }{
		{"avatar", "82-82"}, {"avatarOriginal", "200-200"}, {"avatarMax", "200-200"}, {"avatarMedium", "48-48"}, {"avatarSmall", "32-32"},
	} {
		w.str(size.key, "/static/images/default_user_photo_size_"+size.pixels+".png?hash=1976429152")
	}
	w.raw(profilePath)
}

// profilePath parts what stands before the portal's address from what follows.
const profilePath = "\x00"

func split(rendered []byte, key string, anonymous bool) (head, tail string) {
	before, path, _ := strings.Cut(string(rendered), profilePath)
	return before + `,"` + key + `":"`, path + `","hasAvatar":false,"isAnonim":` + strconv.FormatBool(anonymous) + `}`
}

// nameOnly is the object shown for somebody of whom only a name is known.
func nameOnly(name string) string {
	w := writer{b: []byte{'{'}}
	w.str("id", noUserID)
	w.str("displayName", encodeHTML(name))
	w.flag("hasAvatar", false)
	w.flag("isAnonim", false)
	w.endObject()
	return string(w.b)
}

// user writes an embedded user object.
func (w *writer) user(k string, u *User, base string) {
	w.key(k)
	f := u.face.Load()
	w.raw(f.head)
	if f.local {
		return
	}
	w.raw(base)
	w.raw(f.tail)
}

// encodeHTML encodes as the server does: the markup characters, everything
// between U+00A0 and U+00FF, and all characters beyond the basic plane.
func encodeHTML(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\'':
			b.WriteString("&#39;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '<', r == '>', r == '&':
			b.WriteString(html.EscapeString(string(r)))
		case r >= 0xa0 && r <= 0xff, r > 0xffff:
			b.WriteString("&#" + strconv.Itoa(int(r)) + ";")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

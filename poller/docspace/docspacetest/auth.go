package docspacetest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// An apiKey is a key or a personal access token: a credential with scopes.
type apiKey struct {
	bearer  bool // a token
	id      string
	user    *User
	scopes  []string // empty: all
	created time.Time
}

func (k *apiKey) acceptedBy(v profile) bool {
	if k.bearer {
		return v.has(bearersAccepted)
	}
	return v.has(keysAccepted)
}

// A caller is whom a request acts for; user is nil for nobody.
type caller struct {
	user *User
	key  *apiKey // nil for a session
	text string  // the key
}

// AddKey makes an API key for a person. Without scopes ("files:read",
// "rooms:read") it may do whatever the person may. Versions before 3.1 accept
// none.
func (p *Portal) AddKey(by *User, scopes ...string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := "sk-" + p.hex(32)
	p.keys[key] = &apiKey{id: p.guid(), user: p.actor(by), scopes: scopes, created: p.now()}
	return key
}

// AddToken makes a personal access token for a person, which versions from 3.0
// on accept like an API key.
func (p *Portal) AddToken(by *User, scopes ...string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	token := "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9." + p.hex(24) + "." + p.hex(32)
	p.keys[token] = &apiKey{bearer: true, id: p.guid(), user: p.actor(by), scopes: scopes, created: p.now()}
	return token
}

// LimitKey leaves an API key or token no scopes but these; without any it has
// all.
func (p *Portal) LimitKey(key string, scopes ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.keys[key]; old != nil {
		limited := *old // requests in hand keep theirs
		limited.scopes = scopes
		p.keys[key] = &limited
	}
}

// RevokeKey ends an API key or token.
func (p *Portal) RevokeKey(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, key)
}

// ExpireSessions ends every session opened with a password.
func (p *Portal) ExpireSessions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.tokens)
}

// identify finds out who asks. The cookie wins over the header.
func (p *Portal) identify(r *http.Request) caller {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		return caller{user: p.tokens[cookie.Value]}
	}
	if email, password, ok := r.BasicAuth(); ok {
		return caller{user: p.signIn(email, password)}
	}
	value := r.Header.Get("Authorization")
	if bearer, ok := cutPrefixFold(value, "Bearer "); ok {
		value = bearer
	}
	if key := p.keys[value]; key != nil && key.acceptedBy(p.profile) {
		return caller{user: key.user, key: key, text: value}
	}
	return caller{user: p.tokens[value]}
}

func (p *Portal) signIn(email, password string) *User {
	if password != p.password {
		return nil
	}
	for _, u := range p.users {
		if strings.EqualFold(u.Email, email) && !u.removed() {
			return u
		}
	}
	return nil
}

const sessionCookie = "asc_auth_key"

// anyScope is asked of nobody.
const anyScope = "any"

// may reports whether the key's scopes allow reading what needs scope; "" are
// those parts of the portal that have no area of their own.
func (c caller) may(scope string, v profile) bool {
	switch {
	case c.key == nil, scope == anyScope, len(c.key.scopes) == 0, slices.Contains(c.key.scopes, "*"):
		return true
	case v.has(writeMeansRead):
		return slices.ContainsFunc(c.key.scopes, func(have string) bool {
			of, verb, _ := strings.Cut(have, ":")
			return (verb == "read" || verb == "write") && (of == "*" || of == scope && scope != "")
		})
	case scope == "":
		return true
	case scope == "files" && v.has(filesNeedBoth) && !slices.Contains(c.key.scopes, "files:write"):
		return false
	}
	return slices.Contains(c.key.scopes, scope+":read")
}

package docspacetest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

type apiKey struct {
	id      string
	user    *User
	scopes  []string // empty: all
	created time.Time
}

// A caller is whom a request acts for; user is nil for nobody.
type caller struct {
	user *User
	key  *apiKey // nil for a session
	text string  // the key
}

// AddKey makes an API key for a person. Without scopes ("files:read",
// "rooms:read") it may do whatever the person may.
func (p *Portal) AddKey(by *User, scopes ...string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := "sk-" + p.hex(32)
	p.keys[key] = &apiKey{id: p.guid(), user: p.actor(by), scopes: scopes, created: p.now()}
	return key
}

// RevokeKey ends an API key.
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
	if cookie, err := r.Cookie("asc_auth_key"); err == nil {
		return caller{user: p.tokens[cookie.Value]}
	}
	if email, password, ok := r.BasicAuth(); ok {
		return caller{user: p.signIn(email, password)}
	}
	value := r.Header.Get("Authorization")
	if bearer, ok := cutPrefixFold(value, "Bearer "); ok {
		value = bearer
	}
	if strings.HasPrefix(value, "sk-") {
		key := p.keys[value]
		if key == nil {
			return caller{}
		}
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

// may reports whether the key's scopes allow reading what needs scope.
func (c caller) may(scope string) bool {
	if c.key == nil || len(c.key.scopes) == 0 || scope == "any" {
		return true
	}
	return slices.ContainsFunc(c.key.scopes, func(have string) bool {
		of, verb, _ := strings.Cut(have, ":")
		if have == "*" {
			return true
		}
		return (verb == "read" || verb == "write") && (of == "*" || of == scope && scope != "")
	})
}

// A limiter is the sliding window that keeps one user from asking too much.
type limiter struct {
	limit int
	mu    sync.Mutex
	asked map[*User][]time.Time
}

const limitWindow = time.Minute

// take counts a request, or refuses it.
func (l *limiter) take(u *User, now time.Time) *reply {
	if l.limit <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		l.asked = make(map[*User][]time.Time)
	}
	asked := l.asked[u]
	for len(asked) > 0 && now.Sub(asked[0]) >= limitWindow {
		asked = asked[1:]
	}
	if len(asked) < l.limit {
		l.asked[u] = append(asked, now)
		return nil
	}
	l.asked[u] = asked
	refused := empty(http.StatusTooManyRequests)
	refused.header = http.Header{
		"X-Ratelimit-Limit":     {strconv.Itoa(l.limit)},
		"X-Ratelimit-Remaining": {"0"},
		"Retry-After":           {strconv.Itoa(int((limitWindow - now.Sub(asked[0])) / time.Second))},
	}
	return refused
}

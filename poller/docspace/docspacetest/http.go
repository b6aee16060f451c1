package docspacetest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Route names a kind of request.
type Route string

// The routes of the portal.
const (
	RouteHistory        Route = "history"        // GET  files/folder/{id}/log
	RouteFolder         Route = "folder"         // GET  files/folder/{id}
	RouteContents       Route = "contents"       // GET  files/{id}
	RouteRooms          Route = "rooms"          // GET  files/rooms
	RouteAgents         Route = "agents"         // GET  ai/agents
	RouteAuthentication Route = "authentication" // POST authentication
	RouteKey            Route = "key"            // GET  keys/@self
	RouteSelf           Route = "self"           // GET  people/@self
	RoutePortal         Route = "portal"         // GET  portal
	RouteSettings       Route = "settings"       // GET  settings
	RouteBuild          Route = "build"          // GET  settings/version/build
	RouteCapabilities   Route = "capabilities"   // GET  capabilities
	RouteNone           Route = "none"           // anything else
)

// A Request is what the portal understood of a request, before checking it.
type Request struct {
	Route  Route
	Folder int // of RouteHistory, RouteFolder and RouteContents
	Start  int // startIndex
	Count  int // as asked for; 0 when absent or no number
}

// A call is a request on its way through the checks.
type call struct {
	Request
	http    *http.Request
	query   url.Values
	base    string // scheme and host the portal was asked under
	profile profile
	quirks  quirks
	caller  caller
}

type endpoint struct {
	route     Route
	method    string
	path      string  // "{id}" is a 32-bit number
	needs     feature // "": in every version
	anonymous bool
	scope     string // what a restricted key needs for reading
	answer    func(*Portal, call) *reply
}

// endpoints is tried in order; the first that fits answers.
var endpoints = []endpoint{
	{RouteHistory, http.MethodGet, "files/folder/{id}/log", "", false, "files", (*Portal).history},
	{RouteFolder, http.MethodGet, "files/folder/{id}", "", false, "files", (*Portal).folderInfo},
	{RouteRooms, http.MethodGet, "files/rooms", "", false, "rooms", (*Portal).roomList},
	{RouteContents, http.MethodGet, "files/{id}", "", false, "files", (*Portal).contents},
	{RouteAgents, http.MethodGet, "ai/agents", agentsKnown, false, "rooms", (*Portal).agentList},
	{RouteAuthentication, http.MethodPost, "authentication", "", true, "", (*Portal).authenticate},
	{RouteKey, http.MethodGet, "keys/@self", keysAccepted, false, anyScope, (*Portal).keySelf},
	{RouteSelf, http.MethodGet, "people/@self", "", false, "accounts.self", (*Portal).peopleSelf},
	{RoutePortal, http.MethodGet, "portal", "", false, "", (*Portal).portalInfo},
	{RouteBuild, http.MethodGet, "settings/version/build", "", true, "", (*Portal).versions},
	{RouteSettings, http.MethodGet, "settings", "", true, "", (*Portal).settings},
	{RouteCapabilities, http.MethodGet, "capabilities", "", true, "", (*Portal).capabilities},
}

// match finds the endpoint of a request, and the id in its path.
func match(r *http.Request) (e *endpoint, id int) {
	rest, ok := cutPrefixFold(r.URL.Path, "/api/2.0/")
	if !ok {
		return nil, 0
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	for i := range endpoints {
		e := &endpoints[i]
		want := strings.Split(e.path, "/")
		if e.method != r.Method || len(want) != len(parts) {
			continue
		}
		if id, ok := fits(parts, want); ok {
			return e, id
		}
	}
	return nil, 0
}

func fits(parts, want []string) (id int, ok bool) {
	for i, w := range want {
		if w == "{id}" {
			n, err := strconv.ParseInt(parts[i], 10, 32)
			if err != nil {
				return 0, false
			}
			id = int(n)
			continue
		}
		if !strings.EqualFold(parts[i], w) {
			return 0, false
		}
	}
	return id, true
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// answer takes a request through the faults that were ordered and then the
// server's checks.
func (p *Portal) answer(r *http.Request) *reply {
	e, id := match(r)
	c := call{http: r, query: r.URL.Query(), base: baseOf(r, p.host)}
	c.Route = RouteNone
	if e != nil {
		c.Route, c.Folder = e.route, id
	}
	c.Start, c.Count = loose(c.query, "startIndex"), loose(c.query, "count")

	p.tally.begin(c.Route)
	defer p.tally.end()
	if onRequest := p.hooked().request; onRequest != nil {
		onRequest(r)
	}
	fault := p.nextFault(c.Request)
	if fault.instead != nil {
		return fault.instead()
	}
	c.profile, c.quirks = p.asItIs()
	c.quirks = c.quirks.or(fault.quirks)
	rp := p.checked(c, e, fault.stall)
	if !rp.trouble.refuse {
		rp.trouble = fault.trouble
	}
	rp.gzip = c.quirks.gzip
	return rp
}

// checked answers after the server's checks, in its order: the route,
// credentials, rate, scope, and then whatever the endpoint checks.
func (p *Portal) checked(c call, e *endpoint, stall time.Duration) *reply {
	if e == nil || e.needs != "" && !c.profile.has(e.needs) {
		return empty(http.StatusNotFound)
	}
	c.caller = p.identify(c.http)
	if c.caller.user == nil && !e.anonymous {
		return unauthorized(c.http)
	}
	if refused := p.limiter.take(c.caller.user, p.now()); refused != nil {
		return refused
	}
	if e.method == http.MethodGet {
		if refused := p.limiter.enter(c.caller.user); refused != nil {
			return refused
		}
		defer p.limiter.leave(c.caller.user)
	}
	if stall > 0 && !sleep(c.http.Context(), stall) {
		return &reply{trouble: trouble{refuse: true}}
	}
	if (!e.anonymous || c.profile.has(openAsksScope)) && !c.caller.may(e.scope, c.profile) {
		return empty(http.StatusForbidden)
	}
	return e.answer(p, c)
}

// unauthorized is the answer to credentials that are missing or no good. A
// cookie that is no good is taken back.
func unauthorized(r *http.Request) *reply {
	refused := empty(http.StatusUnauthorized)
	refused.header = make(http.Header)
	if _, err := r.Cookie(sessionCookie); err == nil {
		refused.header.Set("Set-Cookie", sessionCookie+"=; expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/")
	}
	if _, _, basic := r.BasicAuth(); basic {
		refused.header.Set("WWW-Authenticate", "Basic")
	}
	return refused
}

func loose(query url.Values, name string) int {
	text, _ := param(query, name)
	n, _ := strconv.Atoi(text)
	return n
}

func baseOf(r *http.Request, fallback string) string {
	scheme := "http"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https"
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	if host == "" {
		host = fallback
	}
	return scheme + "://" + host
}

package docspacetest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
	http   *http.Request
	query  url.Values
	base   string // scheme and host the portal was asked under
	caller caller
}

type endpoint struct {
	route     Route
	method    string
	path      string // "{id}" is a 32-bit number
	anonymous bool
	scope     string // what a restricted key needs for reading; "any": nothing
	answer    func(*Portal, call) *reply
}

// endpoints is tried in order; the first that fits answers.
var endpoints = []endpoint{
	{RouteHistory, http.MethodGet, "files/folder/{id}/log", false, "files", (*Portal).history},
	{RouteFolder, http.MethodGet, "files/folder/{id}", false, "files", (*Portal).folderInfo},
	{RouteRooms, http.MethodGet, "files/rooms", false, "rooms", (*Portal).roomList},
	{RouteContents, http.MethodGet, "files/{id}", false, "files", (*Portal).contents},
	{RouteAgents, http.MethodGet, "ai/agents", false, "rooms", (*Portal).agentList},
	{RouteAuthentication, http.MethodPost, "authentication", true, "", (*Portal).authenticate},
	{RouteKey, http.MethodGet, "keys/@self", false, "any", (*Portal).keySelf},
	{RouteSelf, http.MethodGet, "people/@self", false, "accounts.self", (*Portal).peopleSelf},
	{RoutePortal, http.MethodGet, "portal", false, "", (*Portal).portalInfo},
	{RouteBuild, http.MethodGet, "settings/version/build", true, "", (*Portal).versions},
	{RouteSettings, http.MethodGet, "settings", true, "", (*Portal).settings},
	{RouteCapabilities, http.MethodGet, "capabilities", true, "", (*Portal).capabilities},
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
// server's checks, in its order: credentials, rate, scope, and then whatever
// the endpoint checks.
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
	p.mu.RLock()
	onRequest := p.hooks.request
	p.mu.RUnlock()
	if onRequest != nil {
		onRequest(r)
	}
	fault := p.nextFault(c.Request)
	if fault.instead != nil {
		return fault.instead()
	}
	if fault.stall > 0 && !sleep(r.Context(), fault.stall) {
		return &reply{trouble: trouble{refuse: true}}
	}
	rp := p.checked(c, e)
	rp.trouble = fault.trouble
	return rp
}

func (p *Portal) checked(c call, e *endpoint) *reply {
	if e == nil {
		return empty(http.StatusNotFound)
	}
	who := p.identify(c.http)
	if who.user == nil && !e.anonymous {
		return empty(http.StatusUnauthorized)
	}
	c.caller = who
	if refused := p.limiter.take(who.user, p.now()); refused != nil {
		return refused
	}
	if !who.may(e.scope) { // of a key that is presented, open endpoints ask it too
		return empty(http.StatusForbidden)
	}
	return e.answer(p, c)
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

package poller

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// A ward is what an episode of blindness happens to: a portal with a dozen rooms
// at work, and a watcher who can lose his rights.
type ward struct {
	*rig
	secret secret
}

// A secret is the file that holds the key or password.
type secret struct {
	mu   sync.Mutex
	text string
}

func (s *secret) read() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text, nil
}

func (s *secret) replace(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

const wardRooms = 12

// newWard replaces the rig's client by one that asks as the credentials say.
func newWard(t *testing.T, creds func(*ward) docspace.Credentials) *ward {
	w := &ward{rig: newRig(t, Options{})}
	for i := range wardRooms - 1 {
		w.portal.CreateRoom(nil, fmt.Sprintf("Room %d", i))
	}
	if creds == nil {
		creds = (*ward).byKey
	}
	client, err := docspace.New(w.portal.URL(), creds(w), docspace.Options{Transport: w.portal, MaxElapsed: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	w.poller = New(client, w.ledger, w.poller.opts)
	return w
}

func (w *ward) byKey() docspace.Credentials {
	w.secret.replace(w.portal.APIKey())
	return docspace.Credentials{APIKey: w.secret.read}
}

func (w *ward) byToken() docspace.Credentials {
	w.secret.replace(w.portal.AddToken(nil, "files:read", "rooms:read"))
	return docspace.Credentials{APIKey: w.secret.read}
}

func (w *ward) byPassword() docspace.Credentials {
	w.secret.replace(w.portal.Password())
	return docspace.Credentials{Username: docspace.Fixed(w.portal.Username()), Password: w.secret.read}
}

// everything fails like this, whatever is asked.
func everything(do docspacetest.Outcome) func(*ward) func() {
	return func(w *ward) func() { return w.portal.Fail(docspacetest.Fault{Times: -1, Do: do}) }
}

// theRoom fails like this; the others are as ever.
func theRoom(do docspacetest.Outcome) func(*ward) func() {
	return func(w *ward) func() {
		return w.portal.Fail(docspacetest.Fault{Folder: w.room, Times: -1, Do: do})
	}
}

// An episode of an hour in which folders cannot be read.
type episode struct {
	name  string
	as    func(*ward) docspace.Credentials // default: by API key
	begin func(*ward) (heal func())

	blind    string // reason the one room's event gives; "": nobody is blind
	status   int    // … and status
	cannot   string // why the one room, or all, cannot be polled
	requests int    // at most, in the hour
	logins   int    // at most, in the hour
}

var episodes = []episode{
	{name: "access to one room denied", begin: theRoom(docspacetest.AccessDenied()), blind: "forbidden", status: 403, requests: 1000},
	{name: "one room not there", begin: theRoom(docspacetest.NotFound()), blind: "not_found", status: 404, requests: 1000},
	{name: "one room broken", begin: theRoom(docspacetest.ServerError()), cannot: "500", requests: 1000},
	{name: "a proxy denies one room", begin: theRoom(docspacetest.Page(http.StatusForbidden)), cannot: "proxy", requests: 1000},
	{name: "one room answers too late", begin: theRoom(docspacetest.Page(http.StatusGatewayTimeout)), cannot: "504", requests: 1000},

	{name: "portal suspended", begin: everything(docspacetest.Suspended()), cannot: "the portal as a whole is unavailable", requests: 200},
	{name: "portal being restored", begin: everything(docspacetest.Restoring()), cannot: "the portal as a whole is unavailable", requests: 200},
	{name: "address not admitted", begin: everything(docspacetest.Restricted()), cannot: "restricted", requests: 200},
	{name: "portal not paid for", begin: everything(docspacetest.Unpaid()), cannot: "not paid for", requests: 200},
	{name: "no such address", begin: everything(docspacetest.Empty(http.StatusNotFound)), cannot: "is this a DocSpace portal", requests: 200},
	{name: "a proxy's own 404", begin: everything(docspacetest.Page(http.StatusNotFound)), cannot: "proxy", requests: 200},
	{name: "maintenance page that says success", begin: everything(docspacetest.Page(http.StatusOK)), cannot: "answered HTML", requests: 200},
	{name: "bad gateway", begin: everything(docspacetest.BadGateway()), cannot: "502", requests: 2000},
	{name: "maintenance page", begin: everything(docspacetest.Page(http.StatusServiceUnavailable)), cannot: "503", requests: 2000},
	{name: "no answer at all", begin: everything(docspacetest.Refuse()), cannot: "EOF", requests: 2000},
	{name: "everything fails", begin: everything(docspacetest.ServerError()), cannot: "own account", requests: 3000},
	{name: "everything denied", begin: everything(docspacetest.AccessDenied()), cannot: "own account", requests: 400},
	{name: "identity service away", as: (*ward).byToken, begin: everything(docspacetest.AccessDenied()), cannot: "identity service", requests: 400},

	{name: "key ended and replaced in its file", begin: func(w *ward) func() {
		w.portal.RevokeKey(w.portal.APIKey())
		return func() { w.secret.replace(w.portal.AddKey(nil, "files:read", "rooms:read")) }
	}, cannot: "replace them", requests: 200},
	{name: "key lost its scopes and was replaced in its file", begin: func(w *ward) func() {
		w.portal.LimitKey(w.portal.APIKey(), "accounts.self:read")
		return func() { w.secret.replace(w.portal.AddKey(nil, "files:read", "rooms:read")) }
	}, cannot: "it needs files:read", requests: 200},
	{name: "key ended and its file is empty", begin: func(w *ward) func() {
		w.portal.RevokeKey(w.portal.APIKey())
		w.secret.replace("")
		return func() { w.secret.replace(w.portal.AddKey(nil)) }
	}, cannot: "empty", requests: 200},
	{name: "session ended, password still good", as: (*ward).byPassword, begin: func(w *ward) func() {
		w.portal.ExpireSessions()
		return func() {}
	}, requests: 1000, logins: 1},
	{name: "session and password ended", as: (*ward).byPassword, begin: func(w *ward) func() {
		w.portal.ExpireSessions()
		w.secret.replace("another")
		return func() { w.secret.replace(w.portal.Password()) }
	}, cannot: "refuses the user name and password", logins: 61, requests: 200},
}

func TestWhoCannotSeeSaysSoOnceAndMissesNothing(t *testing.T) {
	t.Parallel()
	for _, e := range episodes {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { e.hold(t) })
		})
	}
}

func (e episode) hold(t *testing.T) {
	w := newWard(t, e.as)
	w.act(30)
	var before, during, logins int
	log := w.watched(t, ScheduleOptions{}, func(s *Schedule) {
		time.Sleep(10 * time.Minute)
		before, logins = w.portal.Requests(), w.portal.RequestsTo(docspacetest.RouteAuthentication)
		heal := e.begin(w)
		for range 60 {
			w.portal.Upload(nil, w.rooms()[1], "minutes.docx") // beside the one room
			w.portal.Upload(nil, w.room, "minutes.docx")
			time.Sleep(time.Minute)
		}
		during, logins = w.portal.Requests()-before, w.portal.RequestsTo(docspacetest.RouteAuthentication)-logins
		e.unready(t, s)
		if e.blind != "" || e.single() {
			w.wantPublished(t, w.rooms()[1:])
		}
		heal()
		time.Sleep(5 * time.Minute)
		if err := s.Ready(); err != nil {
			t.Errorf("Ready = %v after it healed", err)
		}
		w.wantPublished(t, w.rooms())
	})
	if during > e.requests {
		t.Errorf("%d requests in an hour, want at most %d", during, e.requests)
	}
	if logins > e.logins {
		t.Errorf("%d logins in an hour, want at most %d", logins, e.logins)
	}
	e.wantSaid(t, w)
	e.wantTold(t, log)
}

func (e episode) single() bool { return strings.Contains(e.name, "one room") }

func (w *ward) rooms() []int { return w.portal.Rooms() }

func (e episode) unready(t *testing.T, s *Schedule) {
	t.Helper()
	err := s.Ready()
	if e.cannot == "" {
		if err != nil {
			t.Errorf("Ready = %v", err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), e.cannot) {
		t.Errorf("Ready = %v, want why: %s", err, e.cannot)
	}
}

// wantPublished holds that every row of the rooms is stored once, in order.
func (w *ward) wantPublished(t *testing.T, rooms []int) {
	t.Helper()
	room := w.room
	defer func() { w.room = room }()
	for _, w.room = range rooms {
		w.holds(t)
	}
}

// wantSaid holds that the one room told of an episode once and of its end once,
// and the others nothing.
func (e episode) wantSaid(t *testing.T, w *ward) {
	t.Helper()
	for _, room := range w.rooms() {
		var want, got []string
		if room == w.room && e.blind != "" {
			want = []string{fmt.Sprintf("%s %s %d", schema.Blind, e.blind, e.status), schema.Seeing + "  0"}
		}
		for _, event := range w.ledger.Events(room) {
			if c := event.Data.Connector; c != nil {
				got = append(got, fmt.Sprintf("%s %s %d", event.Data.Action.Name, c.Reason, c.Status))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("room %d said %q, want %q", room, got, want)
		}
	}
}

// wantTold holds that the log tells once what began and once that it ended.
func (e episode) wantTold(t *testing.T, log string) {
	t.Helper()
	var told []string
	for line := range strings.Lines(log) {
		for _, about := range []string{"folder is blind", "folder is gone", "no folder can be polled", "folders are polled again", "this folder cannot be polled", "this folder is polled again", "cannot find the folders"} {
			if strings.Contains(line, about) {
				told = append(told, about)
			}
		}
		if strings.Contains(line, `"level":"error"`) && !strings.Contains(line, e.cannot) {
			t.Errorf("told %s, want why: %s", line, e.cannot)
		}
	}
	var want []string
	switch {
	case e.blind == "not_found":
		want = []string{"folder is gone"}
	case e.blind != "":
		want = []string{"folder is blind"}
	case e.cannot != "" && e.single():
		want = []string{"this folder cannot be polled", "this folder is polled again"}
	case e.cannot != "":
		want = []string{"no folder can be polled", "folders are polled again"}
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q:\n%s", told, want, log)
	}
}

func TestABlindFolderStaysSoThroughARestartAndCostsOneRequestAPoll(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]docspacetest.Outcome{"blind": docspacetest.AccessDenied(), "gone": docspacetest.NotFound()} {
		r := newRig(t, Options{})
		r.act(10)
		r.poll(t)
		heal := r.portal.Fail(docspacetest.Fault{Folder: r.room, Times: -1, Do: do})
		r.poll(t)
		r.poller = New(r.client, r.ledger, r.poller.opts)
		before := r.portal.Requests()
		for range 10 {
			r.poll(t)
		}
		if n := r.portal.Requests() - before; n != 10 {
			t.Errorf("%s: %d requests of 10 polls", name, n)
		}
		heal()
		r.act(10)
		r.settle(t)
		if want := []string{schema.Blind, schema.Seeing}; !slices.Equal(r.said(), want) {
			t.Errorf("%s: said %v, want %v", name, r.said(), want)
		}
	}
}

func TestAFolderIsNotBlindWhileNobodyCanTell(t *testing.T) {
	t.Parallel()
	for name, also := range map[string]docspacetest.Fault{
		"folder not answered":  {Route: docspacetest.RouteFolder, Times: -1, Do: docspacetest.BadGateway()},
		"account not answered": {Route: docspacetest.RouteSelf, Times: -1, Do: docspacetest.BadGateway()},
		"account denied":       {Route: docspacetest.RouteSelf, Times: -1, Do: docspacetest.AccessDenied()},
		"folder readable":      {Route: docspacetest.RouteFolder, Times: -1},
	} {
		r := newRig(t, Options{})
		r.act(10)
		r.poll(t)
		r.portal.Fail(also)
		r.portal.Fail(docspacetest.Fault{Folder: r.room, Times: -1, Do: docspacetest.AccessDenied()})
		report, err := r.poller.Poll(t.Context(), r.room)
		if err == nil || len(r.said()) > 0 {
			t.Errorf("%s: %+v, %v; said %v", name, report, err, r.said())
		}
		if all := name != "folder readable"; shared(err) != all {
			t.Errorf("%s: concerns all folders is %t: %v", name, !all, err)
		}
	}
}

// A portal can answer everything as it answers for a folder that is denied, and
// be well again, or not any more, while one poll asks.
func TestAnOutageThatBeginsOrEndsAmidAPollTellsNothingOfAFolder(t *testing.T) {
	t.Parallel()
	const requests = 8 // more than one poll makes
	for _, f := range []struct {
		name     string
		begin    func(*rig)
		shortest int // outage, of requests; default: 1
		said     []string
	}{
		{name: "a folder that can be read", begin: func(*rig) {}},
		// Its log is denied without an outage: one of a single request makes it two denials.
		{name: "a folder none of whose rows can be rendered", shortest: 2, begin: func(r *rig) {
			r.portal.Fail(docspacetest.Fault{Route: docspacetest.RouteHistory, Times: -1, Do: docspacetest.AccessDenied()})
		}},
		{name: "a folder that is gone", begin: func(r *rig) { r.portal.Delete(nil, r.room) }, said: []string{schema.Blind}},
		{name: "a folder that is denied", begin: func(r *rig) {
			r.portal.Fail(docspacetest.Fault{Folder: r.room, Times: -1, Do: docspacetest.AccessDenied()})
		}, said: []string{schema.Blind}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for skip := range requests {
				for times := max(1, f.shortest); skip+times <= requests; times++ {
					r := newRig(t, Options{})
					r.act(10)
					r.poll(t)
					f.begin(r)
					if f.said != nil {
						r.poll(t)
					}
					heal := r.portal.Fail(docspacetest.Fault{Skip: skip, Times: times, Do: docspacetest.AccessDenied()})
					_, _ = r.poller.Poll(t.Context(), r.room)
					heal()
					_, _ = r.poller.Poll(t.Context(), r.room)
					if !slices.Equal(r.said(), f.said) {
						t.Errorf("requests %d to %d of the poll denied: said %v, want %v", skip+1, skip+times, r.said(), f.said)
					}
				}
			}
		})
	}
}

// What is blind already is answered alike in an outage and before it.
func TestABlindFolderDoesNotEndTheTroubleOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, (*ward).byToken)
		w.act(30)
		log := w.watched(t, ScheduleOptions{}, func(s *Schedule) {
			for _, room := range w.rooms()[:wardRooms/2] {
				w.portal.Fail(docspacetest.Fault{Folder: room, Times: -1, Do: docspacetest.AccessDenied()})
			}
			time.Sleep(10 * time.Minute)
			heal := everything(docspacetest.AccessDenied())(w)
			time.Sleep(time.Hour)
			if err := s.Ready(); err == nil {
				t.Error("Ready = nil while no folder can be polled")
			}
			heal()
			time.Sleep(5 * time.Minute)
			if err := s.Ready(); err != nil {
				t.Errorf("Ready = %v after it healed", err)
			}
		})
		for _, line := range []string{"no folder can be polled", "folders are polled again"} {
			if n := strings.Count(log, line); n != 1 {
				t.Errorf("told %d times that %s:\n%s", n, line, log)
			}
		}
		if strings.Contains(log, "this folder cannot be polled") {
			t.Errorf("told of one folder what concerns all:\n%s", log)
		}
	})
}

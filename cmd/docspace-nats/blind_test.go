package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// A scene is a portal with three rooms, one of them with a folder in it, all
// four watched by the real program with secrets in files, and a real NATS
// server.
type scene struct {
	portal  *docspacetest.Portal
	member  *docspacetest.User // of every room
	rooms   []int
	folder  int // in the first room
	key     string
	cfg     config.Config
	secret  string // path of the file with the key or password
	address string // of the state
	log     logBuffer
	reader  *streamReader
	stream  jetstream.Stream
}

// everything fails like this, whatever is asked; once the scene is set.
func everything(do docspacetest.Outcome) func(*scene) func() {
	return func(s *scene) func() { return s.portal.Fail(docspacetest.Fault{Times: -1, Do: do}) }
}

// theFolder fails like this, the rooms do not.
func theFolder(do docspacetest.Outcome) func(*scene) func() {
	return func(s *scene) func() {
		return s.portal.Fail(docspacetest.Fault{Folder: s.folder, Times: -1, Do: do})
	}
}

func keyOf(key func(*scene) string) func(*scene) {
	return func(s *scene) { s.key = key(s) }
}

func asMember(s *scene) string { return s.portal.AddKey(s.member, "files:read") }
func asToken(s *scene) string  { return s.portal.AddToken(nil, "files:read", "rooms:read") }

func byPassword(s *scene) {
	s.key = s.portal.Password()
	s.cfg.DocSpace.APIKeyFile, s.cfg.DocSpace.Username, s.cfg.DocSpace.PasswordFile = "", s.portal.Username(), s.secret
}

// An outage is what keeps the program from seeing, one line each.
type outage struct {
	name   string
	as     func(*scene)               // who watches; default: the owner, by API key
	begin  func(*scene) (heal func()) // nil heal: it never does
	said   []string                   // connector events: room or folder, kind, reason, status
	state  string                     // what /readyz tells meanwhile
	told   []string                   // lines of the log, what changes left out
	logins int                        // at most
}

var (
	noFolder     = []string{"error no folder can be polled; trying again", "info folders are polled again"}
	folderBlind  = []string{"warn folder is blind", "info folder is watching"}
	folderGone   = []string{"warn folder is gone", "info folder is watching"}
	folderDenied = []string{"folder blind forbidden 403", "folder seeing  0"}
)

var outages = []outage{
	{name: "access to a folder denied", begin: theFolder(docspacetest.AccessDenied()), said: folderDenied, state: "is blind: ", told: folderBlind},
	{name: "a folder not there", begin: theFolder(docspacetest.NotFound()), said: []string{"folder blind not_found 404", "folder seeing  0"}, state: "is gone: ", told: folderGone},
	{name: "a folder deleted for good", begin: func(s *scene) func() { s.portal.Delete(nil, s.folder); return nil }, said: []string{"folder blind not_found 404"}, state: "is gone: ", told: folderGone[:1]},
	{name: "a folder in somebody's trash, and back", begin: func(s *scene) func() {
		s.portal.Trash(s.member, s.folder)
		return func() { s.portal.Move(s.member, s.folder, s.rooms[0]) }
	}, said: folderDenied, state: "is blind: ", told: folderBlind},
	{name: "no longer a member of one room", as: keyOf(asMember), begin: func(s *scene) func() {
		s.portal.RemoveMember(nil, s.rooms[0], s.member)
		return func() { s.portal.InviteUser(nil, s.rooms[0], s.member, "Viewer") }
	}, said: append([]string{"room blind forbidden 403", "room seeing  0"}, folderDenied...), state: "is blind: ", told: append(folderBlind, folderBlind...)},
	{name: "no longer a member, and a better key in the file", as: keyOf(asMember), begin: func(s *scene) func() {
		s.portal.RemoveMember(nil, s.rooms[0], s.member)
		return func() { s.replace(s.portal.APIKey()) }
	}, said: append([]string{"room blind forbidden 403", "room seeing  0"}, folderDenied...), state: "is blind: ", told: append(folderBlind, folderBlind...)},
	{name: "a folder the portal fails on", begin: theFolder(docspacetest.Failure(400, "System.ArgumentException", "No")), state: "cannot be polled: ", told: []string{"error this folder cannot be polled; trying again", "info this folder is polled again"}},

	{name: "portal suspended", begin: everything(docspacetest.Suspended()), state: "404 Not Found", told: noFolder},
	{name: "portal being restored", begin: everything(docspacetest.Restoring()), state: "403 Forbidden", told: noFolder},
	{name: "address not admitted", begin: everything(docspacetest.Restricted()), state: "restricted", told: noFolder},
	{name: "portal not paid for", begin: everything(docspacetest.Unpaid()), state: "not paid for", told: noFolder},
	{name: "no such address", begin: everything(docspacetest.Empty(http.StatusNotFound)), state: "is this a DocSpace portal", told: noFolder},
	{name: "a proxy's own 404", begin: everything(docspacetest.Page(http.StatusNotFound)), state: "proxy", told: noFolder},
	{name: "maintenance page that says success", begin: everything(docspacetest.Page(http.StatusOK)), state: "answered HTML", told: noFolder},
	{name: "everything fails", begin: everything(docspacetest.ServerError()), state: "own account", told: noFolder},
	{name: "everything denied", begin: everything(docspacetest.AccessDenied()), state: "own account", told: noFolder},
	{name: "identity service away", as: keyOf(asToken), begin: everything(docspacetest.AccessDenied()), state: "identity service", told: noFolder},

	{name: "key ended, another in its file", begin: func(s *scene) func() {
		s.portal.RevokeKey(s.key)
		return func() { s.replace(s.portal.AddKey(nil)) }
	}, state: "401 Unauthorized", told: noFolder},
	{name: "key lost its scope, another in its file", begin: func(s *scene) func() {
		s.portal.LimitKey(s.key, "accounts.self:read")
		return func() { s.replace(s.portal.AddKey(nil, "files:read")) }
	}, state: "it needs files:read", told: noFolder},
	{name: "key lost its scope and got it back", begin: func(s *scene) func() {
		s.portal.LimitKey(s.key, "accounts.self:read")
		return func() { s.portal.LimitKey(s.key, "files:read") }
	}, state: "it needs files:read", told: noFolder},
	{name: "key ended and its file empty", begin: func(s *scene) func() {
		s.portal.RevokeKey(s.key)
		s.replace("")
		return func() { s.replace(s.portal.AddKey(nil)) }
	}, state: "DOCSPACE_API_KEY_FILE", told: noFolder},
	{name: "session ended", as: byPassword, begin: func(s *scene) func() {
		s.portal.ExpireSessions()
		return func() {}
	}, state: "ok", logins: 1},
	{name: "session ended, password changed, the new one in its file", as: byPassword, begin: func(s *scene) func() {
		s.replace("hunter2")
		s.portal.ExpireSessions()
		return func() { s.replace(s.portal.Password()) }
	}, state: "refuses the user name and password", told: noFolder, logins: 2},
}

func TestWhateverKeepsTheProgramFromSeeingIsToldOnceAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			o.happen(t)
		})
	}
}

func (o outage) happen(t *testing.T) {
	s := newScene(t, o.as)
	stop := s.start(t)
	s.wait(t, "everything is stored and told", func() bool { return s.complete() && s.watching() == len(s.cfg.DocSpace.Folders) })
	told, logins := s.log.String(), s.portal.RequestsTo(docspacetest.RouteAuthentication)

	heal := o.begin(s)
	s.work()
	if !slices.Equal(o.told, noFolder) {
		s.wait(t, "the rooms go on", func() bool { return s.stored(s.rooms[1:]...) })
	}
	s.wait(t, "the state tells "+o.state, func() bool {
		state := s.state(t, "/readyz")
		return strings.Contains(state, o.state) && strings.HasPrefix(state, "ok\n") == o.ready()
	})
	for _, begun := range o.told {
		if _, message, _ := strings.Cut(begun, " "); !strings.HasPrefix(begun, "info ") {
			s.wait(t, "the log tells "+message, func() bool { return strings.Contains(strings.TrimPrefix(s.log.String(), told), message) })
		}
	}
	o.wantCounted(t, s)
	if heal != nil {
		heal()
		s.work()
		s.wait(t, "everything is stored", s.complete)
		s.wait(t, "it is ready again", func() bool { return s.state(t, "/readyz") == "ok\n" })
	}
	stop()

	if n := s.portal.RequestsTo(docspacetest.RouteAuthentication) - logins; n > o.logins {
		t.Errorf("%d logins, want at most %d", n, o.logins)
	}
	s.wantSaid(t, o.said)
	s.wantTold(t, strings.TrimPrefix(s.log.String(), told), o.told)
}

// ready reports whether the program does its work meanwhile: what is blind, is
// so by somebody's will.
func (o outage) ready() bool { return len(o.said) > 0 || len(o.told) == 0 }

// wantCounted holds that the metrics count the folders that cannot be read.
func (o outage) wantCounted(t *testing.T, s *scene) {
	t.Helper()
	blind := 0
	for _, said := range o.said {
		blind += strings.Count(said, " blind ")
	}
	if blind == 0 {
		return
	}
	kind := strings.Trim(strings.TrimPrefix(o.state, "is "), ": ")
	want := fmt.Sprintf("docspace_nats_folders{state=%q} %d\n", kind, blind)
	s.wait(t, "the metrics tell "+want, func() bool { return strings.Contains(s.state(t, "/metrics"), want) })
}

func newScene(t *testing.T, as func(*scene)) *scene {
	t.Helper()
	s := &scene{portal: docspacetest.New(docspacetest.Options{Seed: 1}), secret: filepath.Join(t.TempDir(), "secret")}
	s.member = s.portal.AddUser("Ines Duarte", "ines@example.com")
	for i := range 3 {
		room := s.portal.CreateRoom(nil, fmt.Sprintf("Room %d", i))
		s.portal.InviteUser(nil, room, s.member, "Editor")
		s.rooms = append(s.rooms, room)
	}
	s.folder = s.portal.CreateFolder(nil, s.rooms[0], "Contracts")
	s.work()
	site := httptest.NewServer(s.portal)
	t.Cleanup(site.Close)
	server := natstest.Run(t)

	s.cfg = demoConfig(site.URL, "", "")
	s.cfg.DocSpace.Folders = append(slices.Clone(s.rooms), s.folder)
	s.cfg.DocSpace.APIKeyFile = s.secret
	s.cfg.NATS.URL = config.ServerURL(server.URL())
	s.cfg.Poll.MinInterval, s.cfg.Poll.MaxInterval = 20*time.Millisecond, 200*time.Millisecond
	s.cfg.HTTP.Addr = "127.0.0.1:0"
	s.cfg.Log = config.Log{Level: "info", Format: "json"}
	s.key = s.portal.AddKey(nil)
	if as != nil {
		as(s)
	}
	s.replace(s.key)
	js, err := jetstream.New(server.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Open(t.Context(), js.Conn(), streamOptions(s.cfg.NATS)); err != nil {
		t.Fatal(err)
	}
	if s.stream, err = js.Stream(t.Context(), s.cfg.NATS.Stream); err != nil {
		t.Fatal(err)
	}
	s.reader, err = readStream(t.Context(), server.URL(), s.cfg.NATS.Stream, "docspace.folder.>", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.reader.close)
	return s
}

// start runs the program until stop is called, which waits for its end.
func (s *scene) start(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, s.cfg, false, &s.log) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run = %v\n%s", err, s.log.String())
		}
	})
	t.Cleanup(stop)
	s.wait(t, "its state is served", func() bool { return servedAt.MatchString(s.log.String()) })
	s.address = servedAt.FindStringSubmatch(s.log.String())[1]
	return stop
}

var servedAt = regexp.MustCompile(`"addr":"([^"]+)"`)

// work makes rows everywhere, whoever may see them.
func (s *scene) work() {
	for _, folder := range append(slices.Clone(s.rooms), s.folder) {
		s.portal.Upload(nil, folder, "minutes.docx", "plan.xlsx")
	}
}

// replace writes another secret over the one in the file.
func (s *scene) replace(secret string) {
	next := s.secret + ".next"
	if err := os.WriteFile(next, []byte(secret+"\n"), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(next, s.secret); err != nil {
		panic(err)
	}
}

// complete reports whether every row of every folder is stored, once and in
// order.
func (s *scene) complete() bool { return s.stored(append(slices.Clone(s.rooms), s.folder)...) }

func (s *scene) stored(folders ...int) bool {
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	var all comparison
	for _, folder := range folders {
		all.add(s.portal.Rows(folder), s.reader.events[folder])
	}
	return all.stored == all.made && all.lost+all.duplicated+all.disordered == 0
}

// watching returns how many folders the log says are being watched.
func (s *scene) watching() int { return strings.Count(s.log.String(), `"folder is watching"`) }

// state asks the program itself.
func (s *scene) state(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + s.address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// wait looks until something is so.
func (s *scene) wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	natstest.Eventually(t, what, so, &s.log)
}

// wantSaid holds which events about the connector's own work are stored, and
// that each is stored once.
func (s *scene) wantSaid(t *testing.T, want []string) {
	t.Helper()
	info, err := s.stream.Info(t.Context(), jetstream.WithSubjectFilter("docspace.folder.*.connector.>"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for subject, times := range info.State.Subjects {
		msg, err := s.stream.GetLastMsgForSubject(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		event, err := schema.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		where := "room"
		if event.Data.Feed.FolderID == strconv.Itoa(s.folder) {
			where = "folder"
		}
		c := event.Data.Connector
		for range times {
			got = append(got, fmt.Sprintf("%s %s %s %d", where, event.Data.Action.Name, c.Reason, c.Status))
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("said %q, want %q", got, want)
	}
}

// wantTold holds what the log tells, and that it tells each thing once.
func (s *scene) wantTold(t *testing.T, log string, want []string) {
	t.Helper()
	var got []string
	for text := range strings.Lines(log) {
		var line struct{ Level, Message string }
		if err := json.Unmarshal([]byte(text), &line, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line.Message != "stopped" {
			got = append(got, line.Level+" "+line.Message)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("told %q, want %q\n%s", got, want, log)
	}
}

// A logBuffer is written and read at the same time.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

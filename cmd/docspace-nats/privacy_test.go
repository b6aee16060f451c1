package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// What of people and of what they type may leave the process, in each mode: in
// events, and in what the portal says when it refuses something, which the log,
// the state, the marks and check repeat. Nothing else may, anywhere.
var mayLeave = map[string]struct{ events, words []string }{
	"full": {
		[]string{"email", "gone name", "group", "group id", "guest email", "guest id", "guest name", "id", "label", "link", "link id", "name", "room", "tag", "title", "title email", "typed name"},
		[]string{"email", "id", "name", "title"},
	},
	"standard": {
		[]string{"gone name", "group", "group id", "guest id", "guest name", "id", "label", "link", "link id", "name", "room", "tag", "title", "title email", "typed name"},
		[]string{"id", "name", "title"},
	},
	"pseudonymous": {events: []string{"label", "link", "link id", "room", "tag", "title"}},
	"minimal":      {},
}

func TestOnlyWhatThePrivacyModeAllowsLeavesTheProcess(t *testing.T) {
	t.Parallel()
	for mode, may := range mayLeave {
		for _, version := range []string{"3.7.2", "3.5.0"} { // the second tells no row ids, and titles of people
			t.Run(mode+" "+version, func(t *testing.T) {
				t.Parallel()
				w := newWitness(t, version)
				w.keepPrivacy(mode)
				places := w.watch(t)
				for place, text := range places {
					var want []string
					switch place {
					case "events":
						want = may.events
					case "wire":
						want = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(may.events), may.words...))))
					case "marks", "log", "state", "check":
						want = may.words
					case "status": // the titles of folders, besides
						want = slices.Clone(may.words)
						if slices.Contains(may.events, "room") && !slices.Contains(want, "room") {
							want = append(want, "room")
							slices.Sort(want)
						}
					}
					if got := w.marks.found(text); !slices.Equal(got, want) {
						t.Errorf("%s: %s", place, cmp.Diff(want, got))
					}
				}
				sent := slices.DeleteFunc(slices.Sorted(maps.Keys(w.marks)), func(name string) bool {
					return name == "gone id" || name == "gone email" || name == "job" && version == "3.7.2" // which the portal does not tell
				})
				if got := w.marks.found(w.sent.String()); !slices.Equal(got, sent) {
					t.Errorf("the portal sends other marks: %s", cmp.Diff(sent, got))
				}
				// A short hash of titles is guessed as easily as they are read.
				if titled := sealWithTitles.MatchString(places["marks"]); version == "3.7.2" && titled != (len(may.words) > 0) {
					t.Errorf("a mark holds what was made of titles: %t", titled)
				}
			})
		}
	}
}

var sealWithTitles = regexp.MustCompile(`"seal":"[0-9]+:[0-9]+:`)

// Marks and ids know rows by what is in them where the portal tells no row ids,
// so another way to publish them must not make them others.
func TestAnotherPrivacyModeOrKeyStoresNoRowTwice(t *testing.T) {
	t.Parallel()
	const another = "dXRzcnFwb25tbGtqaWhnZmVkY2JhOTg3NjU0MzIxMDA="
	for _, version := range []string{"3.7.2", "3.5.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t, version)
			w.cfg.DocSpace.Folders, w.cfg.Hints = config.Folders{w.room}, config.Hints{}
			for round, mode := range []string{"standard", "pseudonymous", "minimal", "full", "minimal", "pseudonymous", "standard"} {
				w.cfg.DocSpace.PrivacyKey, w.cfg.DocSpace.PrivacyKeyID = "", ""
				w.keepPrivacy(mode)
				if round > 3 && w.cfg.DocSpace.PrivacyKey != "" {
					w.cfg.DocSpace.PrivacyKey, w.cfg.DocSpace.PrivacyKeyID = another, "2026-2"
				}
				w.portal.Upload(nil, w.room, fmt.Sprintf("Round %d.docx", round))
				if err := run(t.Context(), w.cfg, true, &w.log); err != nil {
					t.Fatalf("%s: %v\n%s", mode, err, w.log.String())
				}
			}
			w.keepPrivacy("minimal")
			w.cfg.DocSpace.PrivacyKeyID = "2026-2" // which was another key's
			if err := run(t.Context(), w.cfg, true, &w.log); err == nil || !strings.Contains(w.log.String(), `another key whose id is \"2026-2\"`) {
				t.Errorf("run with a key under the id of another = %v", err)
			}
			ids, said := make(map[string]bool), 0
			eachEvent(t, w.js, func(msg jetstream.Msg) error {
				event, err := schema.Decode(msg.Data())
				if event.Data.Connector != nil {
					said++
				} else if ids[event.ID] {
					t.Errorf("%s is stored twice", event.ID)
				} else {
					ids[event.ID] = true
				}
				return err
			})
			if want := w.portal.Count(w.room) - w.missing; len(ids) != want || said != 1 {
				t.Errorf("%d rows stored of %d, and the connector said %d things besides the gap", len(ids), want, said-1)
			}
		})
	}
}

// A witness is a portal full of marks, and everything the real program lets out
// that watches it.
type witness struct {
	portal *docspacetest.Portal
	marks  marks
	cfg    config.Config
	log    logBuffer
	wire   logBuffer
	sent   logBuffer // by the portal
	js     jetstream.JetStream

	room, denied int
	missing      int // rows of the room that nobody sees
}

func newWitness(t *testing.T, version string) *witness {
	t.Helper()
	w := &witness{portal: docspacetest.New(docspacetest.Options{Seed: 7, Version: version})}
	w.populate()
	site := httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(site.Close)
	server := natstest.Run(t)
	link := natstest.NewLink(t, server.URL())
	link.Tap(&w.wire)
	var err error
	if w.js, err = jetstream.New(server.Conn(t)); err != nil {
		t.Fatal(err)
	}
	w.cfg = demoConfig(site.URL, "", "")
	w.cfg.DocSpace.APIKey = ""
	w.cfg.DocSpace.Username, w.cfg.DocSpace.Password = w.portal.Username(), config.Secret(w.portal.Password())
	w.cfg.DocSpace.Folders = config.Folders{w.room, w.denied}
	w.cfg.NATS.URL = config.ServerURL(link.URL())
	w.cfg.Poll.MinInterval, w.cfg.Poll.MaxInterval = 20*time.Millisecond, 100*time.Millisecond
	w.cfg.HTTP.Addr = "127.0.0.1:0"
	w.cfg.Hints = config.Hints{Addr: "127.0.0.1:0", Secret: hintSecret}
	w.cfg.Log = config.Log{Level: "debug", Format: "json"}
	return w
}

// keepPrivacy sets the mode, with a key where it takes one.
func (w *witness) keepPrivacy(mode string) {
	w.cfg.DocSpace.Privacy = mode
	if mode == "pseudonymous" || mode == "minimal" {
		w.cfg.DocSpace.PrivacyKey = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
		w.cfg.DocSpace.PrivacyKeyID = "2026-1"
	}
}

// populate fills the portal with marks: in every field of a person, and in
// everything people can type, by every action a log can show.
func (w *witness) populate() {
	p := w.portal
	zoe := p.Owner()
	zoe.Email = "Mail-Quill7@example.com"
	p.RenameUser(zoe, `Zoë "NameQuill7" O'Hara`)
	p.SetTitle(zoe, "JobQuill7 & more")
	p.SetCard(zoe, docspacetest.Card{
		Phone: "+49 151 7654321987", Notes: "ill since NotesQuill7", Avatar: "AvatarQuill7.png", Group: "DepartmentQuill7",
		Contact: "ContactQuill7", Location: "LocationQuill7", Birthday: "1971-BirthdayQuill7",
	})
	guest := p.AddGuest("Guest NameGuestQuill7", "guest-mailquill7@example.org")
	gone := p.AddUser("Gone NameGoneQuill7", "gone-mailquill7@example.org")
	group := p.NewGroup("GroupQuill7 of two")
	w.room = p.CreateRoom(nil, "RoomQuill7 <A&B>")
	w.denied = p.CreateRoom(nil, "Denied")
	folder, other := p.CreateFolder(nil, w.room, "Folder TitleQuill7"), p.CreateFolder(nil, w.room, "Other TitleQuill7")
	file := p.Upload(nil, folder, "Plan TitleQuill7.docx")[0]
	w.marks = marks{
		"id": zoe.ID, "name": zoe.Name(), "email": zoe.Email, "job": "JobQuill7", "phone": "7654321987", "notes": "NotesQuill7",
		"avatar": "AvatarQuill7", "department": "DepartmentQuill7", "contact": "ContactQuill7", "location": "LocationQuill7", "birthday": "BirthdayQuill7",
		"profile page": "/accounts/people/filter", "guest id": guest.ID, "guest name": "NameGuestQuill7", "guest email": guest.Email,
		"gone id": gone.ID, "gone name": "NameGoneQuill7", "gone email": gone.Email, "typed name": "NameTypedQuill7",
		"group": "GroupQuill7", "group id": group.ID, "link": "LinkQuill7", "link id": "5a0c1f44-8f0b-4d0c-bb1e-3a3c4f9f2d10",
		"tag": "TagQuill7", "label": "LabelQuill7", "room": "RoomQuill7", "title": "TitleQuill7", "title email": "mail-in-titlequill7@example.net",
	}
	for action := range schema.Catalogue() {
		if !action.Tracked || action.Code <= 0 {
			continue
		}
		for _, by := range []*docspacetest.User{zoe, guest, gone, docspacetest.Guest(), docspacetest.System()} {
			p.Record(docspacetest.Action{
				Code: action.Code, By: by, Folder: folder, Entry: file, Title: w.title(action.Code), Note: w.note(action.Code, by), To: other, From: folder,
				Member: pickOther(by, gone, guest), Former: zoe, Group: &group, Access: "LabelQuill7", OldAccess: "LabelQuill7 once",
				Link: w.marks["link id"], Tags: []string{"TagQuill7"}, Version: 2, LifeTime: &docspacetest.LifeTime{Value: 3},
			})
		}
	}
	p.Update(p.External("NameTypedQuill7"), file)
	for _, title := range []string{"spoil extra", "TitleQuill7"} {
		p.Record(docspacetest.Action{Code: 5999, Key: "RoomSealEnabled", Folder: folder, Entry: file, Title: title})
	}
	p.Record(docspacetest.Action{Code: 5998, Key: "Sealed by " + zoe.Email, Folder: folder, Entry: file})
	p.Record(docspacetest.Action{Code: 5011, Folder: folder, Entry: file, Title: "spoil title"})
	p.Record(docspacetest.Action{Code: 5017, Folder: folder, Entry: file, Title: "spoil date"})
	p.RemoveUser(gone)
	p.Record(docspacetest.Action{Code: 5998, Folder: folder, Entry: file, Title: "TitleQuill7", Unexplained: true})
	p.Poison(p.Record(docspacetest.Action{Code: 5000, Folder: folder, Entry: file, Title: "TitleQuill7"}), http.StatusInternalServerError)
	w.missing = 2
	p.Record(docspacetest.Action{Code: 5000, Folder: folder, Entry: file, Title: "Newest"})
	p.Fail(docspacetest.Fault{Folder: w.denied, Times: -1, Do: docspacetest.Failure(http.StatusForbidden, "System.Security.SecurityException",
		fmt.Sprintf("Access denied for %s <%s> (%s) to TitleQuill7", zoe.Name(), zoe.Email, zoe.ID))})
}

func pickOther(by, first, second *docspacetest.User) *docspacetest.User {
	if by == first {
		return second
	}
	return first
}

// title is what is acted on, as people call it.
func (w *witness) title(code int) string {
	switch code {
	case 5088, 5090, 5097, 5098:
		return "LinkQuill7 <b>"
	case 5001, 5011:
		return "TitleQuill7 for " + w.marks["title email"] + ", final.docx"
	}
	return "TitleQuill7.docx"
}

// note is what else a row holds: a former title, the title of the room, or the
// name of who did it.
func (w *witness) note(code int, by *docspacetest.User) string {
	switch code {
	case 5001, 5020, 5071, 5155:
		return "Former TitleQuill7"
	case 5097, 5098:
		return "Former LinkQuill7"
	case 5203, 5204:
		return "RoomQuill7 <A&B>"
	}
	return by.Name()
}

var spoiltDate = regexp.MustCompile(`"date":"[^"]*","data":\{"title":"spoil date"`)

// serve answers as the portal does, and makes of some rows what no sound portal
// sends.
func (w *witness) serve(rw http.ResponseWriter, r *http.Request) {
	recorder := httptest.NewRecorder()
	w.portal.ServeHTTP(recorder, r)
	body := recorder.Body.Bytes()
	id, name, email, phone := w.marks["id"], quoted(w.marks["name"]), w.marks["email"], w.marks["phone"]
	body = bytes.ReplaceAll(body, []byte(`"title":"spoil extra"`), fmt.Appendf(nil,
		`"title":"x","reviewer":{"id":%q,"name":%s,"phone":%q},"rights":{%q:1},"note":%q,"approvedBy":%q,"seal":{"displayName":%s,"notes":"NotesQuill7","mobilePhone":%q}`,
		id, name, phone, email, "ask "+email, id, name, phone))
	body = bytes.ReplaceAll(body, []byte(`"title":"spoil title"`), fmt.Appendf(nil, `"title":[{"displayName":%s,"email":%q,"id":%q}]`, name, email, id))
	body = spoiltDate.ReplaceAll(body, fmt.Appendf(nil, `"date":%q,"data":{"title":"x"`, email))
	for key, values := range recorder.Header() {
		if key != "Content-Length" {
			rw.Header()[key] = values
		}
	}
	_, _ = w.sent.Write(body)
	rw.WriteHeader(recorder.Code)
	_, _ = rw.Write(body)
}

func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"` }

// watch runs the program until it has stored all there is, and returns all that
// it let out, by where.
func (w *witness) watch(t *testing.T) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, w.cfg, false, &w.log) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run = %v\n%s", err, w.log.String())
		}
	})
	t.Cleanup(stop)
	w.wait(t, "every row is stored", w.complete)
	w.hint(t, ctx)
	places := map[string]string{"check": w.check(t)}
	for _, path := range []string{"/readyz", "/livez", "/metrics"} {
		places["state"] += w.state(t, path)
	}
	places["status"] = plainStatus(t, w.cfg.NATS) + plainStatus(t, w.cfg.NATS, "--json")
	stop()
	places["log"], places["wire"] = w.log.String(), w.wire.String()
	w.read(t, places)
	return places
}

// complete reports whether all that is to be stored and said is.
func (w *witness) complete() bool {
	stream, err := w.js.Stream(context.Background(), w.cfg.NATS.Stream)
	if err != nil {
		return false
	}
	counted := func(subjects string) (n int) {
		info, err := stream.Info(context.Background(), jetstream.WithSubjectFilter(subjects))
		if err != nil {
			return 0
		}
		for _, count := range info.State.Subjects {
			n += int(count)
		}
		return n
	}
	gaps := counted(fmt.Sprintf("docspace.folder.%d.connector.gap", w.room))
	stored := counted(fmt.Sprintf("docspace.folder.%d.>", w.room)) - gaps
	return gaps > 0 && stored >= w.portal.Count(w.room)-w.missing &&
		counted(fmt.Sprintf("docspace.folder.%d.connector.blind", w.denied)) == 1
}

var hintsAt = regexp.MustCompile(`"addr":"([^"]+)"[^\n]*"receiving hints"`)

// hint posts what a portal posts, and what none should.
func (w *witness) hint(t *testing.T, ctx context.Context) {
	t.Helper()
	w.wait(t, "hints are received", func() bool { return hintsAt.MatchString(w.log.String()) })
	address := "http://" + hintsAt.FindStringSubmatch(w.log.String())[1]
	told := make(chan struct{})
	go func() {
		defer close(told)
		w.portal.Webhook(ctx, address, hintSecret, http.DefaultTransport)
	}()
	for _, body := range []string{
		fmt.Sprintf(`{"event":{"trigger":"file.uploaded","createBy":%q},"payload":{"id":1,"title":"TitleQuill7"}}`, w.marks["id"]),
		fmt.Sprintf(`{"event":{"trigger":"user.updated"},%s:{"email":%q BROKEN`, quoted(w.marks["name"]), w.marks["email"]),
		fmt.Sprintf(`{"event":{"trigger":%q},"payload":{"id":1}}`, "file.uploaded by "+w.marks["email"]),
	} {
		for _, secret := range []string{hintSecret, "somebody else's"} {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("x-docspace-signature-256", signed(secret, body))
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
		}
	}
	w.portal.Upload(nil, w.room, "Hinted TitleQuill7.docx")
	w.wait(t, "what was hinted is stored", w.complete)
}

// check is what `check` and `check --json` print.
func (w *witness) check(t *testing.T) string {
	t.Helper()
	privacy, err := w.cfg.DocSpace.ReadPrivacy()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, asJSON := range []bool{false, true} {
		c := &checker{cfg: w.cfg, privacy: privacy}
		c.all(t.Context())
		_ = c.print(&out, asJSON)
	}
	if !strings.Contains(out.String(), privacy.String()+": events carry") {
		t.Errorf("check does not tell the mode: %s", out.String())
	}
	return out.String()
}

func (w *witness) state(t *testing.T, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + servedAt.FindStringSubmatch(w.log.String())[1] + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// read adds what the streams hold: events by themselves, and apart from them
// what nothing may ever name a person in.
func (w *witness) read(t *testing.T, places map[string]string) {
	t.Helper()
	for info := range w.js.ListStreams(t.Context()).Info() {
		if info.State.Msgs == 0 {
			continue
		}
		stream, err := w.js.Stream(t.Context(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
			msg, err := stream.GetMsg(t.Context(), seq)
			if err != nil {
				continue // replaced by a newer mark
			}
			places["subjects and headers"] += fmt.Sprintln(msg.Subject, msg.Header)
			if !strings.HasPrefix(msg.Subject, "docspace.folder.") {
				places["marks"] += fmt.Sprintf("%s\n", msg.Data)
				continue
			}
			places["events"] += fmt.Sprintf("%s\n", msg.Data)
			event, err := schema.Decode(msg.Data)
			if err != nil {
				t.Fatal(err)
			}
			places["ids and types"] += fmt.Sprintln(event.ID, event.Source, event.Type, event.Sequence, event.PartitionKey)
		}
	}
}

func (w *witness) wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	natstest.Eventually(t, what, so, &w.log)
}

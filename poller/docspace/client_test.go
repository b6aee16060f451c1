package docspace

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "sk-0123456789abcdef"

// serve starts a portal and a client of it that does not repeat itself unless
// opts say so.
func serve(t *testing.T, opts Options, handler http.HandlerFunc) (*Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	if opts.MaxElapsed == 0 {
		opts.MaxElapsed = -1
	}
	return client(t, server.URL, Credentials{APIKey: Fixed(testKey)}, opts), server
}

func client(t *testing.T, base string, creds Credentials, opts Options) *Client {
	t.Helper()
	c, err := New(base, creds, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func TestHistoryAsksForRawRowsOnWholeSeconds(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{UserAgent: "test/1"}, func(w http.ResponseWriter, r *http.Request) {
		want := "GET /api/2.0/files/folder/1204/log?count=100&fromDate=2026-03-02T12%3A04%3A05Z&startIndex=300&toDate=2026-03-02T12%3A04%3A07Z"
		if got := r.Method + " " + r.URL.String(); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		if got := r.Header.Get("Authorization") + r.UserAgent(); got != "Bearer "+testKey+"test/1" {
			t.Errorf("asked as %q", got)
		}
		answerJSON(w, 200, string(fullPage(100)))
	})
	from := time.Date(2026, 3, 2, 15, 4, 5, 999_999_999, time.FixedZone("", 3*3600))
	page, err := c.History(t.Context(), 1204, Query{Start: 300, Count: 100, From: from, To: from.Add(2 * time.Second)})
	if err != nil || page.Total != 100 || len(page.Entries) != 100 {
		t.Errorf("%d of %d rows, %v", len(page.Entries), page.Total, err)
	}
}

func TestQuestionsNoRouteMatchesAreNotSent(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{}, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked %s", r.URL) })
	for _, id := range []int{0, -1, 1 << 31} {
		if _, err := c.History(t.Context(), id, Query{Count: 1}); !errors.Is(err, ErrNotFound) {
			t.Errorf("history of folder %d: %v", id, err)
		}
		if _, err := c.Folder(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("folder %d: %v", id, err)
		}
	}
	for _, q := range []Query{{}, {Count: 101}, {Count: -1}, {Start: -1, Count: 1}, {Start: 1 << 31, Count: 1}} {
		if _, err := c.History(t.Context(), 1, q); err == nil {
			t.Errorf("%+v: no error", q)
		}
	}
}

func TestAFolderIsRead(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/2.0/files/folder/7" {
			answerJSON(w, 200, `{"response":{"id":8}}`)
			return
		}
		answerJSON(w, 200, `{"response":{"parentId":2,"roomType":2,"id":1204,"title":"Sales room","rootFolderType":14,"created":"2026-03-02T15:04:05.0000000+03:00","security":{"Read":true}},"status":0}`)
	})
	got, err := c.Folder(t.Context(), 1204)
	want := Folder{ID: 1204, Title: "Sales room", RoomType: 2, RootType: 14, ParentID: 2, Created: time.Date(2026, 3, 2, 12, 4, 5, 0, time.UTC)}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := c.Folder(t.Context(), 7); !errors.Is(err, ErrPortal) {
		t.Errorf("another folder's answer: %v", err)
	}
}

func TestRoomsAreListedOnceEachWithoutForeignOnes(t *testing.T) {
	t.Parallel()
	var asked []string
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		start, _ := strconv.Atoi(r.FormValue("startIndex"))
		var rows []string
		for i := start; i < min(start+100, 230); i++ {
			switch {
			case i == 5:
				rows = append(rows, `{"id":"88","title":"Box"}`)
			case i == 6:
				rows = append(rows, `{"id":77,"providerItem":true}`)
			case i == 100: // slid here from the page before
				rows = append(rows, `{"id":1099}`)
			default:
				rows = append(rows, fmt.Sprintf(`{"id":%d,"title":"Room %d"}`, 1000+i, i))
			}
		}
		answerJSON(w, 200, `{"response":{"files":[],"folders":[`+strings.Join(rows, ",")+`],"startIndex":0,"count":1,"total":230},"count":1}`)
	})
	rooms, err := c.Rooms(t.Context())
	if err != nil || len(rooms) != 227 {
		t.Fatalf("%d rooms, want 227: %v", len(rooms), err)
	}
	slices.SortFunc(rooms, func(a, b Folder) int { return a.ID - b.ID })
	if len(slices.CompactFunc(rooms, func(a, b Folder) bool { return a.ID == b.ID })) != 227 {
		t.Error("a room is listed twice")
	}
	want := []string{
		"count=100&sortBy=AZ&sortOrder=ascending&startIndex=0",
		"count=100&sortBy=AZ&sortOrder=ascending&startIndex=100",
		"count=100&sortBy=AZ&sortOrder=ascending&startIndex=200",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestAListingThatNeverEndsEnds(t *testing.T) {
	t.Parallel()
	asked := 0
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		answerJSON(w, 200, `{"response":{"folders":[{"id":1}]}}`)
	})
	rooms, err := c.Rooms(t.Context())
	if err != nil || len(rooms) != 1 || asked != 2 {
		t.Errorf("%d rooms after %d questions, %v", len(rooms), asked, err)
	}
}

func TestTheVersionIsAskedWithoutCredentials(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(403) // what 3.7 does to a key without the scope
			return
		}
		answerJSON(w, 200, `{"response":{"docSpace":"3.7.2","documentServer":"9.1"}}`)
	})
	if v, err := c.Version(t.Context()); v != "3.7.2" || err != nil {
		t.Errorf("version %q, %v", v, err)
	}
}

func TestAKeyTellsItsScopesButNotItself(t *testing.T) {
	t.Parallel()
	c, server := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 200, `{"response":{"id":"1","name":"audit","key":"sk-***","permissions":["files:read","rooms:write"],"expiresAt":"2027-03-02T00:00:00.0000000Z","isActive":true}}`)
	})
	got, err := c.Key(t.Context())
	want := KeyInfo{Name: "audit", Permissions: []string{"files:read", "rooms:write"}, Expires: time.Date(2027, 3, 2, 0, 0, 0, 0, time.UTC), Active: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := client(t, server.URL, Credentials{Token: Fixed("x")}, Options{}).Key(t.Context()); !errors.Is(err, ErrNotKey) {
		t.Errorf("a token's key: %v", err)
	}
	for scope, want := range map[string]bool{"files:read": true, "files:write": false, "rooms:read": true, "accounts.self:read": false} {
		if got.Permits(scope) != want {
			t.Errorf("permits %s: %v", scope, !want)
		}
	}
	for _, full := range []KeyInfo{{}, {Permissions: []string{"*"}}, {Permissions: []string{"*:read"}}} {
		if !full.Permits("files:read") {
			t.Errorf("%v does not permit files:read", full.Permissions)
		}
	}
}

func TestTheOwnAccountIsRead(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 200, `{"response":{"id":"4c65","displayName":"Audit &amp; Co","email":"audit@example.com","isAdmin":true,"isOwner":false,"mobilePhone":"1"}}`)
	})
	got, err := c.Self(t.Context())
	want := Account{User: User{ID: "4c65", Name: "Audit & Co", Email: "audit@example.com"}, Admin: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestTheClockIsThePortals(t *testing.T) {
	t.Parallel()
	there := time.Now().Add(-3 * time.Hour)
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", there.UTC().Format(http.TimeFormat))
		answerJSON(w, 200, `{"response":{"docSpace":"3.7.2"}}`)
	})
	if d := time.Since(c.Now()); d < 0 || d > time.Minute {
		t.Errorf("%s away from this clock before the first answer", d)
	}
	got, err := c.ServerTime(t.Context())
	if d := got.Sub(there); err != nil || d > time.Minute || d < -time.Minute {
		t.Errorf("server time %v, want about %v: %v", got, there, err)
	}
}

func TestEveryRequestIsObserved(t *testing.T) {
	t.Parallel()
	var seen []string
	c, server := serve(t, Options{Observe: func(route string, status int, took time.Duration) {
		if took < 0 {
			t.Errorf("took %s", took)
		}
		seen = append(seen, fmt.Sprint(route, " ", status))
	}}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	_, _ = c.History(t.Context(), 7, Query{Count: 1})
	server.Close()
	_, _ = c.Folder(t.Context(), 8)
	if diff := cmp.Diff([]string{"files/folder/{id}/log 404", "files/folder/{id} 0"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestAGzipAnswerIsBoundedByWhatItUnfoldsTo(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("gzip is not asked for")
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		z := gzip.NewWriter(w)
		defer z.Close()
		if strings.HasSuffix(r.URL.Path, "/1/log") {
			io.WriteString(z, envelope(1, fileRow(1, 1)))
			return
		}
		space := []byte(strings.Repeat(" ", 1<<20))
		for range 33 {
			if _, err := z.Write(space); err != nil {
				return
			}
		}
	})
	if page, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil || len(page.Entries) != 1 {
		t.Errorf("a small answer: %v", err)
	}
	if _, err := c.History(t.Context(), 2, Query{Count: 1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("33 MiB: %v", err)
	}
}

// endless is a body of white space.
type endless struct{ read int }

func (e *endless) Close() error { return nil }
func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAnEndlessBodyIsNotReadOn(t *testing.T) {
	t.Parallel()
	for status, most := range map[int]int{200: maxBody, 404: maxRefusal} {
		body := &endless{}
		c := client(t, "https://docs.example.com", Credentials{APIKey: Fixed(testKey)}, Options{MaxElapsed: -1, Transport: wire(func(*http.Request) *http.Response {
			resp := respond(status, "")
			resp.Body, resp.ContentLength = body, -1
			return resp
		})})
		if _, err := c.History(t.Context(), 1, Query{Count: 1}); err == nil || body.read > most+1 {
			t.Errorf("%d: %d bytes read: %v", status, body.read, err)
		}
	}
}

func TestASlowBodyEndsWithTheRequestsTime(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{Timeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"response":[`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	_, err := c.History(t.Context(), 1, Query{Count: 1})
	var transport *TransportError
	if !errors.As(err, &transport) || !transport.Timeout || !transport.Temporary() {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "no complete answer from 127.0.0.1:") || !strings.HasSuffix(err.Error(), "within 50ms") {
		t.Errorf("%v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("it looks like the caller's own deadline")
	}
}

func TestACutConnectionIsAskedAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	c, _ := serve(t, Options{MaxElapsed: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"response":[`)
			panic(http.ErrAbortHandler)
		case 2: // cut by a proxy that calls it complete
			answerJSON(w, 200, `{"response":[{"id":1},{"i`)
		default:
			answerJSON(w, 200, envelope(0))
		}
	})
	if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil || asked.Load() != 3 {
		t.Errorf("after %d questions: %v", asked.Load(), err)
	}
}

func TestConnectionsAreUsedAgainEvenAfterRefusals(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/2/log") {
			answerJSON(w, 404, `{"error":{"message":"`+strings.Repeat("x", 50<<10)+`"}}`)
			return
		}
		answerJSON(w, 200, string(fullPage(100)))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := client(t, server.URL, Credentials{APIKey: Fixed(testKey)}, Options{MaxElapsed: -1})
	for i := range 20 {
		_, _ = c.History(t.Context(), 1+i%2, Query{Count: 100})
	}
	if opened.Load() != 1 {
		t.Errorf("%d connections for 20 questions in a row", opened.Load())
	}
}

func TestAsManyConnectionsAreKeptAsMayBeInFlight(t *testing.T) {
	t.Parallel()
	const inFlight = 6
	var opened, waiting atomic.Int32
	gate := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if waiting.Add(1)%inFlight == 0 { // all of a round are here
			for range inFlight - 1 {
				gate <- struct{}{}
			}
		} else {
			<-gate
		}
		answerJSON(w, 200, envelope(0))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := client(t, server.URL, Credentials{APIKey: Fixed(testKey)}, Options{MaxElapsed: -1, MaxInFlight: inFlight})
	for range 5 {
		var group sync.WaitGroup
		for folder := range inFlight {
			group.Go(func() {
				if _, err := c.History(t.Context(), folder+1, Query{Count: 1}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	// The transport may dial once more than it needs while others come free.
	if opened.Load() > inFlight+1 {
		t.Errorf("%d connections for %d requests at a time", opened.Load(), inFlight)
	}
}

func TestCredentialsStayWithTheConfiguredAddress(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked %s with %v", r.URL, r.Header) }))
	t.Cleanup(elsewhere.Close)
	c, server := serve(t, Options{MaxElapsed: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/login?token=secret", http.StatusFound)
	})
	_, err := c.History(t.Context(), 1, Query{Count: 1})
	var redirect *RedirectError
	if !errors.As(err, &redirect) || !errors.Is(err, ErrPortal) {
		t.Fatal(err)
	}
	want := fmt.Sprintf("history of folder 1: %s redirects to %s: if that is the portal, configure it as the address", server.URL, elsewhere.URL)
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestARedirectWithinThePortalIsFollowed(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/2.0/files/folder/1/log":
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
		case "/moved":
			if r.Header.Get("Authorization") != "Bearer "+testKey {
				t.Error("the key was lost on the way")
			}
			answerJSON(w, 200, envelope(0))
		default:
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}
	})
	if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil {
		t.Error(err)
	}
	if _, err := c.History(t.Context(), 2, Query{Count: 1}); !errors.Is(err, ErrPortal) || !strings.Contains(err.Error(), "circles") {
		t.Errorf("a circle: %v", err)
	}
}

func TestTheSameOriginIsJudgedBySchemeHostAndPort(t *testing.T) {
	t.Parallel()
	for to, same := range map[string]bool{
		"https://docs.example.com:443/x": true, "https://DOCS.example.com/x": true, "http://docs.example.com/": false,
		"https://docs.example.com:8443/": false, "https://docs.example.com.evil.test/": false, "https://example.com/": false,
	} {
		from, _ := url.Parse("https://docs.example.com/api")
		u, _ := url.Parse(to)
		if (origin(u) == origin(from)) != same {
			t.Errorf("%s: same %v, want %v", to, !same, same)
		}
	}
}

func TestACertificateNobodyTrustsIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	asked := 0
	c := client(t, server.URL, Credentials{APIKey: Fixed(testKey)}, Options{Observe: func(string, int, time.Duration) { asked++ }})
	_, err := c.Version(t.Context())
	var transport *TransportError
	if !errors.As(err, &transport) || transport.Temporary() || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func TestAPageForPeopleIsNotAPortal(t *testing.T) {
	t.Parallel()
	c, server := serve(t, Options{MaxElapsed: time.Minute}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><title>Welcome</title>")
	})
	_, err := c.History(t.Context(), 1, Query{Count: 1})
	if want := "history of folder 1: answered HTML: is " + server.URL + " the portal's address?"; err == nil || err.Error() != want || !errors.Is(err, ErrPortal) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestTheAddressMustBeOne(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"https://docs.example.com":           "",
		" https://docs.example.com/ ":        "",
		"http://127.0.0.1:8080/sub/":         "",
		"ftp://docs.example.com":             `portal address: must be an http or https address, got "ftp://docs.example.com"`,
		"docs.example.com":                   `portal address: must be an http or https address, got "docs.example.com"`,
		"":                                   `portal address: must be an http or https address, got ""`,
		"https://":                           `portal address: must be an http or https address, got "https://"`,
		"https://mike:hunter2@docs.ex":       "portal address: must not contain a user name or password",
		"mike:hunter2@docs.ex":               "portal address: must not contain a user name or password",
		"docs.example.com?k=hunter2":         `portal address: must be an http or https address, got "docs.example.com"`,
		"ftp://mike:hunter2@docs.ex":         "portal address: must not contain a user name or password",
		"https://mike:hunter2@docs.ex:port":  "portal address: not an address",
		"https://docs.example.com?k=hunter2": `portal address: must end after the host or path, got "https://docs.example.com…"`,
	} {
		_, err := New(base, Credentials{Token: Fixed("x")}, Options{})
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%q: %v, want %s", base, err, want)
		}
	}
}

func TestAClientCanBeSharedByManyFolders(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	c, _ := serve(t, Options{MaxInFlight: 3}, func(w http.ResponseWriter, _ *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		answerJSON(w, 200, string(fullPage(100)))
	})
	var group sync.WaitGroup
	for folder := range 50 {
		group.Go(func() {
			if _, err := c.History(t.Context(), folder+1, Query{Count: 100}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most.Load() > 3 {
		t.Errorf("%d requests at the same time, want at most 3", most.Load())
	}
}

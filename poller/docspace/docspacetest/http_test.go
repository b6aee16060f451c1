package docspacetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
)

func TestDatesAreReadByTheServersGrammar(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales") // dated 12:04:05Z
	for date, want := range map[string]string{
		"2026-03-02T12:04:05Z":               "1",
		"2026-03-02T12:04:06Z":               "0",
		"2026-03-02T12:04:05.000Z":           "1",
		"2026-03-02T12:04:05.0000000Z":       "1",
		"2026-03-02T15:04:05+03:00":          "1",
		"2026-03-02T15:04:06+03:00":          "0",
		"2026-03-02T12-04-05Z":               "1",
		"":                                   "1",
		" ":                                  "1",
		"2026-03-02T12:04:05":                "400",
		"2026-03-02":                         "400",
		"2026-03-02T12:04:05.1Z":             "400",
		"2026-03-02T12:04:05.000000Z":        "400",
		"2026-03-02T12:04-05Z":               "400",
		"2026-03-02T12:04:05z":               "400",
		"2026-13-02T12:04:05Z":               "400",
		"2026-03-02T15:04:05 03:00":          "400", // a raw plus
		`{"utcTime":"2026-03-02T12:04:05Z"}`: "400",
	} {
		answer, body := get(t, p, logPath(room)+"?fromDate="+url.QueryEscape(date))
		got := fmt.Sprint(answer.StatusCode)
		if answer.StatusCode == http.StatusOK {
			var q page
			if err := json.Unmarshal([]byte(body), &q); err != nil {
				t.Fatal(err)
			}
			got = fmt.Sprint(q.Total)
		} else if !strings.Contains(body, `"errors":{"fromDate":["The input was not valid."]}`) {
			t.Errorf("fromDate=%q: %s", date, body)
		}
		if got != want {
			t.Errorf("fromDate=%q: %s, want %s", date, got, want)
		}
	}
	if got := read(t, p, room, "toDate=2026-03-02T12:04:05Z"); got.Total != 1 {
		t.Errorf("toDate is not inclusive: total %d", got.Total)
	}
	if got := read(t, p, room, "toDate=2026-03-02T12:04:04Z"); got.Total != 0 || len(got.Response) != 0 {
		t.Errorf("a row after toDate: %+v", got)
	}
}

func TestNumbersOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	for query, want := range map[string]string{
		"count=1":            `"total":1`,
		"count=100":          `"total":1`,
		"COUNT=100":          `"total":1`,
		"count=5&count=500":  `"total":1`,
		"unknown=1":          `"total":1`,
		"count=0":            `"count":["The field Count must be between 1 and 100."]`,
		"count=101":          `"count":["The field Count must be between 1 and 100."]`,
		"count=-1":           `"count":["The field Count must be between 1 and 100."]`,
		"count=abc":          `"count":["The value 'abc' is not valid for Count."]`,
		"count=":             `"count":["The value '' is invalid."]`,
		"count=99999999999":  `"count":["The value '99999999999' is not valid for Count."]`,
		"startIndex=x":       `"startIndex":["The value 'x' is not valid for StartIndex."]`,
		"startIndex=-1":      `"statusCode":500`,
		"fromDate=x&count=z": `"errors":{"fromDate":["The input was not valid."],"count":["The value 'z' is not valid for Count."]}`,
	} {
		answer, body := get(t, p, logPath(room)+"?"+query)
		if !strings.Contains(body, want) {
			t.Errorf("%s: no %s in %d %s", query, want, answer.StatusCode, body)
		}
		if answer.StatusCode == http.StatusBadRequest &&
			(answer.Header.Get("Content-Type") != contentProblem || !strings.HasSuffix(body, `"action":"GET"}],"status":1,"statusCode":400}`)) {
			t.Errorf("%s: %s %s", query, answer.Header.Get("Content-Type"), body)
		}
	}
}

func TestTheFirstFailingCheckAnswers(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	ana, eve := p.AddUser("Ana", "ana@example.com"), p.AddUser("Eve", "eve@example.com")
	room := p.CreateRoom(nil, "Sales")
	p.InviteUser(nil, room, ana, "Viewer")
	mine := p.CreateFolder(ana, p.MyDocuments(ana), "Mine")
	trashed := p.CreateFolder(nil, room, "Old")
	p.Trash(nil, trashed)
	full, scoped := "Bearer "+p.AddKey(eve), "Bearer "+p.AddKey(eve, "rooms:read")
	owner, reader := "Bearer "+p.APIKey(), "Bearer "+p.AddKey(ana, "files:read")

	for name, x := range map[string]struct {
		as, path string
		status   int
		body     string // part of it; "-": empty
	}{
		"nobody on a bad request":          {"", logPath(1) + "?count=0", 401, "-"},
		"a wrong key":                      {"Bearer sk-0", logPath(room), 401, "-"},
		"a wrong token":                    {"abc", logPath(room), 401, "-"},
		"a key without the scope":          {scoped, logPath(1) + "?count=0", 403, "-"},
		"a bad request on a missing room":  {owner, logPath(99) + "?count=0", 400, "between 1 and 100"},
		"a missing room nobody may read":   {full, logPath(99), 404, "ItemNotFoundException"},
		"a negative id":                    {owner, logPath(-7), 404, "ItemNotFoundException"},
		"a room one may not read":          {full, logPath(room) + "?startIndex=-1", 403, `"message":"Access denied"`},
		"its folder object":                {full, fmt.Sprintf("files/folder/%d", room), 403, "InvalidOperationException"},
		"a room one is a member of":        {reader, logPath(room), 200, "RoomCreateUser"},
		"one's own documents":              {reader, logPath(mine), 200, "FolderCreated"},
		"an admin in another's documents":  {owner, logPath(mine), 403, "Access denied"},
		"one's own trash":                  {owner, logPath(trashed), 200, "FolderMovedToTrash"},
		"another's trash":                  {reader, logPath(trashed), 403, "Access denied"},
		"a text for an id":                 {owner, "files/folder/sbox-1-2/log", 404, "-"},
		"an id beyond 32 bits":             {owner, "files/folder/2147483648/log", 404, "-"},
		"rooms without their scope":        {reader, "files/rooms", 403, "-"},
		"an open page with a narrow key":   {reader, "settings/version/build", 403, "-"},
		"an open page with a full key":     {full, "settings/version/build", 200, `"docSpace":"3.7.2"`},
		"an open page with a wrong key":    {"Bearer sk-0", "settings/version/build", 200, `"docSpace":"3.7.2"`},
		"an open page":                     {"", "settings", 200, `"tenantStatus":0`},
		"one's own key, whatever scopes":   {scoped, "keys/@self", 200, `"permissions":["rooms:read"]`},
		"one's own profile with the scope": {owner, "people/@self", 200, `"isOwner":true`},
		"one's own profile without":        {scoped, "people/@self", 403, "-"},
		"the portal for an admin":          {owner, "portal", 200, `"tenantDomain"`},
		"the portal for others":            {full, "portal", 200, `{"response":{"tenantId":1},`},
		"capabilities":                     {"", "capabilities", 200, `"oauthEnabled"`},
	} {
		answer, body := getAs(t, p, x.as, x.path)
		if answer.StatusCode != x.status || x.body != "-" && !strings.Contains(body, x.body) || x.body == "-" && body != "" {
			t.Errorf("%s: %d %q, want %d with %s", name, answer.StatusCode, body, x.status, x.body)
		}
	}
	if _, body := getAs(t, p, "", "settings"); strings.Contains(body, "timezone") {
		t.Errorf("anonymous settings tell the time zone: %s", body)
	}
}

func TestAPasswordOpensASession(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	token := signIn(t, p, p.Password())
	if token == "" || signIn(t, p, "wrong") != "" {
		t.Fatal("the password decides nothing")
	}
	for _, as := range []string{token, "Bearer " + token} {
		if answer, _ := getAs(t, p, as, logPath(room)); answer.StatusCode != http.StatusOK {
			t.Errorf("status %d with a session", answer.StatusCode)
		}
	}
	p.ExpireSessions()
	if answer, _ := getAs(t, p, token, logPath(room)); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d after the session, want 401", answer.StatusCode)
	}
	p.RevokeKey(p.APIKey())
	if answer, _ := get(t, p, logPath(room)); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d with a revoked key, want 401", answer.StatusCode)
	}
}

func signIn(t *testing.T, p *Portal, password string) string {
	t.Helper()
	body := fmt.Sprintf(`{"userName":%q,"password":%q}`, p.Username(), password)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"/api/2.0/authentication", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct {
		Response struct {
			Token   string `json:"token"`
			Expires string `json:"expires"`
		} `json:"response"`
	}
	if err := json.UnmarshalRead(answer.Body, &got); err != nil {
		t.Fatal(err)
	}
	return got.Response.Token
}

func TestRoomsArePagedAndThirdPartyOnesHaveTextIDs(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	for i := range 130 {
		p.CreateRoom(nil, fmt.Sprintf("Room %03d", i))
	}
	p.Archive(nil, p.Rooms()[0])
	foreign := p.ThirdPartyRoom("Dropbox")
	type listing struct {
		Response struct {
			Folders []struct {
				ID       any    `json:"id"`
				Title    string `json:"title"`
				RoomType int    `json:"roomType"`
			} `json:"folders"`
			Count int `json:"count"`
			Total int `json:"total"`
		} `json:"response"`
		Count int  `json:"count"`
		Total *int `json:"total"`
	}
	list := func(query string) (l listing) {
		answer, body := get(t, p, "files/rooms?"+query)
		if err := json.Unmarshal([]byte(body), &l); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %d %s", query, err, answer.StatusCode, body)
		}
		return l
	}
	all := list("count=100&startIndex=100&sortBy=AZ&sortOrder=ascending&searchArea=Active&storageFilter=1")
	if all.Response.Total != 129 || all.Response.Count != 29 || all.Response.Folders[0].Title != "Room 101" || all.Total != nil || all.Count != 1 {
		t.Errorf("second page: %+v", all)
	}
	if got := list("sortBy=AZ").Response; got.Total != 130 || got.Folders[0].ID != foreign {
		t.Errorf("with foreign rooms: %+v", got)
	}
	if got := list("searchArea=1").Response; got.Total != 1 || got.Folders[0].RoomType != 2 {
		t.Errorf("archive: %+v", got)
	}
	if got := list("searchArea=Any&filterValue=room%20000").Response; got.Total != 1 {
		t.Errorf("search: %+v", got)
	}
	if answer, _ := get(t, p, "files/rooms?count=101"); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("count=101: %d, want 400", answer.StatusCode)
	}
}

func TestTheWireIsPlainHTTP(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.Upload(nil, room, "a.docx")
	p.Gzip(true)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	ask := func() (*http.Response, string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/2.0/"+logPath(room), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", p.APIKey())
		r.AddCookie(&http.Cookie{Name: "other", Value: "x"})
		answer, err := server.Client().Do(r)
		if err != nil {
			return nil, "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return answer, string(body), err
	}
	answer, body, err := ask()
	if err != nil || !answer.Uncompressed || answer.Header.Get("Date") != "Mon, 02 Mar 2026 12:04:05 GMT" {
		t.Fatalf("%v, compressed %t, %v", err, answer.Uncompressed, answer.Header)
	}
	if !strings.Contains(body, `"viewUrl":"`+server.URL+"/filehandler.ashx") {
		t.Errorf("addresses do not follow the request: %s", body)
	}
	p.Gzip(false)
	p.Fail(Fault{Do: Cut(50)})
	if _, body, err := ask(); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 50 {
		t.Errorf("cut answer: %d bytes, %v", len(body), err)
	}
	p.Fail(Fault{Do: Refuse()})
	if _, _, err := ask(); err == nil {
		t.Error("a refused connection answered")
	}
	if _, body, err := ask(); err != nil || !strings.HasSuffix(body, `"statusCode":200}`) {
		t.Errorf("after the faults: %v %s", err, body)
	}
}

func TestFaultsHitWhatTheyNameAsOftenAsTheySay(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	a, b := p.CreateRoom(nil, "A"), p.CreateRoom(nil, "B")
	p.Fail(Fault{Route: RouteHistory, Folder: a, Match: func(r Request) bool { return r.Start == 100 }, Skip: 1, Times: 2, Do: RateLimited("0")})
	var got []int
	for _, path := range []string{
		logPath(b) + "?startIndex=100", logPath(a), logPath(a) + "?startIndex=100", logPath(a) + "?startIndex=100", logPath(a) + "?startIndex=100", logPath(a) + "?startIndex=100",
	} {
		answer, _ := get(t, p, path)
		got = append(got, answer.StatusCode)
		if answer.StatusCode == 429 && answer.Header.Get("Retry-After") != "0" {
			t.Errorf("headers %v", answer.Header)
		}
	}
	if fmt.Sprint(got) != "[200 200 200 429 429 200]" {
		t.Errorf("answers %v", got)
	}
	heal := p.Fail(Fault{Times: -1, Do: BadGateway()})
	for range 3 {
		if answer, body := get(t, p, logPath(a)); answer.StatusCode != 502 || !strings.HasPrefix(body, "<html>") {
			t.Fatalf("%d %s", answer.StatusCode, body)
		}
	}
	heal()
	if answer, _ := get(t, p, logPath(a)); answer.StatusCode != 200 {
		t.Errorf("%d after healing", answer.StatusCode)
	}
	heal = p.Fail(Fault{Times: -1, Chance: 0.5, Do: ServerError()})
	failed := 0
	for range 200 {
		if answer, _ := get(t, p, logPath(a)); answer.StatusCode == 500 {
			failed++
		}
	}
	heal()
	if failed < 60 || failed > 140 {
		t.Errorf("%d of 200 failed, want about half", failed)
	}
	for want, do := range map[int]Outcome{401: Unauthorized(), 403: Restoring(), 404: Suspended(), 429: RateLimited("")} {
		p.Fail(Fault{Do: do})
		if answer, _ := get(t, p, logPath(a)); answer.StatusCode != want || answer.Header.Get("Retry-After") != "" {
			t.Errorf("%d %v, want %d", answer.StatusCode, answer.Header, want)
		}
	}
}

func TestAPoisonedRowFailsItsPageAndNoOther(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	for range 9 {
		p.SetLogo(nil, room)
	}
	bad := p.Rows(room)[4].ID // fifth from the bottom: startIndex 5
	for _, status := range []int{400, 403, 415, 500} {
		p.Poison(bad, status)
		for query, want := range map[string]int{"": status, "count=5": 200, "startIndex=5&count=1": status, "startIndex=6": 200} {
			if answer, _ := get(t, p, logPath(room)+"?"+query); answer.StatusCode != want {
				t.Errorf("%s: %d, want %d", query, answer.StatusCode, want)
			}
		}
	}
	if answer, _ := get(t, p, fmt.Sprintf("files/folder/%d", room)); answer.StatusCode != 200 {
		t.Errorf("the folder itself: %d", answer.StatusCode)
	}
	p.Poison(bad, 0)
	read(t, p, room, "")
}

func TestASlowBodyTakesItsTimeAndEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		room := p.CreateRoom(nil, "Sales")
		heal := p.Fail(Fault{Do: Slow(8 * time.Second), Times: -1})
		began := time.Now()
		read(t, p, room, "")
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("took %v, want 8s", took)
		}
		began = time.Now()
		p.Fail(Fault{Do: Stall(time.Second)})
		heal()
		read(t, p, room, "")
		if took := time.Since(began); took != time.Second {
			t.Errorf("a stalled answer took %v, want 1s", took)
		}
		heal = p.Fail(Fault{Do: Slow(8 * time.Second), Times: -1})
		defer heal()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/api/2.0/"+logPath(room), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+p.APIKey())
		answer, err := p.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if _, err := io.ReadAll(answer.Body); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the deadline", err)
		}
	})
}

func TestTheRateLimitIsPerUserAndSlides(t *testing.T) {
	t.Parallel()
	now := noon
	p := New(Options{Now: func() time.Time { return now }, RateLimit: 3})
	room := p.CreateRoom(nil, "Sales")
	other := "Bearer " + p.AddKey(p.AddUser("Ana", "ana@example.com"))
	for range 3 {
		now = now.Add(10 * time.Second)
		read(t, p, room, "")
	}
	answer, body := get(t, p, logPath(room))
	if answer.StatusCode != 429 || body != "" || answer.Header.Get("Retry-After") != "40" || answer.Header.Get("X-RateLimit-Limit") != "3" {
		t.Fatalf("%d %q %v", answer.StatusCode, body, answer.Header)
	}
	if answer, _ := getAs(t, p, other, logPath(room)); answer.StatusCode == 429 {
		t.Error("another user was refused")
	}
	now = now.Add(40 * time.Second)
	read(t, p, room, "")
	if p.RequestsTo(RouteHistory) != 6 || p.Requests() != 6 || p.Peak() != 1 {
		t.Errorf("%d requests, %d of history, %d at once", p.Requests(), p.RequestsTo(RouteHistory), p.Peak())
	}
}

func TestRequestsAreSeenBeforeTheyAreAnswered(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	changed := p.Changed()
	p.OnRequest(func(r *http.Request) { p.SetLogo(nil, room) })
	if got := read(t, p, room, ""); got.Total != 2 {
		t.Errorf("total %d, want 2", got.Total)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told of the new row")
	}
}

package docspacetest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

func TestChaosBringsEveryKindOfTroubleAndCalmEndsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{})
		room := p.CreateRoom(nil, "Sales")
		p.Upload(nil, room, make([]string, 50)...)
		p.PoisonAt(room, 3, 500)
		p.Fail(Fault{Times: -1, Folder: 7, Do: BadGateway()})
		p.Chaos(1, 0.3)
		met := make(map[string]int)
		late := 0
		for range 1000 {
			p.SetLogo(nil, room)
			late = max(late, 51+met["asked"]+1-p.Count(room))
			met["asked"]++
			met[meet(p, room)]++
		}
		for _, what := range []string{
			"ok", "compressed", "object", "extra", "+03:00", "401", "402", "403", "404", "429", "429 in 0", "429 in 1", "refused", "cut", "slow", "200 html", "502 html",
		} {
			if met[what] == 0 {
				t.Errorf("never met %q: %v", what, met)
			}
		}
		if met["ok"] < 400 {
			t.Errorf("%d of 1000 requests went well, want four of ten", met["ok"])
		}
		if late < 2 {
			t.Error("no row was late")
		}
		p.Calm()
		codes := make(map[int]int)
		for _, r := range p.Rows(room) {
			codes[r.StoredCode]++
		}
		if codes[5080] < 1000 || codes[5080]+codes[5011] <= 1050 {
			t.Errorf("%v: want all rows, and some twice", codes)
		}
		if meet(p, room) != "ok" || meet(p, 7) != "404" {
			t.Error("something goes wrong after Calm")
		}
		if got := read(t, p, room, "").Response[0].Date; !strings.HasSuffix(got, "Z") {
			t.Errorf("date %s in another zone after Calm", got)
		}
	})
}

// meet says in a few words how a request fared.
func meet(p *Portal, room int) string {
	r := ask(p, room)
	r.URL.RawQuery = "count=10"
	r.Header.Set("Accept-Encoding", "gzip")
	began := time.Now()
	answer, err := p.RoundTrip(r)
	if err != nil {
		return "refused"
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch html := strings.HasPrefix(string(body), "<html>"); {
	case err != nil:
		return "cut"
	case html:
		return fmt.Sprint(answer.StatusCode, " html")
	case answer.Header.Get("Retry-After") != "":
		return fmt.Sprint(answer.StatusCode, " in ", answer.Header.Get("Retry-After"))
	case answer.StatusCode != http.StatusOK:
		return fmt.Sprint(answer.StatusCode)
	case answer.Header.Get("Content-Encoding") == "gzip":
		return "compressed"
	case strings.Contains(string(body), "utcTime"):
		return "object"
	case strings.Contains(string(body), "severity"):
		return "extra"
	case strings.Contains(string(body), "+03:00"):
		return "+03:00"
	case time.Since(began) > 0:
		return "slow"
	}
	return "ok"
}

func TestChaosIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	story := func(seed uint64) (all []string) {
		p := New(Options{Now: at(noon)})
		room := p.CreateRoom(nil, "Sales")
		p.Chaos(seed, 0.5)
		for range 100 {
			p.SetLogo(nil, room)
			all = append(all, fmt.Sprint(meet(p, room) == "refused", p.Count(room)))
		}
		return all
	}
	if diff := cmp.Diff(story(3), story(3)); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
	if slices.Equal(story(3), story(4)) {
		t.Error("another seed is the same chaos")
	}
}

// Under chaos and people at work from several sides nothing is lost: Calm
// leaves every row, once for each time it was recorded.
func TestChaosLosesNoRow(t *testing.T) {
	t.Parallel()
	p := New(Options{})
	p.Populate(rand.New(rand.NewPCG(1, 1)), 2)
	rooms := p.Rooms()
	p.Chaos(5, 0.2)
	before := p.Count(rooms[0])
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				p.SetLogo(nil, rooms[0])
				meet(p, rooms[0])
			}
		})
	}
	all.Wait()
	p.Calm()
	rows := p.Rows(rooms[0])
	if len(rows) < before+400 {
		t.Errorf("%d rows, want %d at least", len(rows), before+400)
	}
	for i := range rows[1:] {
		if rows[i+1].ID <= rows[i].ID {
			t.Fatalf("id %d after %d", rows[i+1].ID, rows[i].ID)
		}
	}
}

func TestARestoredBackupRefusesAndThenGivesIDsOutAgain(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.Upload(nil, room, "a", "b", "c")
	saved := p.Rows(room)[1].ID
	newest := p.Rows(room)[3].ID
	p.Outage()
	p.SetLogo(nil, room) // waits, and is not in the backup
	done := p.Restore(saved)
	answer, body := get(t, p, logPath(room))
	if answer.StatusCode != 403 || answer.Header.Get("Content-Type") != contentProblem || !strings.Contains(body, `"title":"Forbidden"`) {
		t.Errorf("during the restore: %d %s", answer.StatusCode, body)
	}
	done()
	p.Calm()
	p.SetLogo(nil, room)
	rows := p.Rows(room)
	if len(rows) != 3 || rows[2].ID <= saved || rows[2].ID > newest {
		t.Errorf("rows after the restore: %+v", rows)
	}
}

func TestSingleRowsLoseTheirIDOrCannotBeShown(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	for range 9 {
		p.SetLogo(nil, room)
	}
	rows := p.Rows(room)
	p.HideID(rows[8].ID, rows[0].ID)
	var hidden []int
	for i, e := range read(t, p, room, "").Response {
		if e.ID == 0 {
			hidden = append(hidden, i)
		}
	}
	if diff := cmp.Diff([]int{1, 9}, hidden); diff != "" {
		t.Errorf("rows without an id (-want +got):\n%s", diff)
	}
	if id := p.PoisonAt(room, 2, 415); id != rows[7].ID || p.PoisonAt(room, 10, 500) != 0 || p.PoisonAt(1, 0, 500) != 0 {
		t.Errorf("poisoned %d, want %d", id, rows[7].ID)
	}
	if answer, _ := get(t, p, logPath(room)+"?startIndex=2&count=1"); answer.StatusCode != 415 {
		t.Errorf("%d for the row, want 415", answer.StatusCode)
	}
	if answer, _ := get(t, p, logPath(room)+"?startIndex=3"); answer.StatusCode != 200 {
		t.Errorf("%d below the row, want 200", answer.StatusCode)
	}
}

func TestMoreGETsAtOnceThanAllowedAreRefusedWithoutAWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Parallel: 3})
		room := p.CreateRoom(nil, "Sales")
		other := "Bearer " + p.AddKey(p.AddUser("Ana", "ana@example.com"))
		heal := p.Fail(Fault{Times: -1, Do: Stall(time.Second)})
		answers := make(chan string, 5)
		for range 5 {
			go func() { answers <- meet(p, room) }()
		}
		synctest.Wait()
		heal()
		if got := <-answers + " " + <-answers; got != "429 429" {
			t.Errorf("first answers %s, want the refusals", got)
		}
		if answer, _ := getAs(t, p, other, logPath(room)); answer.StatusCode != 403 {
			t.Errorf("another user gets %d", answer.StatusCode)
		}
		for range 3 {
			if got := <-answers; got != "slow" {
				t.Errorf("let in and answered %s", got)
			}
		}
		if got := meet(p, room); got != "ok" {
			t.Errorf("%s when all is over", got)
		}
	})
}

func TestAKeyLosesItsScopesAndASessionIsTakenBack(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon)})
	room := p.CreateRoom(nil, "Sales")
	p.LimitKey(p.APIKey(), "rooms:read")
	if answer, body := get(t, p, logPath(room)); answer.StatusCode != 403 || body != "" {
		t.Errorf("%d %q without the scope, want an empty 403", answer.StatusCode, body)
	}
	p.LimitKey(p.APIKey())
	read(t, p, room, "")
	r := ask(p, room)
	r.AddCookie(&http.Cookie{Name: "asc_auth_key", Value: "old"})
	answer, err := p.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 401 || !strings.HasPrefix(answer.Header.Get("Set-Cookie"), "asc_auth_key=;") {
		t.Errorf("%d %v: the cookie comes before the key and is cleared", answer.StatusCode, answer.Header)
	}
}

func TestAnEditorWithoutAccountSpeaksTheLanguageOfThePortal(t *testing.T) {
	t.Parallel()
	p := New(Options{Now: at(noon), Language: "de"})
	room := p.CreateRoom(nil, "Sales")
	file := p.Upload(nil, room, "a.docx")[0]
	p.Update(p.External("Kim"), file)
	e := read(t, p, room, "count=1").Response[0]
	var data struct {
		UserName string `json:"userName"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil || data.UserName != "Kim" || e.Initiator.DisplayName != "Kim (Externer Benutzer)" {
		t.Errorf("%v, typed %q, shown %q", err, data.UserName, e.Initiator.DisplayName)
	}
}

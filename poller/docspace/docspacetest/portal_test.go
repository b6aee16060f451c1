package docspacetest

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var noon = time.Date(2026, 3, 2, 12, 4, 5, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// An entry is what the tests read of one, top level or nested.
type entry struct {
	ID     int64 `json:"id"`
	Action struct {
		ID  int    `json:"id"`
		Key string `json:"key"`
	} `json:"action"`
	Initiator struct {
		ID          string `json:"id"`
		DisplayName string `json:"displayName"`
		ProfileURL  string `json:"profileUrl"`
		IsAnonim    bool   `json:"isAnonim"`
	} `json:"initiator"`
	Date    string         `json:"date"`
	Data    jsontext.Value `json:"data"`
	Related *[]entry       `json:"related"`
}

type page struct {
	Response []entry `json:"response"`
	Count    int     `json:"count"`
	Total    int     `json:"total"`
	Links    []struct {
		Href   string `json:"href"`
		Action string `json:"action"`
	} `json:"links"`
	Status     int `json:"status"`
	StatusCode int `json:"statusCode"`
}

func (p page) flat() (all []entry) {
	for _, e := range p.Response {
		all = append(all, e)
		if e.Related != nil {
			all = append(all, *e.Related...)
		}
	}
	return all
}

func ids(entries []entry) (ids []int64) {
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// get asks as the owner and returns status, header and body.
func get(t *testing.T, p *Portal, path string) (*http.Response, string) {
	t.Helper()
	return getAs(t, p, "Bearer "+p.APIKey(), path)
}

func getAs(t *testing.T, p *Portal, authorization, path string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+"/api/2.0/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := p.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// read is a page of a folder's log.
func read(t *testing.T, p *Portal, folder int, query string) page {
	t.Helper()
	answer, body := get(t, p, logPath(folder)+"?"+query)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", answer.StatusCode, body)
	}
	var got page
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return got
}

func logPath(folder int) string { return "files/folder/" + itoa(folder) + "/log" }

func itoa(n int) string { return strconv.Itoa(n) }

// truth is the ids a complete reading must find, ascending.
func truth(p *Portal, folder int) (ids []int64) {
	for _, r := range p.Rows(folder) {
		if !r.Unexplained {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

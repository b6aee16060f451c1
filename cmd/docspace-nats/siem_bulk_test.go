//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A searchEngine stands for the _bulk API of Elasticsearch: it answers for
// each document, 200 altogether, and knows which ids it has.
type searchEngine struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	docs     map[string][]byte // by index and id
	again    int               // documents it had already
	refusing int               // requests to refuse as a whole
	crowded  int               // requests in which it refuses every other document for now
	never    string            // the id of a document that fits no mapping
	progress func(stored int)
}

func newSearchEngine(t *testing.T) *searchEngine {
	t.Helper()
	e := &searchEngine{t: t, docs: make(map[string][]byte), progress: func(int) {}}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func (e *searchEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	switch {
	case err != nil:
		return
	case r.URL.Path != "/_bulk" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-ndjson":
		e.t.Errorf("%s %s of %s", r.Method, r.URL, r.Header.Get("Content-Type"))
	case r.Header.Get("Authorization") != "ApiKey hunter2":
		reply(w, http.StatusUnauthorized, `{"status":401}`)
		return
	case e.refusing > 0:
		e.refusing--
		reply(w, http.StatusServiceUnavailable, `{"status":503}`)
		return
	}
	items, err := e.bulk(string(body))
	if err != nil {
		e.t.Errorf("bulk request: %v", err)
		reply(w, http.StatusBadRequest, `{"status":400}`)
		return
	}
	e.progress(len(e.docs))
	reply(w, http.StatusOK, `{"took":1,"errors":false,"items":[`+strings.Join(items, ",")+`]}`)
}

func (e *searchEngine) bulk(body string) (items []string, err error) {
	crowded := e.crowded > 0
	if crowded {
		e.crowded--
	}
	lines := bufio.NewScanner(strings.NewReader(body))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var action struct {
			Create struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			} `json:"create"`
		}
		if err := json.Unmarshal(lines.Bytes(), &action); err != nil {
			return nil, err
		}
		if !lines.Scan() {
			return nil, io.ErrUnexpectedEOF
		}
		key := action.Create.Index + "/" + action.Create.ID
		status := `"status":201`
		switch {
		case key == e.never:
			status = `"status":400,"error":{"type":"document_parsing_exception","reason":"does not fit"}`
		case crowded && len(items)%2 == 1:
			status = `"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue is full"}`
		case e.docs[key] != nil:
			e.again++
			status = `"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}`
		default:
			e.docs[key] = []byte(lines.Text())
		}
		items = append(items, `{"create":{`+status+`}}`)
	}
	return items, lines.Err()
}

// The search engine refuses requests and documents, and Bento is killed.
func TestSIEMBentoStoresEachEventOnceInElasticsearch(t *testing.T) {
	t.Parallel()
	s := newSIEMSource(t)
	path := slim(t, "bento")
	e := newSearchEngine(t)
	poison := s.events[len(s.events)/3]
	dead := filepath.Join(t.TempDir(), "dead.jsonl")
	s.consumer(t, "pull.json", "siem-elastic", siemAckWait)
	env := []string{"NATS_URL=" + s.url, "ES_URL=" + e.url, "ES_AUTHORIZATION=ApiKey hunter2", "DEADLETTER=" + dead}

	half := make(chan struct{})
	e.mu.Lock()
	e.never, e.refusing, e.crowded = indexed(poison), 8, 2
	e.progress = func(stored int) {
		if stored >= len(s.events)/2 {
			close(half)
			e.crowded = 3
			e.progress = func(int) {}
		}
	}
	e.mu.Unlock()
	b := startBento(t, path, "elasticsearch.yaml", env...)
	select {
	case <-half:
	case <-time.After(siemPatience()):
		t.Fatalf("half of the events do not arrive:\n%s", b.log)
	}
	b.kill()
	b = startBento(t, path, "elasticsearch.yaml", env...)
	s.waitRead(t, "siem-elastic")
	b.kill()

	e.mu.Lock()
	defer e.mu.Unlock()
	t.Logf("events in the stream %d, documents %d, sent again %d (seed %d)", len(s.events), len(e.docs), e.again, s.seed)
	if len(e.docs) != len(s.events)-1 {
		t.Errorf("%d documents, want %d", len(e.docs), len(s.events)-1)
	}
	for _, event := range s.events {
		doc := e.docs[indexed(event)]
		if event.seq == poison.seq {
			continue
		}
		if doc == nil {
			t.Fatalf("no document %s", indexed(event))
		}
		if err := sameJSON(event.data, doc); err != nil {
			t.Fatalf("%s changed on its way: %v", indexed(event), err)
		}
	}
	if letters := readFile(t, dead); !strings.Contains(letters, `"does not fit"`) || !strings.Contains(letters, poison.event.ID) {
		t.Errorf("the document that fits no mapping is not kept apart: %s", letters)
	}
}

// indexed is where an event belongs.
func indexed(e storedEvent) string {
	return "docspace-activity-" + e.event.Time.UTC().Format("2006.01") + "/" + e.event.Data.Portal + ":" + e.event.ID
}

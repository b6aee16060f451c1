//go:build unix

package main

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

// A logsIngestion stands for Microsoft's Logs Ingestion API and the token
// endpoint before it.
type logsIngestion struct {
	t   *testing.T
	url string

	mu   sync.Mutex
	rows []map[string]any
}

func newLogsIngestion(t *testing.T) *logsIngestion {
	t.Helper()
	l := &logsIngestion{t: t}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

func (l *logsIngestion) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 2<<20))
	if err != nil {
		return
	}
	switch {
	case r.URL.Path == "/tenant/oauth2/v2.0/token":
		if !strings.Contains(string(body), "grant_type=client_credentials") || !strings.Contains(string(body), "scope=https%3A%2F%2Fmonitor.azure.com%2F%2F.default") {
			l.t.Errorf("token request: %s", body)
		}
		reply(w, http.StatusOK, `{"token_type":"Bearer","expires_in":3599,"access_token":"hunter2"}`)
	case r.Header.Get("Authorization") != "Bearer hunter2":
		reply(w, http.StatusUnauthorized, `{"error":{"code":"InvalidToken"}}`)
	case r.Method != http.MethodPost || r.URL.String() != "/dataCollectionRules/dcr-1/streams/Custom-DocSpaceActivity_CL?api-version=2023-01-01":
		l.t.Errorf("%s %s", r.Method, r.URL)
		reply(w, http.StatusNotFound, `{"error":{"code":"NotFound"}}`)
	case len(body) > 1<<20:
		reply(w, http.StatusRequestEntityTooLarge, `{"error":{"code":"ContentLengthLimitExceeded"}}`)
	default:
		l.store(w, body)
	}
}

func (l *logsIngestion) store(w http.ResponseWriter, body []byte) {
	var rows []map[string]any
	if err := json.Unmarshal(body, &rows); err != nil {
		l.t.Errorf("not an array of objects: %v: %s", err, body)
		reply(w, http.StatusBadRequest, `{"error":{"code":"InvalidPayload"}}`)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, rows...)
	w.WriteHeader(http.StatusNoContent)
}

// goldenStream holds an event of every kind and two messages that are none.
func goldenStream(t *testing.T) (url string, js jetstream.JetStream, events [][]byte) {
	t.Helper()
	server := natstest.Run(t)
	js, err := jetstream.New(server.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE", Subjects: []string{"docspace.folder.>"}}); err != nil {
		t.Fatal(err)
	}
	golden := schematest.Goldens(t)
	for _, name := range slices.Sorted(maps.Keys(golden)) {
		events = append(events, golden[name])
	}
	for _, event := range append(slices.Clone(events), []byte("no event"), []byte(`{"type":"something else"}`)) {
		if _, err := js.Publish(t.Context(), "docspace.folder.1204.file.uploaded", event); err != nil {
			t.Fatal(err)
		}
	}
	return server.URL(), js, events
}

// deliver runs Bento over the golden stream until all is acknowledged, and
// returns what it kept apart.
func deliver(t *testing.T, path, url string, js jetstream.JetStream, config, consumer string, env ...string) (letters []string) {
	t.Helper()
	dead := filepath.Join(t.TempDir(), "dead.jsonl")
	s := siemSource{js: js, url: url}
	s.consumer(t, "pull.json", consumer, time.Minute)
	b := startBento(t, path, config, append(env, "NATS_URL="+url, "DEADLETTER="+dead)...)
	s.waitRead(t, consumer)
	b.kill()
	return strings.Split(strings.TrimSpace(readFile(t, dead)), "\n")
}

func TestSIEMBentoDeliversEveryKindOfEventAndKeepsApartWhatIsNone(t *testing.T) {
	t.Parallel()
	if *siemRows == 0 || testing.Short() {
		t.Skip("needs other programs: go test ./cmd/docspace-nats -run TestSIEM -v -siem 3000")
	}
	path := slim(t, "bento")
	url, js, events := goldenStream(t)
	c, e, l := newCollector(t), newSearchEngine(t), newLogsIngestion(t)
	ways := map[string][]string{
		"splunk-hec.yaml siem-splunk":     {"HEC_URL=" + c.url(), "HEC_TOKEN=" + c.token, "HEC_INDEX=docspace"},
		"elasticsearch.yaml siem-elastic": {"ES_URL=" + e.url, "ES_AUTHORIZATION=ApiKey hunter2", "ES_INDEX=docspace-activity"},
		"sentinel.yaml siem-sentinel":     {"DCE_URL=" + l.url, "DCR_ID=dcr-1", "CLIENT_ID=connector", "CLIENT_SECRET=hunter1", "TOKEN_URL=" + l.url + "/tenant/oauth2/v2.0/token"},
	}
	for way, env := range ways {
		config, consumer, _ := strings.Cut(way, " ")
		letters := deliver(t, path, url, js, config, consumer, env...)
		if len(letters) != 2 || !strings.Contains(letters[0], `"no event"`) || !strings.Contains(letters[1], "something else") {
			t.Errorf("%s keeps apart: %s", config, letters)
		}
	}
	if len(c.events) != len(events) || len(l.rows) != len(events) {
		t.Fatalf("Splunk has %d events, Sentinel %d, want %d", len(c.events), len(l.rows), len(events))
	}
	for i, event := range events {
		if err := sameJSON(event, c.events[i].Event); err != nil || c.events[i].Index != "docspace" {
			t.Errorf("Splunk, index %q: %v", c.events[i].Index, err)
		}
		if diff := cmp.Diff(sentinelRow(t, event), l.rows[i]); diff != "" {
			t.Errorf("Sentinel (-event +row):\n%s", diff)
		}
	}
	ids := make(map[string]bool)
	for _, event := range events {
		decoded, err := schema.Decode(event)
		if err != nil {
			t.Fatal(err)
		}
		key := indexed(storedEvent{event: decoded})
		ids[key] = true
		if e.docs[key] == nil {
			t.Errorf("Elasticsearch has no %s", key)
		}
	}
	if len(e.docs) != len(ids) {
		t.Errorf("Elasticsearch has %d documents, want %d", len(e.docs), len(ids))
	}
}

// sentinelRow is what an event is as a row of the table.
func sentinelRow(t *testing.T, event []byte) map[string]any {
	t.Helper()
	var d document
	if err := json.Unmarshal(event, &d); err != nil {
		t.Fatal(err)
	}
	row := make(map[string]any)
	for column, field := range map[string]string{
		"TimeGenerated": "time", "EventTime": "time", "RecordedTime": "recordedtime", "EventId": "id", "IngestMode": "ingestmode", "Data": "data",
		"Portal": "data.portal", "AuditId": "data.audit_id", "FolderId": "data.feed.folder_id", "FolderTitle": "data.feed.title",
		"Code": "data.action.code", "Operation": "data.action.key", "Category": "data.action.category", "Action": "data.ecs.action",
		"Outcome": "data.outcome", "Severity": "data.severity",
		"ActorId": "data.actor.id", "ActorName": "data.actor.name", "ActorAnonymous": "data.actor.anonymous",
		"TargetKind": "data.target.kind", "TargetId": "data.target.id", "TargetName": "data.target.name",
		"MemberId": "data.member.id", "MemberName": "data.member.name", "LinkId": "data.link.id",
	} {
		if value := d.get(field); value != nil {
			row[column] = value
		}
	}
	types := sentinelColumns(t, "table.json")
	for column := range row {
		if types[column] == "" {
			t.Errorf("the table of sentinel has no column %s", column)
		}
	}
	return row
}

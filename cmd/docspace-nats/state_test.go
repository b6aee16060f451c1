package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
)

func TestTheStateTellsWhetherTheWorkIsDone(t *testing.T) {
	t.Parallel()
	portal := docspacetest.New(docspacetest.Options{Seed: 1})
	room := portal.CreateRoom(nil, "Secret plans")
	portal.Fill(room, 300, 1)
	site := httptest.NewServer(portal)
	t.Cleanup(site.Close)
	server := natstest.Run(t)
	cfg := demoConfig(site.URL, portal.APIKey(), "")
	cfg.NATS.URL = config.ServerURL(server.URL())
	cfg.Poll.MaxInterval = time.Hour // nobody polls again, and none is late
	shown, err := serveState("", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	state := shown.handler()
	wantAnswer(t, state, "/livez", http.StatusOK, "ok")
	wantAnswer(t, state, "/readyz", http.StatusServiceUnavailable, "starting")

	c, err := connect(t.Context(), cfg, 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	if err := c.catchUp(t.Context(), zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	shown.show(c)

	wantAnswer(t, state, "/livez", http.StatusOK, "ok")
	wantAnswer(t, state, "/readyz", http.StatusOK, "ok")
	metrics := wantAnswer(t, state, "/metrics", http.StatusOK, `docspace_nats_folders{state="watching"} 1`)
	for _, want := range []string{
		`docspace_nats_events_total{mode="backfill"} `, `docspace_nats_commits_total{outcome="stored"} 1`, `docspace_nats_unread_rows{folder="`,
		`docspace_nats_folder_freshness_seconds{folder="`, `docspace_nats_requests_total{route="`, `docspace_nats_hints_total{outcome="accepted"} 0`,
		`docspace_nats_unverified_rows 301`, `docspace_nats_verify_findings{kind="out_of_order"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, secret := range []string{portal.APIKey(), "Secret plans", "@"} {
		if strings.Contains(metrics, secret) {
			t.Errorf("/metrics shows %q", secret)
		}
	}
	lost := c.nc.StatusChanged(nats.RECONNECTING)
	server.Shutdown()
	<-lost
	wantAnswer(t, state, "/readyz", http.StatusServiceUnavailable, "not connected to NATS")
	wantAnswer(t, state, "/livez", http.StatusOK, "ok")
}

func wantAnswer(t *testing.T, h http.Handler, path string, status int, text string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, _ := io.ReadAll(w.Result().Body)
	if w.Code != status || !strings.Contains(string(body), text) {
		t.Errorf("GET %s: %d %q, want %d and %q", path, w.Code, body, status, text)
	}
	return string(body)
}

func TestTheStateOfManyBlindFoldersStaysShort(t *testing.T) {
	t.Parallel()
	portal := docspacetest.New(docspacetest.Options{Seed: 1})
	for range mostTold + 10 {
		portal.CreateRoom(nil, "Closed")
	}
	portal.Fail(docspacetest.Fault{Times: -1, Match: func(r docspacetest.Request) bool { return r.Folder != 0 }, Do: docspacetest.AccessDenied()})
	site := httptest.NewServer(portal)
	t.Cleanup(site.Close)
	cfg := demoConfig(site.URL, portal.APIKey(), "")
	cfg.NATS.URL = config.ServerURL(natstest.Run(t).URL())
	cfg.Poll.MaxInterval = time.Hour // nobody polls again, and none is late
	c, err := connect(t.Context(), cfg, 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	if err := c.catchUp(t.Context(), zerolog.Nop()); err == nil {
		t.Fatal("blind folders are caught up")
	}
	shown, err := serveState("", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	shown.show(c)
	told := wantAnswer(t, shown.handler(), "/readyz", http.StatusOK, "and 10 more folders")
	if n := strings.Count(told, "is blind: "); n != mostTold {
		t.Errorf("%d folders are told of, want %d:\n%s", n, mostTold, told)
	}
}

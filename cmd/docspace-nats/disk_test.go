package main

import (
	"context"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
)

// The history is larger than the room on the disk, until somebody makes more.
func TestAFullDiskIsToldOfAndTheWorkGoesOnByItselfWithNothingLostOrTwice(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	portal := docspacetest.New(docspacetest.Options{Seed: 1})
	for range 2 {
		portal.Fill(portal.CreateRoom(nil, "Long history"), rows/2, 1)
	}
	site := httptest.NewServer(portal)
	t.Cleanup(site.Close)
	dir := natstest.SmallDisk(t, 96<<20)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 70<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := demoConfig(site.URL, portal.APIKey(), dir)
	cfg.NATS.DataMaxBytes = 1 << 40 // the disk is the limit
	var said logBuffer
	log := newLogger(config.Log{Level: "info", Format: "json"}, &said)
	c, err := connect(t.Context(), cfg, 0, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	shown, err := serveState("", log)
	if err != nil {
		t.Fatal(err)
	}
	shown.show(c)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.watch(ctx) }()

	natstest.Eventually(t, "/readyz tells that the disk is full", func() bool {
		w := httptest.NewRecorder()
		shown.handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code == 503 && strings.Contains(w.Body.String(), "no space left") && strings.Contains(w.Body.String(), "free some room")
	})
	if !strings.Contains(said.String(), "stopped storing") {
		t.Errorf("the log does not tell: %s", said.String())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "all is stored and /readyz says ok", func() bool {
		return c.local.Trouble() == nil && c.nc.IsConnected() && shown.ready() == nil && settled(c.schedule.Standings())
	})
	reader, err := readStream(t.Context(), c.local.URL(), c.ledger.Stream(), c.ledger.EventSubjects(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.close()
	if err := reader.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := compare(portal, c.schedule.Standings(), reader)
	t.Logf("rows made %d, events stored %d", all.made, all.stored)
	if all.made < rows || all.stored != all.made || all.lost+all.duplicated+all.disordered > 0 {
		t.Errorf("%+v", all)
	}
	stop()
	<-ended
}

// settled reports whether every folder is caught up.
func settled(folders []poller.Standing) bool {
	for _, f := range folders {
		if f.Err != nil || f.Unread > 0 || f.State != "watching" {
			return false
		}
	}
	return len(folders) > 0
}

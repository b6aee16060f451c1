package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
)

func TestAStreamOfAnotherPortalIsRefusedUnlessThePortalWasRenamed(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	portal, other := docspacetest.New(docspacetest.Options{Seed: 1}), docspacetest.New(docspacetest.Options{Seed: 2})
	for _, p := range []*docspacetest.Portal{portal, other} {
		p.Fill(p.CreateRoom(nil, "Room"), 300, 1)
	}
	before, after, elsewhere := httptest.NewServer(portal), httptest.NewServer(portal), httptest.NewServer(other)
	hosts := make(map[string]string)
	for _, site := range []*httptest.Server{before, after, elsewhere} {
		t.Cleanup(site.Close)
		hosts[site.URL] = strings.TrimPrefix(site.URL, "http://")
	}
	attempt := func(site *httptest.Server, key string, formerly ...string) error {
		cfg := demoConfig(site.URL, key, "")
		cfg.NATS.URL, cfg.DocSpace.Formerly = config.ServerURL(server.URL()), formerly
		c, err := connect(t.Context(), cfg, 0, zerolog.Nop())
		if err != nil {
			return err
		}
		defer c.close()
		return c.catchUp(t.Context(), zerolog.Nop())
	}
	stored := func() int { return storedEvents(t, server.Conn(t)) }
	if err := attempt(before, portal.APIKey()); err != nil {
		t.Fatal(err)
	}
	count := stored()
	for name, err := range map[string]error{
		"another portal":                 attempt(elsewhere, other.APIKey()),
		"a new name":                     attempt(after, portal.APIKey()),
		"a new name and a wrong old one": attempt(after, portal.APIKey(), "old.example.com"),
	} {
		for _, want := range []string{"is of the portal \"" + hosts[before.URL] + "\"", "NATS_STREAM", "DOCSPACE_FORMERLY to \"" + hosts[before.URL] + "\""} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	if n := stored(); n != count {
		t.Errorf("%d events of another portal were stored", n-count)
	}
	portal.Upload(nil, portal.Rooms()[0], "minutes.docx")
	if err := attempt(after, portal.APIKey(), "older.example.com", hosts[before.URL]); err != nil {
		t.Fatalf("under its new name: %v", err)
	}
	if n := stored(); n != count+1 {
		t.Errorf("%d events under the new name, want 1", n-count)
	}
	// The mark that was written has the new name, so the old one can be forgotten.
	if err := attempt(after, portal.APIKey()); err != nil {
		t.Fatalf("once the marks have the new name: %v", err)
	}
}

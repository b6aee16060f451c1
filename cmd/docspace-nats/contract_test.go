package main

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

func TestEveryStoredEventKeepsTheContractAndNamesTheSchemaOfItsData(t *testing.T) {
	t.Parallel()
	const base = "https://schemas.example.com"
	server, portal := natstest.Run(t), docspacetest.New(docspacetest.Options{Seed: 1})
	rng := rand.New(rand.NewPCG(1, 1))
	portal.Populate(rng, 3)
	for range 500 {
		portal.Act(rng)
	}
	site := httptest.NewServer(portal)
	t.Cleanup(site.Close)
	cfg := demoConfig(site.URL, portal.APIKey(), "")
	cfg.NATS.URL, cfg.Events.SchemaBase = config.ServerURL(server.URL()), base
	c, err := connect(t.Context(), cfg, 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.catchUp(t.Context(), zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(server.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	contract, families := schematest.Compile(t), make(map[string]bool)
	eachEvent(t, js, func(msg jetstream.Msg) error {
		if err := contract.Judge(msg.Data()); err != nil {
			return fmt.Errorf("%s: %w", msg.Subject(), err)
		}
		event, err := schema.Decode(msg.Data())
		if err != nil {
			return err
		}
		family := schema.FamilyOf(event.Data.Action.Category)
		families[family] = true
		if want := schema.SchemaURL(base, family); event.DataSchema != want {
			return fmt.Errorf("%s names the schema %q, want %q", msg.Subject(), event.DataSchema, want)
		}
		return nil
	})
	if len(families) < 3 {
		t.Errorf("only events of %v", families)
	}
}

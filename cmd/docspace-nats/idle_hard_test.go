package main

import (
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

// What idle folders cost the server, said and stored: nothing is written.
func TestIdleFoldersMakeTheServerWriteNothing(t *testing.T) {
	t.Parallel()
	const rooms = 20
	h, nats := newHouse(t, rooms, 1), natstest.Process(t)
	p := h.start(t, 0, "NATS_URL="+nats.URL(), "POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=1s")
	h.until(t, "all are idle", func() bool { return len(h.polls) > rooms*4 })
	nc, err := natsgo.Connect(nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	last := func(stream string) uint64 {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().State.LastSeq
	}
	said := make(chan *natsgo.Msg, 100_000)
	if _, err := nc.ChanSubscribe("$JS.ACK.>", said); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.ChanSubscribe("$JS.API.>", said); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	events, queue, polls := last("DOCSPACE"), last("DOCSPACE_POLL"), 0
	h.until(t, "some more polls", func() bool { polls++; return len(h.polls) > rooms*12 })
	if n := last("DOCSPACE") - events; n > 0 {
		t.Errorf("%d messages stored", n)
	}
	if n := last("DOCSPACE_POLL") - queue; n > 0 {
		t.Errorf("%d messages stored in the queue", n)
	}
	t.Logf("%d messages for %d polls", len(said), polls)
	p.kill()
}

package main

import (
	"maps"
	"slices"
	"testing"
	"time"

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
	nc, err := natsgo.Connect(nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "all rows are stored", func() bool { return storedEvents(t, nc) == rooms*2 })
	stored := time.Now()
	h.until(t, "all are idle", func() bool { // a third poll shows that a second one is over that found nothing
		times := make(map[int]int)
		for _, v := range h.polls {
			if v.at.After(stored) {
				times[v.folder]++
			}
		}
		return len(times) == rooms && slices.Min(slices.Collect(maps.Values(times))) >= 3
	})
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
	h.until(t, "some more polls", func() bool { polls++; return polls > rooms*8 })
	if n := last("DOCSPACE") - events; n > 0 {
		t.Errorf("%d messages stored", n)
	}
	if n := last("DOCSPACE_POLL") - queue; n > 0 {
		t.Errorf("%d messages stored in the queue", n)
	}
	t.Logf("%d messages for %d polls", len(said), polls)
	p.kill()
}

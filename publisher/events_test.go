package publisher

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher/natstest"
)

func TestAStreamWhoseFirstMessageIsAnOldMarkDropsEventsAllTheSame(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{MaxAge: time.Second})
	idle := checkpoint.Mark{Folder: 8}
	if _, err := j.Commit(t.Context(), 8, nil, idle, idle); err != nil {
		t.Fatal(err)
	}
	push(t, j, checkpoint.Mark{Folder: 7}, 5)
	natstest.Eventually(t, "the events expire", func() bool {
		stream, err := j.js.Stream(t.Context(), j.o.Stream)
		return err == nil && stream.CachedInfo().State.Msgs == 2
	})
	if drops, err := j.Drops(t.Context()); !drops || err != nil {
		t.Errorf("Drops = %t, %v", drops, err)
	}
}

func TestWhatIsRemovedBeforeALimitIsReachedWasNotDropped(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*jetstream.StreamConfig){
		"age":    func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"number": func(c *jetstream.StreamConfig) { c.MaxMsgs = 100 },
	} {
		nc := natstest.Run(t).Conn(t)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		config := (&JetStream{o: Options{}.withDefaults()}).wanted(apiLevel)
		limit(&config)
		stream, err := js.CreateStream(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		j := open(t, nc, Options{})
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 50)
		if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("docspace.folder.7.>")); err != nil {
			t.Fatal(err)
		}
		if drops, err := j.Drops(t.Context()); drops || err != nil {
			t.Errorf("%s: Drops = %t, %v after a purge", name, drops, err)
		}
		push(t, j, mark, 100)
		if drops, err := j.Drops(t.Context()); drops != (name == "number") || err != nil {
			t.Errorf("%s: Drops = %t, %v", name, drops, err)
		}
	}
}

package publisher

import (
	"testing"
	"time"

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
	eventually(t, "the events expire", func() bool {
		stream, err := j.js.Stream(t.Context(), j.o.Stream)
		return err == nil && stream.CachedInfo().State.Msgs == 2
	})
	if drops, err := j.Drops(t.Context()); !drops || err != nil {
		t.Errorf("Drops = %t, %v", drops, err)
	}
}

func TestAStreamDropsNothingBelowItsLimits(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{MaxAge: time.Hour})
	push(t, j, checkpoint.Mark{Folder: 7}, 5)
	if drops, err := j.Drops(t.Context()); drops || err != nil {
		t.Errorf("Drops = %t, %v", drops, err)
	}
}

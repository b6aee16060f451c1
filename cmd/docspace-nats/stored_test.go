package main

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

// storedEvents counts the messages on the event subjects of every stream.
func storedEvents(t testing.TB, nc *nats.Conn) int {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		stream, err := js.Stream(t.Context(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		full, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("*.folder.>"))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range full.State.Subjects {
			count += int(n)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	return count
}

// eachEvent reads every event that a stream with the default names holds.
func eachEvent(t *testing.T, js jetstream.JetStream, read func(jetstream.Msg) error) {
	t.Helper()
	consumer, err := js.OrderedConsumer(t.Context(), "DOCSPACE", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"docspace.folder.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := natstest.Drain(t.Context(), consumer, read); err != nil {
		t.Fatal(err)
	}
}

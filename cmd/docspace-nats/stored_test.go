package main

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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

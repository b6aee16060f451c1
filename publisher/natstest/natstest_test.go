package natstest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestAServerKeepsItsDataAndAddressOverARestart(t *testing.T) {
	t.Parallel()
	s := Run(t)
	store(t, s.Conn(t), 1)
	url := s.URL()
	s.Restart()
	if s.URL() != url {
		t.Fatalf("URL %s became %s", url, s.URL())
	}
	wantOneMessage(t, s.Conn(t))
}

func TestAProcessKeepsItsDataAndAddressOverAKill(t *testing.T) {
	t.Parallel()
	p := Process(t)
	store(t, p.Conn(t), 1)
	url, pid := p.URL(), p.PID()
	p.Restart()
	if p.URL() != url || p.PID() == pid {
		t.Fatalf("URL %s became %s, process %d became %d", url, p.URL(), pid, p.PID())
	}
	wantOneMessage(t, p.Conn(t))
}

func TestAClusterStoresOnThreeServersAndHasALeader(t *testing.T) {
	t.Parallel()
	c := Cluster(t, 3)
	nc := c.Conn(t)
	store(t, nc, 3)
	if c.StreamLeader("S") == nil {
		t.Fatal("no server leads the stream")
	}
	wantOneMessage(t, nc)
}

func store(t *testing.T, nc *nats.Conn, replicas int) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func wantOneMessage(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 1 {
		t.Fatalf("%d messages, want 1", got)
	}
}

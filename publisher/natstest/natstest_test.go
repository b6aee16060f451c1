package natstest

import (
	"errors"
	"testing"
	"time"

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
	Eventually(t, "a server leads the stream", func() bool { return c.StreamLeader("S") != nil })
	wantOneMessage(t, nc)
}

func TestALinkIsSlowBreaksAndLosesAnswersWhenToldTo(t *testing.T) {
	t.Parallel()
	s := Run(t)
	link := NewLink(t, s.URL())
	nc := link.Conn(t, nats.Timeout(Patience))
	store(t, nc, 1)

	const late = 200 * time.Millisecond
	link.Delay(late)
	began := time.Now()
	if err := nc.FlushTimeout(Patience); err != nil || time.Since(began) < 2*late {
		t.Errorf("an answer came after %s (%v), with %s each way", time.Since(began), err, late)
	}
	link.Delay(0)

	link.DropAnswersFrom(`{"stream":"S"`)
	if _, err := nc.Request("s", []byte("y"), late); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("an answer that is lost: %v", err)
	}
	Eventually(t, "one answer is lost", func() bool { return link.Lost() == 1 })
	link.Break()
	Eventually(t, "the connection is lost", func() bool { return !nc.IsConnected() })
	if other, err := nats.Connect(link.URL()); err == nil {
		other.Close()
		t.Error("a broken link can be used")
	}
	link.Mend()
	Eventually(t, "the connection is back", nc.IsConnected)
	if got := messages(t, nc); got != 2 {
		t.Errorf("%d messages, want 2: the one whose answer was lost is stored", got)
	}
}

func store(t *testing.T, nc *nats.Conn, replicas int) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the stream is there", func() bool { // an election can cost the answer
		_, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: replicas})
		return err == nil
	})
	if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func wantOneMessage(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if got := messages(t, nc); got != 1 {
		t.Fatalf("%d messages, want 1", got)
	}
}

func messages(t *testing.T, nc *nats.Conn) uint64 {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

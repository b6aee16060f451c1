package publisher

import (
	"errors"
	"testing"

	"docspace-nats/publisher/natstest"
)

func TestOtherProgramsFindTheEmbeddedServerByItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := FindLocal(dir); !errors.Is(err, ErrLocalNotRunning) {
		t.Fatalf("before it runs: %v", err)
	}
	l := startLocal(t, LocalOptions{Dir: dir})
	at, err := FindLocal(dir)
	if err != nil || at.URL != l.URL() {
		t.Fatalf("got %+v, %v; want %s", at, err, l.URL())
	}
	nc, err := Connect(t.Context(), ConnectOptions{URL: at.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := at.Check(nc); err != nil {
		t.Error(err)
	}
	if err := at.Check(natstest.Run(t).Conn(t)); !errors.Is(err, ErrLocalNotRunning) {
		t.Errorf("another server on its port: %v", err)
	}
	l.Shutdown()
	if _, err := FindLocal(dir); !errors.Is(err, ErrLocalNotRunning) {
		t.Errorf("after a stop: %v", err)
	}
}

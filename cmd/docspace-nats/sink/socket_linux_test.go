package sink

import (
	"errors"
	"testing"

	"docspace-nats/publisher/natstest"
)

// The goroutine that reads may not run in time.
func TestAnEndThatNobodyHasReadIsNoticed(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	far := p.write()
	unread := &watchedConn{Conn: p.sink.conn.Conn, ended: make(chan struct{})}
	if err := unread.stays(t.Context(), 1); err != nil {
		t.Errorf("while it is open: %v", err)
	}
	_ = far.Close()
	natstest.Eventually(t, "the end has arrived", func() bool { return !established(unread.Conn) })
	if err := unread.stays(t.Context(), 1); !errors.Is(err, errClosed) {
		t.Errorf("after its end: %v", err)
	}
}

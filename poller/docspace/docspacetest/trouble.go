package docspacetest

import (
	"context"
	"io"
	"time"
)

// trouble spoils a good answer on its way.
type trouble struct {
	refuse bool          // no answer at all
	cut    bool          // the connection ends after
	after  int           // bytes of the body
	pause  time.Duration // before each piece of the body
	pieces int
}

// A troubled body is slow, or ends before its end.
type troubled struct {
	ctx  context.Context
	rest []byte
	sent int
	trouble
}

func (t *troubled) Read(b []byte) (int, error) {
	if len(t.rest) == 0 {
		return 0, io.EOF
	}
	if err := t.wait(); err != nil {
		return 0, err
	}
	n := len(b)
	if t.pieces > 0 {
		n = min(n, max(1, (len(t.rest)+t.pieces-1)/t.pieces))
		t.pieces--
	}
	if t.cut {
		n = min(n, t.after-t.sent)
	}
	if t.cut && n <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n = copy(b[:min(n, len(b))], t.rest)
	t.rest = t.rest[n:]
	t.sent += n
	return n, nil
}

func (t *troubled) wait() error {
	if t.pieces == 0 || t.pause <= 0 {
		return t.ctx.Err()
	}
	timer := time.NewTimer(t.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}

package docspacetest

import (
	"context"
	"io"
	"net/http"
	"time"
)

// A Fault is something that goes wrong with requests to come. Faults are tried
// in the order they were given; the first that applies decides, before the
// portal looks at credentials or anything else.
type Fault struct {
	Route  Route              // "": any
	Folder int                // 0: any
	Match  func(Request) bool // further conditions; nil: none
	Skip   int                // matching requests that are answered well before
	Times  int                // how often; 0: once, negative: until healed
	Chance float64            // of each matching request; 0: certain
	Do     Outcome
}

// An Outcome is what becomes of a request. The zero Outcome is an answer as if
// nothing were wrong.
type Outcome struct {
	instead func() *reply
	stall   time.Duration
	trouble trouble
}

// trouble spoils a good answer on its way.
type trouble struct {
	refuse bool          // no answer at all
	cut    bool          // the connection ends after
	after  int           // bytes of the body
	pause  time.Duration // before each piece of the body
	pieces int
}

// RateLimited answers 429 with that Retry-After, or none for "".
func RateLimited(retryAfter string) Outcome {
	return replace(func() *reply {
		rp := empty(http.StatusTooManyRequests)
		if retryAfter != "" {
			rp.header = http.Header{"Retry-After": {retryAfter}}
		}
		return rp
	})
}

// ServerError answers 500 with the server's error object.
func ServerError() Outcome {
	return Failure(http.StatusInternalServerError, "System.Exception", "Internal server error")
}

// Failure answers with the server's error object and any status.
func Failure(status int, exception, message string) Outcome {
	return replace(func() *reply { return failure(status, exception, message) })
}

// AccessDenied answers 403 as for a folder the caller may not read.
func AccessDenied() Outcome {
	return Failure(http.StatusForbidden, "System.Security.SecurityException", "Access denied")
}

// NotFound answers 404 as for a folder that is not there.
func NotFound() Outcome {
	return Failure(http.StatusNotFound, "ASC.Common.Web.ItemNotFoundException", "The required folder was not found")
}

// Unauthorized answers 401 as for credentials that ended.
func Unauthorized() Outcome { return Empty(http.StatusUnauthorized) }

// MissingScope answers 403 as for a key that lacks a permission.
func MissingScope() Outcome { return Empty(http.StatusForbidden) }

// Empty answers with a status and nothing else.
func Empty(status int) Outcome { return replace(func() *reply { return empty(status) }) }

// BadGateway answers 502 with the page of a proxy.
func BadGateway() Outcome { return Page(http.StatusBadGateway) }

// Page answers with a status and a page for people, as proxies do. With status
// 200 it is a maintenance page.
func Page(status int) Outcome {
	return replace(func() *reply {
		text := http.StatusText(status)
		return &reply{status: status, kind: contentHTML, body: []byte("<html>\r\n<head><title>" + text + "</title></head>\r\n<body>\r\n<center><h1>" + text + "</h1></center>\r\n</body>\r\n</html>\r\n")}
	})
}

// Restoring answers 403 as a portal that is being restored from a backup.
func Restoring() Outcome {
	return replace(func() *reply { return refusedByTenant(http.StatusForbidden) })
}

// Suspended answers 404 as a portal that is suspended or unknown.
func Suspended() Outcome {
	return replace(func() *reply { return refusedByTenant(http.StatusNotFound) })
}

// Slow answers well, in pieces that take d altogether.
func Slow(d time.Duration) Outcome {
	const pieces = 4
	return Outcome{trouble: trouble{pause: d / pieces, pieces: pieces}}
}

// Stall answers well, but nothing at all until d has passed.
func Stall(d time.Duration) Outcome { return Outcome{stall: d} }

// Cut answers well and drops the connection after so many bytes of the body.
func Cut(after int) Outcome { return Outcome{trouble: trouble{cut: true, after: after}} }

// Refuse drops the connection without an answer.
func Refuse() Outcome { return Outcome{trouble: trouble{refuse: true}} }

func replace(with func() *reply) Outcome { return Outcome{instead: with} }

type scripted struct {
	Fault
	left int // -1: no end
}

// Fail orders a fault. Calling heal ends it early.
func (p *Portal) Fail(f Fault) (heal func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &scripted{Fault: f, left: max(f.Times, -1)}
	if f.Times == 0 {
		s.left = 1
	}
	p.faults = append(p.faults, s)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.left = 0
	}
}

// nextFault decides what becomes of a request.
func (p *Portal) nextFault(r Request) Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.faults {
		if s.left == 0 || !s.applies(r) {
			continue
		}
		if s.Skip > 0 {
			s.Skip--
			continue
		}
		if s.Chance > 0 && p.rng.Float64() >= s.Chance {
			continue
		}
		if s.left > 0 {
			s.left--
		}
		return s.Do
	}
	return Outcome{}
}

func (s *scripted) applies(r Request) bool {
	return (s.Route == "" || s.Route == r.Route) && (s.Folder == 0 || s.Folder == r.Folder) && (s.Match == nil || s.Match(r))
}

// Poison makes a row one that cannot be interpreted: every page that holds it
// fails whole, with 400, 403, 415 or 500. Status 0 cures it.
func (p *Portal) Poison(id int64, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if status == 0 {
		delete(p.poison, id)
		return
	}
	p.poison[id] = status
}

// poisoned is the answer to a page with such a row; nil to others.
func (p *Portal) poisoned(rows []*row) *reply {
	if len(p.poison) == 0 {
		return nil
	}
	for _, r := range rows {
		switch status := p.poison[r.id]; status {
		case 0:
		case http.StatusBadRequest:
			return failure(status, "System.ArgumentOutOfRangeException", "Index was out of range. (Parameter 'index')")
		case http.StatusForbidden:
			return failure(status, "System.InvalidOperationException", "Nullable object must have a value.")
		case http.StatusUnsupportedMediaType:
			return failure(status, "System.NotSupportedException", "Specified method is not supported.")
		default:
			return failure(status, "System.Text.Json.JsonException", "Expected end of string, but instead reached end of data.")
		}
	}
	return nil
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

package docspacetest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A reply is an answer before it is put on a wire. The body belongs to the
// reply until release, if there is one, is called.
type reply struct {
	status  int
	kind    string // content type
	header  http.Header
	body    []byte
	trouble trouble
	gzip    bool // if the client accepts it
	release func()
}

func (rp *reply) done() {
	if rp.release != nil {
		rp.release()
	}
}

// finish sets the headers every answer carries, and compresses the body.
func (p *Portal) finish(r *http.Request, rp *reply) {
	if rp.header == nil {
		rp.header = make(http.Header, 4)
	}
	rp.header.Set("Date", p.now().UTC().Format(http.TimeFormat))
	if rp.kind != "" {
		rp.header.Set("Content-Type", rp.kind)
	}
	if rp.gzip && len(rp.body) > 0 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(rp.body)
		z.Close()
		rp.done()
		rp.body, rp.release = packed.Bytes(), nil
		rp.header.Set("Content-Encoding", "gzip")
	}
	rp.header.Set("Content-Length", strconv.Itoa(len(rp.body)))
}

// ServeHTTP answers over a real connection.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBody)
	rp := p.answer(r)
	defer rp.done()
	if rp.trouble.refuse {
		panic(http.ErrAbortHandler) // the agreed way to drop a connection
	}
	p.finish(r, rp)
	for k, v := range rp.header {
		w.Header()[k] = v
	}
	w.WriteHeader(rp.status)
	if _, err := io.Copy(flusher{w}, rp.reader(r.Context())); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// flusher sends what it is given at once, so that slow bodies are slow on the
// other side too.
type flusher struct{ http.ResponseWriter }

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// RoundTrip answers without a connection.
func (p *Portal) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		closeBody(r)
		return nil, err
	}
	defer closeBody(r)
	rp := p.answer(r)
	if rp.trouble.refuse {
		rp.done()
		return nil, cmp.Or(r.Context().Err(), io.ErrUnexpectedEOF)
	}
	p.finish(r, rp)
	return &http.Response{
		Status:        strconv.Itoa(rp.status) + " " + http.StatusText(rp.status),
		StatusCode:    rp.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        rp.header,
		ContentLength: int64(len(rp.body)),
		Body:          &body{Reader: rp.reader(r.Context()), done: sync.OnceFunc(rp.done)},
		Request:       r,
	}, nil
}

// A body gives its memory back when it is closed; reading ends there.
type body struct {
	io.Reader
	done func()
}

func (b *body) Close() error {
	b.Reader = closedBody{}
	b.done()
	return nil
}

type closedBody struct{}

func (closedBody) Read([]byte) (int, error) { return 0, http.ErrBodyReadAfterClose }

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// reader is the body as the other side gets to see it.
func (rp *reply) reader(ctx context.Context) io.Reader {
	if rp.trouble == (trouble{}) {
		return bytes.NewReader(rp.body)
	}
	return &troubled{ctx: ctx, rest: rp.body, trouble: rp.trouble}
}

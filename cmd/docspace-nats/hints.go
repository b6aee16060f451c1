package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
)

// What hints may cost. Whoever reaches the address can post to it, so the
// signature's form is judged before a body is read, and the number of bodies
// is bounded before their signature is computed: 16 of 256 KiB at the same
// moment, and about 100 a second.
const (
	hintsPerSecond = 100
	hintBurst      = 1000 // a bulk upload is posted as fast as the portal can
	hintBodies     = 16
	hintPatience   = 5 * time.Second // for a whole delivery
)

// A hintHandler receives what the portal's webhooks post and hands it to a
// queue. Nobody learns more from it than whether a signature is right, and a
// delivery that comes twice, or is replayed by a stranger, costs a poll.
type hintHandler struct {
	secret  config.Source
	queue   *poller.HintQueue
	pace    *rate.Limiter
	bodies  chan struct{}
	log     zerolog.Logger
	refused rate.Sometimes // how often that is told: strangers must not fill the log
	failed  rate.Sometimes // the same of deliveries that are the portal's
}

func newHintHandler(secret config.Source, queue *poller.HintQueue, log zerolog.Logger) *hintHandler {
	return &hintHandler{
		secret:  secret,
		queue:   queue,
		pace:    rate.NewLimiter(hintsPerSecond, hintBurst),
		bodies:  make(chan struct{}, hintBodies),
		log:     log,
		refused: rate.Sometimes{First: 1, Interval: time.Minute},
		failed:  rate.Sometimes{First: 1, Interval: time.Minute},
	}
}

// ServeHTTP answers at any path, since proxies change them. HEAD is what the
// portal asks before it accepts the address of a webhook. No answer may ever be
// 410: the portal deletes the webhook then.
func (h *hintHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodHead:
		w.WriteHeader(http.StatusOK)
	case http.MethodPost:
		h.post(w, r)
	default:
		w.Header().Set("Allow", "HEAD, POST")
		http.Error(w, "hints are posted by the portal's webhooks", http.StatusMethodNotAllowed)
	}
}

// post takes a delivery and answers without waiting for the poll. Too many of
// them are answered well and dropped: refused ones would come five times more
// just then, and a dropped hint costs only time.
func (h *hintHandler) post(w http.ResponseWriter, r *http.Request) {
	signature := r.Header.Get(docspace.SignatureHeader)
	if err := docspace.CheckSignature(signature); err != nil {
		h.refuse(w, r, err)
		return
	}
	if r.ContentLength > docspace.MaxWebhook {
		h.tooLarge(w)
		return
	}
	if !h.pace.Allow() || !h.enter() {
		h.queue.Count(poller.HintLimited, 1)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	defer h.leave()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, docspace.MaxWebhook))
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		h.tooLarge(w)
		return
	}
	if err != nil {
		h.queue.Count(poller.HintUnreadable, 1)
		http.Error(w, "the delivery is incomplete", http.StatusBadRequest)
		return
	}
	h.take(w, r, signature, body)
}

// take verifies a whole delivery. One that is signed and not understood is
// answered well: to post it again would not help.
func (h *hintHandler) take(w http.ResponseWriter, r *http.Request, signature string, body []byte) {
	secret, err := h.secret()
	if err != nil {
		h.queue.Count(poller.HintDropped, 1)
		h.failed.Do(func() { h.log.Error().Err(err).Msg("hints cannot be verified") })
		http.Error(w, "hints cannot be verified now", http.StatusServiceUnavailable)
		return
	}
	hint, err := docspace.ParseWebhook(secret, signature, body)
	if wrong := new(docspace.SignatureError); errors.As(err, &wrong) {
		h.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if err != nil {
		h.queue.Count(poller.HintUnreadable, 1)
		h.failed.Do(func() { h.log.Warn().Err(err).Msg("a hint is not understood") })
		return
	}
	h.log.Debug().Str("trigger", hint.Trigger).Int("id", hint.ID).Int("parent", hint.ParentID).Msg("hint")
	h.queue.Add(hint)
}

func (h *hintHandler) enter() bool {
	select {
	case h.bodies <- struct{}{}:
		return true
	default:
		return false
	}
}

func (h *hintHandler) leave() { <-h.bodies }

func (h *hintHandler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	h.queue.Count(poller.HintRefused, 1)
	h.refused.Do(func() {
		h.log.Warn().Err(err).Str("from", r.RemoteAddr).Msg("a hint is refused; compare HINTS_SECRET with the secret key of the webhook in the portal")
	})
	http.Error(w, err.Error(), http.StatusForbidden)
}

func (h *hintHandler) tooLarge(w http.ResponseWriter) {
	h.queue.Count(poller.HintLimited, 1)
	http.Error(w, fmt.Sprintf("a delivery may have %d bytes", docspace.MaxWebhook), http.StatusRequestEntityTooLarge)
}

// listenHints listens at once, like serveState, and returns nil for an empty
// address. What arrives before hints are served waits.
func listenHints(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &usageError{fmt.Errorf("HINTS_ADDR: cannot listen on %s: %w; choose another address, or an empty one for none", addr, err)}
	}
	return listener, nil
}

// hintMembers returns what a run does to receive hints: nothing without a
// listener. A failure here is told and does not end the run, since polling goes
// on without hints.
func (c *connector) hintMembers(listener net.Listener, secret config.Source, log zerolog.Logger) []func(context.Context) error {
	if listener == nil {
		return nil
	}
	server := &http.Server{
		Handler:           newHintHandler(secret, c.hints, log),
		ReadHeaderTimeout: hintPatience,
		ReadTimeout:       hintPatience,
		WriteTimeout:      2 * hintPatience,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          stdlog.New(log, "", 0),
	}
	serve := func(ctx context.Context) error {
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(listener) }()
		log.Info().Str("addr", listener.Addr().String()).Msg("receiving hints")
		select {
		case err := <-failed:
			log.Error().Err(err).Msg("hints are no longer received; folders are polled as without")
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = server.Shutdown(stop)
		}
		return nil
	}
	return []func(context.Context) error{c.hints.Run, serve}
}

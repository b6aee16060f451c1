package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/poller/queue/queuetest"
	"docspace-nats/publisher/natstest"
)

const hintSecret = "hunter2hunter2hunter2"

// A hearing is a handler of hints and what it has said.
type hearing struct {
	*hintHandler
	said strings.Builder
}

func newHearing(secret config.Source, s *poller.Schedule) *hearing {
	h := new(hearing)
	h.hintHandler = newHintHandler(secret, poller.NewHintQueue(s), zerolog.New(&h.said))
	return h
}

func fixed(secret string) config.Source { return func() (string, error) { return secret, nil } }

func idleSchedule() *poller.Schedule {
	return poller.NewSchedule(nil, queuetest.NewMemory(time.Minute).Replica(), poller.ScheduleOptions{})
}

// RoundTrip lets a simulated portal post without sockets.
func (h *hearing) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// posted answers a delivery signed with a secret; "" is none.
func (h *hearing) posted(secret string, body io.Reader, whole string) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "/some/where", body)
	if secret != "" {
		r.Header.Set("x-docspace-signature-256", signed(secret, whole))
	}
	answer, _ := h.RoundTrip(r)
	return answer
}

// signed is the signature of a body, as portals write it.
func signed(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return fmt.Sprintf("sha256=%X", mac.Sum(nil))
}

func (h *hearing) post(secret, body string) int {
	return h.posted(secret, strings.NewReader(body), body).StatusCode
}

// counts returns docspace_nats_hints_total by outcome.
func (h *hearing) counts(t *testing.T) map[poller.HintOutcome]int {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(h.queue)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[poller.HintOutcome]int)
	for _, m := range families[0].GetMetric() {
		counts[poller.HintOutcome(m.GetLabel()[0].GetValue())] = int(m.GetCounter().GetValue())
	}
	return counts
}

const uploaded = `{"event":{"id":7,"trigger":"file.uploaded","triggerId":256},"payload":{"id":7781,"parentId":1310,"title":"Plan.docx"}}`

func TestOnlySignedHintsAreTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, secret, body string
		status             int
		outcome            poller.HintOutcome // "" when it waits in the queue
	}{
		{"signed", hintSecret, uploaded, http.StatusAccepted, ""},
		{"about people", hintSecret, `{"event":{"trigger":"user.updated"},"payload":{"id":"4c65a238"}}`, http.StatusAccepted, poller.HintDropped},
		{"unsigned", "", uploaded, http.StatusForbidden, poller.HintRefused},
		{"signed by somebody else", "hunter3", uploaded, http.StatusForbidden, poller.HintRefused},
		{"signed and not understood", hintSecret, "<html>", http.StatusAccepted, poller.HintUnreadable},
		{"signed and too large", hintSecret, strings.Repeat(" ", docspace.MaxWebhook) + uploaded, http.StatusRequestEntityTooLarge, poller.HintLimited},
		{"signed and just not too large", hintSecret, strings.Repeat(" ", docspace.MaxWebhook-len(uploaded)) + uploaded, http.StatusAccepted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHearing(fixed(hintSecret), idleSchedule())
			if status := h.post(c.secret, c.body); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			for outcome, n := range h.counts(t) {
				if want := map[bool]int{true: 1}[outcome == c.outcome]; n != want {
					t.Errorf("%d %s, want %d", n, outcome, want)
				}
			}
			if said := h.said.String(); strings.Contains(said, "hunter") || strings.Contains(said, "Plan.docx") {
				t.Errorf("says too much: %s", said)
			}
		})
	}
}

func TestALargeBodyOfUnknownLengthIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	h := newHearing(fixed(hintSecret), idleSchedule())
	body := &endless{}
	if answer := h.posted(hintSecret, body, ""); answer.StatusCode != http.StatusRequestEntityTooLarge || body.read > 2*docspace.MaxWebhook {
		t.Errorf("status %d after %d bytes", answer.StatusCode, body.read)
	}
	unsigned := &endless{}
	if answer := h.posted("", unsigned, ""); answer.StatusCode != http.StatusForbidden || unsigned.read > 0 {
		t.Errorf("status %d after %d bytes without a signature", answer.StatusCode, unsigned.read)
	}
}

// endless is a body without an end.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	e.read += len(b)
	return len(b), nil
}

func TestThePortalIsAnsweredSoThatItKeepsTheWebhook(t *testing.T) {
	t.Parallel()
	h := newHearing(fixed(hintSecret), idleSchedule())
	for method, want := range map[string]int{
		http.MethodHead: 200, http.MethodGet: 405, http.MethodPut: 405, http.MethodDelete: 405, http.MethodOptions: 405, http.MethodConnect: 405, "BREW": 405,
	} {
		answer, _ := h.RoundTrip(httptest.NewRequest(method, "https://hints.example.com/", nil))
		if answer.StatusCode != want || want == 405 && answer.Header.Get("Allow") != "HEAD, POST" {
			t.Errorf("%s: %d %v, want %d", method, answer.StatusCode, answer.Header, want)
		}
	}
}

func TestAFloodOfHintsIsBoundedAndAnsweredWell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHearing(fixed(hintSecret), idleSchedule())
		for range 20_000 {
			if status := h.post("", uploaded); status != http.StatusForbidden {
				t.Fatalf("unsigned: %d", status)
			}
		}
		if lines := strings.Count(h.said.String(), "\n"); lines != 1 {
			t.Errorf("20,000 unsigned deliveries made %d lines in the log, want 1", lines)
		}
		verified := 0
		h.secret = func() (string, error) { verified++; return hintSecret, nil }
		for range 20_000 {
			if status := h.post(hintSecret, uploaded); status != http.StatusAccepted {
				t.Fatalf("signed: %d", status)
			}
		}
		if verified != hintBurst {
			t.Errorf("%d of 20,000 verified at once, want %d", verified, hintBurst)
		}
		if n := h.counts(t)[poller.HintLimited]; n != 20_000-hintBurst {
			t.Errorf("%d counted as too many, want %d", n, 20_000-hintBurst)
		}
		time.Sleep(time.Second)
		h.post(hintSecret, uploaded)
		if verified != hintBurst+1 {
			t.Error("a second later none is verified")
		}
	})
}

func TestBodiesInHandAreBounded(t *testing.T) {
	t.Parallel()
	h := newHearing(fixed(hintSecret), idleSchedule())
	var posts sync.WaitGroup
	finish := make(chan struct{})
	reading := make(chan struct{}, hintBodies)
	for range hintBodies {
		posts.Go(func() { h.posted(hintSecret, slowBody{reading, finish}, "") })
	}
	for range hintBodies {
		<-reading
	}
	if status := h.post(hintSecret, uploaded); status != http.StatusAccepted || h.counts(t)[poller.HintLimited] != 1 {
		t.Errorf("one more: %d %v, want it answered well and not looked at", status, h.counts(t))
	}
	close(finish)
	posts.Wait()
	if h.post(hintSecret, uploaded); h.counts(t)[poller.HintLimited] != 1 {
		t.Error("not looked at although the others are gone")
	}
}

// slowBody says that it is read, and ends too early when told to.
type slowBody struct {
	reading chan<- struct{}
	finish  <-chan struct{}
}

func (s slowBody) Read([]byte) (int, error) {
	s.reading <- struct{}{}
	<-s.finish
	return 0, io.ErrUnexpectedEOF
}

func TestASecretFileThatIsRotatedIsUsedAndOneThatIsGoneIsTold(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "secret", "old-old-old-old-old\n")
	h := newHearing(config.Hints{SecretFile: file}.SecretSource(), idleSchedule())
	if status := h.post("old-old-old-old-old", uploaded); status != http.StatusAccepted {
		t.Errorf("status %d", status)
	}
	h.hintHandler.secret = config.Hints{SecretFile: writeFile(t, "secret", "new-new-new-new-new\n")}.SecretSource()
	if was, is := h.post("old-old-old-old-old", uploaded), h.post("new-new-new-new-new", uploaded); was != http.StatusForbidden || is != http.StatusAccepted {
		t.Errorf("the old secret: %d, the new one: %d", was, is)
	}
	h = newHearing(config.Hints{SecretFile: filepath.Join(t.TempDir(), "gone")}.SecretSource(), idleSchedule())
	if status := h.post("old-old-old-old-old", uploaded); status != http.StatusServiceUnavailable || !strings.Contains(h.said.String(), "HINTS_SECRET_FILE") {
		t.Errorf("status %d, said %s", status, h.said.String())
	}
}

// The portal's own deliveries, from a folder deep in a room, while nothing else
// would poll the room for minutes.
func TestAWebhookPublishesTheEventWithinThreeSecondsOfItsRow(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{0, time.Second, 2500 * time.Millisecond, 6 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			portal := docspacetest.New(docspacetest.Options{Seed: 1})
			room := portal.CreateRoom(nil, "Deal room A")
			inner := portal.CreateFolder(nil, portal.CreateFolder(nil, room, "Contracts"), "2026")
			client, err := docspace.New(portal.URL(), docspace.Credentials{APIKey: docspace.Fixed(portal.APIKey())}, docspace.Options{Transport: portal})
			if err != nil {
				t.Fatal(err)
			}
			ledger := checkpointtest.NewMemory()
			schedule := poller.NewSchedule(poller.New(client, ledger, poller.Options{}), queuetest.NewMemory(time.Minute).Replica(), poller.ScheduleOptions{MinInterval: 2 * time.Minute, MaxInterval: 2 * time.Minute})
			discovery := &poller.Discovery{Log: zerolog.Nop()}
			h := newHearing(fixed(hintSecret), schedule)

			ctx, cancel := context.WithCancel(t.Context())
			var members sync.WaitGroup
			members.Go(func() { _ = schedule.Run(ctx) })
			members.Go(func() { _ = discovery.Run(ctx, schedule) })
			members.Go(func() { _ = h.queue.Run(ctx) })
			members.Go(func() { portal.Webhook(ctx, "https://hints.example.com/docspace", hintSecret, h) })
			time.Sleep(time.Hour)
			for range 5 {
				before := len(ledger.Events(room))
				restore := portal.Outage()
				portal.Upload(nil, inner, "Plan.docx")
				time.Sleep(late)
				restore()
				visible := time.Now()
				for len(ledger.Events(room)) == before && time.Since(visible) < time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(visible); took > 3*time.Second {
					t.Errorf("stored %s after its row was visible, %s after the webhook; want 3s at most", took, late+took)
				}
				time.Sleep(25 * time.Second)
			}
			if n := h.counts(t)[poller.HintAccepted]; n != 5 {
				t.Errorf("%d hints accepted, want 5: %s", n, h.said.String())
			}
			cancel()
			members.Wait()
		})
	}
}

// The same over real connections and with a real NATS server.
func TestAWebhookReachesTheStreamOverTheNetwork(t *testing.T) {
	t.Parallel()
	portal := docspacetest.New(docspacetest.Options{Seed: 1})
	room := portal.CreateRoom(nil, "Deal room A")
	site := httptest.NewServer(portal)
	t.Cleanup(site.Close)
	cfg := demoConfig(site.URL, portal.APIKey(), "")
	cfg.NATS.URL = config.ServerURL(natstest.Run(t).URL())
	cfg.Poll.MinInterval, cfg.Poll.MaxInterval = time.Hour, time.Hour
	cfg.Hints = config.Hints{Addr: "127.0.0.1:0", Secret: hintSecret}
	listener, err := listenHints(cfg.Hints.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var members sync.WaitGroup
	defer func() { cancel(); members.Wait() }()
	network := &http.Transport{}
	defer network.CloseIdleConnections()
	members.Go(func() { portal.Webhook(ctx, "http://"+listener.Addr().String()+"/", hintSecret, network) })
	c, err := connect(t.Context(), cfg, 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	js, err := jetstream.New(c.nc)
	if err != nil {
		t.Fatal(err)
	}
	events, err := js.OrderedConsumer(t.Context(), c.ledger.Stream(), jetstream.OrderedConsumerConfig{FilterSubjects: []string{c.ledger.EventSubjects()}})
	if err != nil {
		t.Fatal(err)
	}
	members.Go(func() {
		if err := c.watch(ctx, c.hintMembers(listener, cfg.Hints.SecretSource(), zerolog.Nop())...); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	next := func() string {
		m, err := events.Next(jetstream.FetchMaxWait(natstest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		return m.Subject()
	}
	if got, want := next(), fmt.Sprintf("docspace.folder.%d.room.created", room); got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	portal.Upload(nil, room, "Plan.docx")
	if got, want := next(), fmt.Sprintf("docspace.folder.%d.file.uploaded", room); got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
}

func TestATakenAddressForHintsIsAMistakeOfTheConfiguration(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = listenHints(taken.Addr().String())
	if usage, ok := err.(*usageError); !ok || !strings.HasPrefix(usage.Error(), "HINTS_ADDR: cannot listen on ") {
		t.Errorf("got %v", err)
	}
}

// FuzzHintHandler holds that nothing posted to the listener upsets it, that no
// answer makes the portal delete its webhook, and that only what is signed is
// looked at.
func FuzzHintHandler(f *testing.F) {
	f.Add("POST", "/", []byte(uploaded), "", true)
	f.Add("POST", "/hook", []byte(uploaded), "sha256=00", false)
	f.Add("HEAD", "/", []byte(nil), "", false)
	f.Add("GET", "/livez", []byte("<html>"), "", true)
	f.Fuzz(func(t *testing.T, method, path string, body []byte, signature string, signed bool) {
		r, err := http.NewRequest(method, "http://127.0.0.1/"+url.PathEscape(path), bytes.NewReader(body))
		if err != nil {
			t.Skip("no request a server would hand on")
		}
		if signed {
			mac := hmac.New(sha256.New, []byte(hintSecret))
			mac.Write(body)
			signature = fmt.Sprintf("sha256=%X", mac.Sum(nil))
		}
		r.Header.Set(docspace.SignatureHeader, signature)
		h, w := newHearing(fixed(hintSecret), idleSchedule()), httptest.NewRecorder()
		h.ServeHTTP(w, r)
		looked := h.counts(t)[poller.HintRefused] == 0
		switch status := w.Code; {
		case method == http.MethodHead && status != http.StatusOK,
			method == http.MethodPost && signed && status != http.StatusAccepted,
			method == http.MethodPost && !signed && (status != http.StatusForbidden || looked),
			method != http.MethodPost && method != http.MethodHead && status != http.StatusMethodNotAllowed,
			status == http.StatusGone:
			t.Errorf("%s %q signed %t: status %d", method, body, signed, status)
		}
		if strings.Contains(w.Body.String()+h.said.String(), hintSecret) {
			t.Error("the secret was told")
		}
	})
}

package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

// Two replicas share the folders; the way of one to the portal breaks. The
// folders it had pulled ahead are polled by the other, like all others.
func TestAReplicaThatLosesThePortalHoldsNoFolderBack(t *testing.T) {
	t.Parallel()
	h, nats := newHouse(t, 24, 2), natstest.Process(t)
	var down atomic.Bool
	var mu sync.Mutex
	last, worst, tries := make(map[string]time.Time), make(map[string]time.Duration), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lost := strings.HasSuffix(r.Header.Get("Authorization"), h.keys[0])
		if lost && down.Load() {
			mu.Lock()
			tries++
			mu.Unlock()
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		if m := logRoute.FindStringSubmatch(r.URL.Path); m != nil {
			mu.Lock()
			if at, ok := last[m[1]]; ok && down.Load() {
				worst[m[1]] = max(worst[m[1]], time.Since(at))
			}
			last[m[1]] = time.Now()
			mu.Unlock()
		}
		h.portal.ServeHTTP(w, r)
	}))
	defer server.Close()
	var replicas []*process
	for i := range h.keys {
		replicas = append(replicas, start(t, exec.Command(program(t), "run"),
			"DOCSPACE_URL="+server.URL, "DOCSPACE_API_KEY="+h.keys[i], "NATS_URL="+nats.URL(),
			"POLL_REQUESTS_PER_MINUTE=0", "HTTP_ADDR=", "LOG_LEVEL=warn", "POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=5s"))
	}
	wait := func(d time.Duration) { <-time.After(d) }
	wait(20 * time.Second)
	down.Store(true)
	wait(40 * time.Second)
	mu.Lock()
	defer mu.Unlock()
	late := 0
	if nc, err := natsgo.Connect(nats.URL()); err == nil {
		js, _ := jetstream.New(nc)
		st, _ := js.Stream(t.Context(), "DOCSPACE_POLL")
		info, _ := st.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		t.Log(info.State.Subjects)
		for _, lane := range []string{"hinted", "active", "quiet", "history"} {
			c, _ := st.Consumer(t.Context(), lane)
			i, _ := c.Info(t.Context())
			t.Log(lane, "ackpending", i.NumAckPending, "waiting", i.NumWaiting, "pending", i.NumPending, "redelivered", i.NumRedelivered)
		}
	}
	for f := range last {
		if time.Since(last[f]) > 20*time.Second {
			t.Log(f, time.Since(last[f]))
		}
	}
	var most time.Duration
	for folder, at := range last {
		w := max(worst[folder], time.Since(at))
		most = max(most, w)
		if w > 20*time.Second {
			late++
		}
	}
	t.Logf("%d folders; at most %s between two polls; the lost replica tried %d times", len(last), most.Round(time.Millisecond), tries)
	if late > 0 {
		t.Errorf("%d of %d folders, to be polled every 5 s, were not polled for more than 20 s", late, len(last))
	}
	for _, p := range replicas {
		p.kill()
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
)

func TestAnAnswerThatIsNoFailureOfAMomentEndsTheReplayAndShowsNoSecret(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 5)
	headers := filepath.Join(t.TempDir(), "headers.txt")
	if err := os.WriteFile(headers, []byte("Authorization: Bearer hunter2-token\n\n X-Team : a: b \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
	}{
		{http.StatusBadRequest, "it answers 400 Bad Request (got \u00abHIDDEN\u00bb and HIDDEN at /in?HIDDEN  [31m); it must take JSON arrays of CloudEvents"},
		{http.StatusUnauthorized, "; put the Authorization header it asks for into --header-file"},
		{http.StatusRequestEntityTooLarge, "; give a smaller --batch"},
		{http.StatusTemporaryRedirect, " and points to http://127.0.0.1:1/in; give the address that takes the events"},
	} {
		var mu sync.Mutex
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			requests++
			if q.Header.Get("X-Team") != "a: b" || q.URL.RawQuery != "key=hunter2-query" || q.Method != http.MethodPost {
				t.Errorf("%s %s, headers %v", q.Method, q.URL, q.Header)
			}
			w.Header().Set("Location", "http://me:hunter2@127.0.0.1:1/in?key=hunter2-query")
			w.WriteHeader(c.code)
			_, _ = fmt.Fprintf(w, "got \u00ab%s\u00bb and hunter2-token at %s \x1b[31m", q.Header.Get("Authorization"), q.URL)
		}))
		t.Cleanup(server.Close)
		stdout, stderr, err := r.replay("--to", server.URL+"/in?key=hunter2-query", "--header-file", headers, "--folder", strings.Split(r.ids[0], "-")[0], "--json")
		want := strings.NewReplacer("HIDDEN", config.Hidden).Replace(c.want)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "replay to "+server.URL+"/in: it answers ") {
			t.Errorf("%d: %v\nwant %s", c.code, err, want)
		}
		if all := stdout + stderr + fmt.Sprint(err); strings.Contains(all, "hunter2") || strings.Contains(all, "\x1b") {
			t.Errorf("%d: a secret or a control character is shown: %q", c.code, all)
		}
		if told := toldBy(t, stdout); requests != 1 || told.Sent > 0 || told.Finished || told.Next != 1 {
			t.Errorf("%d: %d requests, it says %+v", c.code, requests, told)
		}
	}
}

func TestARefusalOfAllRequestsUnderWayIsToldOnce(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 0)
	r.folders = 100
	r.store(500)
	var under sync.WaitGroup
	under.Add(httpLanes)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		under.Done()
		under.Wait()
		http.Error(w, "no such index, says "+q.RemoteAddr, http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	if _, _, err := r.replay("--to", server.URL); err == nil || strings.Count(err.Error(), "it answers 400") != 1 {
		t.Errorf("it says %v", err)
	}
}

func TestAnEndpointThatIsAwayIsWaitedForAndItsSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 5)
	server := "http://" + nobody(t)
	ctx, stop := context.WithCancel(t.Context())
	var stdout, stderr tailBuffer
	ended := make(chan error, 1)
	go func() {
		ended <- runReplay(ctx, r.config(), replayLine(t, "--to", server+"/?key=hunter2", "--json"), &stdout, &stderr)
	}()
	natstest.Eventually(t, "it says what fails", func() bool {
		return strings.Contains(stderr.String(), "replay: "+server+"/ does not take events: dial tcp ") && strings.Contains(stderr.String(), "trying again; without --job a stop forgets how far it came")
	})
	stop()
	err := <-ended
	if err == nil || !strings.Contains(err.Error(), "go on with --seq 1..5 ") {
		t.Errorf("stopped with %v", err)
	}
	if all := stdout.String() + stderr.String() + fmt.Sprint(err); strings.Contains(all, "hunter2") {
		t.Errorf("a secret is shown: %s", all)
	}
	if told := toldBy(t, stdout.String()); told.Sent > 0 || told.Finished {
		t.Errorf("it says %+v", told)
	}
}

// nobody is an address at which nobody listens, nor will while the test runs: the
// near end of a connection has it.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

// answers is a receiver without a socket, for tests of time.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func answered(code int, header ...string) *http.Response {
	h := make(http.Header)
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: http.NoBody}
}

// httpPump sends to a receiver without a socket.
func httpPump(t *testing.T, to answers, args ...string) *replayPump {
	t.Helper()
	o := replayLine(t, append(args, "--to", "http://127.0.0.1:1/")...)
	target, err := newHTTPTarget(o)
	if err != nil {
		t.Fatal(err)
	}
	target.client.Transport = to
	p := newReplayPump(o, new(publisher.Reader), target, nil, func(string, ...any) {})
	p.sending = t.Context()
	return p
}

func itemsOf(n, size int) (items []*replayItem) {
	for range n {
		items = append(items, &replayItem{Delivery: publisher.Delivery{Data: []byte(`"` + strings.Repeat("x", size-2) + `"`)}})
	}
	return items
}

func TestAReceiverThatIsBusySaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		retryAfter  string
		least, most time.Duration
	}{
		{"7", 7 * time.Second, 8 * time.Second},
		{"date", 9 * time.Second, 11 * time.Second},
		{"999999999", longestRetryAfter, longestRetryAfter + time.Second},
		{"", 50 * time.Millisecond, time.Second},
		{"-3", 50 * time.Millisecond, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			busy := true
			p := httpPump(t, func(*http.Request) (*http.Response, error) {
				if busy {
					busy = false
					return answered(429, "Retry-After", strings.ReplaceAll(c.retryAfter, "date", began.Add(10*time.Second).UTC().Format(http.TimeFormat))), nil
				}
				return answered(200), nil
			})
			r := p.deliver(t.Context(), new(replayLane), itemsOf(3, 10))
			if took := time.Since(began); r.err != nil || len(r.safe) != 3 || r.repeated != 3 || took < c.least || took > c.most {
				t.Errorf("Retry-After %q: %d confirmed, %d again, in %v: %v", c.retryAfter, len(r.safe), r.repeated, took, r.err)
			}
		})
	}
}

func TestAReceiverThatIsBusyIsLeftAloneByAllFolders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		first := true
		p := httpPump(t, func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if first {
				first = false
				return answered(503, "Retry-After", "20"), nil
			}
			if waited := time.Since(began); waited < 20*time.Second {
				t.Errorf("a request came after %v", waited)
			}
			return answered(200), nil
		})
		ended := make(chan replayResult)
		go func() { ended <- p.deliver(t.Context(), new(replayLane), itemsOf(1, 10)) }()
		synctest.Wait()
		go func() { ended <- p.deliver(t.Context(), new(replayLane), itemsOf(1, 10)) }()
		for range 2 {
			if r := <-ended; r.err != nil {
				t.Error(r.err)
			}
		}
	})
}

func TestAReceiverThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, requests := time.Now(), 0
		p := httpPump(t, func(r *http.Request) (*http.Response, error) {
			if requests++; requests == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			if requests == 2 {
				return nil, &url.Error{Op: "Post", URL: "http://hunter2/", Err: io.ErrUnexpectedEOF}
			}
			return answered(204), nil
		})
		if r := p.deliver(t.Context(), new(replayLane), itemsOf(2, 10)); r.err != nil || r.repeated != 4 || requests != 3 {
			t.Errorf("%d requests, %+v", requests, r)
		}
		if took := time.Since(began); took < httpPatience || took > httpPatience+5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestABatchEndsWithItsBytesOrItsEvents(t *testing.T) {
	t.Parallel()
	var sizes []int
	p := httpPump(t, func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		sizes = append(sizes, strings.Count(string(body), ",")+1)
		if len(body) > httpBytes+2 {
			t.Errorf("a request of %d bytes", len(body))
		}
		return answered(200), err
	})
	if r := p.deliver(t.Context(), new(replayLane), itemsOf(45, 60<<10)); r.err != nil || len(r.safe) != 45 {
		t.Fatalf("%d confirmed: %v", len(r.safe), r.err)
	}
	if diff := cmp.Diff([]int{17, 17, 11}, sizes); diff != "" {
		t.Errorf("events in each request (-want +got):\n%s", diff)
	}
	if _, events := p.target.most(); events != 100 || httpPump(t, nil, "--batch", "7").o.atOnce(7) != 7 || httpPump(t, nil, "--rate", "50").o.atOnce(events) != 5 || httpPump(t, nil, "--rate", "2.5").o.atOnce(events) != 1 {
		t.Errorf("batches of %d", events)
	}
}

func TestARateIsKeptByAllFoldersTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := httpPump(t, func(*http.Request) (*http.Response, error) { return answered(200), nil }, "--rate", "10")
		ended := make(chan replayResult)
		for range 3 {
			go func() {
				for range 200 {
					if r := p.deliver(t.Context(), new(replayLane), itemsOf(1, 10)); r.err != nil {
						t.Error(r.err)
					}
				}
				ended <- replayResult{}
			}()
		}
		for range 3 {
			<-ended
		}
		if took := time.Since(began); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("600 events at 10 per second took %v", took)
		}
	})
}

func TestNoSecondSeesMuchMoreThanTheRateNotEvenTheFirst(t *testing.T) {
	t.Parallel()
	for rate, most := range map[string]int{"50": 55, "1000": 1100, "2.5": 3, "0.5": 1} {
		synctest.Test(t, func(t *testing.T) {
			var sent []time.Time
			p := httpPump(t, func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				for range strings.Count(string(body), ",") + 1 {
					sent = append(sent, time.Now())
				}
				return answered(200), err
			}, "--rate", rate)
			for range 600 {
				n := p.o.atOnce(100)
				if r := p.deliver(t.Context(), new(replayLane), itemsOf(n, 10)); r.err != nil {
					t.Fatal(r.err)
				}
			}
			for i := range len(sent) - most {
				if took := sent[i+most].Sub(sent[i]); took < time.Second-time.Millisecond {
					t.Fatalf("--rate %s: %d events in %v, from the one at %d on", rate, most+1, took, i)
				}
			}
		})
	}
}

func TestAPaceKeepsTheTimeBetweenActions(t *testing.T) {
	t.Parallel()
	action := func(minutes int) time.Time {
		return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
	}
	for _, c := range []struct {
		clock paceClock
		want  []time.Duration
	}{
		{paceClock{factor: 60}, []time.Duration{0, 0, 2 * time.Second, 2 * time.Second, 3 * time.Second, 1003 * time.Second}},
		{paceClock{factor: 60, maxGap: 5 * time.Second}, []time.Duration{0, 0, 2 * time.Second, 2 * time.Second, 3 * time.Second, 8 * time.Second}},
		{paceClock{factor: 0.5}, []time.Duration{0, 0, 4 * time.Minute, 4 * time.Minute, 6 * time.Minute, 2006 * time.Minute}},
		{paceClock{factor: 1e-300, maxGap: time.Hour}, []time.Duration{0, 0, time.Hour, time.Hour, 2 * time.Hour, 3 * time.Hour}},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var got []time.Duration
			for _, minutes := range []int{0, 0, 2, 1, 3, 1003} { // the fourth is late
				got = append(got, c.clock.due(action(minutes)).Sub(began))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", c.clock, diff)
			}
		})
	}
}

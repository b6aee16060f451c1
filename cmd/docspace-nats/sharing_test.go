package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
)

// A house is a portal whose door-keeper knows the replicas by their keys: it
// notes which of them polls which folder, and can keep one waiting.
type house struct {
	portal *docspacetest.Portal
	server *httptest.Server
	keys   []string

	mu     sync.Mutex
	polls  []visit
	waits  map[string]chan struct{} // until closed
	inside map[string]map[int]bool  // folders each replica waits for
	came   chan struct{}            // closed at the next visit
}

// A visit is a request for a folder's log.
type visit struct {
	replica string
	folder  int
	at      time.Time
}

var logRoute = regexp.MustCompile(`^/api/2\.0/files/folder/(\d+)/log$`)

func newHouse(t testing.TB, rooms, replicas int) *house {
	t.Helper()
	h := &house{
		portal: docspacetest.New(docspacetest.Options{Seed: 1}),
		waits:  make(map[string]chan struct{}),
		inside: make(map[string]map[int]bool),
		came:   make(chan struct{}),
	}
	for i := range rooms {
		h.portal.Upload(nil, h.portal.CreateRoom(nil, fmt.Sprintf("Room %d", i)), "Plan.docx")
	}
	for range replicas {
		key := h.portal.AddKey(nil, "files:read", "rooms:read", "accounts.self:read")
		h.keys = append(h.keys, key)
		h.inside[key] = make(map[int]bool)
	}
	h.server = httptest.NewServer(h)
	t.Cleanup(func() {
		for _, key := range h.keys {
			h.release(key)
		}
		h.server.Close()
	})
	return h
}

// ServeHTTP notes visits to logs and lets the portal answer.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	match := logRoute.FindStringSubmatch(r.URL.Path)
	if match == nil {
		h.portal.ServeHTTP(w, r)
		return
	}
	folder, _ := strconv.Atoi(match[1])
	key := r.Header.Get("Authorization")
	if len(key) > 7 && key[:7] == "Bearer " {
		key = key[7:]
	}
	if wait := h.enter(key, folder); wait != nil {
		select {
		case <-wait:
		case <-r.Context().Done():
			return
		}
	}
	timer := time.NewTimer(portalLatency)
	defer timer.Stop()
	<-timer.C
	h.portal.ServeHTTP(w, r)
}

// portalLatency is how long a real portal takes at least. Replicas that are
// answered at once need nobody to share with.
const portalLatency = 50 * time.Millisecond

func (h *house) enter(key string, folder int) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := h.waits[key]
	if wait != nil {
		h.inside[key][folder] = true
	}
	h.polls = append(h.polls, visit{key, folder, time.Now()})
	close(h.came)
	h.came = make(chan struct{})
	return wait
}

// hold keeps a replica waiting with every poll from now on.
func (h *house) hold(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits[key] = make(chan struct{})
}

func (h *house) release(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits[key] != nil {
		close(h.waits[key])
		h.waits[key] = nil
	}
}

// until waits for visits until something is so.
func (h *house) until(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(natstest.Patience + time.Duration(*sharedRounds)**sharedInterval)
	defer deadline.Stop()
	for {
		h.mu.Lock()
		done, came := so(), h.came
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-came:
		case <-deadline.C:
			t.Fatalf("it never came to it that %s", what)
		}
	}
}

// polledByOthers reports since when folders were polled by others than a
// replica, after a moment, and whether all were. The caller holds the lock.
func (h *house) polledByOthers(key string, folders map[int]bool, after time.Time) (time.Duration, bool) {
	left, last := len(folders), time.Time{}
	seen := make(map[int]bool)
	for _, v := range h.polls {
		if v.at.After(after) && v.replica != key && folders[v.folder] && !seen[v.folder] {
			seen[v.folder], last = true, v.at
			left--
		}
	}
	return last.Sub(after), left == 0
}

func (h *house) start(t testing.TB, replica int, more ...string) *process {
	t.Helper()
	return start(t, exec.Command(program(t), "run"), append([]string{
		"DOCSPACE_URL=" + h.server.URL, "DOCSPACE_API_KEY=" + h.keys[replica],
		"POLL_REQUESTS_PER_MINUTE=0", "HTTP_ADDR=", "LOG_LEVEL=warn",
	}, more...)...)
}

// Three replicas share the folders; one is kept waiting by the portal until it
// has folders in hand, and ends.
func TestWhatAReplicaHadInHandIsPolledByOthers(t *testing.T) {
	t.Parallel()
	const lease = 10 * time.Second
	for name, test := range map[string]struct {
		signal syscall.Signal
		within time.Duration
	}{
		"about a lease later when it is killed":     {syscall.SIGKILL, 2 * lease},
		"before the lease when it is asked to stop": {syscall.SIGTERM, lease / 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, nats := newHouse(t, 40, 3), natstest.Process(t)
			var victim *process
			for i := range h.keys {
				p := h.start(t, i, "NATS_URL="+nats.URL(), "POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=1s")
				if i == 0 {
					victim = p
				}
			}
			key := h.keys[0]
			h.until(t, "all three poll", func() bool {
				replicas := make(map[string]bool)
				for _, v := range h.polls {
					replicas[v.replica] = true
				}
				return len(replicas) == len(h.keys)
			})
			h.hold(key)
			h.until(t, "the victim has folders in hand", func() bool { return len(h.inside[key]) >= 4 })
			if err := victim.cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			ended := time.Now()
			<-victim.ended
			var took time.Duration
			var folders int
			h.until(t, "others poll them", func() (all bool) {
				folders = len(h.inside[key])
				took, all = h.polledByOthers(key, h.inside[key], ended)
				return all
			})
			t.Logf("%d folders in hand were polled by others after %s", folders, took.Round(time.Millisecond))
			if took > test.within {
				t.Errorf("they were polled after %s, want %s", took, test.within)
			}
		})
	}
}

var (
	sharedFolders  = flag.Int("folders", 300, "folders that four replicas share")
	sharedInterval = flag.Duration("folders-interval", 2*time.Second, "time between two polls of each")
	sharedRounds   = flag.Int("folders-rounds", 5, "rounds of polls that are measured")
)

// Four replicas on three servers share the folders. With -folders 10000
// -folders-interval 1m this is as large as it gets.
func TestFourReplicasShareTheFoldersEvenly(t *testing.T) {
	t.Parallel()
	h, cluster := newHouse(t, *sharedFolders, 4), natstest.Processes(t, []string{t.TempDir(), t.TempDir(), t.TempDir()})
	var replicas []*process
	for i := range h.keys {
		replicas = append(replicas, h.start(t, i, "NATS_URL="+cluster.URL(), "NATS_REPLICAS=3",
			"POLL_MIN_INTERVAL="+(*sharedInterval/2).String(), "POLL_MAX_INTERVAL="+sharedInterval.String()))
	}
	polled, polling, looked := make(map[int]bool), make(map[string]bool), 0
	h.until(t, "every folder was polled, and every replica polls again what was", func() bool {
		for ; looked < len(h.polls); looked++ {
			v := h.polls[looked]
			if polled[v.folder] {
				polling[v.replica] = true
			}
			polled[v.folder] = true
		}
		return len(polled) == *sharedFolders && len(polling) == len(h.keys)
	})
	from, spent := time.Now(), processorTime(t, cluster)
	h.until(t, "some rounds are over", func() bool { return time.Since(from) > time.Duration(*sharedRounds)**sharedInterval })
	for i, server := range cluster.Servers {
		now := processorTime(t, cluster)[i] - spent[i]
		t.Logf("server %s: %.0f %% of a processor, %d MiB", server.Name(), 100*now.Seconds()/time.Since(from).Seconds(), resident(t, server.PID())>>20)
	}
	for _, p := range replicas {
		p.kill()
	}
	h.judge(t, from, replicas)
}

// processorTime is what each server has used so far, as Linux tells; zero elsewhere.
func processorTime(t testing.TB, cluster *natstest.ProcessCluster) (used []time.Duration) {
	t.Helper()
	const tick = 10 * time.Millisecond
	for _, server := range cluster.Servers {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server.PID()))
		_, after, _ := strings.Cut(string(text), ") ")
		var user, system time.Duration
		if fields := strings.Fields(after); len(fields) > 12 {
			_, _ = fmt.Sscan(fields[11], &user)
			_, _ = fmt.Sscan(fields[12], &system)
		}
		used = append(used, (user+system)*tick)
	}
	return used
}

// resident is the memory of a process in bytes, as Linux tells; zero elsewhere.
func resident(t testing.TB, pid int) (bytes int64) {
	t.Helper()
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		_, _ = fmt.Sscan(fields[1], &bytes)
	}
	return bytes * int64(os.Getpagesize())
}

// allowed is how many percent off an even share a replica may be in most rounds, and
// how many intervals a folder may wait. In rounds of two seconds, a machine that is
// busy otherwise keeps a replica from running for a good part of one.
func allowed() (off float64, intervals time.Duration) {
	if *sharedInterval < time.Minute {
		return 35, 5
	}
	return 10, 2
}

// judge holds that the polls since a moment were shared evenly in most rounds, and
// that no folder waited for much longer than its interval. In some round a server
// may hand over to another.
func (h *house) judge(t *testing.T, from time.Time, replicas []*process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	unevenly, intervals := allowed()
	counts := make([]map[string]float64, *sharedRounds) // of polls, by replica
	for i := range counts {
		counts[i] = make(map[string]float64)
	}
	last, worst, total := make(map[int]time.Time), time.Duration(0), 0
	for _, v := range h.polls {
		round := int(v.at.Sub(from) / *sharedInterval)
		if v.at.Before(from) || round >= len(counts) {
			continue
		}
		counts[round][v.replica]++
		total++
		if before, ok := last[v.folder]; ok {
			worst = max(worst, v.at.Sub(before))
		}
		last[v.folder] = v.at
	}
	for i, key := range h.keys {
		var off []float64 // in percent of an even share
		for _, round := range counts {
			even := 0.
			for _, n := range round {
				even += n / float64(len(h.keys))
			}
			off = append(off, 100*(round[key]/even-1))
		}
		usual := slices.Sorted(slices.Values(off))[len(off)/2]
		t.Logf("replica %d: %+.1f %% off an even share, in rounds %+.0f; %.1f s of processor time, %d MiB", i, usual, off, replicas[i].cpu(), replicas[i].peak()>>20)
		if usual < -unevenly || usual > unevenly {
			t.Errorf("replica %d had %+.1f %% more than its share", i, usual)
		}
	}
	t.Logf("%d polls of %d folders, at most %s from one poll of a folder to the next", total, len(last), worst.Round(time.Millisecond))
	if len(last) != *sharedFolders || worst > intervals**sharedInterval {
		t.Errorf("%d of %d folders were polled, at most %s from one poll to the next, want %d times %s at most", len(last), *sharedFolders, worst, intervals, *sharedInterval)
	}
}

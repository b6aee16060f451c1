package poller

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// A town is a portal with many rooms and people at work in them, watched with
// the default cadence and a budget of requests, in simulated time. It notes
// when every row could be seen first and when it was committed.
type town struct {
	portal   *docspacetest.Portal
	client   *docspace.Client
	ledger   *checkpointtest.Memory
	schedule *Schedule
	rooms    []int
	began    time.Time
	close    func()

	mu    sync.Mutex
	rng   *rand.Rand
	quiet bool                // nobody acts any more
	busy  map[int]bool        // rooms in which people are in a session
	seen  map[int64]row       // by row id, until committed
	acted map[int][]time.Time // by room
	polls map[int][]time.Time // by room
	asked []int               // requests by second
	idle  []time.Duration     // freshness of rows of rooms that were quiet before
	live  []time.Duration     // of rooms where something happened within the last minute
}

// A row waits to be committed.
type row struct {
	at   time.Time
	live bool
}

// latency is how long the portal takes to answer.
const latency = 100 * time.Millisecond

// newTown makes a portal with n rooms and a schedule that knows none of them
// yet.
func newTown(t *testing.T, n int, seed uint64, opts docspace.Options) *town {
	t.Helper()
	w := &town{
		rng:   rand.New(rand.NewPCG(seed, 11)),
		began: time.Now(),
		busy:  make(map[int]bool),
		seen:  make(map[int64]row),
		acted: make(map[int][]time.Time),
		polls: make(map[int][]time.Time),
	}
	w.portal = docspacetest.New(docspacetest.Options{Seed: seed})
	for range n {
		w.rooms = append(w.rooms, w.portal.CreateRoom(nil, "Room"))
	}
	opts.Transport = w
	opts.MaxElapsed = 15 * time.Second
	client, err := docspace.New(w.portal.URL(), docspace.Credentials{APIKey: docspace.Fixed(w.portal.APIKey())}, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.client, w.ledger = client, checkpointtest.NewMemory()
	w.ledger.After = func(folder int, events []schema.Event) error { return w.committed(events) }
	feed := Feed{Portal: w.portal.Host(), SourceBase: w.portal.URL()}
	w.schedule = NewSchedule(New(client, w.ledger, Options{Feed: feed}), newQueue(), ScheduleOptions{Log: zerolog.Nop()})
	return w
}

// RoundTrip counts a request and lets the portal answer it after a while.
func (w *town) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	second := int(time.Since(w.began) / time.Second)
	for len(w.asked) <= second {
		w.asked = append(w.asked, 0)
	}
	w.asked[second]++
	w.mu.Unlock()
	time.Sleep(latency)
	return w.portal.RoundTrip(r)
}

// open starts the schedule.
func (w *town) open(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var members sync.WaitGroup
	w.portal.Between(func(folder int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.polls[folder] = append(w.polls[folder], time.Now())
	})
	d := &Discovery{Log: zerolog.Nop()}
	members.Go(func() { _ = w.schedule.Run(ctx) })
	members.Go(func() { _ = d.Run(ctx, w.schedule) })
	w.close = func() {
		w.mu.Lock()
		w.quiet = true
		w.mu.Unlock()
		cancel()
		members.Wait()
	}
}

// act does something in a room.
func (w *town) act(room int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, before := time.Now(), w.acted[room]
	live := len(before) > 0 && now.Sub(before[len(before)-1]) <= time.Minute
	w.acted[room] = append(before, now)
	id := w.portal.Record(docspacetest.Action{Code: 5070, Folder: room, Entry: room, Title: "anything"})
	w.seen[id] = row{now, live}
}

// committed notes how fresh events were.
func (w *town) committed(events []schema.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		id := auditID(e)
		row, ok := w.seen[id]
		if !ok {
			continue
		}
		delete(w.seen, id)
		if row.live {
			w.live = append(w.live, time.Since(row.at))
		} else {
			w.idle = append(w.idle, time.Since(row.at))
		}
	}
	return nil
}

// forget drops what was measured, at the end of a warm-up.
func (w *town) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle, w.live = nil, nil
	clear(w.seen)
}

// bustle lets people act until the town is closed: single actions in rooms
// taken at random, so many an hour in each, and so many sessions at any time, of
// at least a length and at most six minutes more, with actions seconds to tens
// of seconds apart.
func (w *town) bustle(perHour float64, sessions int, length time.Duration) (ended func()) {
	var people sync.WaitGroup
	people.Go(func() {
		for w.pause(time.Duration(float64(time.Hour) / perHour / float64(len(w.rooms)))) {
			w.act(w.pick())
		}
	})
	for range sessions {
		people.Go(func() {
			for w.session(length) {
			}
		})
	}
	return people.Wait
}

// session acts in one room for some minutes.
func (w *town) session(length time.Duration) bool {
	room := w.pick()
	w.mu.Lock()
	w.busy[room] = true
	length += time.Duration(w.rng.Int64N(int64(6 * time.Minute)))
	gap := 4*time.Second + time.Duration(w.rng.Int64N(int64(12*time.Second)))
	w.mu.Unlock()
	for end := time.Now().Add(length); time.Now().Before(end); {
		w.act(room)
		if !w.pause(gap) {
			return false
		}
	}
	w.mu.Lock()
	delete(w.busy, room)
	w.mu.Unlock()
	return true
}

// pause waits for a random time with that mean, and reports whether to go on.
func (w *town) pause(mean time.Duration) bool {
	w.mu.Lock()
	wait := time.Duration(w.rng.ExpFloat64() * float64(mean))
	w.mu.Unlock()
	time.Sleep(max(wait, time.Millisecond))
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.quiet
}

// pick takes a room without a session.
func (w *town) pick() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if room := w.rooms[w.rng.IntN(len(w.rooms))]; !w.busy[room] {
			return room
		}
	}
}

// since counts the requests from one moment on.
func (w *town) since(from time.Time) (n int) {
	for _, asked := range w.after(from) {
		n += asked
	}
	return n
}

// peak returns the most requests of any second from one moment on.
func (w *town) peak(from time.Time) int { return slices.Max(w.after(from)) }

// busiest returns the most requests of any minute from one moment on.
func (w *town) busiest(from time.Time) (most int) {
	asked, sum := w.after(from), 0
	for second := range asked {
		sum += asked[second]
		if second >= 60 {
			sum -= asked[second-60]
		}
		most = max(most, sum)
	}
	return most
}

// after returns the requests by second from one moment on.
func (w *town) after(from time.Time) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked[int(from.Sub(w.began)/time.Second):])
}

// awaited is the median time until the next poll, over all rooms that were
// quiet for a minute and all moments: how fresh an action there would be. Rows
// alone would leave it uncertain by seconds.
func (w *town) awaited(from time.Time) time.Duration {
	var gaps []time.Duration
	for room, polls := range w.polls {
		for i, poll := range polls {
			if i > 0 && poll.After(from) && !w.active(room, polls[i-1], poll) {
				gaps = append(gaps, poll.Sub(polls[i-1]))
			}
		}
	}
	return medianWait(gaps)
}

// active reports whether something happened in a room from a minute before one
// moment to another.
func (w *town) active(room int, from, to time.Time) bool {
	return slices.ContainsFunc(w.acted[room], func(at time.Time) bool {
		return at.After(from.Add(-time.Minute)) && at.Before(to)
	})
}

// medianWait returns the median time from a moment to the end of its gap.
func medianWait(gaps []time.Duration) time.Duration {
	waited := func(most time.Duration) (sum time.Duration) {
		for _, gap := range gaps {
			sum += min(gap, most)
		}
		return sum
	}
	half := waited(time.Hour) / 2
	low, high := time.Duration(0), time.Hour
	for high-low > time.Millisecond {
		if middle := (low + high) / 2; waited(middle) < half {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(d))[int(q*float64(len(d)-1))]
}

// report logs what was measured since forget.
func (w *town) report(t *testing.T, from time.Time) {
	t.Helper()
	show := func(d []time.Duration, q float64) time.Duration { return quantile(d, q).Round(10 * time.Millisecond) }
	t.Logf("%d requests in %s, at most %d a minute", w.since(from), time.Since(from).Round(time.Second), w.busiest(from))
	t.Logf("quiet rooms: median %s at any moment; %d actions: median %s, 95%% %s, worst %s",
		w.awaited(from).Round(10*time.Millisecond), len(w.idle), show(w.idle, .5), show(w.idle, .95), show(w.idle, 1))
	t.Logf("rooms active in the last minute: %d actions: median %s, 95%% %s, worst %s",
		len(w.live), show(w.live, .5), show(w.live, .95), show(w.live, 1))
}

// A thousand rooms looked at every two minutes cost 500 requests a minute, and
// finding new rooms 10: what is left of 600 has to do for ten active rooms, and
// for looking again where a single action was found.
func TestAThousandRoomsStayFreshWithinTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1000, townSeed(t), docspace.Options{RequestsPerMinute: 600})
		w.open(t)
		ended := w.bustle(1, 10, 4*time.Minute)
		time.Sleep(6 * time.Minute)
		w.forget()
		from, hours, limit := time.Now(), 1.0, 6*time.Second
		if raced {
			hours, limit = 0.15, 7*time.Second
		}
		time.Sleep(time.Duration(hours * float64(time.Hour)))
		w.close()
		ended()
		w.report(t, from)
		if n := w.busiest(from); n >= 600 {
			t.Errorf("%d requests within a minute", n)
		}
		if wait := w.awaited(from); wait >= time.Minute {
			t.Errorf("an action in a quiet room is stored after %s", wait)
		}
		// In an hour there are some 1,000 actions, which tell their median to 2 s.
		uncertain := time.Duration(8 / math.Sqrt(hours) * float64(time.Second))
		if wait := quantile(w.idle, .5); wait >= time.Minute+uncertain || len(w.idle) < int(hours*800) {
			t.Errorf("%d actions in quiet rooms were stored after %s", len(w.idle), wait)
		}
		if wait := quantile(w.live, .5); wait >= limit || len(w.live) < int(hours*2000) {
			t.Errorf("%d actions in active rooms were stored after %s", len(w.live), wait)
		}
	})
}

func TestABusyHourSlowsQuietRoomsAndNotActiveOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1000, townSeed(t), docspace.Options{RequestsPerMinute: 600})
		w.open(t)
		ended := w.bustle(1, 25, time.Hour)
		time.Sleep(5 * time.Minute)
		w.forget()
		from := time.Now()
		time.Sleep(6 * time.Minute)
		w.close()
		ended()
		w.report(t, from)
		if n := w.busiest(from); n > 600 || w.since(from) < 6*590 {
			t.Errorf("%d requests in 6 minutes, at most %d in one: the budget is not what holds", w.since(from), n)
		}
		if wait := quantile(w.live, .5); wait >= 6*time.Second {
			t.Errorf("actions in active rooms were stored after %s", wait)
		}
		if wait := w.awaited(from); wait >= 100*time.Second || quantile(w.idle, 1) > 4*time.Minute {
			t.Errorf("an action in a quiet room is stored after %s, at worst %s", wait, quantile(w.idle, 1))
		}
	})
}

// Ten rooms with long histories are opened to the account at once.
func TestLiveRoomsStayFreshWhileOthersAreBackfilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rooms, sessions int
		quiet           time.Duration // how fresh an action in a quiet room is at least
		pages           int           // of history read a minute at least
	}{
		"budget to spare": {400, 10, time.Minute, 200},
		"budget used up":  {1000, 10, 75 * time.Second, 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, test.rooms, townSeed(t), docspace.Options{RequestsPerMinute: 600})
				w.open(t)
				ended := w.bustle(1, test.sessions, time.Hour) // all are noticed before it begins
				time.Sleep(4 * time.Minute)
				var long []int
				for i := range 10 {
					long = append(long, w.portal.CreateRoom(nil, "Long history"))
					w.portal.Fill(long[i], 12_000, uint64(i)) // more than is read of it
				}
				time.Sleep(80 * time.Second) // they are found meanwhile
				w.forget()
				read, from := w.stored(long), time.Now()
				time.Sleep(2 * time.Minute)
				w.close()
				ended()
				for _, room := range long {
					delete(w.polls, room)
				}
				read = w.stored(long) - read
				w.report(t, from)
				t.Logf("%d rows of history a minute", read/2)
				if n := w.busiest(from); n > 600 {
					t.Errorf("%d requests within a minute", n)
				}
				// Ten sessions tell their median, which is about 4 s, to one or two.
				if wait := quantile(w.live, .5); wait >= 10*time.Second {
					t.Errorf("actions in active rooms were stored after %s", wait)
				}
				if wait := w.awaited(from); wait >= test.quiet {
					t.Errorf("an action in a quiet room is stored after %s, want %s", wait, test.quiet)
				}
				if worst := max(quantile(w.idle, 1), quantile(w.live, 1)); worst > 3*time.Minute {
					t.Errorf("an action was stored after %s", worst)
				}
				if read < 2*test.pages*docspace.MaxPage {
					t.Errorf("%d rows of history a minute, want %d pages", read/2, test.pages)
				}
			})
		})
	}
}

// stored counts the events of rooms.
func (w *town) stored(rooms []int) (n int) {
	for _, room := range rooms {
		n += len(w.ledger.Events(room))
	}
	return n
}

func TestNoHerdMeetsThePortalAtTheStartOrAfterAnOutage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rooms, budget     int
		start, afterwards int // most requests within a second
	}{
		// The budget is 10 a second. Without one, as many as can be in flight make
		// the start, and a thousand rooms in two minutes are 8 a second.
		"with a budget": {1000, 600, 12, 12},
		"without":       {1000, 0, 90, 45},
		"few rooms":     {100, 600, 12, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, test.rooms, townSeed(t), docspace.Options{RequestsPerMinute: test.budget})
				w.open(t)
				time.Sleep(6 * time.Minute)
				if n := w.peak(w.began); n > test.start {
					t.Errorf("%d requests in one second at the start", n)
				}
				if n := len(w.polls); n != test.rooms {
					t.Errorf("%d rooms polled", n)
				}
				heal, down := w.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Refuse()}), time.Now()
				time.Sleep(time.Hour)
				if n := w.since(down); n > 1000 {
					t.Errorf("%d requests in an hour of outage", n)
				}
				for _, room := range w.rooms {
					w.act(room)
				}
				heal()
				up := time.Now()
				time.Sleep(5 * time.Minute)
				w.close()
				t.Logf("%d requests in an hour of outage, at most %d a second afterwards, all rooms complete after %s",
					w.since(down)-w.since(up), w.peak(up), quantile(w.idle, 1))
				if n := w.peak(up); n > test.afterwards {
					t.Errorf("%d requests in one second after the outage", n)
				}
				if len(w.idle) != test.rooms || quantile(w.idle, 1) > 5*time.Minute {
					t.Errorf("%d of %d rooms complete, the last %s after the outage", len(w.idle), test.rooms, quantile(w.idle, 1))
				}
			})
		})
	}
}

// townSeed decides what people do.
func townSeed(t *testing.T) uint64 {
	chosen := *seed
	if chosen == 0 {
		chosen = rand.Uint64()
	}
	t.Logf("seed %d", chosen)
	return chosen
}

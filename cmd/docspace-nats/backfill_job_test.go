package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

var (
	backfillRows  = flag.Int("backfill", 5000, "rows of the room that is read again")
	backfillRooms = flag.Int("backfill-rooms", 5, "other rooms, in which people work meanwhile")
)

// An archive is a portal of rooms with a past, which counts who reads what.
type archive struct {
	portal *docspacetest.Portal
	url    string

	mu    sync.Mutex
	pages map[int]map[string]int       // of a folder's log, by key
	came  chan struct{}                // closed at the next page
	hold  func(folder int, key string) // called before a page is answered
}

func newArchive(t *testing.T, seed uint64) *archive {
	t.Helper()
	t.Logf("seed %d", seed)
	a := &archive{portal: docspacetest.New(docspacetest.Options{Seed: seed}), pages: make(map[int]map[string]int), came: make(chan struct{}), hold: func(int, string) {}}
	a.portal.OnRequest(func(r *http.Request) {
		match := logRoute.FindStringSubmatch(r.URL.Path)
		if match == nil {
			return
		}
		folder, _ := strconv.Atoi(match[1])
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		a.note(folder, key)(folder, key)
	})
	server := httptest.NewServer(a.portal)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// note counts a page, and returns what holds it.
func (a *archive) note(folder int, key string) (hold func(folder int, key string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pages[folder] == nil {
		a.pages[folder] = make(map[string]int)
	}
	a.pages[folder][key]++
	close(a.came)
	a.came = make(chan struct{})
	return a.hold
}

// holdBy has something called before each page is answered.
func (a *archive) holdBy(hold func(folder int, key string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hold = hold
}

// atMost answers so many pages of a folder's log, and the others once it is lifted.
// Whoever reads it is not over then, however late the test gets to what comes next.
func (a *archive) atMost(ctx context.Context, folder, pages int) (lift func()) {
	ctx, lift = context.WithCancel(ctx)
	a.holdBy(func(of int, _ string) {
		if n, _, _ := a.read(of); of == folder && n > pages {
			<-ctx.Done()
		}
	})
	return lift
}

// readBy returns how many pages a key has read.
func (a *archive) readBy(key string) (n int, came <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, pages := range a.pages {
		n += pages[key]
	}
	return n, a.came
}

// awaitKey waits until a key has read so many pages.
func (a *archive) awaitKey(ctx context.Context, key string, pages int) error {
	for {
		n, came := a.readBy(key)
		if n >= pages {
			return nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return fmt.Errorf("a key has read %d pages, want %d: %w", n, pages, ctx.Err())
		}
	}
}

// room makes a room with so many rows.
func (a *archive) room(rows int, seed uint64) int {
	room := a.portal.CreateRoom(nil, fmt.Sprintf("Room %d", seed)) // its first row
	a.portal.Fill(room, rows-1, seed)
	return room
}

// read returns how many pages of a folder's log were read, by whom it may be.
func (a *archive) read(folder int) (n int, by int, came <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, pages := range a.pages[folder] {
		n += pages
	}
	return n, len(a.pages[folder]), a.came
}

// await waits until so many pages of a folder's log were read.
func (a *archive) await(p *process, folder, pages int) error {
	for {
		n, _, came := a.read(folder)
		if n >= pages {
			return nil
		}
		select {
		case <-came:
		case <-p.ended:
			return fmt.Errorf("ended by itself: %w\n%s", p.err, p.stderr.String())
		}
	}
}

func (a *archive) environment(key, nats string, more ...string) []string {
	return append([]string{
		"DOCSPACE_URL=" + a.url, "DOCSPACE_API_KEY=" + key, "NATS_URL=" + nats,
		"POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=1s", "HTTP_ADDR=", "LOG_LEVEL=error",
	}, more...)
}

// holds compares a stream with the logs of folders: each row once, in order.
func (a *archive) holds(t *testing.T, nc *nats.Conn, stream, prefix, mode string, folders ...int) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{prefix + ".folder.>"}})
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string][]string)
	if err := natstest.Drain(t.Context(), consumer, func(msg jetstream.Msg) error {
		var e struct{ ID, IngestMode string }
		if err := json.Unmarshal(msg.Data(), &e, json.MatchCaseInsensitiveNames(true)); err != nil {
			return err
		}
		if got := msg.Headers().Get("Docspace-Ingest-Mode"); mode != "" && (got != mode || e.IngestMode != mode) {
			return fmt.Errorf("event %s is %q, and %q in its header", e.ID, e.IngestMode, got)
		}
		folder := strings.Split(strings.TrimPrefix(msg.Subject(), prefix+".folder."), ".")[0]
		stored[folder] = append(stored[folder], e.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(stored) != len(folders) {
		t.Errorf("stream %s holds %d folders, want %d", stream, len(stored), len(folders))
	}
	for _, folder := range folders {
		var want []string
		for _, row := range a.portal.Rows(folder) {
			want = append(want, fmt.Sprintf("%d-%d", folder, row.ID))
		}
		if got := stored[strconv.Itoa(folder)]; !slices.Equal(got, want) {
			t.Errorf("folder %d: %d events in stream %s, want %d rows in their order", folder, len(got), stream, len(want))
		}
	}
}

// freshness measures how long it takes from a row to its event in the live stream,
// one row after the other, in rooms in turn, until it is told to stop.
func (a *archive) freshness(t *testing.T, nc *nats.Conn, rooms []int, enough func(measured int) bool) (took []time.Duration) {
	t.Helper()
	arrived, err := nc.SubscribeSync("docspace.folder.*.file.created")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = arrived.Unsubscribe() }()
	if err := nc.FlushTimeout(natstest.Patience); err != nil { // the server hears who listens before the first row is made
		t.Fatal(err)
	}
	for !enough(len(took)) {
		began, room := time.Now(), rooms[len(took)%len(rooms)]
		a.portal.Create(nil, room, "Plan.docx")
		rows := a.portal.Rows(room)
		id := fmt.Sprintf("%d-%d", room, rows[len(rows)-1].ID)
		for got := ""; got != id; { // a commit that is sent again brings what came before
			msg, err := arrived.NextMsg(natstest.Patience)
			if err != nil {
				t.Fatalf("no event of row %d after %s", len(took), natstest.Patience)
			}
			e, err := schema.Decode(msg.Data)
			if err != nil {
				t.Fatal(err)
			}
			got = e.ID
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took
}

// clone returns the command, not started.
func clone(cmd *exec.Cmd) *exec.Cmd { return exec.Command(cmd.Path, cmd.Args[1:]...) }

func at95(sorted []time.Duration) time.Duration { return sorted[len(sorted)*95/100] }

// A large room is read again while people work in others and a connector watches
// those. The job is killed three times. With -backfill 1000000 -backfill-rooms 50
// this is as large as it gets.
func TestAJobIsKilledAgainAndAgainAndStoresEachRowOnceWhileOtherRoomsStayFresh(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	a, server := newArchive(t, seed), natstest.Process(t)
	large := a.room(*backfillRows, seed)
	var rooms []int
	var names []string
	for i := range *backfillRooms {
		rooms = append(rooms, a.room(20, uint64(i)))
		names = append(names, strconv.Itoa(rooms[i]))
	}
	env := a.environment(a.portal.APIKey(), server.URL(), "POLL_REQUESTS_PER_MINUTE=0")
	connector := start(t, exec.Command(program(t), "run"), append(env, "DOCSPACE_FOLDERS="+strings.Join(names, ","))...)
	nc := server.Conn(t)
	alone := a.freshness(t, nc, rooms, func(n int) bool { return n >= 8 })

	budget := 900 // a minute: six seconds for what is left after the kills
	if *backfillRows > 100_000 {
		budget = 0
	}
	job := exec.Command(program(t), "backfill", strconv.Itoa(large), "--requests-per-minute", strconv.Itoa(budget))
	began, killed := time.Now(), make(chan *process, 1)
	go func() {
		defer close(killed)
		for range 3 {
			pages, _, _ := a.read(large)
			pages += 3 + rng.IntN(max(12, *backfillRows/400))
			lift := a.atMost(t.Context(), large, pages+2)
			p, err := launch(clone(job), env...)
			if err != nil {
				t.Error(err)
				return
			}
			err = a.await(p, large, pages)
			<-time.After(time.Duration(rng.Int64N(int64(40 * time.Millisecond)))) // anywhere in a commit
			p.kill()
			lift()
			if err != nil {
				t.Error(err)
				return
			}
		}
		p, err := launch(job, env...)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(p.kill)
		<-p.ended
		killed <- p
	}()
	var last *process
	beside := a.freshness(t, nc, rooms, func(n int) bool {
		select {
		case last = <-killed:
			return n > 0
		default:
			return false
		}
	})
	if last == nil {
		t.FailNow()
	}
	last.finish(t)
	took := time.Since(began)
	t.Logf("%d rows in %s (%.0f rows/s with three kills), %.1f s of processor time since the last and %d MiB at most; freshness alone: 95 %% within %s, with the job beside: 95 %% of %d within %s, the last within %s",
		*backfillRows, took.Round(time.Millisecond), float64(*backfillRows)/took.Seconds(), last.cpu(), last.peak()>>20,
		at95(alone).Round(time.Millisecond), len(beside), at95(beside).Round(time.Millisecond), beside[len(beside)-1].Round(time.Millisecond))
	times := time.Duration(2)
	if *backfillRows < 100_000 { // some seconds, in which other tests begin and end
		times = 5
	}
	if bound := times * max(at95(alone), interval); at95(beside) > bound {
		t.Errorf("rows in other rooms were events within %s, want %s", at95(beside), bound)
	}
	live := *backfillRooms*20 + len(alone) + len(beside)
	// Who listens hears of an event before the commit that stores it is over.
	natstest.Eventually(t, "the rows in other rooms are stored", func() bool { return storedEvents(t, nc) >= live })
	connector.kill()
	a.holds(t, nc, "DOCSPACE_BACKFILL_history", "docspace.backfill.history", schema.Backfill, large)
	a.holds(t, nc, "DOCSPACE", "docspace", "", rooms...)
	verifies(t, env, *backfillRows, "--job", "history")
	verifies(t, env, live)
}

// verifies holds that the command verify finds so many rows, and no difference.
func verifies(t *testing.T, env []string, rows int, args ...string) {
	t.Helper()
	cmd, out, began := exec.Command(program(t), append([]string{"verify", "--json"}, args...)...), new(bytes.Buffer), time.Now()
	cmd.Stdout = out
	p := start(t, cmd, env...)
	p.finish(t)
	var folders []verified
	if err := json.Unmarshal(out.Bytes(), &folders); err != nil {
		t.Fatal(err)
	}
	found, differences := 0, 0
	for _, f := range folders {
		found += f.Rows
		differences += f.Missing + f.Extra + f.Twice + f.Disorder + f.Different
	}
	if found != rows || differences > 0 {
		t.Errorf("verify %v found %d rows, want %d, and %d differences", args, found, rows, differences)
	}
	t.Logf("verify %v: %d rows, %d differences, %.0f rows/s, %d MiB at most", args, found, differences, float64(found)/time.Since(began).Seconds(), p.peak()>>20)
}

func TestProcessesOfOneJobHelpEachOtherAndNoneEndsBeforeAllIsRead(t *testing.T) {
	t.Parallel()
	const folders, share = 24, 20 // share is how many pages each process has to read at least
	a, server := newArchive(t, rand.Uint64()), natstest.Process(t)
	var rooms []int
	for i := range folders {
		rooms = append(rooms, a.room(500, uint64(i)))
	}
	var keys []string
	for range 2 {
		keys = append(keys, a.portal.AddKey(nil, "files:read", "rooms:read", "accounts.self:read"))
	}
	// The first has counted the folders and has read some pages, so the job is there. It
	// gets no more until the other has its share.
	const alone = folders + 2*share
	a.holdBy(func(_ int, key string) {
		if n, _ := a.readBy(keys[0]); key == keys[0] && n >= alone {
			_ = a.awaitKey(t.Context(), keys[1], share)
		}
	})
	var processes []*process
	for i, key := range keys {
		p := start(t, exec.Command(program(t), "backfill", "rooms", "--requests-per-minute", "2400"), a.environment(key, server.URL())...)
		processes = append(processes, p)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-p.ended
			cancel()
		}()
		err := a.awaitKey(ctx, key, []int{alone, share}[i])
		cancel()
		if err != nil {
			p.kill()
			t.Fatalf("process %d: %v\n%s", i, err, p.stderr.String())
		}
	}
	for _, p := range processes {
		p.finish(t)
		if text := p.stderr.String(); !strings.Contains(text, "job history is complete: 24 of 24 folders, 12000 rows") {
			t.Error(text)
		}
	}
	a.holds(t, server.Conn(t), "DOCSPACE_BACKFILL_history", "docspace.backfill.history", schema.Backfill, rooms...)
}

func TestAnInterruptPausesAJobThatAnswersStatusAndTheSameCommandGoesOn(t *testing.T) {
	t.Parallel()
	a, server := newArchive(t, rand.Uint64()), natstest.Process(t)
	room := a.room(3000, 1)
	env := a.environment(a.portal.APIKey(), server.URL())
	run := func(args ...string) *process {
		return start(t, exec.Command(program(t), append([]string{"backfill"}, args...)...), env...)
	}
	goOn := a.atMost(t.Context(), room, 20)
	p := run(strconv.Itoa(room), "--job", "slow", "--requests-per-minute", "240")
	if err := a.await(p, room, 14); err != nil {
		t.Fatal(err)
	}

	cfg := config.NATS{URL: config.ServerURL(server.URL()), Stream: "DOCSPACE_BACKFILL_slow", SubjectPrefix: "docspace.backfill.slow", InboxPrefix: "_INBOX"}
	natstest.Eventually(t, "the job answers status", func() bool {
		is, text, err := told(t, cfg)
		if err != nil {
			t.Fatal(err, text)
		}
		return is.Answered && len(is.Replicas) == 1 && is.Replicas[0].Requests >= 14 && len(is.Folders) == 1 && is.Folders[0].Owner != nil
	})
	refused := run("cancel", "slow", "--yes")
	<-refused.ended
	if text := refused.stderr.String(); refused.err == nil || !strings.Contains(text, "job slow is worked on by 1 process; stop that first") {
		t.Errorf("%v\n%s", refused.err, text)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if text := p.stderr.String(); p.cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(text, "paused: 0 of 1 folder, ") ||
		!strings.Contains(text, "go on with docspace-nats backfill --job slow") {
		t.Errorf("%v\n%s", p.err, text)
	}
	goOn()
	again := run(strconv.Itoa(room), "--job", "slow", "--requests-per-minute", "0")
	again.finish(t)
	if text := again.stderr.String(); !strings.Contains(text, " of them are stored; ") {
		t.Error(text)
	}
	a.holds(t, server.Conn(t), "DOCSPACE_BACKFILL_slow", "docspace.backfill.slow", schema.Backfill, room)
}

func TestAConnectorAndABackfillIntoTheLiveStreamReadTheSameRoomsAndStoreEachRowOnce(t *testing.T) {
	t.Parallel()
	a, server := newArchive(t, rand.Uint64()), natstest.Process(t)
	var rooms []int
	for i := range 3 {
		rooms = append(rooms, a.room(4000, uint64(i)))
	}
	env := a.environment(a.portal.APIKey(), server.URL(), "POLL_REQUESTS_PER_MINUTE=0")
	job := start(t, exec.Command(program(t), "backfill", "rooms", "--live"), env...)
	if err := a.await(job, rooms[0], 3); err != nil {
		t.Fatal(err)
	}
	connector := start(t, exec.Command(program(t), "run", "--once"), env...)
	job.finish(t)
	connector.finish(t)
	if text := job.stderr.String(); !strings.Contains(text, "complete: read to their newest row: 3 folders") {
		t.Error(text)
	}
	// In which mode a room's creation is stored depends on the second the connector began in.
	a.holds(t, server.Conn(t), "DOCSPACE", "docspace", "", rooms...)
	again := start(t, exec.Command(program(t), "backfill", "rooms", "--live"), env...)
	again.finish(t)
	a.holds(t, server.Conn(t), "DOCSPACE", "docspace", "", rooms...)
}

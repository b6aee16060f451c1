package poller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

var (
	histories = flag.Int("histories", map[bool]int{false: 5, true: 2}[raced], "random histories of each server version to try")
	seed      = flag.Uint64("seed", 0, "first seed of the random histories; 0: another one every time")
)

// Random histories: people act at any moment, between any two requests and
// between the count and the page of one answer, often alike within a second;
// rows become visible late; requests fail in every way there is; commits fail
// before and after they are stored; several pollers take turns or run at once,
// restart, and are cut off; the server is upgraded. Afterwards the promise must
// hold.
func TestRandomHistoriesAreStoredExactlyOnce(t *testing.T) {
	t.Parallel()
	contract := schematest.Compile(t)
	for _, version := range append(docspacetest.Versions()[1:], upgraded) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			first := *seed
			if first == 0 {
				first = rand.Uint64()
			}
			t.Logf("seeds %d to %d", first, first+uint64(*histories)-1)
			for i := range uint64(*histories) {
				synctest.Test(t, func(t *testing.T) {
					h := newHistory(t, version, first+i)
					h.contract = &contract
					h.happen(t)
					if err := h.judge(t); err != nil {
						t.Fatalf("seed %d, %+v: %v", first+i, h.traits, err)
					}
				})
				if t.Failed() {
					return
				}
			}
		})
	}
}

// upgraded is a server that becomes a later version while it is read.
const upgraded = "3.5.0 to 3.7.2"

// traits say what may happen beside rows and failing commits.
type traits struct {
	version    string
	upgrade    string // the version the server becomes; "" for none
	anchored   bool   // the folder starts at a time, with rows dated around it
	concurrent bool   // pollers run at once
	flickering bool   // the folder cannot be read at times
	hidden     bool   // some rows are counted and not shown, or fail their pages
	chaotic    bool   // requests go wrong, and the message queue does
	alike      bool   // most rows are like others
	curing     bool   // rows that were not shown are shown again
	leftOut    string // actions that are left out; "" for none
}

func drawTraits(version string, rng *rand.Rand) traits {
	version, later, _ := strings.Cut(version, " to ")
	sometimes := func() bool { return rng.IntN(3) == 0 }
	return traits{version, later, sometimes(), sometimes(), sometimes(), sometimes(), sometimes(), sometimes(), sometimes(),
		[]string{"", "", "", "file.uploaded", "room.*", "*.uploaded,*.renamed"}[rng.IntN(6)]}
}

type history struct {
	*rig
	traits
	opts     Options
	pollers  []*Poller
	anchor   time.Time
	seed     uint64
	contract *schematest.Contract // nil: events are not held against it

	mu      sync.Mutex // hooks run inside requests
	rng     *rand.Rand
	late    []func() // publish rows that were reserved
	left    int      // rows still to be made by hooks
	busy    int      // how often hooks act, out of 8
	made    int      // rows
	flaky   bool     // commits fail
	over    bool     // nothing happens any more
	cured   []int64  // rows that were not shown and are
	dearest int      // requests of a poll, at most
}

func newHistory(t *testing.T, version string, seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, uint64(slices.Index(docspacetest.Versions(), version))))
	opts := Options{Chunk: []int{1, 3, 7, 40, 100, 333, 990}[rng.IntN(7)], Turn: 1 + rng.IntN(5), Prefetch: 1 + rng.IntN(4)}
	h := &history{
		traits: drawTraits(version, rng), seed: seed, rng: rng,
		left: 60, busy: 2 * rng.IntN(4), flaky: rng.IntN(3) == 0,
	}
	opts.Filter = filterOf(t, "", h.leftOut)
	start := rng.IntN(60)
	if rng.IntN(10) == 0 {
		start, h.left = rng.IntN(500), 400 // more than a page holds, and more than one commit
	}
	if h.anchored {
		h.anchor = time.Now().Add(-time.Hour).Truncate(time.Second)
		opts.Anchor = h.anchor
	}
	h.rig = newRigOf(t, docspacetest.Options{Seed: seed, Version: h.version}, opts)
	opts.Feed = h.poller.opts.Feed
	h.opts, h.pollers = opts, []*Poller{h.poller}
	for range 1 + rng.IntN(2) {
		h.pollers = append(h.pollers, h.another())
	}
	h.portal.Between(func(int) { h.meanwhile() })
	h.portal.AfterPage(func(int, int) { h.meanwhile() })
	h.ledger.Before = func(int, []schema.Event) error { return h.trouble() }
	h.ledger.After = func(int, []schema.Event) error { return h.trouble() }
	h.insert(start)
	return h
}

// another is a poller that remembers nothing, as one in a process just started.
func (h *history) another() *Poller {
	opts := h.opts
	opts.Chunk = 1 + h.rng.IntN(200)
	return New(h.client, h.ledger, opts)
}

// Codes of rows: those of uploads are shown in groups.
const (
	roomMade = 5070
	uploaded = 5011
)

// action is something done in the room, with a date that may be out of order.
func (h *history) action() docspacetest.Action {
	h.made++
	a := docspacetest.Action{Code: roomMade, Folder: h.room, Entry: h.room, Title: fmt.Sprint("thing ", h.made)}
	if h.rng.IntN(2) == 0 {
		a.Code, a.Entry = uploaded, 1_000_000+h.made
	}
	if h.alike && h.rng.IntN(4) > 0 {
		a.Title = fmt.Sprint("one of many ", h.rng.IntN(3))
	}
	switch {
	case h.anchored:
		a.At = h.anchor.Add(time.Duration(h.rng.IntN(20)-10) * time.Second)
	case h.rng.IntN(5) == 0:
		a.At = time.Now().Add(time.Duration(h.rng.IntN(1000)-500) * time.Second)
	}
	return a
}

// insert makes n rows, some of which become visible later. Logs stay shorter
// than a mark's memory: deeper late rows have a test of their own.
func (h *history) insert(n int) {
	for range min(n, checkpoint.MaxRecent-100-h.made) {
		a := h.action()
		switch {
		case len(h.late) < 250 && h.rng.IntN(30) == 0:
			h.late = append(h.late, h.portal.Reserve(a))
		case h.hidden && h.rng.IntN(40) == 0:
			h.hide(a)
		default:
			h.portal.Record(a)
		}
	}
}

// hide makes a row that is counted and not shown, in one of the ways there are.
func (h *history) hide(a docspacetest.Action) {
	way := h.rng.IntN(3)
	if way == 0 {
		a.Code, a.Unexplained = 5999, true
		h.portal.Record(a)
		return
	}
	id := h.portal.Record(a)
	switch {
	case id == 0: // it waits in the queue
	case way == 1 && h.numbered():
		h.sick = append(h.sick, id)
		h.portal.HideID(id)
	default:
		h.sick = append(h.sick, id)
		h.portal.Poison(id, []int{400, 403, 415, 500}[h.rng.IntN(4)])
	}
}

// numbered reports whether the server told ids from the beginning.
func (h *history) numbered() bool { return h.version >= "3.6" }

// sicken makes a row unrenderable that may have been published.
func (h *history) sicken() {
	rows := h.portal.Rows(h.room)
	if !h.hidden || len(rows) == 0 || h.rng.IntN(4) > 0 {
		return
	}
	row := rows[len(rows)-1-h.rng.IntN(min(len(rows), 120))]
	if !row.Unexplained && !slices.Contains(h.sick, row.ID) {
		h.sick = append(h.sick, row.ID)
		h.portal.Poison(row.ID, 500)
	}
}

// cure makes rows that were not shown some that are. They may have been
// reported as gaps, and noticed or not.
func (h *history) cure() {
	for h.curing && len(h.sick) > 0 && h.rng.IntN(3) > 0 {
		i := h.rng.IntN(len(h.sick))
		h.portal.Poison(h.sick[i], 0)
		h.portal.ShowID(h.sick[i])
		h.cured = append(h.cured, h.sick[i])
		h.sick = slices.Delete(h.sick, i, i+1)
	}
}

// release makes one of the late rows visible.
func (h *history) release() {
	if len(h.late) > 0 {
		i := h.rng.IntN(len(h.late))
		h.late[i]()
		h.late = slices.Delete(h.late, i, i+1)
	}
}

func (h *history) meanwhile() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || h.rng.IntN(8) >= h.busy {
		return
	}
	n := min(h.left, []int{1, 1, 2, 3, 5, 20, 60, 120}[h.rng.IntN(8)])
	h.left -= n
	h.insert(n)
	for h.rng.IntN(3) == 0 {
		h.release()
	}
}

var errTrouble = errors.New("trouble")

func (h *history) trouble() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.flaky && !h.over && h.rng.IntN(4) == 0 {
		return errTrouble
	}
	return nil
}

// happen lets time pass. What polls return does not matter: they go wrong.
func (h *history) happen(t *testing.T) {
	if h.chaotic {
		h.portal.Chaos(h.seed, 0.08)
	}
	rounds := 3 + h.rng.IntN(12)
	upgrade := h.rng.IntN(rounds)
	for round := range rounds {
		h.mu.Lock()
		switch h.rng.IntN(4) {
		case 0:
			h.insert(h.rng.IntN([]int{4, 4, 20, 130}[h.rng.IntN(4)]))
		case 1:
			h.release()
			h.sicken()
			h.cure()
		case 2:
			h.pollers[h.rng.IntN(len(h.pollers))] = h.another()
		}
		if h.upgrade != "" && round == upgrade {
			h.portal.Upgrade(h.upgrade)
		}
		one, all, cut := h.pollers[h.rng.IntN(len(h.pollers))], h.concurrent && h.rng.IntN(2) == 0, h.rng.IntN(5) == 0
		heal := h.flicker()
		h.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		if cut {
			h.portal.AfterPage(func(int, int) { h.meanwhile(); cancel() })
		}
		before, n := h.portal.Requests(), 0
		var polls sync.WaitGroup
		for _, p := range h.pollers {
			if p == one || all {
				n++
				polls.Go(func() { _, _ = p.Poll(ctx, h.room) })
			}
		}
		polls.Wait()
		cancel()
		h.dearest = max(h.dearest, (h.portal.Requests()-before)/n)
		h.portal.AfterPage(func(int, int) { h.meanwhile() })
		heal()
		time.Sleep(time.Duration(h.rng.IntN(3000)) * time.Millisecond)
	}
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	for len(h.late) > 0 {
		h.release()
	}
	last := h.action() // one that can be shown: a log without any is waited for
	last.At = h.anchor.Add(5 * time.Second)
	if !h.anchored {
		last.At = time.Now()
	}
	h.portal.Record(last)
	if h.chaotic {
		h.calm()
	}
}

// calm ends the chaos; rows that cannot be shown stay so.
func (h *history) calm() {
	h.portal.Calm()
	for _, id := range h.sick {
		h.portal.Poison(id, 500)
	}
}

func (h *history) flicker() (heal func()) {
	if !h.flickering || h.rng.IntN(5) > 0 {
		return func() {}
	}
	do := []docspacetest.Outcome{docspacetest.AccessDenied(), docspacetest.NotFound()}[h.rng.IntN(2)]
	return h.portal.Fail(docspacetest.Fault{Folder: h.room, Skip: h.rng.IntN(4), Times: 2 + h.rng.IntN(3), Do: do})
}

// judge lets the folder settle and holds the promise.
func (h *history) judge(t *testing.T) error {
	var last Report
	for vain := 0; vain < 5; vain++ {
		var err error
		if last, err = h.poller.Poll(t.Context(), h.room); err != nil {
			return err
		}
		if !last.More && last.Commits == 0 && (last.Unread == 0 || last.State == checkpoint.Unreconciled) {
			break
		}
		if last.Commits > 0 {
			vain = 0
		}
	}
	events := h.ledger.Events(h.room)
	if err := h.contractual(events); err != nil {
		return err
	}
	hidden, perhaps, err := h.compare(events)
	if err != nil {
		return fmt.Errorf("%w; %+v; said %v", err, last, h.said())
	}
	if err := h.inOrder(); err != nil {
		return err
	}
	gaps := h.gaps()
	most := hidden + perhaps + len(h.cured) // those were reported before
	if h.alike && !h.numbered() {
		most += len(h.sick) // a published one is not told from another like it that came since
	}
	if last.State == checkpoint.Unreconciled && h.hidden && hidden <= gaps+last.Unread && gaps+last.Unread <= most {
		return nil // a hidden row and rows inserted in the same moment: said, not guessed
	}
	if gaps < hidden || gaps > most || last.State != checkpoint.Watching || last.Unread != 0 {
		return fmt.Errorf("%d rows hidden, %d cured, %d reported; %+v; said %v", hidden, len(h.cured), gaps, last, h.said())
	}
	for _, kind := range []string{schema.Shrunk, schema.Rewound} {
		if slices.Contains(h.said(), kind) {
			return fmt.Errorf("said %v", h.said())
		}
	}
	return h.frugal(t, most)
}

// contractual holds that events, those about the connector's own work included,
// are as their schemas say.
func (h *history) contractual(events []schema.Event) error {
	if h.contract == nil {
		return nil
	}
	for _, event := range events {
		if err := h.contract.Judge(event.Encode()); err != nil {
			return fmt.Errorf("event %s: %w", event.ID, err)
		}
	}
	return nil
}

// frugal holds that polls cost a bounded number of requests, with some for each
// row that had to be found out not to be shown, and idle ones a single one.
func (h *history) frugal(t *testing.T, hidden int) error {
	if budget := h.opts.Turn * (240 + 40*hidden); h.dearest > budget {
		return fmt.Errorf("a poll cost %d requests, with %d commits and %d hidden rows", h.dearest, h.opts.Turn, hidden)
	}
	_, _ = h.poller.Poll(t.Context(), h.room) // it may look at hidden rows once more
	requests, commits := h.portal.Requests(), h.ledger.Commits()
	for range 3 {
		if _, err := h.poller.Poll(t.Context(), h.room); err != nil {
			return err
		}
	}
	if n := h.portal.Requests() - requests; n != 3 || h.ledger.Commits() != commits {
		return fmt.Errorf("3 idle polls cost %d requests and %d commits", n, h.ledger.Commits()-commits)
	}
	return nil
}

// compare holds that every row the account can see, and the filter lets through,
// is stored once. It returns how many are neither shown nor stored, and how many
// may be gaps besides: what the filter leaves out may have been seen before it
// fell sick. A row may have been read just before it fell sick, and one that is
// cured may be a gap all the same.
func (h *history) compare(events []schema.Event) (hidden, perhaps int, err error) {
	stored, ids := make(map[string]int), make(map[string]bool)
	for _, e := range events {
		if ids[e.ID] {
			return 0, 0, fmt.Errorf("event %s is stored twice", e.ID)
		}
		ids[e.ID] = true
		if e.Data.Connector == nil {
			stored[face(e.Data.Action.Code, e.Time, targetName(e))]++
		}
	}
	shown, sick := make(map[string]int), make(map[string]int)
	for _, row := range h.portal.Rows(h.room) {
		face := face(row.Code, row.Date, row.Title)
		unwell := slices.Contains(h.sick, row.ID) || slices.Contains(h.cured, row.ID)
		switch {
		case row.Date.Before(h.anchor):
		case row.Unexplained:
			hidden++
		case unwell && !h.passes(row):
			perhaps++
		case unwell:
			sick[face]++
			hidden++
		case h.passes(row):
			shown[face]++
		}
	}
	for face, n := range stored {
		over := n - shown[face]
		if over > sick[face] {
			return 0, 0, fmt.Errorf("%q is stored %d times, to be seen %d times", face, n, shown[face])
		}
		hidden -= max(0, over)
	}
	for face, n := range shown {
		if stored[face] < n {
			return 0, 0, fmt.Errorf("%q is stored %d times, to be seen %d times", face, stored[face], n)
		}
	}
	return hidden, perhaps, nil
}

// face is what tells rows apart that have no ids.
func face(code int, at time.Time, title string) string {
	return fmt.Sprintf("%d %s %s", code, at.UTC().Format(time.RFC3339), title)
}

func targetName(e schema.Event) string {
	if e.Data.Target == nil {
		return ""
	}
	return e.Data.Target.Name
}

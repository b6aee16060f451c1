package poller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

var (
	histories = flag.Int("histories", 10, "random histories of each kind to try")
	seed      = flag.Uint64("seed", 0, "first seed of the random histories; 0: another one every time")
)

// Random histories: people act at any moment, between any two requests and
// between the count and the page of one answer; rows become visible late;
// commits fail before and after they are stored; several pollers take turns or
// run at once, restart, and are cut off. Afterwards the promise must hold.
func TestRandomHistoriesAreStoredExactlyOnce(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]historyKind{
		"plain":       {},
		"anchored":    {anchored: true},
		"at once":     {concurrent: true},
		"flickering":  {flickering: true},
		"hidden rows": {hidden: true},
		"all":         {anchored: true, concurrent: true, flickering: true, hidden: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := *seed
			if first == 0 {
				first = rand.Uint64()
			}
			for i := range *histories {
				h := newHistory(t, kind, first+uint64(i))
				h.happen(t)
				if err := h.judge(t); err != nil {
					t.Fatalf("seed %d: %v", first+uint64(i), err)
				}
			}
			t.Logf("seeds %d to %d", first, first+uint64(*histories)-1)
		})
	}
}

// A historyKind says what may happen beside rows and failing commits.
type historyKind struct {
	anchored   bool // the folder starts at a time, with rows dated around it
	concurrent bool // pollers run at once
	flickering bool // the folder cannot be read at times
	hidden     bool // some rows are counted and not shown, or fail their pages
}

type history struct {
	*rig
	historyKind
	pollers []*Poller
	anchor  time.Time

	mu    sync.Mutex // hooks run inside requests
	rng   *rand.Rand
	late  []func() // publish rows that were reserved
	left  int      // rows still to be made by hooks
	busy  int      // how often hooks act, out of 8
	flaky bool     // commits fail
	over  bool     // nothing happens any more
}

func newHistory(t *testing.T, kind historyKind, seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, 7))
	opts := Options{Chunk: []int{1, 3, 7, 40, 100, 333, 990}[rng.IntN(7)], Turn: 1 + rng.IntN(5), Prefetch: 1 + rng.IntN(4)}
	h := &history{historyKind: kind, rng: rng, left: 500, busy: 2 * rng.IntN(4), flaky: rng.IntN(3) == 0}
	if kind.anchored {
		h.anchor = time.Now().Add(-time.Hour).Truncate(time.Second)
		opts.Anchor = h.anchor
	}
	h.rig = newRig(t, opts)
	h.pollers = []*Poller{h.poller}
	for range 1 + rng.IntN(2) {
		other := opts
		other.Chunk, other.Feed = 1+rng.IntN(200), h.poller.opts.Feed
		h.pollers = append(h.pollers, New(h.client, h.ledger, other))
	}
	h.portal.Between(func(int) { h.meanwhile() })
	h.portal.AfterPage(func(int, int) { h.meanwhile() })
	h.ledger.Before = func(int, []schema.Event) error { return h.trouble() }
	h.ledger.After = func(int, []schema.Event) error { return h.trouble() }
	h.insert(rng.IntN(300))
	return h
}

// action is something done in the room, with a date that may be out of order.
func (h *history) action() docspacetest.Action {
	a := docspacetest.Action{Code: 5070, Folder: h.room, Entry: h.room, Title: "anything"}
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
	for range min(n, checkpoint.MaxRecent-h.portal.Count(h.room)-len(h.late)) {
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
	switch h.rng.IntN(3) {
	case 0:
		a.Code, a.Unexplained = 5999, true
		h.portal.Record(a)
		return
	case 1:
		h.sick = append(h.sick, h.portal.Record(a))
		h.portal.HideID(h.sick[len(h.sick)-1])
	case 2:
		h.sick = append(h.sick, h.portal.Record(a))
		h.portal.Poison(h.sick[len(h.sick)-1], []int{400, 403, 415, 500}[h.rng.IntN(4)])
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
	for range 5 + h.rng.IntN(25) {
		h.mu.Lock()
		switch h.rng.IntN(4) {
		case 0:
			h.insert(h.rng.IntN(130))
		case 1:
			h.release()
		}
		one, all, cut := h.pollers[h.rng.IntN(len(h.pollers))], h.concurrent && h.rng.IntN(2) == 0, h.rng.IntN(5) == 0
		heal := h.flicker()
		h.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		if cut {
			h.portal.AfterPage(func(int, int) { h.meanwhile(); cancel() })
		}
		var polls sync.WaitGroup
		for _, p := range h.pollers {
			if p == one || all {
				polls.Go(func() { _, _ = p.Poll(ctx, h.room) })
			}
		}
		polls.Wait()
		cancel()
		h.portal.AfterPage(func(int, int) { h.meanwhile() })
		heal()
	}
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	for len(h.late) > 0 {
		h.release()
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
	for range 2000 {
		var err error
		if last, err = h.poller.Poll(t.Context(), h.room); err != nil {
			return err
		}
		if !last.More && last.Commits == 0 && (last.Unread == 0 || last.State == checkpoint.Unreconciled) {
			break
		}
	}
	want, hidden := h.expected()
	got := slices.Sorted(slices.Values(h.stored()))
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d rows stored, %d to be seen: %s; %+v; said %v", len(got), len(want), difference(got, want), last, h.said())
	}
	if err := inOrder(h.ledger.Events(h.room)); err != nil {
		return err
	}
	gaps := h.gaps()
	if last.State == checkpoint.Unreconciled && h.hidden && last.Unread == hidden-gaps {
		return nil // a hidden row and rows inserted in the same moment: said, not guessed
	}
	if gaps != hidden || last.State != checkpoint.Watching || last.Unread != 0 {
		return fmt.Errorf("%d rows hidden, %d reported; %+v; said %v", hidden, gaps, last, h.said())
	}
	for _, kind := range []string{schema.Shrunk, schema.Rewound} {
		if slices.Contains(h.said(), kind) {
			return fmt.Errorf("said %v", h.said())
		}
	}
	return nil
}

// expected returns the rows the account can see from the anchor on, and how
// many are hidden from it. A row may have been read just before it fell sick.
func (h *history) expected() (ids []int64, hidden int) {
	stored := h.stored()
	for _, row := range h.portal.Rows(h.room) {
		switch {
		case row.Date.Before(h.anchor):
		case row.Unexplained, slices.Contains(h.sick, row.ID) && !slices.Contains(stored, row.ID):
			hidden++
		default:
			ids = append(ids, row.ID)
		}
	}
	return ids, hidden
}

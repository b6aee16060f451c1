package poller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// Random long logs: rows become visible thousands of rows below the newest,
// some rows cannot be seen, the stream drops old events, rows
// come in between any two requests, commits fail before and after they are
// stored, and pollers take turns, restart and race.
func TestRandomSweepsStoreEachRowOnceAndFindWhatCanBeFound(t *testing.T) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	for i := range (*histories + 1) / 2 {
		h := newSweepHistory(t, first+uint64(i))
		h.happen(t)
		if err := h.judge(t); err != nil {
			t.Fatalf("seed %d: %v", first+uint64(i), err)
		}
	}
	t.Logf("seeds %d to %d", first, first+uint64(*histories+1)/2-1)
}

type sweepHistory struct {
	*rig
	rng     *rand.Rand
	late    []func()
	pollers []*Poller
	hides   bool // some rows are not shown
	drops   bool // the stream drops old events
	filters bool // half of the rows are left out

	mu     sync.Mutex // hooks run inside requests
	flaky  bool
	busy   bool
	ever   map[int64]int // how often each row was stored
	opaque int64         // rows below may have been stored and dropped
}

func newSweepHistory(t *testing.T, seed uint64) *sweepHistory {
	rng := rand.New(rand.NewPCG(seed, 11))
	opts := Options{Chunk: []int{7, 90, 990}[rng.IntN(3)], Turn: 200}
	filters := rng.IntN(2) == 0
	if filters {
		opts.Filter = filterOf(t, "", "room.archived")
	}
	h := &sweepHistory{rig: newSweepRig(t, opts), rng: rng, ever: make(map[int64]int), filters: filters}
	h.hides, h.drops = rng.IntN(2) == 0, rng.IntN(2) == 0
	h.pollers = []*Poller{h.poller, h.another(Options{Chunk: 50, Turn: 200})}
	h.ledger.Before = func(int, []schema.Event) error { return h.trouble() }
	h.ledger.After = func(_ int, events []schema.Event) error {
		h.count(events)
		return h.trouble()
	}
	h.portal.Between(func(int) { h.meanwhile() })
	h.portal.AfterPage(func(int, int) { h.meanwhile() })
	return h
}

func (h *sweepHistory) count(events []schema.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		if e.Data.AuditID != "" {
			h.ever[auditID(e)]++
		}
	}
}

func (h *sweepHistory) trouble() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.flaky && h.rng.IntN(3) == 0 {
		return errTrouble
	}
	return nil
}

func (h *sweepHistory) meanwhile() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy && h.rng.IntN(6) == 0 {
		h.insert(1+h.rng.IntN(20), false)
	}
	if h.busy && len(h.late) > 0 && h.rng.IntN(30) == 0 {
		h.late[0]()
		h.late = h.late[1:]
	}
}

// insert makes n rows, some of which become visible later or never.
func (h *sweepHistory) insert(n int, odd bool) {
	for range n {
		a := docspacetest.Action{Code: 5070, Folder: h.room, Entry: h.room, Title: "anything"}
		if h.rng.IntN(2) == 0 {
			a.Code = 5072 // archived
		}
		switch chance := h.rng.IntN(400); {
		case odd && chance == 0:
			h.late = append(h.late, h.portal.Reserve(a))
		case odd && h.hides && chance == 1:
			a.Code, a.Unexplained = 5999, true
			h.portal.Record(a)
		case odd && h.hides && chance == 2:
			h.sick = append(h.sick, h.portal.Record(a))
			h.portal.Poison(h.sick[len(h.sick)-1], []int{400, 403, 415, 500}[h.rng.IntN(4)])
		default:
			h.portal.Record(a)
		}
	}
}

func (h *sweepHistory) happen(t *testing.T) {
	h.insert(1500+h.rng.IntN(2500), true)
	h.rig.poll(t)
	for range 12 {
		h.mu.Lock()
		h.flaky, h.busy = h.rng.IntN(3) == 0, h.rng.IntN(2) == 0
		switch h.rng.IntN(4) {
		case 0:
			h.insert(h.rng.IntN(300), true)
		case 1, 2:
			h.rng.Shuffle(len(h.late), func(i, j int) { h.late[i], h.late[j] = h.late[j], h.late[i] })
			n := min(len(h.late), 1+h.rng.IntN(3))
			for _, show := range h.late[:n] {
				show()
			}
			h.late = h.late[n:]
		case 3:
			h.drop()
		}
		both := h.rng.IntN(3) == 0
		if h.rng.IntN(4) == 0 {
			h.pollers[0] = h.another(Options{})
			h.poller = h.pollers[0]
		}
		h.mu.Unlock()
		h.later()
		var polls sync.WaitGroup
		for _, p := range h.pollers {
			polls.Go(func() { _, _ = p.Poll(t.Context(), h.room) })
			if !both {
				polls.Wait()
			}
		}
		polls.Wait()
	}
	h.mu.Lock()
	h.flaky, h.busy = false, false
	h.mu.Unlock()
	for _, show := range h.late {
		show()
	}
}

// drop lets the stream drop its oldest events. What was read before may be
// trusted only from the next milestone on, some hundred rows higher.
func (h *sweepHistory) drop() {
	events := h.ledger.Events(h.room)
	if !h.drops || len(events) < 1600 {
		return
	}
	n := h.rng.IntN(len(events) - 1500)
	h.ledger.Drop(h.room, n)
	turns := 0
	for _, e := range events[n:] {
		if e.Data.AuditID == "" || e.Data.Late {
			continue
		}
		if turns++; turns == 600 {
			h.opaque = max(h.opaque, auditID(e))
		}
	}
}

func (h *sweepHistory) judge(t *testing.T) error {
	var last Report
	for range 60 {
		h.later()
		var err error
		if last, err = h.poller.Poll(t.Context(), h.room); err != nil {
			return err
		}
		if last.State == checkpoint.Watching && last.Unread == 0 && !last.More {
			break
		}
	}
	for id, n := range h.ever {
		if n > 1 {
			return fmt.Errorf("row %d was stored %d times; %+v", id, n, last)
		}
	}
	if err := h.inOrder(); err != nil && h.opaque == 0 {
		return err
	}
	lost, unseen := 0, 0
	for _, row := range h.portal.Rows(h.room) {
		if h.ever[row.ID] == 0 && h.passes(row) && (row.Unexplained || slices.Contains(h.sick, row.ID)) {
			unseen++
		}
		if !h.passes(row) && h.ever[row.ID] > 0 {
			return fmt.Errorf("row %d is to be left out, and was stored", row.ID)
		}
		if row.Unexplained || slices.Contains(h.sick, row.ID) || h.ever[row.ID] > 0 || !h.passes(row) {
			continue
		}
		if lost++; row.ID >= h.opaque && last.State != checkpoint.Unreconciled {
			return fmt.Errorf("row %d is missing, and the folder says nothing; opaque up to %d; %+v; said %v", row.ID, h.opaque, last, h.said())
		}
	}
	if gaps := h.gaps(); unseen > gaps && !h.drops && last.State == checkpoint.Watching {
		return fmt.Errorf("%d rows cannot be seen and %d are reported, and the folder is watched; %+v; said %v", unseen, gaps, last, h.said())
	}
	if lost > 0 && h.opaque == 0 {
		return fmt.Errorf("%d rows are missing, and no event was dropped; %+v; said %v", lost, last, h.said())
	}
	if !h.hides && !h.drops && last.State != checkpoint.Watching {
		return fmt.Errorf("everything was found, and the folder is not watched again; filter %t; %+v; said %v", h.filters, last, h.said())
	}
	return nil
}

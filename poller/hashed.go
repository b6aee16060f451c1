package poller

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// hashedMost is how many events of rows without ids are compared: 64 MiB.
const hashedMost = 1 << 20

// hashedEvents are the events of rows that came without ids, and the rows that are
// held against them: as a set, since the portal tells no order. An event is known
// by the hash in its id, which is made of the row's content and of how many like it
// came before.
type hashedEvents struct {
	copies  map[uint64]*hashedEvent
	alike   map[uint64]int // rows so far with a key
	lacking []lackingRow   // rows without event
}

type hashedEvent struct {
	seq  uint64
	at   int64
	n    int // how often it is stored
	used bool
}

type lackingRow struct {
	id  string // of the event it would have
	row docspace.Entry
}

// read reads them all.
func (h *hashedEvents) read(ctx context.Context, v *verification) error {
	h.copies, h.alike = make(map[uint64]*hashedEvent), make(map[uint64]int)
	r := eventReader{v: v}
	return r.all(ctx, func(seq uint64, kind string, e *schema.Event) error {
		if e == nil || e.Sequence != "" || strings.HasPrefix(kind, "connector.") {
			return nil
		}
		hash, is := hashOf(e.ID)
		if !is {
			v.verdict.find(Finding{Kind: Extra, Event: schema.Cut(schema.Text(e.ID), longestID), Time: e.Time, Sequence: seq, Detail: "its id is not one of this program's"})
			return nil
		}
		if known := h.copies[hash]; known != nil {
			known.n, known.seq = known.n+1, seq
			return nil
		}
		h.copies[hash] = &hashedEvent{seq: seq, at: e.Time.Unix(), n: 1}
		if len(h.copies) > hashedMost {
			return ErrApart
		}
		return nil
	})
}

func (h *hashedEvents) many() bool { return len(h.lacking) > maxApart }

// hashOf returns the beginning of the hash in an event's id.
func hashOf(id string) (uint64, bool) {
	_, text, is := strings.Cut(id, "-h")
	b, err := hex.DecodeString(text)
	if !is || err != nil || len(b) != 16 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// take holds a row against the events.
func (h *hashedEvents) take(v *verification, row docspace.Entry) bool {
	if len(h.copies) == 0 {
		return false
	}
	k := key(row)
	ordinal := h.alike[k]
	h.alike[k]++
	return h.meet(v, row, ordinal)
}

// meet finds the event of a row under every name the portal had, and with the date
// an hour off, as the portal may report it once a year.
func (h *hashedEvents) meet(v *verification, row docspace.Entry, ordinal int) bool {
	hosts := append([]string{v.p.opts.Feed.Portal}, v.p.opts.Feed.Formerly...)
	date := row.Date
	for _, shift := range []time.Duration{0, -time.Hour, time.Hour} {
		row.Date = date.Add(shift)
		for _, host := range hosts {
			hash, _ := hashOf(schema.HashedEventID(host, v.mark.Folder, weakKey(row), ordinal))
			if e := h.copies[hash]; e != nil && !e.used {
				e.used = true
				return true
			}
		}
	}
	return false
}

// lack takes a row without id and without event.
func (h *hashedEvents) lack(v *verification, row docspace.Entry) {
	v.verdict.Rows++
	if !v.p.passes(row) {
		v.verdict.Filtered++
		return
	}
	ordinal := max(0, h.alike[key(row)]-1)
	row.Raw = nil
	h.lacking = append(h.lacking, lackingRow{schema.HashedEventID(v.p.opts.Feed.Portal, v.mark.Folder, weakKey(row), ordinal), row})
}

// end tells what is left over: rows without event that were accounted for, events
// without row, and those stored more than once. Total is how many rows the portal
// counted when they were read.
func (h *hashedEvents) end(ctx context.Context, v *verification, total int) error {
	if h.copies == nil {
		return nil
	}
	again := hashedEvents{}
	if err := again.read(ctx, &verification{p: v.p, archive: v.archive, mark: v.mark}); err != nil {
		return err
	}
	mark, err := v.p.mark(ctx, v.mark.Folder)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(h.lacking, func(l lackingRow) bool {
		hash, _ := hashOf(l.id)
		return again.copies[hash] != nil
	})
	unread := min(len(missing), max(0, total-mark.Accounted))
	for _, l := range missing[:len(missing)-unread] {
		if v.within(l.row.Date.Unix(), 0) {
			v.verdict.find(Finding{Kind: Missing, Event: l.id, Time: l.row.Date, Detail: "it has no event"})
		}
	}
	v.verdict.Rows -= unread
	for _, e := range slices.SortedFunc(maps.Values(h.copies), func(a, b *hashedEvent) int { return cmp.Compare(a.seq, b.seq) }) {
		found := func(kind, detail string) {
			v.verdict.find(Finding{Kind: kind, Time: timeOf(e.at), Sequence: e.seq, Detail: detail})
		}
		switch {
		case !v.within(e.at, 0):
		case e.n > 1:
			found(Twice, fmt.Sprintf("its event is stored %d times", e.n))
		case !e.used && v.verdict.Hidden == 0:
			found(Extra, "the portal has no such row")
		}
	}
	return nil
}

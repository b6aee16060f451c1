package poller

import (
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A balance is what a window shows beyond what a mark remembers.
type balance struct {
	fresh  alike
	known  []docspace.Entry
	unseen []unseenRow // not accounted for
	cured  int         // rows among fresh that were accounted for as hidden
	hidden []int       // what the mark remembers of hidden rows after this
	left   map[uint64]int
	lowest int // fresh rows among the lowest page's worth

	short    int  // rows that were not found
	doubtful bool // what seems fresh may have been forgotten
}

// alike is rows, each with the number of rows like it that came before.
type alike struct {
	rows     []docspace.Entry
	ordinals []int
}

func (a *alike) add(row docspace.Entry, ordinal int) {
	a.rows, a.ordinals = append(a.rows, row), append(a.ordinals, ordinal)
}

// first returns at most n of the rows, by date.
func (a alike) first(n int) ([]docspace.Entry, []int) {
	n = min(n, len(a.rows))
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return a.rows[i].Date.Compare(a.rows[j].Date) })
	var sorted alike
	for _, i := range order {
		sorted.add(a.rows[i], a.ordinals[i])
	}
	return sorted.rows, sorted.ordinals
}

// size is how many rows are to be accounted for.
func (b balance) size() int { return len(b.fresh.rows) + len(b.unseen) - b.cured }

// weigh tells the rows of a window that are published from those that are not.
// Of rows that are alike, the oldest are the published ones. Where more than so
// many seem new, some may be published ones with another date.
func weigh(mark checkpoint.Mark, s window, want int) balance {
	remembered := mark.Unnumbered.Counts()
	b := balance{left: mark.Unnumbered.Counts()}
	again := make(map[uint64]int)
	for i, row := range s.rows {
		k := key(row)
		if b.left[k] > 0 {
			b.left[k]--
			b.known = append(b.known, row)
			continue
		}
		b.fresh.add(row, remembered[k]+again[k])
		again[k]++
		if i < docspace.MaxPage {
			b.lowest++
		}
	}
	b.weighHidden(mark, s)
	if b.size() > want {
		b.forgive()
	}
	return b
}

// weighHidden does the same for rows that are not shown. They are known by
// their place, which rows that become visible late move a little: so they are
// counted, not compared.
func (b *balance) weighHidden(mark checkpoint.Mark, s window) {
	at, _ := slices.BinarySearch(mark.Unnumbered.Hidden, s.low)
	known := len(mark.Unnumbered.Hidden) - at
	b.unseen = s.unseen[min(known, len(s.unseen)):]
	b.cured = max(0, known-len(s.unseen))
	b.hidden = slices.Clone(mark.Unnumbered.Hidden[:at])
	for _, row := range s.unseen {
		b.hidden = append(b.hidden, row.index)
	}
	b.hidden = b.hidden[max(0, len(b.hidden)-maxHidden):]
}

// forgive takes rows for published ones that differ by an hour: once a year
// the portal reports some so, depending on its time zone.
func (b *balance) forgive() {
	var fresh alike
	for i, row := range b.fresh.rows {
		if b.shifted(row) {
			b.known = append(b.known, row)
			continue
		}
		fresh.add(row, b.fresh.ordinals[i])
	}
	b.fresh = fresh
}

func (b *balance) shifted(row docspace.Entry) bool {
	for _, shift := range []time.Duration{-time.Hour, time.Hour} {
		other := row
		other.Date = row.Date.Add(shift)
		if k := key(other); b.left[k] > 0 {
			b.left[k]--
			return true
		}
	}
	return false
}

// giveUp notes how many rows were not found. Unless the lowest page was known
// throughout, the mark may have forgotten rows of it, and what seems fresh may
// be published.
func (b *balance) giveUp(want, low int) {
	b.short = want - b.size()
	b.doubtful = low > 0 && b.lowest > 0
}

package poller

import (
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A balance is what a window shows beyond what a mark remembers.
type balance struct {
	fresh    alike
	known    []docspace.Entry
	newest   int         // index of the newest known row, as far as the portal's order tells; -1 for none
	unseen   []unseenRow // not accounted for
	cured    int         // rows among fresh that were accounted for as hidden
	hidden   []int       // what the mark remembers of hidden rows after this
	sick     int         // how many more, or less, of those were published
	freshLow int         // fresh rows among the lowest page's worth

	short    int  // rows that were not found
	lost     int  // published rows that are gone, although the log counts enough
	doubtful bool // what seems fresh may have been forgotten
}

// settled reports whether what seems fresh can be published.
func (b balance) settled() bool { return b.lost == 0 && !b.doubtful }

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
// Of rows that are alike, the oldest are the published ones.
func weigh(mark checkpoint.Mark, s window) balance {
	b := balance{newest: -1}
	left, again := mark.Unnumbered.Counts(), make(map[uint64]int)
	remembered := mark.Unnumbered.Counts()
	var rest []int // rows that no published one is exactly like
	known := make([]bool, len(s.rows))
	for i, row := range s.rows {
		if known[i] = take(left, key(row)); !known[i] {
			rest = append(rest, i)
		}
	}
	for _, i := range rest {
		if known[i] = takeShifted(left, s.rows[i]); known[i] {
			continue
		}
		k := key(s.rows[i])
		b.fresh.add(s.rows[i], remembered[k]+again[k])
		again[k]++
		if i < docspace.MaxPage {
			b.freshLow++
		}
	}
	for i, index := range s.indexes() {
		if known[i] {
			b.known, b.newest = append(b.known, s.rows[i]), index
		}
	}
	b.weighHidden(mark, s)
	return b
}

func take(left map[uint64]int, k uint64) bool {
	if left[k] == 0 {
		return false
	}
	left[k]--
	return true
}

// takeShifted takes a row for a published one that differs by an hour, as the
// portal reports it depending on its time zone.
func takeShifted(left map[uint64]int, row docspace.Entry) bool {
	before, after := row, row
	before.Date, after.Date = row.Date.Add(-time.Hour), row.Date.Add(time.Hour)
	return inGap(before.Date) && take(left, key(before)) || inGap(row.Date) && take(left, key(after))
}

// inGap reports whether a row may be reported an hour late. The portal does so
// when the hour in UTC is the one that clocks skip in its time zone on that
// day: somewhere after midnight, in spring.
func inGap(at time.Time) bool {
	switch at.Month() {
	case time.March, time.April, time.September, time.October:
		return at.Hour() < 4
	}
	return false
}

// weighHidden does the same for rows that are not shown. They are known by
// their place, which rows that become visible late move a little: so they are
// counted, not compared. Where no row was ever shown, all that were accounted
// for are hidden.
func (b *balance) weighHidden(mark checkpoint.Mark, s window) {
	at, _ := slices.BinarySearch(mark.Unnumbered.Hidden, s.low)
	known := len(mark.Unnumbered.Hidden) - at
	if len(mark.Unnumbered.Keys) == 0 {
		known = max(0, mark.Accounted-s.low)
	}
	b.unseen = slices.Clone(s.unseen[min(known, len(s.unseen)):])
	b.cured = max(0, known-len(s.unseen))
	b.hidden = slices.Clone(mark.Unnumbered.Hidden[:at])
	for _, row := range s.unseen {
		b.hidden = append(b.hidden, row.index)
	}
	b.hidden = b.hidden[max(0, len(b.hidden)-maxHidden):]
}

// absorb takes so many of the rows that are not shown for published ones, and
// reports whether there are so many.
func (b *balance) absorb(rows int) bool {
	if len(b.unseen) < rows {
		return false
	}
	b.unseen, b.sick = b.unseen[rows:], b.sick+rows
	return true
}

// heal takes rows that are shown again for published ones, where that makes the
// balance what it should be.
func (b *balance) heal(mark checkpoint.Mark, want int) {
	healed := max(0, min(b.cured, mark.Unnumbered.Sick, want-b.size()))
	b.cured, b.sick = b.cured-healed, b.sick-healed
}

package poller

import (
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A balance is what a window shows beyond what a mark remembers. The mark knows
// hidden rows by their place: how many rows accounted for lie below. While no
// row came in there, a place gives the index.
type balance struct {
	low, base int // of the window, and the index above the rows accounted for, if none came in among them
	want      int // rows of the window beyond those
	fresh     alike
	known     []docspace.Entry
	knownAt   []int       // their indexes, ascending; exact as to the side of unseen rows
	slots     []unseenRow // not shown, ascending
	places    []int       // where the mark knows some not to be, ascending
	freshLow  int         // fresh rows among the lowest page's worth

	unseen   []unseenRow // slots not accounted for
	cured    int         // rows among fresh that were accounted for as hidden
	short    int         // rows that were not found
	lost     int         // published rows that are gone, although the log counts enough
	doubtful bool        // what seems fresh may have been forgotten
}

// settled reports whether what seems fresh can be published.
func (b balance) settled() bool { return b.lost == 0 && !b.doubtful }

// alike is rows, each with the number of rows like it that came before, and its
// index.
type alike struct {
	rows     []docspace.Entry
	ordinals []int
	indexes  []int
}

func (a *alike) add(row docspace.Entry, ordinal, index int) {
	a.rows, a.ordinals, a.indexes = append(a.rows, row), append(a.ordinals, ordinal), append(a.indexes, index)
}

// doubles is how many of the rows are like others.
func (a alike) doubles() (n int) {
	for _, ordinal := range a.ordinals {
		n += min(ordinal, 1)
	}
	return n
}

// weigh tells the rows of a window that are published from those that are not.
// Of rows that are alike, the oldest are the published ones.
func weigh(mark checkpoint.Mark, s window, base int) balance {
	b := balance{low: s.low, base: base, want: s.high - base, slots: s.unseen}
	for _, place := range hidden(mark) {
		if index := place + base - mark.Accounted; index >= s.low {
			b.places = append(b.places, index)
		}
	}
	left, again := mark.Unnumbered.Counts(), make(map[uint64]int)
	remembered := mark.Unnumbered.Counts()
	indexes := s.indexes()
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
		b.fresh.add(s.rows[i], remembered[k]+again[k], indexes[i])
		again[k]++
		if i < docspace.MaxPage {
			b.freshLow++
		}
	}
	for i, row := range s.rows {
		if known[i] {
			b.known, b.knownAt = append(b.known, row), append(b.knownAt, indexes[i])
		}
	}
	return b
}

// hidden returns the places of the mark's hidden rows. Where no row was ever
// shown, all that were accounted for are.
func hidden(mark checkpoint.Mark) []int {
	if len(mark.Unnumbered.Keys) > 0 {
		return mark.Unnumbered.Hidden
	}
	all := make([]int, mark.Accounted)
	for i := range all {
		all[i] = i
	}
	return all
}

// newest is the index of the newest known row, -1 for none.
func (b balance) newest() int {
	if len(b.knownAt) == 0 {
		return -1
	}
	return b.knownAt[len(b.knownAt)-1]
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
		return at.Hour() < 4 || at.Hour() >= 22
	}
	return false
}

// still reports whether the rows that are not shown are where the mark knows
// some not to be.
func (b balance) still() bool {
	return slices.EqualFunc(b.slots, b.places, func(slot unseenRow, place int) bool { return slot.index == place })
}

// justCured reports whether, where no row came in, as many rows seem fresh as
// there are places of hidden rows at which a row is shown now. Otherwise one of
// them may be like a row published below the window.
func (b balance) justCured() bool {
	shown := func(place int) bool {
		_, hides := slices.BinarySearchFunc(b.slots, place, func(slot unseenRow, place int) int { return slot.index - place })
		return !hides
	}
	return len(slices.DeleteFunc(slices.Clone(b.places), func(place int) bool { return !shown(place) })) == len(b.fresh.rows)
}

// fallen is how many rows that were shown at the last look are not any more,
// less those that were published and not shown, and are again.
func (b balance) fallen() int {
	return b.base - b.low - len(b.places) - len(b.known)
}

// resolve finds out by arithmetic what became of the rows that are not shown, in
// a window that tells all that can be known. Known rows too many are in it
// because as many rows came in below.
func (b *balance) resolve(mark checkpoint.Mark) {
	b.short = max(0, -b.fallen()-min(sick(mark), len(b.places)))
	fallen := b.fallen() + b.short
	excess := len(b.fresh.rows) + b.short - b.want // rows cured, less those newly hidden
	curable := min(len(b.fresh.rows), len(b.places))
	if b.lost = max(0, excess-curable); b.lost > 0 {
		return
	}
	strange := b.crown()
	known := 0 // of them, rows that were published
	if b.low == 0 {
		strange, known = b.strange(max(fallen, -fallen)+b.fresh.doubles()), max(0, fallen)
	}
	n := max(-excess, 0, min(len(strange)-known, curable-excess, b.want-b.short))
	if b.low == 0 && len(strange) < n {
		strange = b.slots
	}
	b.unseen = slices.Clone(strange[max(0, len(strange)-n):])
	b.cured = n + excess
	b.short += n - len(b.unseen)
}

// crown returns the slots above the newest known row that are not accounted for.
// Where the mark forgot rows no others are certain: one below a known row may have
// been published, and a row come in too deep to be seen in its stead.
func (b balance) crown() []unseenRow {
	first := slices.IndexFunc(b.slots, func(slot unseenRow) bool { return slot.index > b.newest() })
	if first < 0 {
		return nil
	}
	for top := b.base - 1; first < len(b.slots) && slices.Contains(b.places, top); top-- {
		first++
	}
	return b.slots[first:]
}

// strange returns the slots that are at none of the places, by the number of
// known rows below. Each row that fell sick, or is shown again, makes one less or
// more, and each fresh one like a known one may.
func (b balance) strange(off int) (strange []unseenRow) {
	next, known := 0, 0
	for _, slot := range b.slots {
		for known < len(b.knownAt) && b.knownAt[known] < slot.index {
			known++
		}
		below := func() int { return b.places[next] + b.short - b.low - next }
		for next < len(b.places) && below() < known-off {
			next++
		}
		if next < len(b.places) && below() <= known+off {
			next++
			continue
		}
		strange = append(strange, slot)
	}
	return strange
}

// sick is how many hidden rows of the mark were published. Where it forgot
// places, it may be any of them.
func sick(mark checkpoint.Mark) int {
	u := mark.Unnumbered
	if len(u.Hidden) == maxHidden {
		return maxHidden
	}
	published := u.Dropped
	for _, k := range u.Keys {
		published += k.Count
	}
	return max(0, published+len(hidden(mark))-mark.Accounted)
}

// first returns at most n of the fresh rows, by date, and where the others are.
// Above those no row is accounted for that is not shown: it is left as they are.
func (b *balance) first(n int) (first alike, left []int) {
	n = min(n, len(b.fresh.rows))
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return b.fresh.rows[i].Date.Compare(b.fresh.rows[j].Date) })
	for _, i := range order {
		first.add(b.fresh.rows[i], b.fresh.ordinals[i], b.fresh.indexes[i])
	}
	left = slices.Sorted(slices.Values(b.fresh.indexes[n:]))
	if len(left) > 0 {
		i, _ := slices.BinarySearchFunc(b.unseen, left[0], func(row unseenRow, index int) int { return row.index - index })
		for _, row := range b.unseen[i:] {
			left = append(left, row.index)
		}
		b.unseen = b.unseen[:i]
		slices.Sort(left)
	}
	return first, left
}

// after returns the places of hidden rows as the mark is to remember them, with
// the rows at these indexes left out of it. A place is never less than the number
// of those before it.
func (b balance) after(mark checkpoint.Mark, left []int) []int {
	unaccounted := b.base - mark.Accounted + b.short // rows below the window
	n, _ := slices.BinarySearch(hidden(mark), b.low-unaccounted)
	places := slices.Clone(hidden(mark)[:n])
	for _, slot := range b.slots {
		if below, out := slices.BinarySearch(left, slot.index); !out {
			lowest := 0
			if n := len(places); n > 0 {
				lowest = places[n-1] + 1
			}
			places = append(places, max(lowest, slot.index-unaccounted-below))
		}
	}
	return places[max(0, len(places)-maxHidden):]
}

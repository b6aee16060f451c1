// Package checkpoint holds the mark: how far one folder has been published.
//
// A mark is written only together with the events it accounts for, so reading
// it back after any crash tells exactly what is in the stream. The package
// knows how a mark looks and how it moves; where it is kept, and how it gets
// there atomically, is the publisher's business.
package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrConflict is returned by a commit whose previous mark is no longer the
// folder's mark: somebody else is publishing the folder. The caller drops what
// it read and starts again from the current mark.
var ErrConflict = errors.New("another writer moved the mark")

// MaxRecent is how many row ids a mark remembers at most. A row that becomes
// visible late is recognised as long as fewer rows than this were committed
// above it.
const MaxRecent = 1024

// MaxHidden is how many places of hidden rows a mark remembers at most. With more
// it forgets what lies among the lowest ones, as it does beyond MaxRecent rows.
const MaxHidden = 256

// A State is what the connector can say about a folder.
type State string

// The states of a folder. A folder whose mark says nothing is Watching.
const (
	Watching     State = "watching"     // caught up at the last commit, or nearly so
	Backfilling  State = "backfilling"  // history is still being read
	Blind        State = "blind"        // the portal refuses to show the folder
	Gone         State = "gone"         // the portal has no such folder any more
	Rewound      State = "rewound"      // the portal lost rows that were published: restored, or re-created
	Unreconciled State = "unreconciled" // the portal counts rows that were not found
)

// States returns every state, in the order of the list above.
func States() []State {
	return []State{Watching, Backfilling, Blind, Gone, Rewound, Unreconciled}
}

// Refused reports whether the portal refuses to show a folder in this state.
func (s State) Refused() bool { return s == Blind || s == Gone }

// Stuck reports whether a folder stays in this state until somebody does something
// about it, however often it is polled. Its rows cannot be counted meanwhile.
func (s State) Stuck() bool { return s.Refused() || s == Rewound }

// A Mark tells how far one folder has been published. Marks are values: every
// method that moves one returns a new one.
type Mark struct {
	Folder int
	State  State
	Reason string // why the folder is in a state other than Watching or Backfilling

	// Anchor bounds the rows that count: those dated before it were never
	// asked for. Zero means from the beginning.
	Anchor time.Time
	// Accounted is the number of rows from the bottom of the log, or from the
	// anchor, that are in the stream, were reported as a gap, or were left out by
	// the operator's filter.
	Accounted int
	// Filtered tells which rows a filter left out.
	Filtered Filtered
	// Recent holds the newest committed row ids, ascending, at most MaxRecent.
	Recent []int64
	// Forgotten is the highest committed id that is not in Recent any more. Ids
	// up to it cannot be told apart and count as committed.
	Forgotten int64
	// Hidden tells where rows lie that were accounted for without being published,
	// because the portal counts and does not show them: at most MaxHidden places,
	// ascending, those near the top.
	Hidden []Place
	// Seal recognises the newest committed row, so that another row with its id
	// is not taken for it. Its form is the writer's business; "" matches all.
	Seal string
	// Unnumbered remembers the newest committed rows where the portal tells no
	// ids. Recent is empty until it does.
	Unnumbered Unnumbered

	NewestEvent time.Time // latest date among the committed rows
	Active      time.Time // when something last happened in the folder, by the writer's clock
	Since       time.Time // when the folder got its first mark
	LastPoll    time.Time // poll that led to this mark; idle polls write none
	Writer      string    // process that wrote it
	Portal      string    // host of the portal the folder is in; "" in marks of versions that did not say
	Key         string    // recognises the key of the newest pseudonyms, without giving it away; "" before the first

	// Unsettled says where in the stream rows lie that the mark does not account
	// for: those of events stored at this sequence or above it. They are not
	// stored again. 0 means none, as long as nothing lies above the mark itself.
	Unsettled uint64
	// Overtaken says where more of them lie, below Unsettled: ascending by where.
	Overtaken []Overtaken

	// Changes is how often an operator changed the mark, see change.go. Again is
	// the date up to which rows may have been published before the last time it
	// was put back.
	Changes int
	Again   time.Time
	// MovedTo is the highest row over which an operator moved the mark on. Of those
	// up to it nobody knows from the stream alone which were published.
	MovedTo int64

	// Revision says which stored mark this is: the stream sequence of its
	// message, 0 when none is stored. It is the fence of the next commit and
	// not part of the encoding.
	Revision uint64

	// extra keeps what a newer minor version wrote, so that rewriting a mark
	// does not destroy it.
	extra jsontext.Value
}

// Newest returns the highest committed row id, 0 when there is none.
func (m Mark) Newest() int64 {
	if len(m.Recent) == 0 {
		return 0
	}
	return m.Recent[len(m.Recent)-1]
}

// Known reports whether the row is committed, as far as the mark remembers.
func (m Mark) Known(id int64) bool {
	_, found := slices.BinarySearch(m.Recent, id)
	return found || id <= m.Forgotten
}

// Remember returns the mark with the ids added to Recent. It does not touch
// Accounted: a row can be accounted for without having an id worth keeping.
func (m Mark) Remember(ids ...int64) Mark {
	recent := make([]int64, 0, len(m.Recent)+len(ids))
	recent = append(append(recent, m.Recent...), ids...)
	slices.Sort(recent)
	recent = slices.Compact(recent)
	if drop := len(recent) - MaxRecent; drop > 0 {
		m.Forgotten = max(m.Forgotten, recent[drop-1])
		recent = slices.Clone(recent[drop:])
	}
	m.Recent = recent
	return m
}

// A Place is where rows lie that are not shown: between two rows that were.
type Place struct {
	Below int64 // id of the row next below; 0: there was none
	Above int64 // id of the row next above; 0: there was none
	Rows  int
}

// Holds reports whether a row with the id may lie there.
func (p Place) Holds(id int64) bool { return p.Below < id && (p.Above == 0 || id < p.Above) }

// Distinct returns the places ascending, each once.
func Distinct(places []Place) []Place {
	var ascending []Place
	for _, p := range slices.SortedFunc(slices.Values(places), func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Below, b.Below), cmp.Compare(a.Above, b.Above))
	}) {
		if n := len(ascending); n > 0 && ascending[n-1].Below == p.Below && ascending[n-1].Above == p.Above {
			ascending[n-1].Rows += p.Rows
		} else if p.Rows > 0 {
			ascending = append(ascending, p)
		}
	}
	return ascending
}

// Hide returns the mark with its hidden rows replaced. What lies below those it
// can remember, it forgets, rows and all.
func (m Mark) Hide(places ...Place) Mark {
	kept := Distinct(places)
	drop := max(0, len(kept)-MaxHidden)
	for _, p := range kept[:drop] {
		m.Forgotten = max(m.Forgotten, min(cmp.Or(p.Above, p.Below), m.Newest()-1))
	}
	m.Recent = slices.DeleteFunc(slices.Clone(m.Recent), func(id int64) bool { return id <= m.Forgotten })
	m.Hidden = slices.DeleteFunc(slices.Clone(kept[drop:]), func(p Place) bool { return p.Above != 0 && p.Above <= m.Forgotten })
	return m
}

// String tells an operator where the folder stands, in one line.
func (m Mark) String() string {
	s := fmt.Sprintf("folder %d: %s, %d rows accounted for", m.Folder, m.state(), m.Accounted)
	if !m.Anchor.IsZero() {
		s += " since " + m.Anchor.UTC().Format(time.RFC3339)
	}
	if newest := m.Newest(); newest != 0 {
		s += fmt.Sprintf(", newest row %d", newest)
	}
	if !m.NewestEvent.IsZero() {
		s += ", newest event " + m.NewestEvent.UTC().Format(time.RFC3339)
	}
	if n := m.Filtered.Rows; n > 0 {
		s += fmt.Sprintf(", %d rows left out since the filter last changed", n)
	}
	if m.Reason != "" {
		s += " (" + m.Reason + ")"
	}
	return s
}

func (m Mark) state() State {
	if m.State == "" {
		return Watching
	}
	return m.State
}

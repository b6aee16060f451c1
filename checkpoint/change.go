package checkpoint

import "time"

// An operator may put a mark back, or move it on. What follows from that is
// counted in Changes, because much that is known about a folder is known about
// its mark as it went by itself:
//
//   - Message ids of events that are published again would be those the server
//     has just seen, which drops them: where Changes is not 0, they carry it. The
//     ids of the events stay, by which consumers know them again.
//   - What a poller remembers beside the mark, it forgets when Changes moves.
//   - What is stored tells what a mark accounts for only from the last change on
//     (Published.Changed).
//
// A mark that is put back has what it accounts for stored again, and nothing else:
// what lies in the stream without being accounted for, of commits that were cut off
// or overtaken, stays out of it (Overtaken).

// Reset returns the mark of a folder that is read again, from the first row
// dated at the anchor or later; zero: from its first row of all. It accounts
// for nothing, and has no state of m's.
func (m Mark) Reset(anchor time.Time) Mark {
	next := m.changed()
	next.State, next.Anchor = Backfilling, anchor
	if m.NewestEvent.After(next.Again) {
		next.Again = m.NewestEvent
	}
	return next
}

// MovedOn returns the mark of a folder of which so many rows count as
// published, whether they were or not. The caller makes it remember the newest
// of them, as far as it knows them.
func (m Mark) MovedOn(accounted int) Mark {
	next := m.changed()
	next.State, next.Anchor, next.Accounted = Watching, m.Anchor, accounted
	next.NewestEvent = m.NewestEvent
	return next
}

// Imported returns the mark that takes the place of prev, of a file that may be
// of another stream.
func (m Mark) Imported(prev Mark) Mark {
	m.Changes = max(m.Changes, prev.Changes) + 1
	m.Unsettled, m.Overtaken, m.Revision = 0, nil, 0
	if prev.NewestEvent.After(m.Again) {
		m.Again = prev.NewestEvent
	}
	return m
}

// changed is what a mark keeps through a change: what is not about rows.
func (m Mark) changed() Mark {
	return Mark{
		Folder: m.Folder, Changes: m.Changes + 1, Again: m.Again,
		Active: m.Active, Since: m.Since, LastPoll: m.LastPoll,
		Writer: m.Writer, Portal: m.Portal, Key: m.Key,
		extra: m.extra,
	}
}

// Overtaken is where rows lie in the stream that no mark accounted for before it was
// put back: those of events stored at From or later, up to where the next begins or
// Mark.Unsettled, and with higher ids than Above. The others were accounted for, and
// are to be stored again.
type Overtaken struct {
	From  uint64 `json:"from"`
	Above int64  `json:"above"`
}

// Overtake returns m with what is known of rows in the stream as it is for the mark
// that m is put back to. All rows stored after m are such that nobody accounted for.
// A log that was rewound has other rows under the same ids. Rows without ids are
// forgotten.
func (m Mark) Overtake() Mark {
	newest := max(m.Newest(), m.Forgotten)
	var kept []Overtaken
	add := func(o Overtaken) {
		if o.Above = max(o.Above, newest); len(kept) == 0 || kept[len(kept)-1].Above > o.Above {
			kept = append(kept, o)
		}
	}
	if m.State != Rewound {
		for _, o := range m.Overtaken {
			add(o)
		}
		if m.Unsettled > 0 {
			add(Overtaken{From: m.Unsettled})
		}
	}
	m.Unsettled, m.Overtaken = 0, kept
	return m
}

// ChangedBy reports whether next is what an operator made of the mark.
func (m Mark) ChangedBy(next Mark) bool { return next.Changes > m.Changes }

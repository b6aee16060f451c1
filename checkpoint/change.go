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
	m.Unsettled, m.Revision = 0, 0
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

// ChangedBy reports whether next is what an operator made of the mark.
func (m Mark) ChangedBy(next Mark) bool { return next.Changes > m.Changes }

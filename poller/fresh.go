package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A reading is what one look at a folder found: rows to publish, or why there
// are none.
type reading struct {
	rows    []docspace.Entry      // not yet committed, ascending by id
	unseen  []unseenRow           // not yet accounted for, and never to be seen
	crown   int                   // unseen rows above the newest committed one, after this
	removed int                   // committed rows that are gone from the bottom of the log
	missing int                   // rows the portal counts that were not found
	unread  int                   // rows left after these
	dug     bool                  // rows below the newest page were searched
	rewound string                // why the log is not the one that was published; "" if it is
	refused *docspace.StatusError // why the folder cannot be read; nil if it can
	last    bool                  // the look ended at the newest row

	keyed    bool       // the rows have no ids
	ordinals []int      // of rows: how many like each were published before
	cured    int        // rows among them that were accounted for as hidden
	hidden   []int      // what the mark remembers of hidden rows after this
	sick     int        // how many of those were published
	numbers  *numbering // the ids of what was published without; nil if none were found
}

// size is how many rows it accounts for.
func (r reading) size() int { return len(r.rows) + len(r.unseen) - r.cured }

// ordinal is how many rows like the one at i were published before.
func (r reading) ordinal(i int) int {
	if r.ordinals == nil {
		return 0
	}
	return r.ordinals[i]
}

// proven reports whether it shows the folder to be complete: what is counted is
// accounted for, with nothing found that could hide a missing row.
func (r reading) proven() bool { return r.last && r.size() == 0 && r.unread == 0 }

// read finds what is to be published next: history from the bottom while the
// newest page does not reach down to the mark, then what is new at the top.
func (w *walk) read(ctx context.Context, mark checkpoint.Mark, most int) (reading, error) {
	var top sheet
	for {
		if w.keyed {
			r, err := w.unnumbered(ctx, mark, top, most)
			if !errors.Is(err, errUpgraded) {
				return r, err
			}
			w.keyed = false
		}
		if w.climbing {
			r, err := w.history(ctx, mark, most)
			if errors.Is(err, errNameless) {
				w.climbing, w.keyed = false, true
				continue
			}
			if err != nil || r.size() > 0 || r.rewound != "" {
				return r, err
			}
			w.climbing, w.climbed = false, true
		}
		var err error
		if top, err = w.top(ctx, mark); err != nil {
			return reading{}, err
		}
		switch {
		case w.same && top.total == mark.Accounted:
			return w.restless(mark, top), nil
		case len(mark.Unnumbered.Keys) > 0 && w.told.Load():
			return w.renumber(ctx, mark)
		case len(mark.Unnumbered.Keys) > 0 || w.withoutIDs():
			w.keyed = true
		case reaches(top, mark):
			return w.reconcile(ctx, mark, top, most)
		case w.climbed:
			return w.restless(mark, top), nil
		default:
			w.seek(mark)
			w.climbing = true
		}
	}
}

// restless is the end of a look whose newest page still does not reach down to
// the mark: more than a page came in since the walk arrived there, or none of
// its rows is shown.
func (w *walk) restless(mark checkpoint.Mark, top sheet) reading {
	r := reading{crown: mark.HiddenAbove, last: true}
	if top.total != mark.Accounted {
		r.unread = max(1, top.total-mark.Accounted)
	}
	return r
}

// history reads what lies above the mark, oldest first.
func (w *walk) history(ctx context.Context, mark checkpoint.Mark, most int) (reading, error) {
	r, err := w.take(docspace.Patient(ctx), most)
	if lost := new(lostLinkError); errors.As(err, &lost) && lost.id == mark.Newest() {
		return reading{rewound: fmt.Sprintf("row %d was published and is gone", lost.id), last: true}, nil
	}
	r.unread = max(0, w.total-mark.Accounted-r.size())
	return r, err
}

// reconcile compares the newest page with the mark. What the portal counts
// and what is committed or fresh must add up; rows that do not are searched
// for below, where a row that became visible late would be.
func (w *walk) reconcile(ctx context.Context, mark checkpoint.Mark, top sheet, most int) (reading, error) {
	if reason := rewound(top, mark); reason != "" {
		return reading{rewound: reason, last: true}, nil
	}
	r := reading{
		rows:   unknown(top, mark),
		unseen: top.unseenAbove(mark.Newest(), mark.HiddenAbove),
		last:   true,
	}
	unread := top.total - mark.Accounted
	if unread < 0 && r.size() == 0 {
		r.removed = -unread
	}
	if missing := unread - r.size(); missing > 0 && !w.searched(missing) {
		if err := w.search(docspace.Patient(ctx), mark, top, missing, &r); err != nil {
			return reading{}, err
		}
	}
	slices.SortFunc(r.rows, func(a, b docspace.Entry) int { return cmp.Compare(a.ID, b.ID) })
	if len(r.rows) > most {
		r.rows, r.last = r.rows[:most], false
		r.unseen, _ = split(r.unseen, r.rows[most-1].ID)
	}
	r.crown = crownAfter(mark, r, top)
	r.unread = max(0, unread-r.size())
	if r.size() > 0 && r.size() > unread {
		// Rows came in after they were counted, or a row that was a gap can be
		// seen now. Only another look tells, before a late row cancels it out.
		r.last = false
	}
	if r.last {
		r.missing = r.unread
	}
	return r, nil
}

// crownAfter returns how many unseen rows will lie above the newest committed
// row, accounted for.
func crownAfter(mark checkpoint.Mark, r reading, top sheet) int {
	n := len(r.rows)
	switch {
	case n == 0 || r.rows[n-1].ID < mark.Newest():
		return mark.HiddenAbove + len(r.unseen)
	case r.last:
		return top.crown()
	default:
		return top.carried(mark.Newest(), mark.HiddenAbove, r.rows[n-1].ID)
	}
}

// search looks for missing rows below the newest page, as deep as the mark
// remembers. Reading downwards, rows inserted meanwhile repeat and never hide
// others.
func (w *walk) search(ctx context.Context, mark checkpoint.Mark, s sheet, missing int, r *reading) error {
	r.dug = true
	seen := make(map[int64]bool, len(r.rows))
	for _, row := range r.rows {
		seen[row.ID] = true
	}
	found := 0
	for offset := s.start + s.asked - 1; found < missing && offset < s.total && !s.below(mark.Forgotten+1); offset += step {
		var err error
		if s, err = w.fetch(ctx, offset, docspace.MaxPage); err != nil {
			return err
		}
		for _, row := range unknown(s, mark) {
			if !seen[row.ID] {
				seen[row.ID] = true
				r.rows = append(r.rows, row)
				found++
			}
		}
	}
	return nil
}

// searched reports whether as many missing rows were already searched for
// lately, in vain.
func (w *walk) searched(missing int) bool {
	return missing <= w.given.missing && time.Since(w.given.at) < searchAgain
}

// unknown returns the rows of a sheet that are not committed.
func unknown(s sheet, mark checkpoint.Mark) []docspace.Entry {
	var rows []docspace.Entry
	for _, row := range s.rows {
		if !mark.Known(row.ID) {
			rows = append(rows, row)
		}
	}
	return rows
}

// reaches reports whether the newest page goes down to the mark, or to the
// bottom of the log.
func reaches(s sheet, mark checkpoint.Mark) bool {
	return s.whole() || mark.Newest() != 0 && s.below(mark.Newest()+1)
}

// rewound tells why the log cannot be the one that was published, or "".
// Rows are never taken away from the top of a log: only a portal restored from
// a backup, or a folder made anew, looks like that.
func rewound(s sheet, mark checkpoint.Mark) string {
	newest := mark.Newest()
	if newest == 0 {
		return ""
	}
	if s.total == 0 {
		return fmt.Sprintf("the log is empty, and %d of its rows were published", mark.Accounted)
	}
	if len(s.rows) == 0 {
		return ""
	}
	if top := s.rows[0].ID; top < newest && !s.hides(newest) {
		return fmt.Sprintf("its newest row is %d, and row %d was published", top, newest)
	}
	row, found := s.find(newest)
	switch {
	case !found && reaches(s, mark) && !s.hides(newest):
		return fmt.Sprintf("row %d was published and is gone", newest)
	case found && !sealed(mark.Seal, row):
		return fmt.Sprintf("row %d was published and is another one now", newest)
	}
	return ""
}

// seal describes a row by what of it never changes: what was done, when, and
// the titles as they were.
func seal(row docspace.Entry) string {
	h := fnv.New32a()
	for _, text := range []string{row.Data.Title, row.Data.OldTitle, row.Data.NewTitle} {
		_, _ = h.Write([]byte(text + "\x00"))
	}
	return fmt.Sprintf("%d:%d:%08x", row.Action.Code, row.Date.Unix(), h.Sum32())
}

// sealed reports whether the row is the one the seal was made from. Dates may
// differ by an hour: once a year the portal reports some so, depending on its
// time zone.
func sealed(mark string, row docspace.Entry) bool {
	if mark == "" || mark == seal(row) {
		return true
	}
	for _, shift := range []time.Duration{-time.Hour, time.Hour} {
		shifted := row
		shifted.Date = row.Date.Add(shift)
		if mark == seal(shifted) {
			return true
		}
	}
	return false
}

package poller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A reading is what one look at a folder found: rows to publish, or why there
// are none.
type reading struct {
	rows    []docspace.Entry // not yet committed, ascending by id
	hidden  int              // rows the portal counts and does not show
	sick    []sickRow        // those of them that are known not to be renderable
	removed int              // committed rows that are gone from the bottom of the log
	missing int              // rows the portal counts that were not found
	unread  int              // rows left after these
	dug     bool             // rows below the newest page were searched
	rewound string           // why the log is not the one that was published; "" if it is
	refused *docspace.StatusError
	last    bool // the look ended at the newest row
}

// size is how many rows it accounts for.
func (r reading) size() int { return len(r.rows) + r.hidden }

// read finds what is to be published next: history from the bottom while the
// newest page does not reach down to the mark, then what is new at the top.
func (w *walk) read(ctx context.Context, mark checkpoint.Mark, most int) (reading, error) {
	for {
		if w.climbing {
			r, err := w.take(ctx, most)
			if err != nil {
				return reading{}, err
			}
			if r.size() > 0 {
				r.unread = max(0, w.total-mark.Accounted-r.size())
				return r, nil
			}
			w.climbing, w.climbed = false, true
		}
		top, err := w.top(ctx, mark)
		if err != nil {
			return reading{}, err
		}
		if reaches(top, mark) {
			return w.reconcile(ctx, mark, top, most)
		}
		if w.climbed {
			// More than a page came in since the walk arrived here.
			return reading{unread: top.total - mark.Accounted, last: true}, nil
		}
		w.seek(mark)
		w.climbing = true
	}
}

// reconcile compares the newest page with the mark. What the portal counts
// and what is committed or fresh must add up; rows that do not are searched
// for below, where a row that became visible late would be.
func (w *walk) reconcile(ctx context.Context, mark checkpoint.Mark, top sheet, most int) (reading, error) {
	if reason := rewound(top, mark); reason != "" {
		return reading{rewound: reason, last: true}, nil
	}
	r := reading{rows: unknown(top, mark), last: true}
	unread := top.total - mark.Accounted
	if unread < 0 && len(r.rows) == 0 {
		return reading{removed: -unread, last: true}, nil
	}
	r.sick = top.sickSince(mark.Accounted)
	r.hidden = max(0, min(len(r.sick), unread-len(r.rows)))
	if missing := unread - r.size(); missing > 0 && !w.searched(missing) {
		if err := w.search(ctx, mark, top, missing, &r); err != nil {
			return reading{}, err
		}
	}
	slices.SortFunc(r.rows, func(a, b docspace.Entry) int { return cmp.Compare(a.ID, b.ID) })
	if len(r.rows) > most {
		r.rows, r.last = r.rows[:most], false
	}
	r.unread = max(0, unread-r.size())
	if r.last {
		r.missing = r.unread
	}
	return r, nil
}

// search looks for missing rows below the newest page, as deep as the mark
// remembers. Reading downwards, rows inserted meanwhile repeat and never hide
// others.
func (w *walk) search(ctx context.Context, mark checkpoint.Mark, s sheet, missing int, r *reading) error {
	seen := make(map[int64]bool, len(r.rows))
	for _, row := range r.rows {
		seen[row.ID] = true
	}
	found, silent := 0, s.hidden()-r.hidden
	for offset := s.start + s.asked - 1; found < missing && offset < s.total && !s.below(mark.Horizon()); offset += step {
		var err error
		if s, err = w.fetch(ctx, offset); err != nil {
			return err
		}
		silent += s.hidden()
		for _, row := range unknown(s, mark) {
			if !seen[row.ID] {
				seen[row.ID] = true
				r.rows = append(r.rows, row)
				found++
			}
		}
	}
	r.dug = true
	r.hidden += max(0, min(missing-found, silent))
	return nil
}

// searched reports whether as many missing rows were already searched for
// lately, in vain.
func (w *walk) searched(missing int) bool {
	return missing <= w.given.missing && time.Since(w.given.at) < searchAgain
}

// unknown returns the rows of a page that are not committed.
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
	if top := s.rows[0].ID; top < newest {
		return fmt.Sprintf("its newest row is %d, and row %d was published", top, newest)
	}
	if !reaches(s, mark) || s.holds(newest) {
		return ""
	}
	return fmt.Sprintf("row %d was published and is gone", newest)
}

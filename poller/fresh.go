package poller

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A reading is what one look at a folder found: rows to publish, or why there
// are none.
type reading struct {
	rows     []docspace.Entry      // not yet committed, ascending by id
	unseen   []unseenRow           // not yet accounted for, and never to be seen
	cured    int                   // rows among rows that were accounted for as hidden
	again    []docspace.Entry      // committed without an id that turned out to be theirs, and not among rows
	places   []checkpoint.Place    // of all that is accounted for and was never published, after this
	filtered int                   // rows missing far below that the filter leaves out
	removed  int                   // committed rows that are gone from the bottom of the log
	missing  int                   // rows the portal counts that were not found
	unread   int                   // rows left after these
	dug      bool                  // rows below the newest page were searched
	rewound  string                // why the log is not the one that was published; "" if it is
	refused  *docspace.StatusError // why the folder cannot be read; nil if it can
	last     bool                  // the look ended at the newest row

	keyed    bool       // the rows have no ids
	ordinals []int      // of rows: how many like each were published before
	passed   int        // rows missing below, as far as they were searched for
	hidden   []int      // what the mark remembers of hidden rows after this
	numbers  *numbering // the ids of what was published without; nil if none were found
}

// empty reports whether nothing is to be committed.
func (r reading) empty() bool { return len(r.rows)+len(r.unseen)+len(r.again)+r.cured+r.filtered == 0 }

// size is how many rows it accounts for.
func (r reading) size() int { return len(r.rows) + len(r.unseen) - r.cured + r.filtered }

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
			if err != nil || !r.empty() || r.rewound != "" {
				return r, err
			}
			w.climbing, w.climbed = false, true
		}
		var err error
		if top, err = w.top(ctx, mark); err != nil {
			return reading{}, err
		}
		switch {
		case w.same:
			return w.restless(mark, top), nil
		case mark.Unnumbered.Current() && w.told.Load():
			return w.renumber(ctx, mark)
		case mark.Unnumbered.Current() || w.withoutIDs():
			w.keyed = true
		case reaches(top, mark):
			return w.reconcile(ctx, mark, top, most)
		case w.climbed && w.run.total == top.total && w.run.end() == top.total:
			return w.reconcile(ctx, mark, w.run, most)
		case w.climbed:
			return w.restless(mark, top), nil
		default:
			w.seek(mark)
			w.climbing = true
		}
	}
}

// restless is the end of a look at a newest page that is as it was, or still does
// not reach down to the mark: more than a page came in since the walk arrived
// there.
func (w *walk) restless(mark checkpoint.Mark, top sheet) reading {
	r := reading{places: mark.Hidden, last: true}
	if top.total != mark.Accounted {
		r.unread = max(1, top.total-mark.Accounted)
	}
	if w.same {
		r.missing = r.unread // they were searched for in vain
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
		if moved, err := w.vanished(ctx, top); moved || err != nil {
			return reading{places: mark.Hidden}, err
		}
		return reading{rewound: reason, last: true}, nil
	}
	unread, dug := top.total-mark.Accounted, false
	if missing := unread - top.tally(mark).size(); (missing > 0 || top.beneath(mark)) && !w.searched(missing) {
		var err error
		if top, err = w.search(docspace.Patient(ctx), mark, top, unread); err != nil {
			return reading{}, err
		}
		dug = true
	}
	t, moved, err := w.compare(ctx, top, mark)
	if moved || err != nil {
		return reading{places: mark.Hidden}, err
	}
	r := t.first(most)
	r.dug, r.unread = dug, max(0, unread-r.size())
	if unread < 0 && len(r.rows)+len(r.unseen) == 0 {
		r.removed = max(0, r.size()-unread)
	}
	if r.size() > 0 && r.size() > unread {
		r.last = false // rows came in after they were counted: only another look tells
	}
	if r.last {
		r.missing = r.unread
	}
	return r, nil
}

// search reads on below the newest page, as deep as the mark remembers, until
// all is found that the portal counts. Reading downwards, rows inserted meanwhile
// repeat and never hide others.
func (w *walk) search(ctx context.Context, mark checkpoint.Mark, s sheet, unread int) (sheet, error) {
	for last := s; (s.tally(mark).size() < unread || s.beneath(mark)) && last.low() >= 0 && !s.below(mark.Forgotten+1); {
		var err error
		if last, err = w.fetch(ctx, last.start+last.asked-1, docspace.MaxPage); err != nil {
			return sheet{}, err
		}
		s = s.extend(last)
	}
	return s, nil
}

// searched reports whether as many missing rows were already searched for
// lately, in vain.
func (w *walk) searched(missing int) bool {
	return missing <= w.given.missing && time.Since(w.given.at) < searchAgain
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

// untitled is the seal without the titles: whoever reads a mark could guess them.
func untitled(seal string) string {
	if i := strings.LastIndexByte(seal, ':'); i > strings.IndexByte(seal, ':') {
		return seal[:i]
	}
	return seal
}

// sealed reports whether the row is the one the seal was made from, with titles
// or without. Dates may differ by an hour: once a year the portal reports some
// so, depending on its time zone.
func sealed(mark string, row docspace.Entry) bool {
	if mark == "" {
		return true
	}
	for _, shift := range []time.Duration{0, -time.Hour, time.Hour} {
		shifted := row
		shifted.Date = row.Date.Add(shift)
		if s := seal(shifted); mark == s || mark == untitled(s) {
			return true
		}
	}
	return false
}

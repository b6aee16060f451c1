package poller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// The portal counts rows that it does not show. Some it leaves out of the page,
// because it has no words for their action. Others it fails to render, and with
// them every page that holds them, each time. Both kinds are found by halving
// the page until they stand alone, and reported as gaps; the rows around them
// are published as ever.

// errMoved says that the log changed while a page was taken apart.
var errMoved = errors.New("rows came in while a page was searched for rows that are not shown; the next poll tries again")

// cuts is how often a page is taken apart anew because the log moved.
const cuts = 5

// cutOut reads a page and finds the rows in it that are not shown. A failure
// to read the page stands when it is not a row's: when the folder itself cannot
// be read, or no row of the page nor any elsewhere in the log. Guesses are
// offsets where such rows are likely, ascending.
func (w *walk) cutOut(ctx context.Context, start, count int, failure error, guesses ...int) (sheet, error) {
	for range cuts {
		c := cut{walk: w, sheet: sheet{start: start, asked: count, total: noCount}, guesses: guesses}
		err := c.fault(ctx, failure)
		if err == nil {
			err = c.read(ctx, start, count)
		}
		if err == nil && c.sheet.total == noCount {
			err = c.elsewhere(ctx)
		}
		if err == nil {
			err = c.confirm(ctx)
		}
		if err == nil && w.told.Load() && c.mixed {
			continue // it was not known yet that rows have ids
		}
		if !errors.Is(err, errMoved) {
			return c.sheet, err
		}
		guesses = nil
	}
	return sheet{}, fmt.Errorf("history of folder %d: %w", w.folder, errMoved)
}

const (
	noCount = -1      // a count that is not known
	beyond  = 1 << 30 // offset where no log has a row; the answer is a count
)

// A cut puts a page together from parts. They fit only while the portal counts
// the same rows for each.
type cut struct {
	walk    *walk
	sheet   sheet
	sick    []int // offsets of rows that fail every page they are in
	guesses []int
	failure error // of a part, that a row is to blame for
	mixed   bool  // some rows were taken without ids
}

// read reads a part of the page: around the rows guessed at, and in halves where
// rows are missing from it.
func (c *cut) read(ctx context.Context, start, count int) error {
	if at, guessed := c.guess(start, count); guessed {
		return c.parts(ctx, start, at-start, 1, start+count-at-1)
	}
	part, err := c.walk.ask(ctx, start, count)
	switch {
	case err == nil && (part.short() == 0 || len(part.rows) == 0):
		return c.add(part)
	case err == nil:
	case poison(err) == 0:
		return err
	case count == 1:
		return c.addSick(ctx, start, err)
	default:
		if err := c.fault(ctx, err); err != nil {
			return err
		}
	}
	return c.parts(ctx, start, count/2, count-count/2)
}

// parts reads parts of those lengths, one after the other.
func (c *cut) parts(ctx context.Context, start int, lengths ...int) error {
	for _, count := range lengths {
		if count == 0 {
			continue
		}
		if err := c.read(ctx, start, count); err != nil {
			return err
		}
		start += count
	}
	return nil
}

// guess returns the offset of a row within a part of several that is likely not
// to be shown.
func (c *cut) guess(start, count int) (at int, guessed bool) {
	i, _ := slices.BinarySearch(c.guesses, start)
	if count == 1 || i == len(c.guesses) || c.guesses[i] >= start+count {
		return 0, false
	}
	return c.guesses[i], true
}

// fault takes a failure to read a part for a row's. The first one stands when
// the folder itself cannot be read.
func (c *cut) fault(ctx context.Context, failure error) error {
	if failure == nil || c.failure != nil {
		return nil
	}
	if _, err := c.walk.portal.Folder(ctx, c.walk.folder); err != nil {
		return failure
	}
	c.failure = failure
	return nil
}

// addSick appends a row that cannot be rendered.
func (c *cut) addSick(ctx context.Context, start int, failure error) error {
	if err := c.fault(ctx, failure); err != nil {
		return err
	}
	if _, guessed := slices.BinarySearch(c.guesses, start); !guessed {
		c.sick = append(c.sick, start)
	}
	c.sheet.unseen = append(c.sheet.unseen, unseenRow{index: -start, above: c.lowest(), status: poison(failure)})
	return nil
}

// lowest is the id of the last row read, 0 when there is none.
func (c *cut) lowest() int64 {
	if n := len(c.sheet.rows); n > 0 {
		return c.sheet.rows[n-1].ID
	}
	return 0
}

// elsewhere looks for a row outside of a page that has none to show. One is
// proof that rows can be shown, and that those of the page cannot; without one
// it more likely is trouble that will pass.
func (c *cut) elsewhere(ctx context.Context) error {
	end, err := c.walk.ask(ctx, beyond, 1)
	if err != nil {
		return c.failure
	}
	for _, start := range []int{c.sheet.start + c.sheet.asked, c.sheet.start - 1, 0, end.total - 1, end.total / 2, end.total / 4, 3 * end.total / 4} {
		if start < 0 || start >= end.total {
			continue
		}
		if row, err := c.walk.ask(ctx, start, 1); err == nil && len(row.rows) == 1 {
			c.sheet.total = row.total
			return nil
		}
	}
	return c.failure
}

// add appends a part that shows all its rows, or none.
func (c *cut) add(part sheet) error {
	if c.sheet.total == noCount {
		c.sheet.total = part.total
	}
	if part.total != c.sheet.total {
		return errMoved
	}
	for i := range part.short() {
		c.sheet.unseen = append(c.sheet.unseen, unseenRow{index: -(part.start + i), above: c.lowest(), status: http.StatusOK})
	}
	if len(part.rows) == 0 {
		return nil
	}
	for i := range c.sheet.unseen {
		if c.sheet.unseen[i].below == 0 {
			c.sheet.unseen[i].below = part.rows[0].ID
		}
	}
	c.mixed = c.mixed || part.anonymous()
	c.sheet.rows = append(c.sheet.rows, part.rows...)
	return nil
}

// confirm asks once more for the rows that could not be rendered: they must
// fail again, with nothing inserted since the first part was read. A row is
// given up only on the word of two answers, one of which may be a guess that was right.
func (c *cut) confirm(ctx context.Context) error {
	for _, start := range c.sick {
		_, err := c.walk.ask(ctx, start, 1)
		if err == nil {
			return errMoved
		}
		if poison(err) == 0 {
			return err
		}
	}
	// Beyond the oldest row there is nothing to render, and the count.
	end, err := c.walk.ask(ctx, c.sheet.total, 1)
	if err != nil {
		return err
	}
	if end.total != c.sheet.total || len(end.rows) > 0 {
		return errMoved
	}
	for i := range c.sheet.unseen {
		c.sheet.unseen[i].index += c.sheet.total - 1
	}
	return nil
}

// poison returns the status of an answer that a single row can be the reason
// of, 0 for any other.
func poison(err error) int {
	var answer *docspace.StatusError
	if errors.As(err, &answer) && answer.Poison() {
		return answer.Code
	}
	return 0
}

// An ailment is what is known of a newest page with rows that are not shown, so
// that not every poll takes it apart. It is zero for a page that shows all.
type ailment struct {
	top sheet
	at  time.Time // when it was taken apart
}

// diagnose remembers a newest page that does not show all its rows.
func diagnose(top sheet) ailment {
	if len(top.unseen) == 0 {
		return ailment{}
	}
	return ailment{top: top, at: time.Now()}
}

func (a ailment) none() bool { return len(a.top.unseen) == 0 }

// above returns how many rows lie above the newest unseen one.
func (a ailment) above() int {
	newest := slices.MaxFunc(a.top.unseen, func(a, b unseenRow) int { return a.index - b.index })
	return a.top.total - 1 - newest.index
}

// clean returns the longest part of the page that shows all its rows: its
// offset, and where it begins among the rows.
func (a ailment) clean() (start, count, first int) {
	shown := 0
	for from, at := 0, 0; at <= a.top.asked && at <= a.top.total; at++ {
		hidden := slices.ContainsFunc(a.top.unseen, func(u unseenRow) bool { return u.index == a.top.total-1-at })
		if !hidden && at < a.top.asked && at < a.top.total {
			continue
		}
		if at-from > count {
			start, count, first = from, at-from, shown
		}
		shown += at - from
		from = at + 1
	}
	return start, count, first
}

// aroundAilment reads the part of the newest page above its unseen rows or,
// where nothing is above them, the longest part between them, to learn whether
// anything changed. It reports whether that is enough: in the first case it is
// while fewer new rows came in than the part holds, in the second while none
// did.
func (w *walk) aroundAilment(ctx context.Context, mark checkpoint.Mark) (s sheet, well bool, err error) {
	if w.ailment.none() {
		return sheet{}, false, nil
	}
	if above := w.ailment.above(); above > 0 && !w.ailment.top.anonymous() {
		s, err = w.ask(ctx, 0, min(above, docspace.MaxPage))
		well = err == nil && s.short() == 0 && reaches(s, mark)
		if well {
			w.ailment.top.total = s.total
		}
	} else if w.ailment.top.total == mark.Accounted+w.given.missing { // only then nothing is to be found in it
		s, well, err = w.unchanged(ctx)
		w.same = well && err == nil
	}
	if poison(err) != 0 {
		return sheet{}, false, nil
	}
	return s, well, err
}

// unchanged asks for a part of the page that shows all its rows, and returns
// the page as it was when neither the count nor those rows differ.
func (w *walk) unchanged(ctx context.Context) (sheet, bool, error) {
	start, count, first := w.ailment.clean()
	if count == 0 {
		s, err := w.ask(ctx, w.ailment.top.total, 1)
		return w.ailment.top, err == nil && s.total == w.ailment.top.total, err
	}
	s, err := w.ask(ctx, start, count)
	if err != nil {
		return sheet{}, false, err
	}
	before := w.ailment.top.rows[first : first+count]
	return w.ailment.top, s.total == w.ailment.top.total && alikeAll(s.rows, before), nil
}

// alikeAll reports whether rows are the same, by their ids or, where they have
// none, by their keys and in any order.
func alikeAll(a, b []docspace.Entry) bool {
	if len(a) == 0 || a[0].ID > 0 {
		return slices.Equal(ids(a), ids(b))
	}
	return slices.Equal(slices.Sorted(slices.Values(keys(a))), slices.Sorted(slices.Values(keys(b))))
}

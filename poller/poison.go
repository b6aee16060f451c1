package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// The portal renders a page as a whole, so that one row it cannot render fails
// every page that holds it, each time. Such a row is found by halving the page
// until it stands alone. The others are published as ever; the row itself is
// counted and never seen, like any row the portal hides.

// A sickRow is one that cannot be rendered.
type sickRow struct {
	index  int // from the bottom
	status int // HTTP status of the pages that hold it
}

// errMoved says that the log changed while a page was taken apart.
var errMoved = errors.New("rows were inserted while a page was searched for a row that cannot be rendered; the next poll tries again")

// cuts is how often a page is taken apart anew because the log moved.
const cuts = 3

// cutOut reads a page around the rows that cannot be rendered. The failure
// stands when it is not a row's: the folder itself cannot be read, or no row of
// the page can, which more likely is trouble that will pass.
func (w *walk) cutOut(ctx context.Context, start int, failure error) (sheet, error) {
	if _, err := w.portal.Folder(ctx, w.folder); err != nil {
		return sheet{}, failure
	}
	for range cuts {
		c := cut{walk: w, sheet: sheet{start: start, asked: docspace.MaxPage, total: unknownTotal}}
		err := c.read(ctx, start, docspace.MaxPage)
		if err == nil && len(c.sheet.rows) == 0 {
			return sheet{}, failure
		}
		if err == nil {
			err = c.confirm(ctx)
		}
		if !errors.Is(err, errMoved) {
			return c.sheet, err
		}
	}
	return sheet{}, fmt.Errorf("history of folder %d: %w", w.folder, errMoved)
}

const unknownTotal = -1

// A cut puts a page together from parts. They fit only while the portal counts
// the same rows for each.
type cut struct {
	walk  *walk
	sheet sheet
	sick  []sickOffset
	good  int // offset of a row that can be rendered
}

type sickOffset struct{ start, status int }

// read reads a part of the page, in halves where it cannot be read whole.
func (c *cut) read(ctx context.Context, start, count int) error {
	part, err := c.walk.ask(ctx, start, count)
	if status := poison(err); status != 0 {
		if count == 1 {
			c.sick = append(c.sick, sickOffset{start, status})
			return nil
		}
		if err := c.read(ctx, start, count/2); err != nil {
			return err
		}
		return c.read(ctx, start+count/2, count-count/2)
	}
	if err != nil {
		return err
	}
	return c.add(part)
}

func (c *cut) add(part sheet) error {
	if c.sheet.total == unknownTotal {
		c.sheet.total = part.total
	}
	if part.total != c.sheet.total {
		return errMoved
	}
	if len(part.rows) > 0 {
		c.good = part.start
	}
	c.sheet.rows = append(c.sheet.rows, part.rows...)
	return nil
}

// confirm asks once more for the rows that could not be rendered: they must
// fail again, with nothing inserted since the first part was read. A row is
// given up only on the word of two answers.
func (c *cut) confirm(ctx context.Context) error {
	for _, sick := range c.sick {
		_, err := c.walk.ask(ctx, sick.start, 1)
		if err == nil {
			return errMoved
		}
		if poison(err) == 0 {
			return err
		}
		c.sheet.sick = append(c.sheet.sick, sickRow{index: c.sheet.total - 1 - sick.start, status: sick.status})
	}
	part, err := c.walk.ask(ctx, c.good, 1)
	if poison(err) != 0 || err == nil && part.total != c.sheet.total {
		return errMoved
	}
	return err
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

// An ailment is what is known of the newest row that cannot be rendered, so
// that not every poll takes the newest page apart. It is zero when there is
// none.
type ailment struct {
	total int // rows counted when it was seen last
	index int // from the bottom
}

// diagnose finds the newest sick row of the newest page.
func diagnose(top sheet) ailment {
	if len(top.sick) == 0 {
		return ailment{}
	}
	newest := slices.MaxFunc(top.sick, func(a, b sickRow) int { return a.index - b.index })
	return ailment{total: top.total, index: newest.index}
}

// aroundAilment reads the part of the newest page above a row known to be sick
// or, where nothing is above it, the part below. It reports whether that is
// enough: it is while fewer new rows came in than the part holds.
func (w *walk) aroundAilment(ctx context.Context, mark checkpoint.Mark) (s sheet, well bool, err error) {
	above := w.ailment.total - 1 - w.ailment.index
	switch {
	case w.ailment.total == 0 || above >= docspace.MaxPage:
		return sheet{}, false, nil
	case above > 0:
		s, err = w.ask(ctx, 0, above)
	default:
		s, err = w.ask(ctx, 1, step)
	}
	if poison(err) != 0 {
		return sheet{}, false, nil
	}
	if err != nil {
		return sheet{}, false, err
	}
	if above == 0 && s.total != w.ailment.total || !reaches(s, mark) {
		return sheet{}, false, nil
	}
	w.ailment.total = s.total
	return s, true, nil
}

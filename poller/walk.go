package poller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// step is how far one page lies above the page before it: one row less than a
// page, so that neighbours share a row. The shared row proves that nothing
// was skipped, whatever was inserted while the two were read.
const step = docspace.MaxPage - 1

// patience is how often a page that slid away is asked for again before the
// poll gives up and leaves the folder to the next one.
const patience = 20

// A walk reads one folder's log during one poll.
//
// Rows are found by their index from the bottom (oldest is 0), which does not
// change as rows are added on top. The portal takes offsets from the top, so
// every request is computed from the last count, and is off by what was
// inserted since: the walk therefore never trusts an offset. A page counts
// only when it reaches down to a row already read, or when the portal's count
// did not move around it.
type walk struct {
	portal Portal
	folder int
	anchor time.Time
	total  int // rows the portal counted last

	climbing bool // history is being read, from the mark upwards
	climbed  bool // … and was read to its end in this poll
	given    vain
	ailment  ailment

	next int              // bottom index of the next row to read
	link int64            // id of the row below it; 0 when unknown
	rows []docspace.Entry // read but not handed out, ascending by id
	void int              // rows among them that the portal counts and does not show
	sick []sickRow        // those of them that cannot be rendered

	feed  Feed
	depth int             // pages read ahead
	ahead map[int]*future // by the bottom index they were asked for
	ctx   context.Context // ends with the walk; for the pages read ahead only
	stop  context.CancelFunc
	reads sync.WaitGroup
}

// A vain search remembers rows the portal counts that could not be found, so that
// not every poll looks for them again.
type vain struct {
	missing int
	at      time.Time
}

// searchAgain is how long a search in vain is believed.
const searchAgain = time.Hour

type future struct {
	sheet sheet
	err   error
	done  chan struct{}
}

// Reasons to leave the rest of a walk to the next poll.
var (
	errRestless = errors.New("rows were inserted faster than a page could be read; the next poll goes on from here")
	errShrank   = errors.New("rows disappeared while it was read; the next poll starts over")
)

func (p *Poller) newWalk(ctx context.Context, mark checkpoint.Mark) *walk {
	w := &walk{
		portal: p.portal,
		folder: mark.Folder,
		anchor: mark.Anchor,
		feed:   p.opts.Feed,
		depth:  p.opts.Prefetch,
		ahead:  make(map[int]*future),
	}
	w.given, w.ailment = p.remembered(mark.Folder)
	w.ctx, w.stop = context.WithCancel(ctx)
	w.seek(mark)
	return w
}

// close ends the pages still being read ahead and waits for them.
func (w *walk) close() {
	w.stop()
	w.reads.Wait()
}

// seek puts the walk above the last committed row and forgets what was read.
func (w *walk) seek(mark checkpoint.Mark) {
	w.next, w.link = mark.Accounted, mark.Newest()
	w.rows, w.void, w.sick = nil, 0, nil
	clear(w.ahead)
}

// top reads the newest rows and with them the count. Where the newest page is
// known to hold a row that cannot be rendered, it reads the part without it,
// if that reaches down to the mark.
func (w *walk) top(ctx context.Context, mark checkpoint.Mark) (sheet, error) {
	s, well, err := w.aroundAilment(ctx, mark)
	if !well && err == nil {
		s, err = w.fetch(ctx, 0)
		w.ailment = diagnose(s)
	}
	if err == nil {
		w.total = s.total
	}
	return s, err
}

// take hands out up to most rows, ascending, and what the portal counts among
// them and does not show. Nothing at all means the walk has reached the count
// it works with.
func (w *walk) take(ctx context.Context, most int) (reading, error) {
	for len(w.rows) < most && w.next < w.total {
		if err := w.climb(ctx); err != nil {
			return reading{}, err
		}
	}
	if len(w.rows) > most {
		// The rows not shown may lie above the ones handed out: they wait.
		r := reading{rows: w.rows[:most:most]}
		w.rows = w.rows[most:]
		return r, nil
	}
	r := reading{rows: w.rows, hidden: w.void, sick: w.sick}
	w.rows, w.void, w.sick = nil, 0, nil
	return r, nil
}

// climb reads the page above the link and appends what is new in it.
func (w *walk) climb(ctx context.Context) error {
	s, err := w.linked(ctx, w.next-1)
	if err != nil {
		return err
	}
	if s.end() <= w.next {
		return fmt.Errorf("history of folder %d: %w", w.folder, errShrank)
	}
	fresh := s.above(w.link)
	w.sick = append(w.sick, s.sickSince(w.next)...)
	w.void += max(0, min(s.hidden(), s.end()-w.next-len(fresh)))
	w.rows = append(w.rows, fresh...)
	if len(fresh) > 0 {
		w.link = fresh[len(fresh)-1].ID
	}
	w.next = s.end()
	return nil
}

// linked returns a page known to leave no row out between the link and its
// top. Where rows slid in between, it asks again, reaching lower each time,
// down to half a page.
func (w *walk) linked(ctx context.Context, low int) (sheet, error) {
	var last sheet
	for try := range patience {
		s, err := w.page(ctx, low-min(1<<try-1, step/2), try == 0)
		if err != nil {
			return sheet{}, err
		}
		switch {
		case s.total < w.total:
			return sheet{}, fmt.Errorf("history of folder %d: %w", w.folder, errShrank)
		case w.link != 0 && s.below(w.link+1), w.bottomed(s):
			w.count(s.total)
			return s, nil
		case try > 0 && s.total == last.total && last.low() <= w.next:
			// The count did not move around the page before: it holds just the
			// rows that arithmetic says.
			return last, nil
		}
		w.count(s.total)
		last = s
	}
	return sheet{}, fmt.Errorf("history of folder %d: %w", w.folder, errRestless)
}

// bottomed reports whether a page that reaches far below the oldest row has
// it: one that is not full ends where the log ends.
func (w *walk) bottomed(s sheet) bool {
	return w.next == 0 && s.low() <= -step/4 && !s.full()
}

// count takes over a new count. Pages asked for under the old one lie
// elsewhere now and are read again.
func (w *walk) count(total int) {
	if total != w.total {
		w.total = total
		clear(w.ahead)
	}
}

// page returns the page that should begin at the bottom index low, read ahead
// or now, and may ask for those above it.
func (w *walk) page(ctx context.Context, low int, ahead bool) (sheet, error) {
	if !ahead {
		return w.fetch(ctx, w.offset(low))
	}
	for i := range w.depth {
		at := low + i*step
		if at >= w.total-1 && i > 0 {
			break
		}
		if w.ahead[at] == nil {
			w.ahead[at] = w.start(w.offset(at))
		}
	}
	f := w.ahead[low]
	delete(w.ahead, low)
	select {
	case <-f.done:
		return f.sheet, f.err
	case <-ctx.Done():
		return sheet{}, ctx.Err()
	}
}

// offset turns a bottom index into the offset from the top of the page that
// begins there.
func (w *walk) offset(low int) int {
	return max(0, w.total-low-docspace.MaxPage)
}

func (w *walk) start(offset int) *future {
	f := &future{done: make(chan struct{})}
	w.reads.Go(func() {
		defer close(f.done)
		f.sheet, f.err = w.fetch(w.ctx, offset)
	})
	return f
}

// fetch reads a page; rows that cannot be rendered are left out of it.
func (w *walk) fetch(ctx context.Context, start int) (sheet, error) {
	s, err := w.ask(ctx, start, docspace.MaxPage)
	if poison(err) != 0 {
		return w.cutOut(ctx, start, err)
	}
	return s, err
}

func (w *walk) ask(ctx context.Context, start, count int) (sheet, error) {
	page, err := w.portal.History(ctx, w.folder, docspace.Query{Start: start, Count: count, From: w.anchor})
	if err != nil {
		return sheet{}, err
	}
	for i := range page.Entries {
		w.feed.forget(&page.Entries[i])
	}
	return newSheet(start, count, page)
}

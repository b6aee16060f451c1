package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
// only when it reaches down to the row read before it; the first page of a log
// counts when the portal's count did not move around it.
type walk struct {
	portal Portal
	folder int
	anchor time.Time
	until  time.Time // rows dated after are left out; zero: none are
	feed   Feed
	total  int // rows the portal counted last

	climbing bool // history is being read, from the mark upwards
	climbed  bool // … and was read to its end in this poll
	given    vain
	ailment  ailment

	same     bool        // the newest page is the one an earlier poll saw
	told     atomic.Bool // the portal tells row ids
	nameless atomic.Bool // … or did not, in an answer of this poll
	keyed    bool        // rows are known by their content
	hidden   []int       // where some are likely not to be shown, from the bottom
	passed   int         // missing rows below that were searched for in vain
	redig    bool        // they are to be once more
	dug      bool        // they were in this poll

	mark      checkpoint.Mark  // as it will be when all that was read is committed
	forgotten int64            // by the mark that is committed
	next      int              // bottom index of the next row to read, as far as known
	arrived   int              // count under which next was found by reading; noCount if it is the mark's
	run       sheet            // pages from the newest row read upwards, of which the later ones show none
	rows      []docspace.Entry // read but not handed out, ascending by id
	unseen    []unseenRow      // the same, of rows that are not shown
	again     []docspace.Entry // the same, of rows committed before their ids were told
	cured     int              // rows read that were accounted for as hidden

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

// searchAgain is how long a search in vain is believed, and that rows are not
// shown.
const searchAgain = time.Hour

type future struct {
	sheet sheet
	err   error
	done  chan struct{}
}

// errRestless leaves the rest of a walk to the next poll.
var errRestless = errors.New("rows were inserted faster than a page could be read; the next poll goes on from here")

// errNameless says that rows have no ids, to a walk that goes by them.
var errNameless = errors.New("rows have no ids")

// A lostLinkError is a row that was read or published and is not in the log any
// more, although rows around it are.
type lostLinkError struct {
	folder int
	id     int64
}

func (e *lostLinkError) Error() string {
	return fmt.Sprintf("history of folder %d: row %d was there and is gone", e.folder, e.id)
}

func (p *Poller) newWalk(ctx context.Context, mark checkpoint.Mark) *walk {
	w := &walk{
		portal: p.portal,
		folder: mark.Folder,
		anchor: mark.Anchor,
		until:  p.opts.To,
		feed:   p.opts.Feed,
		depth:  p.opts.Prefetch,
		ahead:  make(map[int]*future),
	}
	w.given, w.ailment = p.remembered(mark.Folder)
	w.told.Store(mark.Newest() != 0)
	w.hidden = slices.Clone(mark.Unnumbered.Hidden)
	w.passed = mark.Unnumbered.Missing
	w.redig = w.passed > 0 && time.Since(w.given.at) >= searchAgain
	if time.Since(w.ailment.at) >= searchAgain {
		w.ailment = ailment{} // its rows may be shown again
	}
	w.ctx, w.stop = context.WithCancel(docspace.Patient(ctx))
	return w
}

// close ends the pages still being read ahead and waits for them.
func (w *walk) close() {
	w.stop()
	w.reads.Wait()
}

// withoutIDs reports whether the log showed rows, and none with an id.
func (w *walk) withoutIDs() bool { return w.nameless.Load() && !w.told.Load() }

// seek puts the walk above the last committed row and forgets what was read.
func (w *walk) seek(mark checkpoint.Mark) {
	if w.climbed {
		w.climbing, w.climbed = true, false
	}
	w.mark, w.arrived, w.run, w.forgotten = mark, noCount, sheet{}, mark.Forgotten
	w.next = 0
	if link := w.link(); link != 0 {
		w.next = min(mark.Accounted-hiddenAbove(mark, link), w.total-1)
	}
	w.rows, w.unseen, w.again, w.cured = nil, nil, nil, 0
	clear(w.ahead)
}

// hiddenAbove is how many hidden rows a mark knows above a row.
func hiddenAbove(mark checkpoint.Mark, id int64) (rows int) {
	for _, p := range mark.Hidden {
		if p.Below >= id {
			rows += p.Rows
		}
	}
	return rows
}

// link is the id of the newest row read; 0 for none.
func (w *walk) link() int64 { return w.mark.Newest() }

// top reads the newest rows and with them the count. Where the newest page is
// known to hold a row that is not shown, it reads the part without it, if that
// reaches down to the mark.
func (w *walk) top(ctx context.Context, mark checkpoint.Mark) (sheet, error) {
	w.same = false
	s, well, err := w.aroundAilment(ctx, mark)
	if !well && err == nil {
		s, err = w.fetch(ctx, 0, docspace.MaxPage)
		w.ailment = diagnose(s)
	}
	if err == nil {
		w.total = s.total
	}
	return s, err
}

// take hands out up to most rows, ascending, with the unseen ones among them,
// and reads no further than it takes to find so many of both. Nothing at all
// means the walk has reached the count it works with.
func (w *walk) take(ctx context.Context, most int) (reading, error) {
	for idle := 0; len(w.rows)+len(w.unseen) < most && w.next < w.total; idle++ {
		before := len(w.rows) + len(w.unseen)
		if err := w.climb(ctx); err != nil {
			if len(w.rows)+len(w.unseen) > 0 {
				break // what was read before the trouble is published first
			}
			return reading{}, err
		}
		if len(w.rows)+len(w.unseen) > before {
			idle = 0
		}
		if idle > w.total/step+patience {
			return reading{}, fmt.Errorf("history of folder %d: %w", w.folder, errRestless)
		}
	}
	r := reading{rows: w.rows, unseen: w.unseen, cured: w.cured, again: w.again}
	w.rows, w.unseen, w.again, w.cured = nil, nil, nil, 0
	if len(r.rows) > most {
		r.rows, w.rows = r.rows[:most:most], r.rows[most:]
		r.again, w.again = upTo(r.again, r.rows[most-1].ID)
	}
	r.places = slices.Concat(w.mark.Hidden, held(w.again))
	return r, nil
}

// climb reads the page above the link and appends what is new in it.
func (w *walk) climb(ctx context.Context) error {
	s, err := w.linked(ctx, w.next-1)
	if err != nil {
		return err
	}
	if s.anonymous() {
		return errNameless
	}
	if !s.below(w.link()+1) && s.low() >= 0 && w.run.asked > 0 {
		s = s.extend(w.run)
	}
	t, moved, err := w.compare(ctx, s, w.mark)
	if moved || err != nil {
		return err
	}
	w.next, w.arrived, w.run = s.end(), s.total, s
	if len(s.rows) > 0 && s.rows[0].ID < w.link() {
		return nil // it slid, and lies below what was read
	}
	_, fresh := upTo(t.rows, w.link())
	w.rows, w.unseen, w.again, w.cured = append(w.rows, fresh...), append(w.unseen, t.unseen...), append(w.again, t.again...), w.cured+t.cured
	w.mark = w.mark.Remember(ids(slices.Concat(fresh, t.again))...)
	w.mark.Hidden = w.needed(slices.Concat(t.hidden, places(t.unseen)))
	return nil
}

// needed returns the places that the committed mark has not forgotten yet.
func (w *walk) needed(places []checkpoint.Place) []checkpoint.Place {
	return checkpoint.Distinct(slices.DeleteFunc(places, func(p checkpoint.Place) bool { return p.Above != 0 && p.Above <= w.forgotten }))
}

// compare tells what a sheet holds beyond a mark. It moves where rows came in
// while one seems to be cured: on a page that is not full they make up for hidden
// ones, which are not looked for then.
func (w *walk) compare(ctx context.Context, s sheet, mark checkpoint.Mark) (t tally, moved bool, err error) {
	t = s.tally(mark)
	if s.low() < 0 && t.cured+len(t.again) > 0 {
		moved, err = w.recount(ctx)
		clear(w.ahead)
	}
	return t, moved, err
}

// linked returns a page known to leave no row out between the link and its
// top. Where it does not reach down to the link, because rows slid in between
// or disappeared below, it asks again, reaching ever lower.
func (w *walk) linked(ctx context.Context, low int) (sheet, error) {
	link := w.link()
	if link == 0 {
		return w.unlinked(ctx, low)
	}
	for try := range patience {
		s, err := w.page(ctx, low, try == 0)
		if err != nil {
			return sheet{}, err
		}
		w.count(s.total)
		oldest := s.size() < s.asked // the log ends in it
		switch {
		case s.lacks(link), oldest && !s.below(link+1) && !s.hides(link):
			if moved, err := w.vanished(ctx, s); !moved {
				return sheet{}, cmp.Or(err, error(&lostLinkError{w.folder, link}))
			}
		case s.below(link + 1), oldest:
			return s, nil
		case w.arrived == s.total && len(s.unseen) > 0 && s.low() <= w.next && s.end() > w.next:
			return s, nil // only unseen rows lie between: the count is the one next was found under
		case try == 0 && len(w.run.rows) > 0 && w.run.asked > docspace.MaxPage:
			low = max(0, w.run.low()) // where the link was
		}
		low -= 1 << try
	}
	return sheet{}, fmt.Errorf("history of folder %d: %w", w.folder, errRestless)
}

// unlinked is linked where no row was read yet: either none, or none that is
// shown, and then the count is to be the same.
func (w *walk) unlinked(ctx context.Context, low int) (sheet, error) {
	if w.next > 0 {
		s, err := w.page(ctx, low, true)
		if err != nil || s.total == w.arrived && s.low() <= w.next && s.end() > w.next {
			return s, err
		}
		w.count(s.total)
		w.run = sheet{}
	}
	return w.bottom(ctx)
}

// vanished asks for the count again where a row that was there is not on a page.
// If others came in meanwhile, on a page that is not full, they may have made up
// for it, hidden.
func (w *walk) vanished(ctx context.Context, s sheet) (moved bool, err error) {
	if s.low() >= 0 {
		return false, nil
	}
	moved, err = w.recount(ctx)
	clear(w.ahead)
	return moved, err
}

// bottom returns the lowest page of the log. There is no row below to prove
// that it is: it must be read between two equal counts or, where rows come in
// too fast for that, end far before it is full.
func (w *walk) bottom(ctx context.Context) (sheet, error) {
	var last sheet
	for try := range patience {
		s, err := w.page(ctx, -1-min(1<<try-1, step/2), try == 0)
		if err != nil {
			return sheet{}, err
		}
		if try > 0 && s.total == last.total && last.low() <= 0 {
			return last, nil
		}
		w.count(s.total)
		if s.low() <= -step/4 && s.size() < s.asked {
			return s, nil
		}
		last = s
	}
	return sheet{}, fmt.Errorf("history of folder %d: %w", w.folder, errRestless)
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
		return w.fetch(ctx, w.offset(low), docspace.MaxPage)
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
	return max(0, min(w.total-low-docspace.MaxPage, w.total-1))
}

func (w *walk) start(offset int) *future {
	f := &future{done: make(chan struct{})}
	w.reads.Go(func() {
		defer close(f.done)
		f.sheet, f.err = w.fetch(w.ctx, offset, docspace.MaxPage)
	})
	return f
}

// fetch reads up to a page. Where rows in it are not shown, it finds out which.
func (w *walk) fetch(ctx context.Context, start, count int) (sheet, error) {
	s, err := w.ask(ctx, start, count)
	if poison(err) != 0 || err == nil && s.short() > 0 {
		return w.cutOut(ctx, start, count, err)
	}
	return s, err
}

func (w *walk) ask(ctx context.Context, start, count int) (sheet, error) {
	page, err := w.portal.History(ctx, w.folder, docspace.Query{Start: start, Count: count, From: w.anchor, To: w.until})
	if err != nil {
		return sheet{}, err
	}
	for i := range page.Entries {
		w.feed.forget(&page.Entries[i])
	}
	s, err := newSheet(start, count, page, w.told.Load())
	switch {
	case err != nil || len(s.rows) == 0:
	case s.anonymous():
		w.nameless.Store(true)
	default:
		w.told.Store(true)
	}
	return s, err
}

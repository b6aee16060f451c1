package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A folder is unreconciled when the portal counts rows that were found neither
// at the top of its log nor as deep as its mark remembers. The sweep looks for
// them in all of it, without reading all of it.
//
// Take the rows of the log by their index from the bottom, and for each the
// number of stored rows with lower ids. The two grow together from row to row,
// except over a row that is counted and not stored: there the index alone
// grows. Between any two rows the difference therefore tells how many such
// rows lie between, and halving the log where there are some leads to each of
// them within a few pages. Some are missing, and published now. Others are
// gaps, known not to be shown; the sweep remembers where they are.
//
// Rows that the operator's filter leaves out are not stored either. Where they
// are the portal tells: the sweep reads all pages that have some, once, and a
// row that is missing because it is left out is one more than the mark counts
// (filtered.go).
//
// Nothing rests on the arithmetic but where to look. What is published is a row
// that the portal shows, that is older than the newest published one, and that
// is not stored although rows of its age would be: the ledger says so up to
// the very mark the commit replaces. A log that grows or shifts under the sweep
// makes it look in vain, and never publish a row twice.
//
// It is the last thing a portal is asked for: a few requests after a poll that
// had nothing better to do, for one folder at a time, and in the next poll
// again, until it is done.

// A Recaller is a Ledger that can tell which rows it holds. Without it folders
// stay unreconciled.
type Recaller interface {
	// Published goes on reading which rows of the mark's folder are stored, where
	// so ends, perhaps not up to the mark: that is reached when UpTo is its
	// revision.
	Published(ctx context.Context, mark checkpoint.Mark, so checkpoint.Published) (checkpoint.Published, error)
}

const (
	// sweepMost is how many requests one sweep may make. It goes on in the next
	// one where it ends. The most expensive page, of which every row must be
	// asked for on its own, costs three hundred.
	sweepMost = 400
	// sweepAgain is the least time between two sweeps of a folder. It doubles
	// to sweepSeldom while they find nothing: each reads all events of the
	// folder.
	sweepAgain  = time.Hour
	sweepSeldom = 24 * time.Hour
	// sweepRate is how many requests a second all sweeps of a process make
	// together, and sweepBurst how many at once.
	sweepRate  = 1
	sweepBurst = 20
	// sweepSlow is how long a request may take before the sweep makes way: the
	// portal is busy, or others wait for it.
	sweepSlow = time.Second
	// sweepLeft is how long a sweep that is not gone on with keeps others out.
	sweepLeft = 10 * time.Minute
	// sweepHidden is how many places of hidden rows are remembered; with one more
	// all are forgotten and found again.
	sweepHidden = 10_000
	// sweepTries is how often a stretch is asked for that gives no answer.
	sweepTries = 4
)

// errSpent ends a sweep that has made all its requests.
var errSpent = errors.New("the sweep has made all its requests; the next one goes on")

// A sweeper looks for missing rows, in one folder at a time.
type sweeper struct {
	mu      sync.Mutex // held during a turn; whoever does not get it has other things to do
	tokens  *rate.Limiter
	folders map[int]*sweep
	active  *sweep // holds the ids of what is published; nil: none does
}

func newSweeper() *sweeper {
	return &sweeper{tokens: rate.NewLimiter(sweepRate, sweepBurst), folders: make(map[int]*sweep)}
}

// A sweep is what is known about the missing rows of one folder.
type sweep struct {
	folder   int
	changes  int           // how often an operator had changed the mark
	due      time.Time     // it does not begin before
	wait     time.Duration // until the next one
	touched  time.Time
	requests int  // made by this sweep
	useful   bool // it found rows

	published checkpoint.Published
	floor     int64            // rows below may have been published and dropped since
	newest    int64            // newest published row when it began
	missing   int              // rows to be found
	total     int              // rows the portal counted last
	open      []stretch        // not yet looked into
	found     []docspace.Entry // missing rows, until they are published
	hidden    map[int64]hiding // rows that are not shown, by the id shown next below
	passes    func(docspace.Entry) bool
	filter    checkpoint.Filtered
	left      []int64 // rows seen that the filter leaves out, ascending
}

// A point is a row that was seen at an index from the bottom of the log.
type point struct {
	index int
	id    int64
}

// bottom is below every row.
var bottom = point{index: -1}

// A stretch is the part of a log between two rows.
type stretch struct {
	low, high point
	vain      int // how often a page of it showed no row of it
}

// A hiding is some rows the portal does not show, below the row with an id.
type hiding struct {
	above int64
	rows  int
}

// sweep adds missing rows to what a poll has read, if any are known or can be
// found now. Trouble with the portal leaves it for another poll.
func (p *Poller) sweep(ctx context.Context, mark checkpoint.Mark, r reading, most int) (reading, error) {
	ledger, able := p.ledger.(Recaller)
	if !able || mark.Newest() == 0 || !r.last || r.refused != nil || r.rewound != "" || !p.sweeper.mu.TryLock() {
		return r, nil
	}
	defer p.sweeper.mu.Unlock()
	if r.missing == 0 {
		p.sweeper.rest(mark.Folder)
		return r, nil
	}
	if mark.State != checkpoint.Unreconciled || lateRows(mark, r) {
		return r, nil // it says so first, and publishes first what it has
	}
	s := p.sweeper.begin(mark)
	if s == nil {
		return r, nil
	}
	s.passes, s.filter = p.passes, p.inForce(mark)
	err := s.recall(ctx, ledger, mark)
	switch {
	case ctx.Err() != nil:
		return r, nil
	case err != nil:
		p.sweeper.end(s)
		if !r.empty() {
			return r, nil
		}
		return r, fmt.Errorf("sweep of folder %d: %v", mark.Folder, err) // its kind says nothing about other folders
	case s.published.UpTo != mark.Revision:
		return r, nil
	}
	return p.turn(ctx, s, mark, r, most), nil
}

// turn looks for missing rows as long as it may, and hands out those it found
// when that is all, or many.
func (p *Poller) turn(ctx context.Context, s *sweep, mark checkpoint.Mark, r reading, most int) reading {
	walk := p.newWalk(ctx, mark)
	defer walk.close()
	walk.portal = metered{p.portal, s, p.sweeper.tokens}
	if s.total == 0 {
		s.newest, s.missing, s.left = mark.Newest(), r.missing, nil
	}
	err := s.look(ctx, walk, p.sweeper.tokens, most)
	done := len(s.open) == 0 && s.total > 0
	spent := errors.Is(err, errSpent) || s.requests >= sweepMost
	switch {
	case len(s.found) > r.missing+s.published.Gaps:
		// More rows are not stored than were never published: somebody removed
		// events. Which ones were, nobody knows.
		s.open, s.found = nil, nil
		p.sweeper.end(s)
		return r
	case len(s.found) > 0 && (done || len(s.found) >= most || spent && len(s.found) < r.missing):
		r = s.handOut(r, most)
	case len(s.found) == 0 && done:
		r = s.concede(mark, r)
	}
	if spent || done && len(s.found) == 0 {
		p.sweeper.end(s)
	}
	return r
}

// lateRows reports whether a reading has rows below the newest published one.
func lateRows(mark checkpoint.Mark, r reading) bool {
	return len(r.rows) > 0 && r.rows[0].ID < mark.Newest()
}

// handOut adds the missing rows to the reading, as many as one commit takes.
// They are kept until they are stored, which the next turn sees.
func (s *sweep) handOut(r reading, most int) reading {
	n := min(len(s.found), max(0, most-r.size()))
	slices.SortFunc(s.found, func(a, b docspace.Entry) int { return cmp.Compare(a.ID, b.ID) })
	r.rows, s.useful = slices.Concat(s.found[:n], r.rows), true
	if n > r.missing {
		// Some were gaps. Only another look tells what is missing now.
		r.cured, r.last = r.cured+n-r.missing, false
		r.places = without(r.places, s.found[:n], n-r.missing)
	}
	r.missing = max(0, r.missing-n)
	r.unread = r.missing
	return r
}

// begin returns the folder's sweep if it is its time, nil if not. What it knew
// under a mark that an operator has changed since, it forgets.
func (z *sweeper) begin(mark checkpoint.Mark) *sweep {
	now := time.Now()
	s := z.folders[mark.Folder]
	if s == nil || s.changes != mark.Changes {
		if z.active == s {
			z.active = nil
		}
		s = &sweep{folder: mark.Folder, changes: mark.Changes, wait: sweepAgain, hidden: make(map[int64]hiding)}
		z.folders[mark.Folder] = s
	}
	if now.Before(s.due) || z.active != nil && z.active != s && now.Before(z.active.touched.Add(sweepLeft)) {
		return nil
	}
	if z.active != s {
		z.leave()
		s.requests, s.useful = 0, false
	}
	s.touched, z.active = now, s
	return s
}

// leave frees what only the active sweep needs.
func (z *sweeper) leave() {
	if z.active != nil {
		z.active.published = checkpoint.Published{}
	}
	z.active = nil
}

// end puts the sweep off until it is due again.
func (z *sweeper) end(s *sweep) {
	wait := s.wait
	switch {
	case s.useful || len(s.open) > 0:
		wait, s.wait = sweepAgain, sweepAgain
	default:
		s.wait = min(2*s.wait, sweepSeldom)
	}
	s.due = time.Now().Add(wait)
	if len(s.open) == 0 {
		s.newest, s.total = 0, 0
	}
	z.leave()
}

// rest ends the sweep of a folder that misses nothing any more.
func (z *sweeper) rest(folder int) {
	s := z.folders[folder]
	if s == nil {
		return
	}
	s.open, s.found = nil, nil
	if z.active == s {
		z.end(s)
	}
	s.wait = sweepAgain
}

// recall brings what is known to be published up to the mark, and drops from
// the found rows those that are by now.
func (s *sweep) recall(ctx context.Context, ledger Recaller, mark checkpoint.Mark) error {
	so, err := ledger.Published(ctx, mark, s.published)
	if err != nil {
		s.published = checkpoint.Published{}
		return err
	}
	s.published, s.floor = so, so.Floor(mark.Accounted-s.filter.Rows) // those were never stored
	if unsure := max(s.filter.Unsure, mark.MovedTo); unsure > 0 {
		s.floor = max(s.floor, unsure+1)
	}
	s.found = slices.DeleteFunc(s.found, func(row docspace.Entry) bool { return !s.misses(row.ID) })
	return nil
}

// misses reports whether a row the portal shows is missing from the stream.
func (s *sweep) misses(id int64) bool {
	return id >= s.floor && id < s.newest && !s.published.Has(id)
}

// look reads pages until every stretch is explained, enough is found, or it is
// the turn of others.
func (s *sweep) look(ctx context.Context, walk *walk, tokens *rate.Limiter, most int) error {
	for len(s.found) < most {
		from, any := s.next()
		if !any {
			return nil
		}
		if tokens.Tokens() < 1 {
			return nil
		}
		began := time.Now()
		if err := s.page(ctx, walk, from); err != nil {
			return err
		}
		if time.Since(began) > sweepSlow {
			return nil
		}
	}
	return nil
}

// next returns the stretch to look into, and forgets those that are explained.
// A sweep begins with the newest page, to learn how long the log is.
func (s *sweep) next() (stretch, bool) {
	if s.total == 0 {
		return stretch{}, true
	}
	for n := len(s.open); n > 0; n-- {
		if last := s.open[n-1]; last.vain < sweepTries && !s.explained(last) {
			return last, true
		}
		s.open = s.open[:n-1]
	}
	return stretch{}, false
}

// explained reports whether every row between the ends is stored, left out by
// the filter, known not to be shown, or too old to tell. Below rows that are gone from the bottom of the
// log nothing can be counted.
func (s *sweep) explained(t stretch) bool {
	if t.high.id <= s.lowest() {
		return true
	}
	if t.low.id < s.floor || t.low == bottom && s.published.Removed > 0 {
		return false
	}
	return s.unexplained(t) <= 0
}

// unexplained returns how many rows between the ends are neither stored nor left
// out, nor known not to be shown.
func (s *sweep) unexplained(t stretch) int {
	rows := t.high.index - t.low.index - 1 - s.published.Between(t.low.id, t.high.id) - s.leftBetween(t.low.id, t.high.id)
	for below, h := range s.hidden {
		if below >= t.low.id && below < t.high.id {
			rows -= s.hiding(below, h)
		}
	}
	return rows
}

// hiding returns how many rows of a hiding place are not published. A row can
// be seen and published before it is hidden, and after.
func (s *sweep) hiding(below int64, h hiding) int {
	return max(0, h.rows-s.published.Between(below, h.above))
}

// page reads the page in the middle of a stretch, or all of it, and divides
// what is left.
func (s *sweep) page(ctx context.Context, walk *walk, t stretch) error {
	sheet, err := walk.fetch(ctx, s.offset(t), docspace.MaxPage)
	if poison(err) != 0 {
		err = nil // not one of its rows is shown
	}
	if err != nil {
		return err
	}
	first := s.total == 0
	s.total = cmp.Or(sheet.total, s.total)
	seen := points(sheet)
	s.learn(sheet, seen)
	switch {
	case first && (len(seen) == 0 || seen[len(seen)-1].id > s.newest):
		s.total = 0 // it does not reach down to what is published; another time
		return errRestless
	case first:
		s.begin(stretch{low: bottom, high: seen[len(seen)-1]})
	default:
		s.divide(t, seen)
	}
	return nil
}

// begin opens all of the log below its newest page. Where too little is left
// unexplained, a row that was not shown before may be the one that is missing.
func (s *sweep) begin(all stretch) {
	if s.floor == 0 && s.unexplained(all) < s.missing {
		clear(s.hidden)
	}
	s.open = []stretch{all}
}

// offset is where a page of the stretch begins, counted from the newest row.
func (s *sweep) offset(t stretch) int {
	if s.total == 0 {
		return 0
	}
	low := t.low.index
	if t.high.index-low >= docspace.MaxPage {
		low = (low+t.high.index-docspace.MaxPage)/2 - t.vain*docspace.MaxPage
	}
	return max(0, min(s.total-max(low, bottom.index)-docspace.MaxPage, s.total-1))
}

// points returns where the rows of a sheet lie, newest first. When the sheet
// reaches down to the bottom, that is the last of them.
func points(sheet sheet) []point {
	unseen := make(map[int]bool, len(sheet.unseen))
	for _, u := range sheet.unseen {
		unseen[u.index] = true
	}
	index := sheet.end()
	seen := make([]point, 0, len(sheet.rows)+1)
	for _, row := range sheet.rows {
		for index--; unseen[index]; index-- {
		}
		seen = append(seen, point{index, row.ID})
	}
	if len(seen) > 0 && sheet.low() <= 0 {
		seen = append(seen, bottom)
	}
	return seen
}

// learn takes from a page the rows that are missing, and where rows are that
// are not shown.
func (s *sweep) learn(sheet sheet, seen []point) {
	for _, row := range sheet.rows {
		known := slices.ContainsFunc(s.found, func(f docspace.Entry) bool { return f.ID == row.ID })
		if s.misses(row.ID) && s.passes(row) && !known {
			s.found = append(s.found, row)
		}
	}
	s.leave(sheet.rows)
	if len(s.hidden) > sweepHidden {
		clear(s.hidden)
	}
	for i := 1; i < len(seen); i++ {
		above, below := seen[i-1], seen[i]
		delete(s.hidden, below.id)
		if n := above.index - below.index - 1; n > 0 {
			s.hidden[below.id] = hiding{above: above.id, rows: n}
		}
	}
}

// divide replaces the stretch by what a page left of it, the upper part to be
// looked into first.
func (s *sweep) divide(t stretch, seen []point) {
	s.open = s.open[:len(s.open)-1]
	if len(seen) == 0 || seen[0].id <= t.low.id || seen[len(seen)-1].id >= t.high.id {
		t.vain++
		s.open = append(s.open, t)
		return
	}
	if low := seen[len(seen)-1]; low.id > t.low.id {
		s.open = append(s.open, stretch{low: t.low, high: low})
	}
	if high := seen[0]; high.id < t.high.id {
		s.open = append(s.open, stretch{low: high, high: t.high})
	}
}

// A metered portal counts what a sweep asks for, and refuses what is too much.
// A page that has to be taken apart costs more than was waited for: those who
// come next wait for that.
type metered struct {
	Portal
	sweep  *sweep
	tokens *rate.Limiter
}

func (m metered) take() error {
	if m.sweep.requests >= sweepMost {
		return errSpent
	}
	m.sweep.requests++
	m.tokens.Reserve()
	return nil
}

// History implements Portal.
func (m metered) History(ctx context.Context, folder int, q docspace.Query) (docspace.Page, error) {
	if err := m.take(); err != nil {
		return docspace.Page{}, err
	}
	return m.Portal.History(ctx, folder, q)
}

// Folder implements Portal.
func (m metered) Folder(ctx context.Context, id int) (docspace.Folder, error) {
	if err := m.take(); err != nil {
		return docspace.Folder{}, err
	}
	return m.Portal.Folder(ctx, id)
}

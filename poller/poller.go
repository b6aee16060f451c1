// Package poller brings folders up to date: it reads the rows of a folder's
// log that were not published yet and commits them, with the mark that
// accounts for them, as one.
//
// The cycle counts and never clocks. A log only grows, so the number of rows
// the portal counts, less the number accounted for, is what is unread; zero
// proves the folder complete. Dates take no part in it, unless the portal tells
// no row ids: see unnumbered.go.
//
// Where things are: poller.go is the cycle, compose.go and events.go turn rows
// into events and the next mark. A log is read by walk.go, fresh.go and sheet.go;
// one without row ids by unnumbered.go, window.go, balance.go, key.go and, once it
// has ids, renumber.go. unseen.go finds rows that are not shown, tally.go and
// matching.go know them again, sweep.go finds those that are missing far below.
// verify.go compares a folder with its events, with join.go, print.go, suspect.go, verdict.go,
// hashed.go, changes.go and mend.go; patrol.go does so all the time. portals.go keeps
// the folders of two portals apart, tooold.go refuses portals that
// cannot be read. schedule.go takes folders from the queue, turn.go polls them, stock.go
// keeps them there, trouble.go holds them back, cadence.go and lanes.go say when,
// discover.go which folders, past.go when all is read that is to be read; hint.go,
// hint_queue.go and ancestry.go follow webhooks. standing.go, tell.go and metrics.go
// say how it goes. change.go, change_text.go, plan.go and place.go are what an operator
// does to a mark.
//
// The package knows neither HTTP nor NATS. It reads from a Portal and writes to
// a Ledger, whose all-or-nothing commit makes crashes, competing processes and
// lost answers harmless: whoever comes next starts from the mark.
package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// A Portal is where rows come from.
type Portal interface {
	// History returns one page of a folder's log.
	History(ctx context.Context, folder int, q docspace.Query) (docspace.Page, error)
	// Folder returns what the portal tells about a folder.
	Folder(ctx context.Context, id int) (docspace.Folder, error)
	// Rooms returns the rooms the account sees.
	Rooms(ctx context.Context) ([]docspace.Folder, error)
	// IgnoresDates reports whether the portal, asked for rows of a folder dated
	// from a time nobody has seen, shows some.
	IgnoresDates(ctx context.Context, folder int) (bool, error)
	// Recognise returns nil when the portal knows who asks.
	Recognise(ctx context.Context) error
}

// A Ledger keeps a folder's events and its mark. Commit stores both or neither.
type Ledger interface {
	// Mark returns the folder's mark, one without revision when it has none. If
	// that one has a Reason, the folder had a mark and lost it.
	Mark(ctx context.Context, folder int) (checkpoint.Mark, error)
	// Commit appends events and replaces prev by next, all or nothing, and
	// returns next as stored. It returns checkpoint.ErrConflict when prev is no
	// longer the folder's mark: somebody else is publishing it, and the caller
	// must start again from Mark. An error with a method Fits() int tells how
	// many of the events, from the first, are not too much at once.
	Commit(ctx context.Context, folder int, events []schema.Event, prev, next checkpoint.Mark) (checkpoint.Mark, error)
}

// ownEvents is how many events about the connector's own work a commit may hold
// beside its rows.
const ownEvents = 4

// longestTurn is how long one poll reads on, so that a folder with history left
// is heard of, and gives its place to another, even where reading is slow.
const longestTurn = 30 * time.Second

// Options say how a Poller works. The zero value of each field means its
// documented default.
type Options struct {
	Anchor   time.Time        // a folder without a mark leaves out the rows dated before; zero: none
	To       time.Time        // rows dated after this second are left out, and what is read is the past, which ends; zero: none are
	Began    time.Time        // when watching began; older rows of a new folder are history. Default: now
	Now      func() time.Time // the portal's clock; default time.Now
	Feed     Feed             // what every event says about its origin
	Filter   schema.Filter    // which actions are published; default: all
	Chunk    int              // most rows of one commit; default 990
	Turn     int              // most commits of one poll, so that no folder keeps others waiting; default 16
	Prefetch int              // pages of one folder in flight; default 4
	Writer   string           // names this process in the marks it writes
	Metrics  *Metrics         // default: not exposed anywhere
}

// A Poller polls folders. It may be used for many folders at once, and for one
// folder by many: the ledger lets one of them win.
type Poller struct {
	portal  Portal
	ledger  Ledger
	opts    Options
	sweeper *sweeper
	age     age

	mu       sync.Mutex
	folders  map[int]docspace.Folder
	vain     map[int]vain
	ailing   map[int]ailment
	answered map[int]time.Time // when the last poll began that was answered
	changes  map[int]int       // how often an operator had changed the mark at the last poll
}

// New returns a Poller.
func New(portal Portal, ledger Ledger, opts Options) *Poller {
	opts.Chunk = cmp.Or(opts.Chunk, 990)
	opts.Turn = cmp.Or(opts.Turn, 16)
	opts.Prefetch = cmp.Or(opts.Prefetch, 4)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Began = cmp.Or(opts.Began, opts.Now())
	opts.Metrics = cmp.Or(opts.Metrics, NewMetrics())
	return &Poller{
		portal:   portal,
		ledger:   ledger,
		opts:     opts,
		sweeper:  newSweeper(),
		folders:  make(map[int]docspace.Folder),
		vain:     make(map[int]vain),
		ailing:   make(map[int]ailment),
		answered: make(map[int]time.Time),
		changes:  make(map[int]int),
	}
}

// A Report is what a poll did.
type Report struct {
	Folder    int
	State     checkpoint.State
	Reason    string // why the folder is in a state that needs attention
	Events    int    // rows published
	Filtered  int    // rows left out by the filter
	Late      int    // those of them that became visible late
	Gaps      int    // rows reported as gaps
	Unread    int    // rows the portal counts that are still unaccounted for
	Commits   int    // commits stored, marks alone included
	Accounted int    // rows accounted for after it

	Lost       string    // that the folder's mark was gone, and why; "" when it was not
	WithIDs    bool      // the log tells row ids
	WithoutIDs bool      // the log showed rows and no ids
	Active     time.Time // when something last happened in the folder, as far as known
	More       bool      // the poll's turn ended before the folder's newest row
}

// Poll brings one folder up to date: read what is unread, commit it, repeat
// until the newest row is in. It returns early, with nothing lost, when ctx
// ends or another writer is faster.
func (p *Poller) Poll(ctx context.Context, folder int) (Report, error) {
	report := Report{Folder: folder, More: true}
	mark, err := p.mark(ctx, folder)
	if err != nil {
		return report, err
	}
	if mark.Revision == 0 {
		report.Lost = mark.Reason
	}
	p.notice(mark)
	walk := p.newWalk(ctx, mark)
	defer walk.close()
	began, idle := time.Now(), 0
	for most := p.opts.Chunk; report.More && report.Commits < p.opts.Turn && idle < patience && time.Since(began) < longestTurn; {
		r, err := p.read(ctx, walk, mark, most)
		if err != nil {
			return report, err
		}
		next, events := p.compose(mark, r)
		next.Active = p.active(mark, r, began)
		if worthCommitting(mark, next, events) {
			stored, err := p.commit(ctx, events, mark, next)
			if fewer := fits(err); fewer > 0 {
				walk.seek(mark)
				most = fewer
				continue
			}
			if err != nil {
				return report, err
			}
			mark = stored
			report.Commits++
		} else {
			idle++
		}
		_, left := p.filtered(mark, r)
		report.add(r, next, events, left)
		report.WithIDs, report.WithoutIDs = walk.told.Load(), walk.withoutIDs()
		p.opts.Metrics.published(r, events, left)
		p.remember(folder, r, walk.ailment)
	}
	p.answer(folder, began)
	return report, nil
}

// mark returns the folder's mark. A folder nobody published yet starts where
// the options say; one of whose rows some are stored, where the ledger says. One of
// another portal is left alone.
func (p *Poller) mark(ctx context.Context, folder int) (checkpoint.Mark, error) {
	mark, err := p.ledger.Mark(ctx, folder)
	if err != nil {
		return mark, fmt.Errorf("mark of folder %d: %w", folder, err)
	}
	if mark.Revision == 0 && mark.Unsettled == 0 {
		mark.Anchor = p.opts.Anchor
	}
	return mark, p.opts.Feed.Owns(mark)
}

// read asks the walk for what is next, looks deeper for rows that are missing,
// and takes a refusal for an answer.
func (p *Poller) read(ctx context.Context, walk *walk, mark checkpoint.Mark, most int) (reading, error) {
	if refused, err := p.closed(ctx, mark); refused != nil || err != nil {
		return reading{refused: refused, last: true}, err
	}
	r, err := walk.read(ctx, mark, most)
	if walk.withoutIDs() {
		if old := p.newEnough(ctx, mark.Folder); old != nil {
			return reading{}, old
		}
	}
	if err != nil {
		return p.refusal(ctx, mark.Folder, err)
	}
	return p.sweep(ctx, mark, r, most)
}

func (p *Poller) commit(ctx context.Context, events []schema.Event, mark, next checkpoint.Mark) (checkpoint.Mark, error) {
	stored, err := p.ledger.Commit(ctx, mark.Folder, events, mark, next)
	p.opts.Metrics.committed(err)
	if err != nil {
		return mark, fmt.Errorf("commit %d events of folder %d: %w", len(events), mark.Folder, err)
	}
	return stored, nil
}

// closed asks for a folder that could not be read so far, and returns why it
// still cannot be. One request tells, unless the reason is another one, and the
// title may have changed.
func (p *Poller) closed(ctx context.Context, mark checkpoint.Mark) (*docspace.StatusError, error) {
	if !mark.State.Refused() {
		return nil, nil
	}
	f, err := p.portal.Folder(ctx, mark.Folder)
	refused := denial(err)
	switch {
	case err == nil:
		p.Describe(f)
	case refused != nil && stateOf(refused) == mark.State:
		return refused, nil
	case refused != nil:
		r, err := p.refusal(ctx, mark.Folder, err)
		return r.refused, err
	}
	return nil, err
}

// fits returns how many rows to try next when a commit was too large for the
// ledger, 0 when that was not the matter.
func fits(err error) int {
	var large interface{ Fits() int }
	if !errors.As(err, &large) {
		return 0
	}
	return max(1, large.Fits()-ownEvents)
}

// refusal turns the portal's refusal to show a folder into a reading, to be
// published like everything else. Other errors stay errors. A page also fails
// as if access were denied when one row in it cannot be rendered, so the
// folder itself is asked for before it is called blind; and so does everything
// when the portal is in trouble, so it is asked whether it knows who asks, before
// and after: trouble may begin and end between two requests. While any of them is
// not answered, nothing is known about the folder.
func (p *Poller) refusal(ctx context.Context, folder int, err error) (reading, error) {
	if denial(err) == nil && poison(err) == 0 {
		return reading{}, err
	}
	if unknown := p.recognise(ctx, folder); unknown != nil || denial(err) == nil {
		return reading{}, cmp.Or(unknown, err)
	}
	_, probe := p.portal.Folder(ctx, folder)
	switch {
	case probe == nil:
		return reading{}, fmt.Errorf("%w; the folder itself can be read", err)
	case denial(probe) == nil:
		return reading{}, probe
	}
	if err := p.recognise(ctx, folder); err != nil {
		return reading{}, err
	}
	return reading{refused: denial(probe), last: true}, nil
}

// recognise returns why the portal does not know who asks, nil when it does.
func (p *Poller) recognise(ctx context.Context, folder int) error {
	if err := p.portal.Recognise(ctx); err != nil {
		return fmt.Errorf("folder %d: %w", folder, err)
	}
	return nil
}

// unreadable reports whether an error says that the portal does not show this
// folder to this account. A missing scope is no verdict about a folder: the
// credentials may read none.
func unreadable(err error) bool {
	return errors.Is(err, docspace.ErrForbidden) && !errors.Is(err, docspace.ErrScope) || errors.Is(err, docspace.ErrNotFound)
}

// denial returns the answer that makes a folder unreadable, nil for any other
// error.
func denial(err error) *docspace.StatusError {
	var refused *docspace.StatusError
	if !unreadable(err) || !errors.As(err, &refused) {
		return nil
	}
	return refused
}

// worthCommitting reports whether anything happened that must be stored. Idle
// folders write nothing.
func worthCommitting(mark, next checkpoint.Mark, events []schema.Event) bool {
	return len(events) > 0 || mark.Revision == 0 || mark.State != next.State || mark.Accounted != next.Accounted ||
		mark.Unnumbered.Hashed != next.Unnumbered.Hashed || !slices.Equal(mark.Recent, next.Recent) ||
		!slices.Equal(mark.Unnumbered.Hidden, next.Unnumbered.Hidden) || mark.Unnumbered.Missing != next.Unnumbered.Missing
}

func (r *Report) add(read reading, next checkpoint.Mark, events []schema.Event, left int) {
	r.State, r.Reason = next.State, next.Reason
	r.More = !read.last
	r.Events += len(read.rows) + read.filtered - left
	r.Filtered += left
	r.Gaps += len(read.unseen)
	r.Unread, r.Accounted = read.unread, next.Accounted
	r.Active = next.Active
	for i := range events {
		if events[i].Data.Late {
			r.Late++
		}
	}
}

// Describe tells the poller what the portal says about a folder, so that its
// events can name it.
func (p *Poller) Describe(f docspace.Folder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.folders[f.ID] = f
}

func (p *Poller) description(folder int) docspace.Folder {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.folders[folder]
}

// notice forgets what earlier polls found out about a folder whose mark an
// operator has changed since.
func (p *Poller) notice(mark checkpoint.Mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changes[mark.Folder] != mark.Changes {
		delete(p.vain, mark.Folder)
		delete(p.ailing, mark.Folder)
		p.changes[mark.Folder] = mark.Changes
	}
}

// remembered returns what earlier polls of this process found out about a
// folder.
func (p *Poller) remembered(folder int) (vain, ailment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.vain[folder], p.ailing[folder]
}

// remember keeps the outcome of a search until the next one is due, and where
// not to look.
func (p *Poller) remember(folder int, r reading, a ailment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.missing == 0:
		delete(p.vain, folder)
	case r.dug:
		p.vain[folder] = vain{missing: r.missing, at: time.Now()}
	}
	if a.none() {
		delete(p.ailing, folder)
	} else {
		p.ailing[folder] = a
	}
}

package poller

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// ScheduleOptions say when folders are polled. The zero value of each field
// means its documented default.
type ScheduleOptions struct {
	MinInterval time.Duration // between polls of a folder that just changed; default 5 s
	MaxInterval time.Duration // between polls of an idle or failing folder; default 2 min
	Workers     int           // polls at the same moment; default 8
	Log         zerolog.Logger
}

// A Schedule polls every watched folder again and again: often while rows come
// in, ever less often while none do. Where it falls behind, folders polled often
// go first and no folder waits for ever.
type Schedule struct {
	poller *Poller
	opts   ScheduleOptions

	mu      sync.Mutex
	turns   turns
	ready   ready // folders that became due
	backlog turns // those of them with history to read
	inHand  int   // polls at this moment
	reading int   // those of them that read history
	folders map[int]*turn
	trouble trouble
	found   discovery
	toldIDs bool          // that there are none
	wake    chan struct{} // something became due earlier than it was
}

// Trouble holds all folders back while none of them can be polled. Two folders
// in a row must fail for a reason that all share; any success ends it, and until
// then a failure for another reason, unless its poll began before.
type trouble struct {
	first int       // folder that failed so first; 0 while there is no trouble
	since time.Time // when it did
	until time.Time // no poll starts before
	wait  time.Duration
	told  bool
}

func (t *trouble) holds() bool { return t.wait != 0 }

// befalls reports whether err, of a folder, shows that all are concerned.
func (t *trouble) befalls(folder int, err error, s *Schedule) bool {
	return shared(err) && (len(s.folders) == 1 || t.first != 0 && t.first != folder || t.holds())
}

func (t *trouble) add(folder int, err error, s *Schedule, began, now time.Time) {
	switch {
	case !shared(err) && began.Before(t.since):
	case err == nil, !shared(err) && !t.holds(): // not all are concerned
		*t = trouble{}
	case t.befalls(folder, err, s) && now.Before(t.until):
		// It was under way when the others failed.
	case t.befalls(folder, err, s):
		t.wait = s.slower(t.wait)
		t.until = now.Add(jitter(t.wait))
	}
	if t.first == 0 && shared(err) {
		t.first, t.since = folder, now
	}
}

// A turn is the next poll of a folder.
type turn struct {
	folder   int
	due      time.Time
	interval time.Duration // wait after the last poll
	began    time.Time     // of the last poll that was answered; zero before
	changed  time.Time     // when something last happened in the folder, as far as known
	history  bool          // old rows are left to read; before the first poll there may be some
	standing Standing
	hint     hint
	place    int  // among the waiting turns; -1 while the folder is polled
	told     bool // that it cannot be polled

	withoutIDs bool // its log had none at the last poll
}

// NewSchedule returns a Schedule without folders.
func NewSchedule(p *Poller, opts ScheduleOptions) *Schedule {
	opts.MinInterval = cmp.Or(opts.MinInterval, 5*time.Second)
	opts.MaxInterval = max(cmp.Or(opts.MaxInterval, 2*time.Minute), opts.MinInterval)
	opts.Workers = cmp.Or(opts.Workers, 8)
	return &Schedule{poller: p, opts: opts, folders: make(map[int]*turn), wake: make(chan struct{}, 1)}
}

// Watch adds a folder and reports whether it is new; one already watched
// keeps its turn.
func (s *Schedule) Watch(folder int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folders[folder] != nil {
		return false
	}
	now := time.Now()
	t := &turn{folder: folder, due: now, interval: s.opts.MinInterval, standing: Standing{Folder: folder, Since: now}}
	t.changed, t.history = now, true
	s.folders[folder] = t
	heap.Push(&s.turns, t)
	s.rouse()
	return true
}

// CatchUp polls every watched folder until its newest row is stored, and
// returns the errors of those it could not bring so far, blind and rewound
// ones included. ErrTooOld ends it early.
func (s *Schedule) CatchUp(ctx context.Context) error {
	var mu sync.Mutex
	var failed []error
	polls, ctx := errgroup.WithContext(ctx)
	polls.SetLimit(s.opts.Workers)
	for _, f := range s.Standings() {
		polls.Go(func() error {
			err := s.catchUp(ctx, f.Folder)
			if errors.Is(err, ErrTooOld) {
				return err
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	if err := polls.Wait(); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// catchUp polls one folder until nothing is left. A commit another process
// won counts as progress: the next poll goes on from its mark.
func (s *Schedule) catchUp(ctx context.Context, folder int) error {
	for idle := 0; ; {
		began := time.Now()
		report, err := s.poller.Poll(ctx, folder)
		if errors.Is(err, checkpoint.ErrConflict) {
			continue
		}
		s.mu.Lock()
		s.folders[folder].standing.polled(began, time.Now(), report, err)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if report.Reason != "" {
			return fmt.Errorf("folder %d is %s: %s", folder, report.State, report.Reason)
		}
		if !report.More && report.Unread == 0 {
			return nil
		}
		if idle++; report.Commits > 0 {
			idle = 0
		}
		if idle == patience {
			return fmt.Errorf("folder %d: %d rows the portal counts were not found in %d polls", folder, report.Unread, patience)
		}
	}
}

// Run polls until ctx ends. A poll in hand is cut: its commit happens or does
// not, and the next start goes on from the mark. Only a portal that is too old
// ends it earlier, with an error that is ErrTooOld.
func (s *Schedule) Run(ctx context.Context) error {
	workers, ctx := errgroup.WithContext(ctx)
	for range s.opts.Workers {
		workers.Go(func() error {
			for {
				t, err := s.next(ctx)
				if err != nil {
					return nil
				}
				if err := s.turn(ctx, t); err != nil {
					return err
				}
			}
		})
	}
	return workers.Wait()
}

// next waits for a folder to be due and takes it.
func (s *Schedule) next(ctx context.Context) (*turn, error) {
	for {
		t, wait := s.due()
		if t != nil {
			return t, ctx.Err()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// due takes the folder to poll now, or tells how long there will be none. While
// all folders are in trouble, one poll at a time tries for all.
func (s *Schedule) due() (*turn, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if wait := s.trouble.until.Sub(now); wait > 0 {
		return nil, wait
	}
	if s.trouble.holds() && s.inHand > 0 {
		return nil, s.opts.MaxInterval
	}
	s.ripen(now)
	if t := s.pick(); t != nil {
		s.rouse() // another worker may find the next one due
		return t, 0
	}
	if len(s.turns) == 0 {
		return nil, s.opts.MaxInterval
	}
	return nil, s.turns[0].due.Sub(now)
}

// turn polls a folder and puts it back. Its error is one that ends all polling.
func (s *Schedule) turn(ctx context.Context, t *turn) error {
	began := time.Now()
	report, err := s.poller.Poll(ctx, t.folder)
	if ctx.Err() != nil {
		return nil
	}
	if errors.Is(err, ErrTooOld) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(t, began, report, err)
	now := time.Now()
	t.standing.polled(began, now, report, err)
	t.interval = s.pace(t, began, report, err)
	trouble := s.trouble
	s.trouble.add(t.folder, err, s, began, now)
	if trouble.holds() && !s.trouble.holds() {
		s.scatter(now, now.Sub(trouble.since))
	}
	s.rest(t, report, err)
	t.due = now.Add(t.interval)
	s.heed(t, report, err, now)
	heap.Push(&s.turns, t)
	s.rouse()
	return nil
}

// tell logs what an operator acts on: trouble that begins or ends, and a
// folder that changes its state. Trouble is told once, that of all folders when
// a second one meets it, that of one folder when its next poll meets it too, and
// another one did not: with the first failure nobody can tell which it is. The
// caller holds the lock.
func (s *Schedule) tell(t *turn, began time.Time, r Report, err error) {
	log := s.opts.Log.With().Int("folder", r.Folder).Logger()
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		log.Debug().Err(err).Msg("another process publishes this folder; its mark is read again")
	case s.trouble.befalls(r.Folder, err, s) && s.trouble.told:
	case s.trouble.befalls(r.Folder, err, s):
		s.trouble.told = true
		s.opts.Log.Error().Err(err).Msg("no folder can be polled; trying again")
	case err != nil && (t.told || t.standing.Err == nil || shared(t.standing.Err) != shared(err) || s.trouble.first == r.Folder):
		log.Debug().Err(err).Msg("this folder could not be polled")
	case err != nil:
		t.told = true
		log.Error().Err(err).Msg("this folder cannot be polled; trying again")
	case err == nil && s.trouble.told && !began.Before(s.trouble.since):
		s.opts.Log.Info().Msg("folders are polled again")
	case err == nil && t.told:
		log.Info().Msg("this folder is polled again")
	}
	if err != nil {
		return
	}
	t.told = false
	if r.Gaps > 0 {
		log.Warn().Int("rows", r.Gaps).Msg("rows of this folder's log cannot be shown by the portal; they are reported as a gap")
	}
	s.tellIDs(log, t, r)
	if r.State == t.standing.State {
		return
	}
	line := log.Info()
	if r.Reason != "" {
		line = log.Warn().Str("reason", r.Reason)
	}
	line.Int("events", r.Events).Int("unread", r.Unread).Msg("folder is " + string(r.State))
}

// tellIDs logs once what a log without row ids means, and when a folder's log
// begins to have them. The caller holds the lock.
func (s *Schedule) tellIDs(log zerolog.Logger, t *turn, r Report) {
	switch {
	case r.WithoutIDs && !s.toldIDs:
		s.toldIDs = true
		s.opts.Log.Warn().Msg("the portal tells no row ids, as DocSpace 3.0 to 3.5: rows are told apart by their content and ordered by date")
	case t.withoutIDs && r.WithIDs:
		log.Info().Msg("the portal tells row ids now, and this folder goes on with them")
	}
	t.withoutIDs = r.WithoutIDs || t.withoutIDs && !r.WithIDs
}

// held reports whether trouble that concerns all folders was told.
func (s *Schedule) held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble.told
}

// shared reports whether an error concerns every folder alike: the portal as a
// whole, the way to it, or the ledger.
func shared(err error) bool {
	for _, kind := range []error{docspace.ErrUnauthorized, docspace.ErrScope, docspace.ErrPayment, docspace.ErrPortal, docspace.ErrRateLimited} {
		if errors.Is(err, kind) {
			return true
		}
	}
	if status := new(docspace.StatusError); errors.As(err, &status) && status.Body == docspace.BodyError {
		return false
	}
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// rouse wakes a waiting worker. The caller holds the lock.
func (s *Schedule) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// turns is a heap of the folders waiting, the first due on top.
type turns []*turn

func (h turns) Len() int           { return len(h) }
func (h turns) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h turns) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *turns) Push(x any) {
	t := x.(*turn)
	t.place = len(*h)
	*h = append(*h, t)
}
func (h *turns) Pop() any {
	old := *h
	t := old[len(old)-1]
	t.place = -1
	*h = old[:len(old)-1]
	return t
}

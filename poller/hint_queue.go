package poller

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"docspace-nats/poller/docspace"
)

// maxPlaces is how many places wait at most to be found among the watched
// folders. Hints for more are dropped: the timer polls those folders.
const maxPlaces = 1000

// A HintOutcome is what became of a hint.
type HintOutcome string

// The outcomes of a hint. Each has exactly one.
const (
	HintAccepted   HintOutcome = "accepted"   // a watched folder is polled soon
	HintDropped    HintOutcome = "dropped"    // no watched folder was found for it, or none that it helps
	HintRefused    HintOutcome = "refused"    // not signed, or not with the secret
	HintUnreadable HintOutcome = "unreadable" // signed, and not understood
	HintLimited    HintOutcome = "limited"    // too many, or too large, to be looked at
)

// A HintQueue turns what a portal's webhooks tell into polls of the watched
// folders whose logs will show it. A hint that is lost here costs only time.
type HintQueue struct {
	schedule *Schedule
	ancestry *ancestry
	outcomes *prometheus.CounterVec

	mu      sync.Mutex
	waiting []announcement // of places that differ
	more    chan struct{}  // something waits
}

// An announcement is how often hints told of one place.
type announcement struct {
	hintPlace
	times int
}

// A hintPlace is where something was done.
type hintPlace struct {
	folder int // the object itself; 0 when it is a file
	room   bool
	parent int // what the object lies in; 0: unknown
}

// NewHintQueue returns a queue of hints for the folders of a schedule.
func NewHintQueue(s *Schedule) *HintQueue {
	q := &HintQueue{
		schedule: s,
		ancestry: newAncestry(s),
		more:     make(chan struct{}, 1),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docspace_nats_hints_total",
			Help: "Hints received, by outcome: accepted, dropped, refused, unreadable or limited.",
		}, []string{"outcome"}),
	}
	for _, o := range []HintOutcome{HintAccepted, HintDropped, HintRefused, HintUnreadable, HintLimited} {
		q.Count(o, 0)
	}
	return q
}

// Count counts hints that never came so far as Add, or did.
func (q *HintQueue) Count(o HintOutcome, hints int) {
	q.outcomes.WithLabelValues(string(o)).Add(float64(hints))
}

// Add takes a hint and never waits: Run finds out which folders it concerns.
func (q *HintQueue) Add(w docspace.Webhook) {
	p, ok := placeOf(w)
	if !ok || !q.push(p) {
		q.Count(HintDropped, 1)
	}
}

// placeOf returns where something was done. People and groups are in no
// folder, what lies in a third-party storage has no log, and downloads are in
// none.
func placeOf(w docspace.Webhook) (p hintPlace, ok bool) {
	if strings.HasSuffix(w.Trigger, ".downloaded") {
		return p, false
	}
	switch w.Kind {
	case docspace.KindRoom:
		p = hintPlace{folder: w.ID, room: true}
	case docspace.KindFolder:
		p = hintPlace{folder: w.ID, parent: w.ParentID}
	default:
		p = hintPlace{parent: w.ParentID}
	}
	return p, p.folder != 0 || p.parent != 0
}

// push reports whether there was room. A bulk upload is one place, told of a
// thousand times.
func (q *HintQueue) push(p hintPlace) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.IndexFunc(q.waiting, func(a announcement) bool { return a.hintPlace == p }); i >= 0 {
		q.waiting[i].times++
		return true
	}
	if len(q.waiting) >= maxPlaces {
		return false
	}
	at := len(q.waiting)
	if q.schedule.watches(p.folder) || q.schedule.watches(p.parent) {
		at = 0 // nothing has to be looked up first
	}
	q.waiting = slices.Insert(q.waiting, at, announcement{p, 1})
	select {
	case q.more <- struct{}{}:
	default:
	}
	return true
}

func (q *HintQueue) pop() (a announcement, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return a, false
	}
	a = q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	return a, true
}

// Run hands hints on until ctx ends.
func (q *HintQueue) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.more:
		}
		for a, ok := q.pop(); ok && ctx.Err() == nil; a, ok = q.pop() {
			q.Count(q.announce(ctx, a), a.times)
		}
	}
}

func (q *HintQueue) announce(ctx context.Context, a announcement) HintOutcome {
	outcome := HintDropped
	for _, folder := range q.watchedAt(ctx, a.hintPlace) {
		if q.schedule.announce(folder, a.times) {
			outcome = HintAccepted
		}
	}
	return outcome
}

// watchedAt returns the watched folders whose log shows what is done at a
// place: the folder itself and all above. A folder that was moved shows it
// where it was, too, if that is known.
func (q *HintQueue) watchedAt(ctx context.Context, p hintPlace) []int {
	if p.room {
		return q.watched(nil, p.folder)
	}
	if p.folder == 0 {
		return q.climb(ctx, nil, p.parent)
	}
	if p.parent == 0 {
		return q.climb(ctx, nil, p.folder)
	}
	found := q.watched(nil, p.folder)
	if was, ok := q.ancestry.known(p.folder); ok && was != p.parent {
		found = q.climb(ctx, found, was)
	}
	q.ancestry.learn(p.folder, p.parent)
	return q.climb(ctx, found, p.parent)
}

// climb goes from a folder up, as far as the way can be found.
func (q *HintQueue) climb(ctx context.Context, found []int, folder int) []int {
	for range deepest {
		if folder == 0 {
			break
		}
		found = q.watched(found, folder)
		above, err := q.ancestry.parent(ctx, folder)
		if err != nil {
			break
		}
		folder = above
	}
	return found
}

func (q *HintQueue) watched(found []int, folder int) []int {
	if !q.schedule.watches(folder) || slices.Contains(found, folder) {
		return found
	}
	return append(found, folder)
}

// Describe implements prometheus.Collector.
func (q *HintQueue) Describe(descs chan<- *prometheus.Desc) { q.outcomes.Describe(descs) }

// Collect implements prometheus.Collector.
func (q *HintQueue) Collect(metrics chan<- prometheus.Metric) { q.outcomes.Collect(metrics) }

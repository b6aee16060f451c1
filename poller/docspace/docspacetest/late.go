package docspacetest

import (
	"slices"
	"sync"
)

// A parcel is a row on its way into the logs.
type parcel struct {
	row  *row
	refs []*folder // whose log will show it
}

// A queue is the message queue between what people do and the logs.
type queue struct {
	down    bool
	waiting []parcel
}

// Reserve stores an action but keeps it out of sight until publish is called.
// Its id is taken now, so rows recorded meanwhile have higher ones: that is how
// a slow transaction looks to a reader.
func (p *Portal) Reserve(a Action) (publish func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.build(a)
	if r == nil {
		return func() {}
	}
	r.id = p.auditID()
	refs := slices.Clone(p.refs)
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.insert(r, refs)
	})
}

// Outage stops the message queue. What people do from now on is dated now and
// in no log, except what does not go through the queue: removals of members,
// and from some versions on new rooms and agents and the opening of forms.
// Restore writes the rows, with ids of that moment and, as several workers
// share them, not quite in the order they happened.
func (p *Portal) Outage() (restore func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.down = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.queue.down = false
		p.drain()
	}
}

// workers write what waited in the queue, side by side.
const workers = 10

func (p *Portal) drain() {
	waiting := p.queue.waiting
	p.queue.waiting = nil
	for batch := range slices.Chunk(waiting, workers) {
		p.rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		for _, late := range batch {
			late.row.id = p.auditID()
			p.insert(late.row, late.refs)
		}
	}
}

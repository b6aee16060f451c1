package main

import (
	"context"
	"sync"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

// A tally counts the rows that a job has stored, by whichever replica, as far as
// this process hears of it: from its own commits, and from the marks it reads.
type tally struct {
	mu        sync.Mutex
	accounted map[int]int
	progress  *progress
}

func newTally(marks []checkpoint.Mark) *tally {
	t := &tally{accounted: make(map[int]int)}
	for _, m := range marks {
		t.accounted[m.Folder] = m.Accounted
	}
	return t
}

func (t *tally) hear(m checkpoint.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if more := m.Accounted - t.accounted[m.Folder]; more > 0 {
		t.progress.add(more)
		t.accounted[m.Folder] = m.Accounted
	}
}

// rows returns how many are stored.
func (t *tally) rows() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rows := range t.accounted {
		n += rows
	}
	return n
}

// A talliedLedger tells a tally of every mark that goes through it.
type talliedLedger struct {
	*publisher.JetStream
	tally *tally
}

// Mark implements poller.Ledger.
func (l talliedLedger) Mark(ctx context.Context, folder int) (checkpoint.Mark, error) {
	mark, err := l.JetStream.Mark(ctx, folder)
	if err == nil {
		l.tally.hear(mark)
	}
	return mark, err
}

// Commit implements poller.Ledger.
func (l talliedLedger) Commit(ctx context.Context, folder int, events []schema.Event, prev, next checkpoint.Mark) (checkpoint.Mark, error) {
	stored, err := l.JetStream.Commit(ctx, folder, events, prev, next)
	if err == nil {
		l.tally.hear(stored)
	}
	return stored, err
}

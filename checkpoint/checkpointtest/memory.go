package checkpointtest

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// Memory is a Store without a server, for tests of those who commit. It can
// fail before a commit and, as real servers do, after one.
type Memory struct {
	// Before is called before a commit is stored; its error refuses it.
	Before func(folder int, events []schema.Event) error
	// After is called once a commit is stored; its error is what the caller
	// sees although events and mark are in.
	After func(folder int, events []schema.Event) error

	mu       sync.Mutex
	revision uint64
	marks    map[int]stored
	events   map[int][]schema.Event
	seqs     map[int][]uint64 // of the events
	commits  int
	dropped  bool
}

// stored is a mark as bytes, so that nobody shares its ids.
type stored struct {
	text     []byte
	revision uint64
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{marks: make(map[int]stored), events: make(map[int][]schema.Event), seqs: make(map[int][]uint64)}
}

// Mark implements Store.
func (m *Memory) Mark(ctx context.Context, folder int) (checkpoint.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark(folder)
}

func (m *Memory) mark(folder int) (checkpoint.Mark, error) {
	s, ok := m.marks[folder]
	if !ok {
		return checkpoint.Mark{Folder: folder}, nil
	}
	mark, err := checkpoint.Decode(s.text)
	mark.Revision = s.revision
	return mark, err
}

// Commit implements Store.
func (m *Memory) Commit(ctx context.Context, folder int, events []schema.Event, prev, next checkpoint.Mark) (checkpoint.Mark, error) {
	if err := ctx.Err(); err != nil {
		return checkpoint.Mark{}, err
	}
	if m.Before != nil {
		if err := m.Before(folder, events); err != nil {
			return checkpoint.Mark{}, err
		}
	}
	next, err := m.store(folder, events, prev, next)
	if err != nil || m.After == nil {
		return next, err
	}
	return next, m.After(folder, events)
}

func (m *Memory) store(folder int, events []schema.Event, prev, next checkpoint.Mark) (checkpoint.Mark, error) {
	text, err := next.Encode()
	if err != nil {
		return checkpoint.Mark{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marks[folder].revision != prev.Revision {
		return checkpoint.Mark{}, checkpoint.ErrConflict
	}
	m.events[folder] = append(m.events[folder], events...)
	for i := range events {
		m.seqs[folder] = append(m.seqs[folder], m.revision+uint64(i)+1)
	}
	m.revision += uint64(len(events)) + 1
	m.marks[folder] = stored{text: text, revision: m.revision}
	m.commits++
	return m.mark(folder)
}

// Events returns the folder's events in the order they were stored.
func (m *Memory) Events(folder int) []schema.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events[folder])
}

// Commits returns how many commits were stored.
func (m *Memory) Commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commits
}

// Published implements Store.
func (m *Memory) Published(ctx context.Context, mark checkpoint.Mark, so checkpoint.Published) (checkpoint.Published, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if so.UpTo >= mark.Revision {
		return so, ctx.Err()
	}
	first := mark.Revision
	for i, seq := range m.seqs[mark.Folder] {
		first = min(first, seq)
		if seq <= so.UpTo || seq > mark.Revision {
			continue
		}
		if err := add(&so, seq, m.events[mark.Folder][i]); err != nil {
			return checkpoint.Published{}, err
		}
	}
	so.ReadTo(mark.Revision, first)
	return so, ctx.Err()
}

func add(so *checkpoint.Published, seq uint64, e schema.Event) error {
	if c := e.Data.Connector; c != nil {
		switch e.Data.Action.Name {
		case schema.Gap:
			so.Gaps += int(c.Rows)
		case schema.Shrunk:
			so.Removed += int(c.Rows)
		case schema.MarkChanged:
			so.Changed()
		}
	}
	if e.Sequence == "" {
		return nil
	}
	id, err := strconv.ParseInt(e.Sequence, 10, 64)
	if err != nil {
		return err
	}
	return so.Row(seq, id, e.Data.Late)
}

// Stored hands on the events of a folder above a sequence, as a stream does.
func (m *Memory) Stored(ctx context.Context, folder int, after uint64, most int, each func(seq uint64, kind string, data []byte) error) (upTo uint64, last bool, err error) {
	m.mu.Lock()
	events, seqs := slices.Clone(m.events[folder]), slices.Clone(m.seqs[folder])
	m.mu.Unlock()
	upTo = after
	for i, seq := range seqs {
		switch {
		case seq <= after:
			continue
		case most == 0:
			return upTo, false, nil
		}
		a := events[i].Data.Action
		if err := each(seq, a.Category+"."+a.Name, events[i].Encode()); err != nil {
			return upTo, false, err
		}
		upTo, most = seq, most-1
	}
	return upTo, most > 0, ctx.Err()
}

// Drops reports whether Drop was called.
func (m *Memory) Drops(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped, nil
}

// Edit replaces the events of a folder by what change makes of them, as somebody
// does who writes into the stream. Those that are added get sequences at its end.
func (m *Memory) Edit(folder int, change func([]schema.Event) []schema.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events, seqs := change(slices.Clone(m.events[folder])), m.seqs[folder]
	for len(seqs) < len(events) {
		m.revision++
		seqs = append(seqs, m.revision)
	}
	m.events[folder], m.seqs[folder] = events, seqs[:len(events)]
}

// Drop removes the oldest n events of a folder, as a limit of a stream does.
func (m *Memory) Drop(folder, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events[folder] = slices.Clone(m.events[folder][n:])
	m.seqs[folder] = slices.Clone(m.seqs[folder][n:])
	m.dropped = true
}

// Remove removes events of a folder, as an operator who purges some subjects
// does.
func (m *Memory) Remove(folder int, which func(schema.Event) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var events []schema.Event
	var seqs []uint64
	for i, e := range m.events[folder] {
		if !which(e) {
			events, seqs = append(events, e), append(seqs, m.seqs[folder][i])
		}
	}
	m.events[folder], m.seqs[folder] = events, seqs
}

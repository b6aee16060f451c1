package publisher

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// Events can lie in the stream without a mark that accounts for them: a dedup
// commit was cut off, a server at its storage limit took the first part of an
// atomic one, or the mark itself was lost. They are read back and not stored
// again. A mark says from which sequence on to look (checkpoint.Mark.Unsettled),
// until it accounts for all of them. Almost always there are none, and that
// costs a commit one request.

// askSingly is how many such events are read one by one: those of a commit that
// was cut off are few, as a rule.
const askSingly = 64

// A storedSet is what lies in the stream of one folder above a mark.
type storedSet struct {
	rows   []int64         // ids of rows, ascending
	hashed map[string]bool // ids of the events of rows without one
	said   map[string]bool // ids of events that are about no row
	from   uint64          // sequence it begins at
	upTo   uint64          // sequence up to which it was read
	mark   uint64          // revision of the mark it is kept for: with another one, the stream may be another

	overtaken []checkpoint.Overtaken // where some of it lies below from
	below     bool                   // whether any does

	// The oldest and the newest row that was stored in its turn, and the dates of
	// those without an id. Rows are stored in order: where the set begins with the
	// stream, those below the oldest were stored and dropped by a limit or a purge,
	// or were never asked for.
	oldest, newest int64
	first, last    time.Time

	connection uint64 // what an earlier connection read, a server may have lost since
}

// storedSets keeps the sets that the next commit of a folder needs again.
type storedSets struct {
	mu sync.Mutex
	of map[int]*storedSet
}

// take returns a folder's set, nil when there is none, to one caller only.
func (s *storedSets) take(folder int) *storedSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.of[folder]
	delete(s.of, folder)
	return set
}

func (s *storedSets) put(folder int, set *storedSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[int]*storedSet)
	}
	s.of[folder] = set
}

// unsettledFrom is the sequence from which on events may lie in the stream that
// the mark does not account for.
func unsettledFrom(mark checkpoint.Mark) uint64 {
	if mark.Unsettled > 0 {
		return mark.Unsettled
	}
	return mark.Revision + 1
}

// readOn adds to a set what was stored since it was read; nil stands for the
// empty set. It returns checkpoint.ErrConflict when something was, and the mark
// is no longer the folder's.
//
// The answer can be outdated when it is used, and that is harmless: while the
// mark is the folder's newest, no event of a finished commit lies above it;
// and when it is not, the fence refuses the commit made shorter by mistake.
func (j *JetStream) readOn(ctx context.Context, mark checkpoint.Mark, set *storedSet) (*storedSet, error) {
	connection := j.nc.Stats().Reconnects
	from := unsettledFrom(mark)
	if set == nil || set.from != from || !slices.Equal(set.overtaken, mark.Overtaken) || set.mark != mark.Revision || set.connection != connection {
		set = &storedSet{hashed: make(map[string]bool), said: make(map[string]bool), from: from, upTo: from - 1, overtaken: mark.Overtaken, mark: mark.Revision, connection: connection}
		if len(set.overtaken) > 0 {
			set.upTo = set.overtaken[0].From - 1
		}
	}
	s := scan{j: j, folder: mark.Folder, read: set.upTo, end: toTheEnd, singly: askSingly, each: set.add}
	err := s.all(ctx)
	if err == nil && s.read > set.upTo {
		err = j.stillNewest(ctx, mark)
	}
	if err != nil {
		return nil, fmt.Errorf("events of folder %d in stream %s above its mark: %w", mark.Folder, j.o.Stream, err)
	}
	set.upTo = s.read
	if !set.below {
		set.overtaken = nil
	}
	slices.Sort(set.rows)
	set.rows = slices.Compact(set.rows)
	return set, nil
}

// stillNewest returns checkpoint.ErrConflict unless the mark is the folder's.
func (j *JetStream) stillNewest(ctx context.Context, mark checkpoint.Mark) error {
	now, err := j.lastMark(ctx, mark.Folder)
	if err == nil && now.Revision != mark.Revision {
		err = conflict(mark, now.Mark)
	}
	return err
}

// add takes up one event.
func (s *storedSet) add(e event) error {
	var is struct {
		ID       string    `json:"id"`
		Time     time.Time `json:"time"`
		Sequence string    `json:"sequence"`
		Data     struct {
			Late      bool      `json:"late"`
			Connector *struct{} `json:"connector"`
		} `json:"data"`
	}
	switch err := json.Unmarshal(e.data, &is); {
	case err != nil:
		return fmt.Errorf("is none of this program's: %w", err)
	case is.ID == "":
		return fmt.Errorf("is none of this program's: it has no id")
	case len(s.rows)+len(s.hashed)+len(s.said) == checkpoint.MaxPublished:
		return checkpoint.ErrTooManyRows
	case is.Sequence != "":
		return s.addRow(e.seq, is.Sequence, is.Data.Late)
	case e.seq < s.from:
		return nil
	case is.Data.Connector != nil:
		s.said[is.ID] = true
		return nil
	}
	s.hashed[is.ID] = true
	if is.Data.Late {
		return nil
	}
	if s.first.IsZero() || is.Time.Before(s.first) {
		s.first = is.Time
	}
	if is.Time.After(s.last) {
		s.last = is.Time
	}
	return nil
}

func (s *storedSet) addRow(seq uint64, sequence string, late bool) error {
	id, err := strconv.ParseInt(sequence, 10, 64)
	if err != nil || id <= 0 {
		return fmt.Errorf("sequence %q is not the id of a row", sequence)
	}
	if seq < s.from {
		if id <= s.above(seq) {
			return nil
		}
		s.below = true
	}
	s.rows = append(s.rows, id)
	if late {
		return nil
	}
	if s.oldest == 0 || id < s.oldest {
		s.oldest = id
	}
	s.newest = max(s.newest, id)
	return nil
}

// above is the row above which what lies at a sequence below from is of the set.
func (s *storedSet) above(seq uint64) int64 {
	for _, o := range slices.Backward(s.overtaken) {
		if seq >= o.From {
			return o.Above
		}
	}
	return math.MaxInt64
}

func (s *storedSet) empty() bool { return len(s.rows)+len(s.hashed)+len(s.said) == 0 }

// has reports whether an event was stored, be it that it was dropped since.
func (s *storedSet) has(e *schema.Event) bool {
	dropped := s.from == 1 && !e.Data.Late
	if id := row(e); id > 0 {
		_, found := slices.BinarySearch(s.rows, id)
		return found || dropped && id < s.oldest
	}
	if e.Data.Connector != nil {
		return s.said[e.ID]
	}
	return s.hashed[e.ID] || dropped && e.Time.Before(s.first)
}

// overtook reports whether rows that follow an event's were stored before it.
func (s *storedSet) overtook(e *schema.Event) bool {
	if id := row(e); id > 0 {
		return id < s.newest
	}
	return e.Data.Connector == nil && e.Time.Before(s.last)
}

// settledBy reports whether a mark accounts for all rows of the set, once it is
// stored with these events.
func (s *storedSet) settledBy(next checkpoint.Mark, events []schema.Event) bool {
	for i := len(s.rows) - 1; i >= 0 && s.rows[i] > next.Forgotten; i-- {
		if !next.Known(s.rows[i]) {
			return false
		}
	}
	if len(s.hashed) == 0 || next.NewestEvent.After(s.last) {
		return true
	}
	left := len(s.hashed)
	for i := range events {
		if s.hashed[events[i].ID] {
			left--
		}
	}
	return left == 0
}

// row is the id of an event's row, 0 when it has none.
func row(e *schema.Event) int64 {
	id, _ := strconv.ParseInt(e.Sequence, 10, 64)
	return id
}

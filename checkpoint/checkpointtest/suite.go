// Package checkpointtest holds what every keeper of marks and events must do,
// as one suite, and a keeper in memory that passes it.
package checkpointtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// A Store keeps events and marks, together or not at all.
type Store interface {
	Mark(ctx context.Context, folder int) (checkpoint.Mark, error)
	Commit(ctx context.Context, folder int, events []schema.Event, prev, next checkpoint.Mark) (checkpoint.Mark, error)
	Published(ctx context.Context, mark checkpoint.Mark, so checkpoint.Published) (checkpoint.Published, error)
}

// A Bench is a Store under test, with a way to see what is in it.
type Bench struct {
	Store
	// Stored returns the ids of the folder's events in the order they lie in.
	Stored func(ctx context.Context, folder int) ([]string, error)
}

// Exercise holds a Store to its contract. Open returns an empty one.
func Exercise(t *testing.T, open func(t *testing.T) Bench) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Bench)
	}{
		{"a folder nobody published has a mark without revision", emptyFolder},
		{"a commit stores events and mark, in order", commitStores},
		{"a commit without events moves the mark", commitMarkOnly},
		{"a stale mark is refused and nothing is stored", staleRefused},
		{"a second first commit is refused", secondFirstRefused},
		{"folders do not disturb each other", foldersApart},
		{"the largest commit fits", largestCommit},
		{"of many writers with one mark exactly one wins", oneWinner},
		{"an ended context stores all or nothing", endedContext},
		{"what is stored can be told, and goes on where it ended", tellsPublished},
		{"events of other folders and those that are no rows are no rows", tellsRowsOnly},
		{"an old mark is told what was stored up to it", tellsAnOldMark},
		{"what an operator has published again is stored again", storesAgain},
		{"what was stored before a change of the mark is not told", tellsSinceTheChange},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

// Events returns n events of a folder with consecutive row ids from first on.
func Events(folder int, first int64, n int) []schema.Event {
	origin := schema.Origin{Portal: "docspace.example.com", SourceBase: "https://docspace.example.com", Folder: folder}
	action, known := schema.Lookup(5011)
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	events := make([]schema.Event, n)
	for i := range events {
		e := origin.Event(action, known, schema.Live, at, at)
		e.ID = schema.EventID(folder, first+int64(i))
		e.Sequence = schema.Sequence(first + int64(i))
		events[i] = e
	}
	return events
}

// After returns the mark that accounts for the events on top of prev.
func After(prev checkpoint.Mark, events []schema.Event) checkpoint.Mark {
	next := prev
	next.State = checkpoint.Watching
	next.Accounted += len(events)
	ids := make([]int64, len(events))
	for i := range events {
		fmt.Sscanf(events[i].Sequence, "%d", &ids[i])
	}
	return next.Remember(ids...)
}

func emptyFolder(t *testing.T, b Bench) {
	m, err := b.Mark(t.Context(), 1204)
	if err != nil || m.Revision != 0 || m.Folder != 1204 || m.Accounted != 0 {
		t.Fatalf("Mark = %+v, %v", m, err)
	}
}

func commitStores(t *testing.T, b Bench) {
	mark := checkpoint.Mark{Folder: 1204}
	var want []string
	for i := range 5 {
		events := Events(1204, int64(i*10+1), i*3)
		mark = b.must(t, events, mark)
		for _, e := range events {
			want = append(want, e.ID)
		}
	}
	b.holds(t, 1204, want)
	again, err := b.Mark(t.Context(), 1204)
	if err != nil || again.Revision != mark.Revision || again.Accounted != len(want) || !slices.Equal(again.Recent, mark.Recent) {
		t.Fatalf("Mark = %+v, %v; Commit returned %+v", again, err, mark)
	}
}

func commitMarkOnly(t *testing.T, b Bench) {
	first := b.must(t, nil, checkpoint.Mark{Folder: 7})
	second := b.must(t, nil, first)
	if first.Revision == 0 || second.Revision <= first.Revision {
		t.Fatalf("revisions %d and %d must rise", first.Revision, second.Revision)
	}
	b.holds(t, 7, nil)
}

func staleRefused(t *testing.T, b Bench) {
	old := b.must(t, Events(7, 1, 3), checkpoint.Mark{Folder: 7})
	current := b.must(t, Events(7, 4, 3), old)
	events := Events(7, 4, 3)
	if _, err := b.Commit(t.Context(), 7, events, old, After(old, events)); !errors.Is(err, checkpoint.ErrConflict) {
		t.Fatalf("Commit over a stale mark = %v, want ErrConflict", err)
	}
	if m, err := b.Mark(t.Context(), 7); err != nil || m.Revision != current.Revision {
		t.Fatalf("Mark = %+v, %v, want revision %d", m, err, current.Revision)
	}
	b.holds(t, 7, []string{"7-1", "7-2", "7-3", "7-4", "7-5", "7-6"})
}

func secondFirstRefused(t *testing.T, b Bench) {
	b.must(t, Events(7, 1, 1), checkpoint.Mark{Folder: 7})
	events := Events(7, 1, 1)
	none := checkpoint.Mark{Folder: 7}
	if _, err := b.Commit(t.Context(), 7, events, none, After(none, events)); !errors.Is(err, checkpoint.ErrConflict) {
		t.Fatalf("Commit = %v, want ErrConflict", err)
	}
	b.holds(t, 7, []string{"7-1"})
}

func foldersApart(t *testing.T, b Bench) {
	seven := b.must(t, Events(7, 1, 2), checkpoint.Mark{Folder: 7})
	eight := b.must(t, Events(8, 1, 2), checkpoint.Mark{Folder: 8})
	b.must(t, Events(7, 3, 1), seven)
	b.must(t, Events(8, 3, 1), eight)
	b.holds(t, 7, []string{"7-1", "7-2", "7-3"})
	b.holds(t, 8, []string{"8-1", "8-2", "8-3"})
}

func largestCommit(t *testing.T, b Bench) {
	mark := b.must(t, Events(7, 1, 999), checkpoint.Mark{Folder: 7})
	mark = b.must(t, Events(7, 1000, 999), mark)
	if mark.Accounted != 1998 {
		t.Fatalf("accounted %d", mark.Accounted)
	}
	stored, err := b.Stored(t.Context(), 7)
	if err != nil || len(stored) != 1998 {
		t.Fatalf("%d events stored, %v", len(stored), err)
	}
}

func oneWinner(t *testing.T, b Bench) {
	mark := checkpoint.Mark{Folder: 7}
	for round := range 20 {
		var winners sync.Map
		var wg sync.WaitGroup
		for writer := range 4 {
			wg.Go(func() {
				events := Events(7, int64(round*10+1), 10)
				next := After(mark, events)
				next.Writer = fmt.Sprint(writer)
				stored, err := b.Commit(t.Context(), 7, events, mark, next)
				switch {
				case err == nil:
					winners.Store(writer, stored)
				case !errors.Is(err, checkpoint.ErrConflict):
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		count := 0
		winners.Range(func(_, stored any) bool {
			count++
			mark = stored.(checkpoint.Mark)
			return true
		})
		if count != 1 {
			t.Fatalf("round %d: %d winners", round, count)
		}
	}
	stored, err := b.Stored(t.Context(), 7)
	if err != nil || len(stored) != 200 {
		t.Fatalf("%d events stored, %v", len(stored), err)
	}
}

func endedContext(t *testing.T, b Bench) {
	mark := b.must(t, Events(7, 1, 1), checkpoint.Mark{Folder: 7})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	events := Events(7, 2, 500)
	if _, err := b.Commit(ctx, 7, events, mark, After(mark, events)); err == nil {
		t.Fatal("a commit under an ended context must not claim success")
	}
	now, err := b.Mark(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := b.Stored(t.Context(), 7)
	if err != nil || len(stored) != now.Accounted {
		t.Fatalf("%d events stored, the mark accounts for %d: %v", len(stored), now.Accounted, err)
	}
}

func tellsPublished(t *testing.T, b Bench) {
	mark := b.must(t, Events(7, 11, 30), checkpoint.Mark{Folder: 7})
	so, err := b.Published(t.Context(), mark, checkpoint.Published{})
	if err != nil || so.UpTo != mark.Revision || len(so.IDs) != 30 || so.IDs[0] != 11 || so.Floor(30) != 0 {
		t.Fatalf("Published = %+v, %v", so, err)
	}
	late := Events(7, 5, 2)
	late[0].Data.Late, late[1].Data.Late = true, true
	mark = b.must(t, late, mark)
	mark = b.must(t, Events(7, 41, 3), mark)
	so, err = b.Published(t.Context(), mark, so)
	want := []int64{5, 6, 11, 12}
	if err != nil || so.UpTo != mark.Revision || len(so.IDs) != 35 || !slices.Equal(so.IDs[:4], want) || so.IDs[34] != 43 {
		t.Fatalf("Published = %+v, %v", so, err)
	}
	if so.Floor(35) != 0 || so.Floor(36) != 11 {
		t.Fatalf("floors %d and %d, want 0 and the oldest row stored in its turn", so.Floor(35), so.Floor(36))
	}
	again, err := b.Published(t.Context(), mark, so)
	if err != nil || len(again.IDs) != 35 {
		t.Fatalf("Published = %+v, %v", again, err)
	}
}

func tellsRowsOnly(t *testing.T, b Bench) {
	origin := schema.Origin{Portal: "docspace.example.com", SourceBase: "https://docspace.example.com", Folder: 7}
	say := func(kind string, rows int64) schema.Event {
		return origin.Connector(kind, 0, schema.Live, time.Now(), schema.Connector{Rows: rows})
	}
	b.must(t, Events(77, 900, 3), checkpoint.Mark{Folder: 77})
	events := append(Events(7, 1, 2), say(schema.Gap, 4), say(schema.Shrunk, 1), say(schema.Unreconciled, 9))
	mark, err := b.Commit(t.Context(), 7, events, checkpoint.Mark{Folder: 7}, checkpoint.Mark{Folder: 7, Accounted: 5})
	if err != nil {
		t.Fatal(err)
	}
	so, err := b.Published(t.Context(), mark, checkpoint.Published{})
	if err != nil || !slices.Equal(so.IDs, []int64{1, 2}) || so.Gaps != 4 || so.Removed != 1 || so.Floor(mark.Accounted) != 0 {
		t.Fatalf("Published = %+v, %v", so, err)
	}
}

func tellsAnOldMark(t *testing.T, b Bench) {
	old := b.must(t, Events(7, 1, 3), checkpoint.Mark{Folder: 7})
	b.must(t, Events(7, 4, 3), old)
	so, err := b.Published(t.Context(), old, checkpoint.Published{})
	if err != nil || !slices.Equal(so.IDs, []int64{1, 2, 3}) || so.UpTo != old.Revision {
		t.Fatalf("Published = %+v, %v, want the rows up to the mark", so, err)
	}
}

// Change returns the event that says that prev was changed into next.
func Change(prev, next checkpoint.Mark) schema.Event {
	origin := schema.Origin{Portal: "docspace.example.com", SourceBase: "https://docspace.example.com", Folder: prev.Folder}
	accounted, before, none := int64(next.Accounted), int64(prev.Accounted), int64(0)
	return origin.Connector(schema.MarkChanged, prev.Revision, schema.Live, time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC), schema.Connector{
		Reason: "reset", Accounted: &accounted, AccountedBefore: &before, Anchor: next.Anchor, AnchorBefore: prev.Anchor,
		Again: &before, Skipped: &none, Changes: int64(next.Changes), Writer: "host-1/4711",
	})
}

// change commits a change of the mark.
func (b Bench) change(t *testing.T, prev, next checkpoint.Mark) checkpoint.Mark {
	t.Helper()
	mark, err := b.Commit(t.Context(), prev.Folder, []schema.Event{Change(prev, next)}, prev, next)
	if err != nil {
		t.Fatalf("change the mark of folder %d: %v", prev.Folder, err)
	}
	return mark
}

func storesAgain(t *testing.T, b Bench) {
	before := b.must(t, Events(7, 1, 30), checkpoint.Mark{Folder: 7})
	var want []string
	for round := range 3 {
		mark := b.change(t, before, before.Reset(time.Time{}))
		if mark.Changes != round+1 || mark.Accounted != 0 || mark.Newest() != 0 {
			t.Fatalf("%+v", mark)
		}
		before = b.must(t, Events(7, 11, 20), b.must(t, Events(7, 1, 10), mark))
	}
	stored, err := b.Stored(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 * 30 {
		want = append(want, schema.EventID(7, int64(i%30+1)))
	}
	rows := slices.DeleteFunc(stored, func(id string) bool { return strings.Contains(id, schema.MarkChanged) })
	if !slices.Equal(rows, want) {
		t.Fatalf("folder 7 holds %q, want each row four times, in order", rows)
	}
}

func tellsSinceTheChange(t *testing.T, b Bench) {
	before := b.must(t, Events(7, 1, 30), checkpoint.Mark{Folder: 7})
	reset := b.must(t, Events(7, 1, 12), b.change(t, before, before.Reset(time.Time{})))
	so, err := b.Published(t.Context(), before, checkpoint.Published{})
	if err != nil || len(so.IDs) != 30 {
		t.Fatalf("Published = %+v, %v", so, err)
	}
	so, err = b.Published(t.Context(), reset, so)
	if err != nil || len(so.IDs) != 12 || so.Has(13) || so.Floor(reset.Accounted) != 0 {
		t.Fatalf("Published = %+v, %v, want what the mark accounts for", so, err)
	}
	moved := b.must(t, Events(7, 41, 5), b.change(t, reset, reset.MovedOn(40)))
	so, err = b.Published(t.Context(), moved, so)
	if err != nil || len(so.IDs) != 5 || so.Floor(moved.Accounted) != 41 {
		t.Fatalf("Published = %+v, %v, floor %d: want nothing told of rows that were skipped", so, err, so.Floor(moved.Accounted))
	}
}

// must commits the events on top of prev.
func (b Bench) must(t *testing.T, events []schema.Event, prev checkpoint.Mark) checkpoint.Mark {
	t.Helper()
	mark, err := b.Commit(t.Context(), prev.Folder, events, prev, After(prev, events))
	if err != nil {
		t.Fatalf("commit %d events of folder %d: %v", len(events), prev.Folder, err)
	}
	return mark
}

func (b Bench) holds(t *testing.T, folder int, want []string) {
	t.Helper()
	got, err := b.Stored(t.Context(), folder)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("folder %d holds %q, %v; want %q", folder, got, err, want)
	}
}

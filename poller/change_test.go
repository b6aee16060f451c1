package poller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// change makes a change as an operator does who agrees to everything.
func (r *rig) change(t testing.TB, move Move) Change {
	t.Helper()
	plan, err := r.poller.Plan(t.Context(), r.room, move)
	if err != nil {
		t.Fatal(err)
	}
	c, err := plan.Make(t.Context(), "a test", func(Change) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ids returns the ids of the events about rows, as they were stored.
func (r *rig) ids() []string {
	var all []string
	for _, e := range r.ledger.Events(r.room) {
		if e.Data.Connector == nil {
			all = append(all, e.ID)
		}
	}
	return all
}

// versions are portals with row ids and without.
var versions = []string{docspacetest.New(docspacetest.Options{}).Version(), "3.5.0"}

// A clockRig is a rig whose clock is the test's.
type clockRig struct {
	*rig
	clock time.Time
}

func newRigOfVersion(t testing.TB, version string, opts Options) *clockRig {
	t.Helper()
	r := &clockRig{clock: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	r.rig = newRigOf(t, docspacetest.Options{Seed: 1, Version: version, Now: func() time.Time { return r.clock }}, opts)
	return r
}

// act lets a second pass before something is done.
func (r *clockRig) act(n int) {
	r.clock = r.clock.Add(time.Second)
	r.rig.act(n)
}

// Whatever of the folder was read when it is put back, and whatever happened
// since: what was accounted for follows again, in order, with the ids it had.
func TestAResetPublishesExactlyWhatItAnnounces(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, version := range versions {
		for _, before := range []int{1, 30, 99, 250, 1200} {
			t.Run(fmt.Sprintf("%s of %d rows", version, before), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, uint64(before)))
				r := newRigOfVersion(t, version, Options{Chunk: 200, Turn: 1 + rng.IntN(3)})
				r.act(before)
				if _, err := r.poller.Poll(t.Context(), r.room); err != nil { // its turn may end in the middle
					t.Fatal(err)
				}
				was, accounted := r.ids(), r.mark(t).Accounted
				r.act(rng.IntN(150))
				c := r.change(t, Move{Command: ResetMark})
				if c.Again != accounted || len(was) != accounted || c.Skipped != 0 || c.Older != 0 || c.AtMost {
					t.Fatalf("%v, of %d rows accounted for", c, accounted)
				}
				r.act(rng.IntN(150))
				r.poll(t)
				r.poll(t)
				again := r.ids()[len(was):]
				total := r.portal.Count(r.room)
				switch {
				case len(again) != total || len(slices.Compact(slices.Sorted(slices.Values(again)))) != total:
					t.Fatalf("%d rows follow, of %d there are", len(again), total)
				case version == versions[0] && !slices.Equal(again[:len(was)], was):
					t.Fatalf("the first %d rows are not those of before", len(was))
				case slices.ContainsFunc(was, func(id string) bool { return !slices.Contains(again, id) }):
					t.Fatal("a row follows with another id") // within a second they have no order
				}
				if mark := r.mark(t); mark.State != checkpoint.Watching || mark.Accounted != len(again) || mark.Changes != 1 {
					t.Fatalf("%v", mark)
				}
			})
		}
	}
}

// A consumer that alerts on bursts must not take them for something new.
func TestRowsPublishedAgainAreHistoryAndNotLate(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		r := newRigOfVersion(t, version, Options{Began: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)})
		r.act(150)
		r.poll(t)
		r.change(t, Move{Command: ResetMark})
		r.poll(t)
		events := r.ledger.Events(r.room)
		at := slices.IndexFunc(events, func(e schema.Event) bool { return e.Data.Connector != nil })
		for i, e := range events {
			if again := i > at; i != at && (e.Data.Late || (e.IngestMode == schema.Backfill) != again) {
				t.Fatalf("event %d of %d is %s, late %t", i, len(events), e.IngestMode, e.Data.Late)
			}
		}
	}
}

func TestAResetToATimeReadsFromThereOn(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		r := newRigOfVersion(t, version, Options{})
		at := make([]time.Time, 2) // of rows 100 and 200
		for i := range at {
			r.act(100)
			at[i] = r.clock.Add(time.Second)
		}
		r.act(100)
		r.poll(t)
		was := r.ids()
		if c := r.change(t, Move{Command: ResetMark, To: at[1]}); c.Again != 100 || c.Kept != len(was)-100 || c.Older != 0 {
			t.Fatalf("%v", c)
		}
		r.poll(t)
		if again := r.ids()[len(was):]; !sameRows(again, was[len(was)-100:]) {
			t.Fatalf("%d rows follow, want the newest 100", len(again))
		}
		// Back over rows that were left out since.
		if c := r.change(t, Move{Command: ResetMark, To: at[0]}); c.Again != 100 || c.Kept != 0 || c.Older != 100 {
			t.Fatalf("%v", c)
		}
		r.poll(t)
		if again := r.ids()[len(was)+100:]; !sameRows(again, was[len(was)-200:]) {
			t.Fatalf("%d rows follow, want the newest 200", len(again))
		}
	}
}

// sameRows reports whether two lists hold the same rows: those of one second have
// no order where they have no ids.
func sameRows(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestAMarkThatIsSetSkipsExactlyWhatItAnnounces(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, version := range versions {
		for _, before := range []int{0, 1, 120, 1500} {
			t.Run(fmt.Sprintf("%s after %d rows", version, before), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, uint64(before)))
				r := newRigOfVersion(t, version, Options{})
				r.act(before)
				r.poll(t)
				accounted := r.mark(t).Accounted
				skipped := 1 + rng.IntN(900)
				r.act(skipped)
				if c := r.change(t, Move{Command: SetMark}); c.Skipped != skipped || c.Again != 0 || c.AtMost {
					t.Fatalf("%v, of %d rows", c, skipped)
				}
				r.poll(t)
				if n := len(r.ids()); n != accounted {
					t.Fatalf("%d rows are stored, want %d", n, accounted)
				}
				for range 3 {
					r.act(rng.IntN(160))
					r.poll(t)
				}
				want := r.portal.Count(r.room) - skipped
				if mark := r.mark(t); len(r.ids()) != want || mark.State != checkpoint.Watching || mark.Accounted != want+skipped {
					t.Fatalf("%d rows are stored, want %d; %v", len(r.ids()), want, mark)
				}
			})
		}
	}
}

func TestAMarkCanBeSetToATimeWithinTheHistory(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		r := newRigOfVersion(t, version, Options{Chunk: 100, Turn: 1})
		r.act(300)
		if _, err := r.poller.Poll(t.Context(), r.room); err != nil {
			t.Fatal(err)
		}
		accounted := r.mark(t).Accounted
		r.act(400)
		to, below := r.clock.Add(time.Second), r.portal.Count(r.room)
		r.act(350)
		c := r.change(t, Move{Command: SetMark, To: to})
		if c.Skipped != below-accounted || c.Next.State != checkpoint.Backfilling {
			t.Fatalf("%v", c)
		}
		r.poll(t)
		if total := r.portal.Count(r.room); len(r.ids()) != accounted+total-below {
			t.Fatalf("%d rows are stored, want %d and %d", len(r.ids()), accounted, total-below)
		}
		if _, err := r.poller.Plan(t.Context(), r.room, Move{Command: SetMark, To: to}); err == nil || !strings.Contains(err.Error(), "reset") {
			t.Fatalf("back over rows that are published: %v", err)
		}
	}
}

// The sweep compares the portal's ids with the stream's.
// Nor does the search near the top, or a stream that has dropped what says that they
// were, and as many gaps.
func TestRowsThatWereSkippedAreNotFoundMissing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		gaps, since int
		dropped     bool
	}{
		"far below":              {since: checkpoint.MaxRecent + 400},
		"near the top":           {},
		"with nothing to say so": {gaps: 700, since: checkpoint.MaxRecent + 400, dropped: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newSweepRig(t, Options{})
			r.act(150)
			r.hide(test.gaps)
			r.poll(t)
			late := r.reserve()
			r.act(600)
			r.change(t, Move{Command: SetMark})
			r.act(test.since)
			r.poll(t)
			if test.dropped {
				r.ledger.Remove(r.room, func(e schema.Event) bool { return e.Data.Action.Name == schema.MarkChanged })
			}
			stored := len(r.stored())
			late() // below what the mark remembers, among those that were skipped
			for range 10 {
				r.poll(t)
			}
			if mark := r.mark(t); mark.State != checkpoint.Unreconciled || len(r.stored()) != stored {
				t.Fatalf("%d rows are stored, want %d: nobody knows which one came late; %v", len(r.stored()), stored, mark)
			}
			if c := r.change(t, Move{Command: SetMark}); c.Skipped != 1 {
				t.Fatalf("%v", c)
			}
			if report := r.poll(t); report.State != checkpoint.Watching || report.Unread != 0 {
				t.Fatalf("%+v", report)
			}
		})
	}
}

// The sweep knows that every row is stored, as it was before the folder was put
// back, and the index of each, by another anchor.
func TestTheSweepFindsALateRowAfterAReset(t *testing.T) {
	t.Parallel()
	r := newSweepRig(t, Options{})
	for range 2 {
		late := r.reserve()
		r.act(checkpoint.MaxRecent + 400)
		r.poll(t)
		late()
		r.hourLater()
		r.reconcile(t)
		before := len(r.stored())
		late = r.reserve()
		r.act(checkpoint.MaxRecent + 400)
		again := r.change(t, Move{Command: ResetMark}).Again
		r.poll(t)
		late()
		r.hourLater()
		r.reconcile(t)
		if n := len(r.stored()); again == 0 || n != before+r.portal.Count(r.room) {
			t.Fatalf("%d rows are stored, want %d and %d", n, before, r.portal.Count(r.room))
		}
	}
}

// hourLater has the next sweep due.
func (r *rig) hourLater() {
	for _, sweep := range r.poller.sweeper.folders {
		sweep.due = time.Time{}
	}
}

// A search in vain is believed for an hour, and one of before the change tells
// nothing.
func TestWhatWasSearchedInVainIsSearchedAgainAfterAChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(10)
	r.poll(t)
	r.poller.remember(r.room, reading{missing: 3, dug: true}, ailment{top: sheet{unseen: make([]unseenRow, 1)}, at: time.Now()})
	r.poller.notice(r.mark(t))
	r.poller.sweeper.end(r.poller.sweeper.begin(r.mark(t)))
	if given, ailing := r.poller.remembered(r.room); given.missing != 3 || ailing.none() || r.poller.sweeper.begin(r.mark(t)) != nil {
		t.Fatal("it is forgotten although nothing was changed")
	}
	r.change(t, Move{Command: ResetMark})
	r.poller.notice(r.mark(t))
	if given, ailing := r.poller.remembered(r.room); given.missing != 0 || !ailing.none() || r.poller.sweeper.begin(r.mark(t)) == nil {
		t.Fatalf("%+v, %+v are still believed", given, ailing)
	}
}

func TestARewoundFolderIsGoneOnWithByAResetOrASet(t *testing.T) {
	t.Parallel()
	for _, command := range []string{ResetMark, SetMark} {
		r := newRig(t, Options{})
		r.act(130)
		backup := r.portal.Rows(r.room)[100].ID
		r.poll(t)
		r.portal.Rewind(backup)
		r.poll(t)
		left := r.portal.Count(r.room)
		c := r.change(t, Move{Command: command})
		if !c.AtMost || c.Again+c.Skipped != left || c.Prev.State != checkpoint.Rewound {
			t.Fatalf("%v, of %d rows that are left", c, left)
		}
		r.act(40)
		stored := len(r.stored())
		r.poll(t)
		want := r.portal.Count(r.room)
		if command == SetMark {
			want = 40
		}
		if mark := r.mark(t); mark.State != checkpoint.Watching || len(r.stored())-stored != want || mark.Accounted != r.portal.Count(r.room) {
			t.Fatalf("%s: %d rows follow, want %d; %v", command, len(r.stored())-stored, want, mark)
		}
	}
}

// Rows that are counted and not shown lie right below the place.
func TestAMarkIsSetAboveRowsThatAreNotShown(t *testing.T) {
	t.Parallel()
	for _, hidden := range []int{1, 7, 130} {
		r := newSweepRig(t, Options{})
		r.act(20)
		r.poll(t)
		r.act(300)
		r.hide(hidden)
		r.act(2)
		r.hide(hidden)
		c := r.change(t, Move{Command: SetMark})
		if c.Skipped != 302+2*hidden {
			t.Fatalf("%v", c)
		}
		r.act(30)
		r.poll(t)
		if mark := r.mark(t); len(r.stored()) != 51 || r.gaps() != 0 || mark.State != checkpoint.Watching {
			t.Fatalf("%d rows are stored, %d gaps; %v", len(r.stored()), r.gaps(), mark)
		}
	}
}

// A connector commits between the sentence and the change.
func TestAChangeIsWorkedOutAnewForTheMarkItReplaces(t *testing.T) {
	t.Parallel()
	for command, want := range map[string][2]int{ResetMark: {45, 0}, SetMark: {0, 256}} {
		r := newRig(t, Options{Chunk: 15, Turn: 1})
		r.act(300)
		poll := func() {
			if _, err := r.poller.Poll(t.Context(), r.room); err != nil {
				t.Fatal(err)
			}
		}
		poll()
		plan, err := r.poller.Plan(t.Context(), r.room, Move{Command: command})
		if err != nil {
			t.Fatal(err)
		}
		first := plan.Change
		poll()
		r.ledger.Before = func(_ int, events []schema.Event) error {
			if c := events[0].Data.Connector; c != nil {
				r.ledger.Before = nil
				poll()
			}
			return nil
		}
		var asked []Change
		c, err := plan.Make(t.Context(), "a test", func(c Change) error {
			asked = append(asked, c)
			return nil
		})
		if err != nil || command == ResetMark && c.Again != want[0] || command == SetMark && c.Skipped != want[1] {
			t.Fatalf("%v, %v; at first %v", c, err, first)
		}
		if len(asked) == 0 || asked[len(asked)-1].Again != c.Again {
			t.Fatalf("agreed to %v, done %v", asked, c)
		}
		said := r.ledger.Events(r.room)[45].Data.Connector
		if said == nil || *said.AccountedBefore != 45 || *said.Again != int64(c.Again) || *said.Skipped != int64(c.Skipped) {
			t.Fatalf("it says %+v", said)
		}
	}
}

func TestAChangeNobodyAgreesToIsNotMade(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(20)
	r.poll(t)
	plan, err := r.poller.Plan(t.Context(), r.room, Move{Command: ResetMark})
	if err != nil {
		t.Fatal(err)
	}
	r.act(200)
	r.poll(t)
	no := errors.New("no")
	if _, err := plan.Make(t.Context(), "a test", func(Change) error { return no }); !errors.Is(err, no) {
		t.Fatalf("%v, want it refused", err)
	}
	if mark := r.mark(t); mark.Changes != 0 || mark.Accounted != 221 {
		t.Fatalf("%v", mark)
	}
}

func TestWhatCannotBeChangedIsSaidWithTheReason(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(50)
	for want, move := range map[string]Move{
		"no mark": {Command: ResetMark},
	} {
		if _, err := r.poller.Plan(t.Context(), r.room, move); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", move, err, want)
		}
	}
	r.poll(t)
	if _, err := r.poller.Plan(t.Context(), r.room, Move{Command: SetMark}); !errors.Is(err, ErrNothingToChange) {
		t.Errorf("a mark at the top: %v", err)
	}
	other := checkpoint.Mark{Folder: r.room, Accounted: 3, Portal: "other.example.com"}
	if _, err := r.poller.Plan(t.Context(), r.room, Move{Command: ImportMark, Mark: other, Replace: true}); err == nil || !strings.Contains(err.Error(), "other.example.com") {
		t.Errorf("the mark of another portal: %v", err)
	}
	if _, err := r.poller.Plan(t.Context(), r.room, Move{Command: ImportMark, Mark: r.mark(t)}); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("a mark that is there: %v", err)
	}
	for want, wrong := range map[string]checkpoint.Mark{
		"no number of changes": {Folder: r.room, Changes: math.MaxInt}, // with one more it could not be read again
		"in the future":        {Folder: r.room, Anchor: time.Now().AddDate(1, 0, 0)},
	} {
		if _, err := r.poller.Plan(t.Context(), r.room, Move{Command: ImportMark, Mark: wrong, Replace: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a mark nobody exported: %v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.poller.Plan(ctx, r.room, Move{Command: ResetMark}); err == nil {
		t.Error("planned although it was stopped")
	}
}

func TestAnImportedMarkIsGoneOnWith(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(70)
	r.poll(t)
	saved := r.mark(t)
	r.act(60)
	r.poll(t)
	if c := r.change(t, Move{Command: ImportMark, Mark: saved, Replace: true}); c.Again != 60 || c.Skipped != 0 {
		t.Fatalf("%v", c)
	}
	r.poll(t)
	if n := len(r.ids()); n != 191 || r.mark(t).Accounted != 131 {
		t.Fatalf("%d rows are stored, want 131 and 60 again; %v", n, r.mark(t))
	}
}

func TestAChangeIsToldInOneSentence(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for want, c := range map[string]Change{
		"folder 42: 1,204 rows will be published again from the beginning; consumers see up to 1,204 of them a second time, all but gaps and skipped rows": {
			Move: Move{Command: ResetMark}, Prev: checkpoint.Mark{Folder: 42}, Again: 1204},
		"folder 42: up to 1 row will be published again from 2026-03-01T00:00:00Z; consumers see up to 1 of them a second time, all but gaps and skipped rows; up to 1 older row stays as it is, and is not looked after any more": {
			Move: Move{Command: ResetMark, To: at}, Prev: checkpoint.Mark{Folder: 42}, Again: 1, Kept: 1, AtMost: true},
		"folder 42: 0 rows will be published again from 2026-03-01T00:00:00Z; 2,500 older rows stay as they are, and are not looked after any more": {
			Move: Move{Command: ResetMark, To: at}, Prev: checkpoint.Mark{Folder: 42}, Kept: 2500},
		"folder 42: 0 rows will be published again from the beginning; 7 rows from before 2026-03-01T00:00:00Z, which were left out, will be published, too": {
			Move: Move{Command: ResetMark}, Prev: checkpoint.Mark{Folder: 42, Anchor: at}, Older: 7},
		"folder 42: 1,000,000 rows will count as published without being stored; consumers never see them": {
			Move: Move{Command: SetMark}, Prev: checkpoint.Mark{Folder: 42}, Skipped: 1_000_000},
	} {
		if got := c.String(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

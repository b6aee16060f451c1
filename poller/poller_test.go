package poller

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

func TestEveryRowOfALogIsStoredOnceInOrder(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1, 2, 97, 98, 99, 100, 101, 198, 199, 200, 201, 350, 1000, 2345} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			t.Parallel()
			few := max(7, rows/50) // rows of a commit; a page is read for each turn
			for _, opts := range []Options{{}, {Chunk: few, Turn: 3}, {Chunk: 100, Prefetch: 1}} {
				r := newRig(t, opts)
				r.act(rows)
				r.poll(t)
				r.holds(t)
				r.act(rows / 3)
				r.poll(t)
				r.holds(t)
			}
		})
	}
}

func TestAnIdleFolderCostsOneRequestAPollAndStoresNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(150)
	r.poll(t)
	requests, commits := r.portal.Requests(), r.ledger.Commits()
	for range 200 {
		report, err := r.poller.Poll(t.Context(), r.room)
		if err != nil || report.Events != 0 || report.Commits != 0 || report.Unread != 0 {
			t.Fatalf("idle poll: %+v, %v", report, err)
		}
	}
	if got := r.portal.Requests() - requests; got != 200 {
		t.Errorf("200 polls cost %d requests", got)
	}
	if got := r.ledger.Commits() - commits; got != 0 {
		t.Errorf("200 idle polls stored %d commits", got)
	}
}

// The portal's habits that lose or repeat rows for a careless reader: rows
// inserted between two pages, and between the count and the page of one answer.
func TestRowsInsertedAtAnyMomentOfAWalkAreStoredOnce(t *testing.T) {
	t.Parallel()
	const history = 350
	for _, inserted := range []int{1, 2, 99, 130} {
		for _, moment := range []string{"after the page", "between count and page"} {
			t.Run(fmt.Sprintf("%d %s", inserted, moment), func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					r := newRig(t, Options{Chunk: 120, Prefetch: 1 + at%3})
					r.act(history)
					var requests atomic.Int64
					insert := func() {
						if requests.Add(1) == int64(at) {
							r.act(inserted)
						}
					}
					if moment == "after the page" {
						r.portal.AfterPage(func(int, int) { insert() })
					} else {
						r.portal.Between(func(int) { insert() })
					}
					r.settle(t)
					if requests.Load() < int64(at) {
						return // the walk has fewer requests than this
					}
				}
			})
		}
	}
}

func TestRowsInsertedDuringEveryRequestAreStoredOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Chunk: 100})
	r.act(700)
	var left atomic.Int64
	left.Store(300)
	r.portal.Between(func(int) {
		if left.Add(-1) >= 0 {
			r.act(3)
		}
	})
	r.settle(t)
}

func TestALateRowIsStoredOnceAndSaysSo(t *testing.T) {
	t.Parallel()
	const history = 330
	for _, below := range []int{0, 1, 50, 98, 99, 100, 101, 197, 198, 199, 250, history} {
		t.Run(fmt.Sprintf("%d rows above", below), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.act(history - below)
			publish := r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
			r.act(below)
			r.poll(t)
			publish()
			report := r.poll(t)
			r.holds(t)
			if want := min(below, 1); report.Late != want {
				t.Errorf("%d late rows, want %d", report.Late, want)
			}
		})
	}
}

// A row becomes visible in the middle of a backfill, below, inside and above
// what was read already.
func TestALateRowDuringAWalkIsStoredOnce(t *testing.T) {
	t.Parallel()
	const history = 420
	for _, position := range []int{1, 99, 100, 101, 250, 400} {
		t.Run(fmt.Sprintf("position %d", position), func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				r := newRig(t, Options{Chunk: 100, Prefetch: 1 + at%2})
				r.act(position)
				publish := r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
				r.act(history - position)
				var requests atomic.Int64
				r.portal.AfterPage(func(int, int) {
					if requests.Add(1) == int64(at) {
						publish()
					}
				})
				r.poll(t)
				if requests.Load() < int64(at) {
					return // the walk has fewer requests than this
				}
				r.settle(t)
			}
		})
	}
}

func TestRowsCountedAndNotShownAreReportedAsGaps(t *testing.T) {
	t.Parallel()
	for _, where := range []int{0, 50, 150, 340} {
		t.Run(fmt.Sprint(where), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{Chunk: 100})
			r.act(where)
			for range 2 {
				r.portal.Record(docspacetest.Action{Code: 5999, Folder: r.room, Entry: r.room, Unexplained: true})
			}
			r.act(350 - where)
			report := r.poll(t)
			for range 3 {
				r.poll(t)
			}
			r.holds(t)
			if gaps := slices.Index(r.said(), schema.Gap); gaps < 0 || report.Gaps != 2 && report.State != checkpoint.Watching {
				t.Errorf("said %v, report %+v", r.said(), report)
			}
			if got := r.poll(t); got.Unread != 0 || got.State != checkpoint.Watching {
				t.Errorf("afterwards %+v", got)
			}
		})
	}
}

func TestALostAnswerToACommitRepeatsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Chunk: 50})
	r.act(320)
	lost := errors.New("answer lost")
	n := 0
	r.ledger.After = func(int, []schema.Event) error {
		if n++; n%2 == 1 {
			return lost
		}
		return nil
	}
	for range 20 {
		if _, err := r.poller.Poll(t.Context(), r.room); err != nil && !errors.Is(err, lost) {
			t.Fatal(err)
		}
	}
	r.holds(t)
}

func TestARefusedCommitLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Chunk: 50})
	r.act(320)
	full := errors.New("no space left on the server")
	n := 0
	r.ledger.Before = func(int, []schema.Event) error {
		if n++; n%3 != 0 {
			return full
		}
		return nil
	}
	for range 40 {
		if _, err := r.poller.Poll(t.Context(), r.room); err != nil && !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	r.holds(t)
}

func TestACommitThatIsTooLargeIsMadeSmaller(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(320)
	r.ledger.Before = func(_ int, events []schema.Event) error {
		if len(events) > 60 {
			return tooLarge(60)
		}
		return nil
	}
	r.poll(t)
	r.holds(t)
}

type tooLarge int

func (n tooLarge) Error() string { return fmt.Sprintf("only %d events fit", int(n)) }
func (n tooLarge) Fits() int     { return int(n) }

func TestAFolderStartsAtItsAnchorAndKeepsIt(t *testing.T) {
	t.Parallel()
	anchor := time.Now().Add(-time.Hour).Truncate(time.Second)
	r := newRig(t, Options{Anchor: anchor})
	for i := range 300 {
		at := anchor.Add(time.Duration(i-150) * time.Second)
		r.portal.Record(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, At: at, Title: "past"})
	}
	const dated = 151 // from the anchor on, with the creation of the room
	later := New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed})
	for _, p := range []*Poller{r.poller, later} {
		if report, err := p.Poll(t.Context(), r.room); err != nil || report.Unread != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		mark, err := r.ledger.Mark(t.Context(), r.room)
		if err != nil || !mark.Anchor.Equal(anchor) || mark.Accounted != dated || len(r.stored()) != dated {
			t.Fatalf("%v, %d rows stored, want %d: %v", mark, len(r.stored()), dated, err)
		}
	}
}

func TestTwoPollersOfOneFolderStoreEachRowOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Chunk: 20})
	other := New(r.client, r.ledger, Options{Chunk: 31, Feed: Feed{Portal: r.portal.Host()}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 60 {
			if _, err := other.Poll(t.Context(), r.room); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
				t.Error(err)
			}
		}
	}()
	for range 60 {
		r.act(20)
		if _, err := r.poller.Poll(t.Context(), r.room); err != nil && !errors.Is(err, checkpoint.ErrConflict) {
			t.Fatal(err)
		}
	}
	<-done
	r.settle(t)
}

func TestABlindFolderSaysSoOnceAndGoesOnWhenItSeesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(10)
	r.poll(t)
	heal := r.portal.Fail(docspacetest.Fault{Folder: r.room, Times: -1, Do: docspacetest.AccessDenied()})
	for range 3 {
		if report := r.poll(t); report.State != checkpoint.Blind || report.Reason == "" {
			t.Fatalf("%+v", report)
		}
	}
	heal()
	r.act(10)
	if report := r.poll(t); report.State != checkpoint.Watching {
		t.Fatalf("%+v", report)
	}
	if want := []string{schema.Blind, schema.Seeing}; !slices.Equal(r.said(), want) {
		t.Fatalf("said %v, want %v", r.said(), want)
	}
	r.holds(t)
}

package poller

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// An oldRig is a rig whose portal tells no row ids. Its clock is the test's.
type oldRig struct {
	*rig
	clock time.Time
	made  int
}

func newOldRig(t testing.TB, opts Options) *oldRig {
	t.Helper()
	o := &oldRig{clock: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	o.rig = newRigOf(t, docspacetest.Options{Seed: 1, Version: "3.5.0", Now: func() time.Time { return o.clock }}, opts)
	return o
}

// row is the next thing done in the room, a second after the one before.
func (o *oldRig) row() docspacetest.Action {
	o.made++
	o.clock = o.clock.Add(time.Second)
	return docspacetest.Action{Code: roomMade, Folder: o.room, Entry: o.room, Title: fmt.Sprint("thing ", o.made)}
}

func (o *oldRig) record(n int) {
	for range n {
		o.portal.Record(o.row())
	}
}

// invite makes n rows that differ in nothing but who was invited, and by that
// not for long: all within a second.
func (o *oldRig) invite(n int) {
	for range n {
		o.portal.Record(docspacetest.Action{Code: 5085, Folder: o.room, Entry: o.room, Access: "Viewer", Member: o.portal.Owner()})
	}
}

// stands holds the promise without ids: each row stored as often as the portal
// has it, every event with an id of its own, in order.
func (o *oldRig) stands(t testing.TB) {
	t.Helper()
	h := history{rig: o.rig}
	hidden, _, err := h.compare(o.ledger.Events(o.room))
	if err == nil {
		err = inOrder(o.ledger.Events(o.room))
	}
	if err != nil || hidden != o.gaps() {
		t.Fatalf("%v; %d rows hidden, %d reported; %v", err, hidden, o.gaps(), o.mark(t))
	}
	if mark := o.mark(t); mark.Accounted != o.portal.Count(o.room) || mark.State != checkpoint.Watching {
		t.Fatalf("%v; the portal counts %d rows", mark, o.portal.Count(o.room))
	}
}

func TestALogWithoutRowIDsIsStoredOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 99, 100, 101, 989, 990, 5000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(n)
			o.poll(t)
			o.record(3)
			o.poll(t)
			o.stands(t)
		})
	}
}

func TestAnIdleFolderWithoutRowIDsCostsOneRequestAPoll(t *testing.T) {
	t.Parallel()
	o := newOldRig(t, Options{})
	o.record(1234)
	o.poll(t)
	requests, commits := o.portal.Requests(), o.ledger.Commits()
	for range 100 {
		o.poll(t)
	}
	if n := o.portal.Requests() - requests; n != 100 || o.ledger.Commits() != commits {
		t.Errorf("100 polls cost %d requests and %d commits", n, o.ledger.Commits()-commits)
	}
	o.record(2)
	o.poll(t)
	if n := o.portal.Requests() - requests; n != 101 {
		t.Errorf("two new rows cost %d requests", n-100)
	}
}

// Invitations of many people at once are alike in all that the portal keeps,
// and fall on pages, polls and commits as chance has it.
func TestRowsAlikeWithinASecondAreStoredAsOftenAsTheyHappened(t *testing.T) {
	t.Parallel()
	for _, first := range []int{1, 30, 99, 100, 101, 250, 600} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{Chunk: 70})
			o.record(40)
			o.invite(first)
			o.poll(t)
			o.invite(350)
			o.poll(t)
			o.record(10)
			o.invite(2)
			o.poll(t)
			o.stands(t)
		})
	}
}

func TestALateRowWithoutAnIDIsFoundWhereverItAppears(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{0, 1, 50, 99, 100, 101, 350, 700, 900} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			publish := o.portal.Reserve(o.row())
			o.record(depth)
			o.poll(t)
			publish()
			o.record(1)
			o.poll(t)
			o.stands(t)
			if late := slices.ContainsFunc(o.ledger.Events(o.room), func(e schema.Event) bool { return e.Data.Late }); late != (depth > 0) {
				t.Errorf("late is %t", late)
			}
		})
	}
}

func TestRowsInsertedWhileALogWithoutIDsIsReadAreStoredOnce(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(o *oldRig, do func()){
		"between count and page": func(o *oldRig, do func()) { o.portal.Between(func(int) { do() }) },
		"between pages":          func(o *oldRig, do func()) { o.portal.AfterPage(func(int, int) { do() }) },
	} {
		for at := range 14 {
			t.Run(fmt.Sprint(name, " ", at), func(t *testing.T) {
				t.Parallel()
				o := newOldRig(t, Options{Prefetch: 1, Chunk: 400})
				o.record(1000)
				request := 0
				hook(o, func() {
					if request == at {
						o.record(1)
					}
					request++
				})
				o.poll(t)
				o.poll(t)
				o.stands(t)
			})
		}
	}
}

func TestHiddenRowsOfALogWithoutIDsAreReportedOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, http.StatusInternalServerError} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{Chunk: 90})
			publish := o.portal.Reserve(o.row())
			for i := range 250 {
				a := o.row()
				if status == 0 && i%60 < 3 {
					a.Code, a.Unexplained = 5999, true
				}
				id := o.portal.Record(a)
				if status != 0 && i%60 < 3 {
					o.sick = append(o.sick, id)
					o.portal.Poison(id, status)
				}
			}
			o.poll(t)
			o.stands(t)
			publish()
			o.record(30)
			o.poll(t)
			o.stands(t)
		})
	}
}

func TestAnUpgradeThatBringsRowIDsRepeatsAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1, 20, 100, 450, 3000} {
		for _, turn := range []int{1, 16} {
			t.Run(fmt.Sprint(rows, " turn ", turn), func(t *testing.T) {
				t.Parallel()
				o := newOldRig(t, Options{Chunk: 200, Turn: turn})
				o.record(rows)
				o.invite(rows / 10)
				if _, err := o.poller.Poll(t.Context(), o.room); err != nil { // perhaps not to the end
					t.Fatal(err)
				}
				hashed := o.mark(t).Accounted
				publish := o.portal.Reserve(o.row())
				o.invite(2)
				o.portal.Upgrade("3.7.2")
				o.invite(2)
				o.poll(t)
				publish()
				o.record(130)
				o.poll(t)
				o.stands(t)
				mark := o.mark(t)
				if mark.Unnumbered.Hashed != hashed || len(mark.Unnumbered.Keys) != 0 || mark.Newest() == 0 {
					t.Errorf("%d rows were published by content; the mark says %d, remembers %d keys, and the newest id is %d",
						hashed, mark.Unnumbered.Hashed, len(mark.Unnumbered.Keys), mark.Newest())
				}
			})
		}
	}
}

// Once a year the portal reports some rows an hour late, depending on the time
// zone it is set to.
func TestAChangeOfTheTimeZoneMakesNoRowANewOne(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	o := newOldRig(t, Options{})
	o.clock = time.Date(2026, 3, 29, 1, 55, 0, 0, time.UTC)
	o.record(600) // 01:55 to 02:05, with the gap at 02:00
	o.poll(t)
	o.portal.SetTimeZone(berlin)
	o.record(1)
	o.poll(t)
	if n := len(o.ledger.Events(o.room)); n != o.portal.Count(o.room) || len(o.said()) != 0 {
		t.Fatalf("%d events of %d rows, said %v", n, o.portal.Count(o.room), o.said())
	}
}

func TestARestoreIsNoticedWithoutRowIDs(t *testing.T) {
	t.Parallel()
	for _, again := range []int{0, 3, 20, 60, 1400, 3000} {
		t.Run(fmt.Sprint(again), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(300)
			rows := o.portal.Rows(o.room)
			o.record(20)
			o.poll(t)
			stored := len(o.ledger.Events(o.room))
			o.portal.Rewind(rows[len(rows)-1].ID)
			o.record(again)
			if report := o.poll(t); report.State != checkpoint.Rewound {
				t.Fatalf("%+v", report)
			}
			o.poll(t)
			if n := len(o.ledger.Events(o.room)); n != stored+1 {
				t.Errorf("%d events more, said %v", n-stored, o.said())
			}
		})
	}
}

func TestRowsRemovedFromTheBottomAreNoRestoreWithoutRowIDs(t *testing.T) {
	t.Parallel()
	o := newOldRig(t, Options{})
	o.record(300)
	o.poll(t)
	o.portal.Prune(o.room, 40)
	o.poll(t)
	o.record(5)
	o.poll(t)
	if mark := o.mark(t); mark.Accounted != o.portal.Count(o.room) || mark.State != checkpoint.Watching || !slices.Equal(o.said(), []string{schema.Shrunk}) {
		t.Fatalf("%v; said %v", mark, o.said())
	}
	if n := len(o.ledger.Events(o.room)); n != o.portal.Count(o.room)+40+1 {
		t.Errorf("%d events, with the one that says that rows are gone", n)
	}
}

// A proxy, or a portal set back to an older version.
func TestIDsThatDisappearAreAnErrorAndNoNewRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(150)
	r.poll(t)
	commits := r.ledger.Commits()
	r.portal.HideIDs(true)
	r.act(3)
	if _, err := r.poller.Poll(t.Context(), r.room); err == nil || r.ledger.Commits() != commits {
		t.Fatalf("Poll = %v, %d commits", err, r.ledger.Commits()-commits)
	}
	r.portal.HideIDs(false)
	r.poll(t)
	r.holds(t)
}

// sicken makes the row at an index from the top one that cannot be rendered.
func (o *oldRig) sicken(top int) {
	o.sick = append(o.sick, o.portal.PoisonAt(o.room, top, http.StatusInternalServerError))
}

func TestAPublishedRowThatCannotBeRenderedAnyMoreIsNeitherGoneNorAGap(t *testing.T) {
	t.Parallel()
	for _, top := range []int{0, 1, 20, 99} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(top, " late ", late), func(t *testing.T) {
				t.Parallel()
				o := newOldRig(t, Options{})
				o.record(50)
				publish := o.portal.Reserve(o.row())
				o.record(150)
				o.poll(t)
				o.sicken(top)
				if late {
					publish()
				}
				o.record(1)
				o.poll(t)
				publish()
				o.record(1)
				o.poll(t)
				o.stands(t)
				if len(o.said()) > 0 {
					t.Errorf("said %v", o.said())
				}
			})
		}
	}
}

func TestAChangeOfTheTimeZoneHidesNoLateRow(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	o := newOldRig(t, Options{})
	o.clock = time.Date(2026, 3, 29, 0, 40, 0, 0, time.UTC)
	o.record(300)
	publish := o.portal.Reserve(o.row())
	o.record(149)
	o.clock = time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)
	o.record(1)
	o.clock = time.Date(2026, 3, 29, 3, 30, 0, 0, time.UTC)
	o.record(20)
	o.poll(t)
	o.portal.SetTimeZone(berlin)
	publish()
	o.poll(t)
	o.portal.Upgrade("3.7.2") // the published row is still another's hour
	o.record(1)
	o.poll(t)
	if n, mark := len(o.ledger.Events(o.room)), o.mark(t); n != o.portal.Count(o.room) || mark.State != checkpoint.Watching || len(o.said()) > 0 {
		t.Fatalf("%d events of %d rows, %v, said %v", n, o.portal.Count(o.room), mark, o.said())
	}
}

func TestThousandsOfRowsAlikeDoNotStopTheFolder(t *testing.T) {
	t.Parallel()
	o := newOldRig(t, Options{})
	o.record(3)
	o.invite(2500)
	o.poll(t)
	before := o.portal.Requests()
	o.invite(5)
	o.record(1)
	o.poll(t)
	o.stands(t)
	if n := o.portal.Requests() - before; n > 80 {
		t.Errorf("six rows cost %d requests", n)
	}
}

func TestALateRowTooDeepToFindHoldsUpNothing(t *testing.T) {
	t.Parallel()
	for _, depths := range [][]int{{700}, {550, 1200}, {550, 700}, {120, 580, 1500}} {
		t.Run(fmt.Sprint(depths), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			var publish []func()
			at := 2200
			for at > 0 {
				if slices.Contains(depths, at) {
					publish = append(publish, o.portal.Reserve(o.row()))
				}
				o.record(1)
				at--
			}
			o.poll(t)
			for _, p := range publish {
				p()
			}
			for range 6 {
				o.record(150)
				o.poll(t)
			}
			o.portal.Upgrade("3.7.2")
			for range 6 {
				o.record(150)
				o.poll(t)
			}
			unread := o.portal.Count(o.room) - o.mark(t).Accounted
			if stored := len(o.ledger.Events(o.room)) - len(o.said()); unread > len(depths) || stored != o.portal.Count(o.room)-unread {
				t.Errorf("%d rows stored of %d, %v", stored, o.portal.Count(o.room), o.mark(t))
			}
		})
	}
}

func TestALateRowThatAppearsWithTheUpgradeIsStored(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 50, 900, 1100, 2500} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(495)
			publish := o.portal.Reserve(o.row())
			o.record(5)
			o.poll(t)
			publish()
			o.record(after)
			o.portal.Upgrade("3.7.2")
			o.poll(t)
			o.record(3)
			o.poll(t)
			o.stands(t)
		})
	}
}

func TestAPublishedRowThatIsShownAgainIsStoredOnce(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{50, 1023, 1150} {
		for _, sick := range []int{1, 30, 130} {
			t.Run(fmt.Sprint(rows, " ", sick), func(t *testing.T) {
				t.Parallel()
				o := newOldRig(t, Options{})
				o.record(rows)
				o.poll(t)
				for top := range min(sick, rows-10) {
					o.sicken(top)
				}
				o.record(1)
				o.poll(t)
				for _, id := range o.sick {
					o.portal.Poison(id, 0)
				}
				o.sick = nil
				for range 3 {
					o.poll(t)
					o.record(1)
				}
				o.poll(t)
				o.stands(t)
				if len(o.said()) > 0 {
					t.Errorf("said %v", o.said())
				}
			})
		}
	}
}

func TestARowCuredByAnUpgradeIsNotTakenForAMissingOne(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{50, 520, 560} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			publish := o.portal.Reserve(o.row())
			o.record(1500)
			id := o.portal.Record(o.row())
			o.portal.Poison(id, http.StatusInternalServerError)
			o.record(depth)
			o.poll(t)
			publish()
			o.record(1)
			o.poll(t)
			o.portal.Poison(id, 0)
			o.portal.Upgrade("3.7.2")
			for range 5 {
				o.record(10)
				o.poll(t)
			}
			// The row two thousand deep stays missing, and is said to be.
			stored := len(o.ledger.Events(o.room)) - len(o.said())
			if mark := o.mark(t); mark.State != checkpoint.Unreconciled || stored < o.portal.Count(o.room)-2 {
				t.Errorf("%d rows stored of %d, %v", stored, o.portal.Count(o.room), mark)
			}
		})
	}
}

func TestAnUpgradeOfALogOfWhichNothingIsShownAnyMore(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 20} {
		o := newOldRig(t, Options{})
		o.record(n)
		o.poll(t)
		for top := range n + 1 { // and the room's own first row
			o.sicken(top)
		}
		o.portal.Upgrade("3.7.2")
		o.record(2)
		o.poll(t)
		o.record(150)
		o.poll(t)
		o.stands(t)
	}
}

func TestARowNeverShownIsNotTakenForPublishedOnes(t *testing.T) {
	t.Parallel()
	first := newOldRig(t, Options{Anchor: time.Date(2026, 3, 2, 12, 0, 1, 0, time.UTC)})
	for range 3 {
		a := first.row()
		a.Code, a.Unexplained = 5999, true
		first.portal.Record(a)
	}
	first.poll(t)
	first.record(2)
	first.poll(t)
	if mark := first.mark(t); mark.State != checkpoint.Watching || first.gaps() != 3 || len(first.ledger.Events(first.room))-len(first.said()) != 2 {
		t.Fatalf("%v, said %v", mark, first.said())
	}
}

// cure makes a row that could not be rendered one that can.
func (o *oldRig) cure(id int64) {
	o.portal.Poison(id, 0)
	o.sick = slices.DeleteFunc(o.sick, func(sick int64) bool { return sick == id })
}

// keeps holds that every row is stored that is shown, or was when it was read,
// with so many gaps; some of those may be cured.
func (o *oldRig) keeps(t testing.TB, gaps int, cured ...int64) {
	t.Helper()
	h := history{rig: o.rig, cured: cured}
	if _, _, err := h.compare(o.ledger.Events(o.room)); err != nil {
		t.Fatalf("%v; said %v, %v", err, o.said(), o.mark(t))
	}
	if mark := o.mark(t); mark.Accounted != o.portal.Count(o.room) || mark.State != checkpoint.Watching || o.gaps() != gaps {
		t.Fatalf("%v; the portal counts %d rows, said %v", mark, o.portal.Count(o.room), o.said())
	}
}

// gap makes a row that cannot be rendered.
func (o *oldRig) gap(a docspacetest.Action) int64 {
	id := o.portal.Record(a)
	o.portal.Poison(id, http.StatusInternalServerError)
	o.sick = append(o.sick, id)
	return id
}

// Rows that were gaps are shown, others near them are not any more, and far below
// as many late rows appear: the counts are what they would be with new rows on
// top.
func TestARowBelowExchangedHiddenRowsIsNotLost(t *testing.T) {
	t.Parallel()
	for _, gaps := range []int{1, 2} {
		for _, apart := range []int{-1, 1, 2, 5} { // by how many rows the others are below the gaps
			for _, more := range []int{0, 1, 130} {
				t.Run(fmt.Sprint(gaps, " ", apart, " ", more), func(t *testing.T) {
					t.Parallel()
					o := newOldRig(t, Options{})
					o.record(50)
					var publish []func()
					for range gaps {
						publish = append(publish, o.portal.Reserve(o.row()))
					}
					o.record(200)
					for range gaps {
						o.gap(o.row())
						o.record(9)
					}
					o.poll(t)
					o.stands(t)
					cured := slices.Clone(o.sick)
					for i, id := range cured {
						o.cure(id)
						o.sicken(9 + 10*i + apart)
						publish[i]()
					}
					o.record(more)
					o.poll(t)
					o.keeps(t, gaps, cured...)
				})
			}
		}
	}
}

func TestARowBelowACuredOneAtTheEdgeOfAPageIsNotLost(t *testing.T) {
	t.Parallel()
	for _, above := range []int{97, 98, 99, 100, 101} {
		t.Run(fmt.Sprint(above), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(50)
			publish := o.portal.Reserve(o.row())
			o.record(200)
			id := o.gap(o.row())
			o.record(above)
			o.poll(t)
			o.cure(id)
			publish()
			o.poll(t)
			o.record(1)
			o.poll(t)
			o.keeps(t, 1, id)
		})
	}
}

// restart makes the poller one that remembers nothing.
func (o *oldRig) restart() { o.poller = New(o.client, o.ledger, o.poller.opts) }

func TestACuredRowLikeAPublishedOneFarBelowIsStored(t *testing.T) {
	t.Parallel()
	o := newOldRig(t, Options{})
	twin := o.row()
	twin.At = o.clock
	o.portal.Record(twin)
	o.record(150)
	id := o.gap(twin)
	o.record(5)
	o.poll(t)
	o.cure(id)
	o.restart()
	o.poll(t)
	o.keeps(t, 1, id)
	if n := len(o.ledger.Events(o.room)) - len(o.said()); n != o.portal.Count(o.room) {
		t.Errorf("%d rows stored of %d", n, o.portal.Count(o.room))
	}
}

// Deeper than the mark remembers, a late row cannot be told from a hidden one
// that came in where a published one is not shown any more.
func TestARowThatFellSickIsNoGapForALateOneTooDeepToFind(t *testing.T) {
	t.Parallel()
	for _, more := range []int{0, 1, 30} {
		t.Run(fmt.Sprint(more), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(100)
			publish := o.portal.Reserve(o.row())
			o.record(2000)
			o.poll(t)
			o.sicken(20)
			publish()
			o.record(more)
			for range 3 {
				o.poll(t)
				o.record(1)
			}
			o.poll(t)
			mark := o.mark(t)
			if mark.State != checkpoint.Unreconciled || mark.Accounted != o.portal.Count(o.room)-1 || o.gaps() != 0 {
				t.Errorf("%v of %d, said %v", mark, o.portal.Count(o.room), o.said())
			}
			if stored := len(o.ledger.Events(o.room)) - len(o.said()); stored != mark.Accounted {
				t.Errorf("%d rows stored of %d", stored, o.portal.Count(o.room))
			}
		})
	}
}

// Late rows too deep to find push hidden ones up, into what the mark remembers.
func TestHiddenRowsAtTheEndOfTheMemoryStayInOrder(t *testing.T) {
	t.Parallel()
	for _, hidden := range []int{1, 2} { // side by side
		t.Run(fmt.Sprint(hidden), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(100)
			publish := []func(){o.portal.Reserve(o.row()), o.portal.Reserve(o.row())}
			o.record(1000)
			for range 60 {
				for range hidden {
					o.gap(o.row())
				}
				o.record(2)
			}
			o.record(420)
			o.poll(t)
			gaps := o.gaps()
			o.sicken(20)
			for _, p := range publish {
				p()
				o.record(30)
				o.poll(t)
				o.record(1)
				o.poll(t)
			}
			mark := o.mark(t)
			if mark.State != checkpoint.Unreconciled || mark.Accounted != o.portal.Count(o.room)-2 || o.gaps() != gaps {
				t.Errorf("%v of %d, said %v", mark, o.portal.Count(o.room), o.said())
			}
		})
	}
}

func TestRowsThatWereHiddenOnceCostNoRequestsForLong(t *testing.T) {
	t.Parallel()
	o := newOldRig(t, Options{})
	o.record(1500)
	o.poll(t)
	o.sicken(30)
	o.record(1)
	o.poll(t)
	o.cure(o.sick[0])
	o.restart()
	o.poll(t)
	before, commits := o.portal.Requests(), o.ledger.Commits()
	o.poll(t)
	o.poll(t)
	if n := o.portal.Requests() - before; n != 2 || o.ledger.Commits() != commits {
		t.Errorf("2 idle polls cost %d requests and %d commits", n, o.ledger.Commits()-commits)
	}
	o.stands(t)
}

// missesOne holds that the folder says that one row is missing, and nothing else.
func (o *oldRig) missesOne(t testing.TB) {
	t.Helper()
	if mark := o.mark(t); o.portal.Count(o.room)-mark.Accounted != 1 || mark.State != checkpoint.Unreconciled {
		t.Errorf("%v; the portal counts %d rows; said %v", mark, o.portal.Count(o.room), o.said())
	}
}

func TestAGapBesideOneThatIsShownAgainIsReported(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{500, 1300} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(rows)
			cured := o.gap(o.row())
			o.record(50)
			o.poll(t)
			o.portal.Poison(cured, 0)
			o.gap(o.row())
			o.poll(t)
			o.poller = New(o.client, o.ledger, o.poller.opts)
			o.record(5)
			o.poll(t)
			stored := len(o.ledger.Events(o.room)) - len(o.said())
			if mark := o.mark(t); o.gaps() != 2 || stored != o.portal.Count(o.room)-1 || mark.Accounted != o.portal.Count(o.room) {
				t.Errorf("%d rows stored, %d reported; %v of %d", stored, o.gaps(), mark, o.portal.Count(o.room))
			}
		})
	}
}

func TestAGapShownAgainBelowTheMemoryMakesUpForNoLateRow(t *testing.T) {
	t.Parallel()
	for depth := 508; depth <= 515; depth++ {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			t.Parallel()
			o := newOldRig(t, Options{})
			o.record(300)
			publish := o.portal.Reserve(o.row())
			o.record(1000)
			cured := o.gap(o.row())
			o.record(depth - 10)
			o.gap(o.row())
			o.record(9)
			o.poll(t)
			o.portal.Poison(cured, 0)
			publish()
			o.poll(t)
			o.record(1)
			o.poll(t)
			o.missesOne(t)
		})
	}
}

func TestAMissingRowStaysMissingWhenAPublishedOneFallsSick(t *testing.T) {
	t.Parallel()
	for _, backlog := range []int{0, 60} {
		for _, gap := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d rows to come, a gap: %t", backlog, gap), func(t *testing.T) {
				t.Parallel()
				o := newOldRig(t, Options{})
				o.record(300)
				publish := o.portal.Reserve(o.row())
				o.record(1500)
				o.poll(t)
				publish()
				o.poll(t)
				o.record(backlog)
				o.sicken(0)
				if gap {
					o.gap(o.row())
				}
				o.poller = New(o.client, o.ledger, o.poller.opts)
				for range 4 {
					o.poll(t)
					o.record(1)
				}
				o.poll(t)
				o.missesOne(t)
			})
		}
	}
}

func TestAFolderGoesOnBesideALateRowAtTheEndOfTheMemory(t *testing.T) {
	t.Parallel()
	o := newOldRig(t, Options{})
	o.record(1000)
	deep := o.portal.Reserve(o.row())
	o.record(500)
	edge := o.portal.Reserve(o.row())
	o.record(430)
	o.gap(o.row())
	o.record(20)
	o.poll(t)
	deep()
	edge()
	for range 4 {
		o.record(3)
		o.poll(t)
	}
	requests := o.portal.Requests()
	for range 10 {
		o.poll(t)
	}
	if n := o.portal.Requests() - requests; n > 10 {
		t.Errorf("10 idle polls cost %d requests", n)
	}
	if mark := o.mark(t); o.portal.Count(o.room)-mark.Accounted > 2 || mark.State != checkpoint.Unreconciled {
		t.Errorf("%v; the portal counts %d rows", mark, o.portal.Count(o.room))
	}
}

package poller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

func (r *rig) verify(t testing.TB, o VerifyOptions) Verdict {
	t.Helper()
	v, err := r.poller.Verify(t.Context(), r.room, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// equal holds that nothing is found.
func (r *rig) equal(t testing.TB) Verdict {
	t.Helper()
	v := r.verify(t, VerifyOptions{})
	if !v.Equal() || len(v.Findings) > 0 {
		t.Fatalf("%+v", v)
	}
	return v
}

// kinds are the findings in short.
func kinds(v Verdict) (all []string) {
	for _, f := range v.Findings {
		all = append(all, fmt.Sprintf("%s %d", f.Kind, f.Row))
	}
	return all
}

func TestWhatSomebodyDidToTheStreamIsFoundWithTheRightRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func([]schema.Event) []schema.Event
		want func(ids []int64) []string
	}{
		"altered": {
			func(e []schema.Event) []schema.Event {
				target := *e[30].Data.Target
				target.Name = "other.docx"
				e[30].Data.Target = &target
				e[31].Data.Actor.ID = "00000000-1111-2222-3333-444444444444"
				e[32].Time = e[32].Time.Add(time.Minute)
				return e
			},
			func(ids []int64) []string {
				return []string{fmt.Sprint("different ", ids[30]), fmt.Sprint("different ", ids[31]), fmt.Sprint("different ", ids[32])}
			},
		},
		"stored twice": {
			func(e []schema.Event) []schema.Event { return append(e, e[30]) },
			func(ids []int64) []string { return []string{fmt.Sprint("twice ", ids[30])} },
		},
		"swapped": {
			func(e []schema.Event) []schema.Event { e[30], e[31] = e[31], e[30]; return e },
			func(ids []int64) []string { return []string{fmt.Sprint("out of order ", ids[30])} },
		},
		"invented": {
			func(e []schema.Event) []schema.Event {
				e[30].Sequence, e[30].ID = schema.Sequence(4711), "1200-4711"
				e[30].Data.Late = true
				return e
			},
			func(ids []int64) []string { return []string{"extra 4711", fmt.Sprint("missing ", ids[30])} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.act(300)
			r.poll(t)
			r.equal(t)
			ids := r.stored()
			r.ledger.Edit(r.room, c.edit)
			if diff := cmp.Diff(c.want(ids), kinds(r.verify(t, VerifyOptions{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsMissingIsFoundAndStoredLateAndThenAllIsEqual(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(3000)
	r.poll(t)
	before := r.mark(t)
	rng := rand.New(rand.NewPCG(7, 7))
	var gone []int64
	r.ledger.Remove(r.room, func(e schema.Event) bool {
		if e.Data.AuditID == "" || rng.IntN(40) > 0 {
			return false
		}
		gone = append(gone, auditID(e))
		return true
	})
	v := r.verify(t, VerifyOptions{})
	var want []string
	for _, id := range gone {
		want = append(want, fmt.Sprint("missing ", id))
	}
	if diff := cmp.Diff(want, kinds(v)); diff != "" || v.Equal() {
		t.Fatal(diff)
	}
	if v := r.verify(t, VerifyOptions{Mend: true}); v.Repaired != len(gone) || !v.Equal() {
		t.Fatalf("%+v", v)
	}
	after := r.mark(t)
	if after.Accounted != before.Accounted || !slices.Equal(after.Recent, before.Recent) {
		t.Errorf("the mark accounts for %d rows, before for %d", after.Accounted, before.Accounted)
	}
	r.equal(t)
	r.act(50)
	r.settle(t) // the connector goes on
	r.equal(t)
}

func TestEqualFoldersRaiseNoAlarm(t *testing.T) {
	t.Parallel()
	t.Run("gaps, late rows and rows hidden since", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, Options{})
		r.act(150)
		publish := r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
		r.portal.PoisonAt(r.room, 20, 500)
		r.act(150)
		r.poll(t)
		publish()
		r.poll(t)
		r.portal.PoisonAt(r.room, 120, 403)
		if v := r.equal(t); v.Hidden < 2 || v.Gaps != 1 {
			t.Errorf("%+v", v)
		}
	})
	t.Run("filters, changed twice", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, Options{Filter: filterOf(t, "", "file.renamed")})
		r.act(200)
		r.poll(t)
		if v := r.equal(t); v.Filtered == 0 {
			t.Errorf("%+v", v)
		}
		r.poller = New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed, Filter: filterOf(t, "file.*", "")})
		r.act(200)
		r.poll(t)
		r.equal(t)
		r.poller = New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed})
		r.act(200)
		r.poll(t)
		r.equal(t)
	})
	t.Run("people and files that are gone or have another name", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, Options{})
		zoe := r.portal.AddUser("Zoe", "zoe@example.com")
		r.portal.InviteUser(nil, r.room, zoe, "Editor")
		files := r.portal.Upload(zoe, r.room, "a.docx", "b.docx", "c.docx")
		r.portal.ChangeAccess(nil, r.room, zoe, "Viewer")
		r.portal.ChangeOwner(nil, r.room, zoe)
		r.portal.CreateLink(zoe, r.room, "Shared", "Viewer")
		r.poll(t)
		r.portal.RenameUser(zoe, "Zoë")
		r.portal.Rename(nil, r.room, "Deal room B")
		r.portal.PurgeFile(files[1])
		r.poll(t)
		r.equal(t)
		r.portal.RemoveUser(zoe)
		r.equal(t)
		// While the portal could not tell who somebody is, events say so.
		r.ledger.Edit(r.room, func(e []schema.Event) []schema.Event {
			e[0].Data.Actor = schema.Actor{Kind: schema.ActorRemoved, Name: "profile removed"}
			return e
		})
		r.equal(t)
	})
	t.Run("another privacy mode", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, Options{})
		rng := rand.New(rand.NewPCG(3, 3))
		r.portal.Populate(rng, 2)
		for range 400 {
			r.portal.Act(rng)
		}
		for _, room := range r.portal.Rooms() {
			r.room = room
			r.poll(t)
			r.equal(t)
		}
		key, err := schema.NewKey("2026-1", []byte("a key that nobody keeps to himself"))
		if err != nil {
			t.Fatal(err)
		}
		for _, privacy := range []schema.Privacy{schema.Full, schema.Pseudonymous(key), schema.Minimal(key), schema.Standard} {
			feed := r.poller.opts.Feed
			feed.Privacy = privacy
			r.poller = New(r.client, r.ledger, Options{Feed: feed})
			for range 100 {
				r.portal.Act(rng)
			}
			for _, room := range r.portal.Rooms() {
				r.room = room
				r.equal(t)
				r.poll(t)
				r.equal(t)
			}
		}
	})
	t.Run("a stream that drops old events", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, Options{})
		r.act(300)
		r.poll(t)
		r.ledger.Drop(r.room, 100)
		if v := r.equal(t); v.Dropped != 100 || v.Events != v.Rows {
			t.Errorf("%+v", v)
		}
	})
}

func TestRowsNotYetReadAreUnreadAndNotMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(50)
	far := r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
	r.act(2000)
	near := r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
	r.act(20)
	r.poll(t)
	near()
	far()
	r.act(7)
	if v := r.verify(t, VerifyOptions{Mend: true}); !v.Equal() || v.Unread != 9 || v.Repaired != 0 {
		t.Errorf("%+v", v)
	}
}

func TestARepairLeavesToAConnectorFarBehindWhatItWillStore(t *testing.T) {
	t.Parallel()
	for name, removed := range map[string]int{"nothing is missing": 0, "events are missing": 3} {
		for late := range 2 {
			t.Run(fmt.Sprintf("%s, %d late", name, late), func(t *testing.T) {
				t.Parallel()
				r := newSweepRig(t, Options{})
				r.act(50)
				far := r.reserve()
				r.act(3000)
				r.poll(t)
				gone := r.shown()[100 : 100+removed]
				r.ledger.Remove(r.room, func(e schema.Event) bool { return slices.Contains(gone, auditID(e)) })
				if late > 0 {
					far()
				}
				r.act(300) // more than a page
				v := r.verify(t, VerifyOptions{Mend: true})
				switch {
				case late == 0 && v.Repaired != removed, late > 0 && v.Repaired != 0, v.Unread != 300+late, removed == 0 && !v.Equal():
					t.Fatalf("%+v", v)
				case late > 0 && removed > 0:
					if v.Missing != 4 || !strings.Contains(v.Findings[0].Detail, "a connector has still to find") {
						t.Fatalf("%+v", v)
					}
					return
				}
				r.poll(t)
				r.reconcile(t)
				r.holds(t)
			})
		}
	}
}

func TestARepairEndsWhenAnOperatorHasTheFolderReadAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(300)
	r.poll(t)
	gone := r.shown()[100]
	r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e) == gone })
	reset := sync.OnceFunc(func() { r.change(t, Move{Command: ResetMark}) })
	ledger := &watchedLedger{Memory: r.ledger, begins: func(reading int) {
		if reading == 3 { // the one of the repair
			reset()
		}
	}}
	v, err := New(r.client, ledger, Options{Feed: r.poller.opts.Feed}).Verify(t.Context(), r.room, VerifyOptions{Mend: true})
	if !errors.Is(err, errChanged) || v.Repaired != 0 {
		t.Errorf("%+v: %v", v, err)
	}
	r.poll(t)
	stored := slices.DeleteFunc(r.stored(), func(id int64) bool { return id != gone })
	if len(stored) != 1 {
		t.Errorf("the row is stored %d times", len(stored))
	}
}

func TestTheRowsToVerifyAreKnownBefore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := newRigOf(t, docspacetest.Options{Seed: 1, Now: func() time.Time { return now }}, Options{Now: func() time.Time { return now }})
	for range 100 {
		now = now.Add(time.Hour)
		r.portal.Upload(nil, r.room, "a.docx", "b.docx")
	}
	r.poll(t)
	r.act(20) // unread
	for requests, o := range []VerifyOptions{{}, {From: now.Add(-80 * time.Hour), Until: now.Add(-40 * time.Hour)}} {
		compared, begun, before := 0, 0, r.portal.Requests()
		rows, err := r.poller.Verifiable(t.Context(), r.mark(t), o)
		if err != nil || r.portal.Requests()-before != requests {
			t.Errorf("%d requests: %v", r.portal.Requests()-before, err)
		}
		o.Begins, o.Compared = func() { begun++ }, func(n int) { compared += n }
		r.verify(t, o)
		if rows != compared || begun != 1 {
			t.Errorf("%d rows are to be verified, %d were in %d readings", rows, compared, begun)
		}
	}
}

func TestARangeIsVerifiedAlone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := newRigOf(t, docspacetest.Options{Seed: 1, Now: func() time.Time { return now }}, Options{Now: func() time.Time { return now }})
	for range 100 {
		now = now.Add(time.Hour)
		r.portal.Upload(nil, r.room, "a.docx", "b.docx")
	}
	r.poll(t)
	ids := r.stored()
	r.ledger.Remove(r.room, func(e schema.Event) bool { return slices.Contains([]int64{ids[21], ids[81], ids[161]}, auditID(e)) })
	o := VerifyOptions{From: now.Add(-80 * time.Hour), Until: now.Add(-40 * time.Hour)}
	v := r.verify(t, o)
	if diff := cmp.Diff([]string{fmt.Sprint("missing ", ids[81])}, kinds(v)); diff != "" || v.Rows != 82 {
		t.Errorf("%d rows: %s", v.Rows, diff)
	}
}

func TestRowsWithoutIDsAreComparedAsASet(t *testing.T) {
	t.Parallel()
	r := newRigOf(t, docspacetest.Options{Seed: 1, Version: "3.5.0"}, Options{})
	r.act(500)
	r.poll(t)
	v := r.equal(t)
	if v.Rows != r.portal.Count(r.room) || v.Events != v.Rows {
		t.Errorf("%+v", v)
	}
	r.act(30) // unread
	if v := r.equal(t); v.Unread != 30 {
		t.Errorf("%+v", v)
	}
	r.poll(t)
	gone := r.ledger.Events(r.room)[40].ID
	r.ledger.Remove(r.room, func(e schema.Event) bool { return e.ID == gone })
	r.ledger.Edit(r.room, func(e []schema.Event) []schema.Event { return append(e, e[10]) })
	v = r.verify(t, VerifyOptions{})
	if v.Missing != 1 || v.Twice != 1 || v.Extra != 0 || v.Findings[0].Event != gone {
		t.Errorf("%+v", v)
	}
	r.portal.Upgrade("3.7.2")
	r.act(100)
	r.poll(t)
	r.act(100)
	r.poll(t)
	if v = r.verify(t, VerifyOptions{}); v.Missing != 1 || v.Twice != 1 || v.Extra+v.Different+v.Disorder != 0 {
		t.Errorf("%+v", v)
	}
}

func TestVerifyingBesideALiveConnectorRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.7.2", "3.5.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			r := newRigOf(t, docspacetest.Options{Seed: 5, Version: version}, Options{})
			r.act(1500)
			r.poll(t)
			// Before every third page rows come in, one of them late, and a connector polls.
			rng := rand.New(rand.NewPCG(9, 9))
			other := New(r.client, r.ledger, Options{Feed: r.poller.opts.Feed})
			var publish func()
			var busy sync.Mutex
			pages := 0
			r.portal.AfterPage(func(folder, start int) {
				if folder != r.room || !busy.TryLock() {
					return
				}
				defer busy.Unlock()
				if pages++; pages%3 != 0 {
					return
				}
				if publish != nil {
					publish()
				}
				publish = r.portal.Reserve(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, Title: "late"})
				r.act(1 + rng.IntN(20))
				if _, err := other.Poll(t.Context(), r.room); err != nil {
					t.Log(err)
				}
			})
			for range 3 {
				v := r.equal(t)
				t.Logf("%+v", v)
			}
		})
	}
}

func TestWhatAnOperatorHadPublishedAgainOrSkippedRaisesNoAlarm(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(300)
	r.poll(t)
	r.change(t, Move{Command: ResetMark})
	r.act(20)
	r.poll(t)
	r.equal(t)
	r.act(40) // skipped
	rows := r.portal.Rows(r.room)
	r.change(t, Move{Command: SetMark})
	r.act(20)
	r.poll(t)
	if v := r.equal(t); v.Skipped != 40 || v.Events != len(rows)-40+20 {
		t.Errorf("%+v", v)
	}
	gone := r.portal.Rows(r.room)[365].ID
	r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e) == gone })
	altered := r.portal.Rows(r.room)[50].ID
	r.ledger.Edit(r.room, func(e []schema.Event) []schema.Event {
		for i := range e {
			if auditID(e[i]) == altered { // both, of which the later counts
				e[i].Time = e[i].Time.Add(time.Minute)
			}
		}
		return append(e, e[len(e)-1])
	})
	if diff := cmp.Diff([]string{fmt.Sprint("different ", altered), fmt.Sprint("twice ", r.portal.Rows(r.room)[380].ID), fmt.Sprint("missing ", gone)}, kinds(r.verify(t, VerifyOptions{}))); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyWhatIsOutOfPlaceIsKeptAndNotTooMuchOfIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(4000)
	r.poll(t)
	if v := r.verify(t, VerifyOptions{apart: 50}); !v.Equal() || v.Rows < 4000 {
		t.Errorf("%+v", v)
	}
	n := 0
	r.ledger.Remove(r.room, func(e schema.Event) bool { n++; return n%50 == 0 })
	if _, err := r.poller.Verify(t.Context(), r.room, VerifyOptions{apart: 50}); !errors.Is(err, ErrApart) {
		t.Errorf("%v, want ErrApart", err)
	}
	if v := r.verify(t, VerifyOptions{apart: 100}); v.Missing != 80 {
		t.Errorf("%+v", v)
	}
}

// A watched ledger tells when a reading of all events begins.
type watchedLedger struct {
	*checkpointtest.Memory
	readings atomic.Int32
	begins   func(reading int)
}

func (w *watchedLedger) Stored(ctx context.Context, folder int, after uint64, most int, each func(uint64, string, []byte) error) (uint64, bool, error) {
	if after == 0 {
		w.readings.Add(1)
	}
	w.begins(int(w.readings.Load()))
	return w.Memory.Stored(ctx, folder, after, most, each)
}

func TestWhatComesOrGoesBetweenTwoReadingsIsNoFinding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before  func(r *rig)
		between func(r *rig)
	}{
		"a row is stored while its second reading goes on": {
			func(r *rig) {
				r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e) == r.shown()[100] })
			},
			func(r *rig) {
				r.portal.AfterPage(func(int, int) {
					r.portal.AfterPage(nil)
					page, _ := r.client.History(context.Background(), r.room, docspace.Query{Start: r.portal.Count(r.room) - 101, Count: 1})
					late := r.poller.feed(r.room).Event(page.Entries[0], 0, schema.Live, true, time.Now())
					r.ledger.Edit(r.room, func(e []schema.Event) []schema.Event { return append(e, late) })
				})
			},
		},
		"an event without row is gone": {
			func(r *rig) {
				r.ledger.Edit(r.room, func(e []schema.Event) []schema.Event {
					odd := e[100]
					odd.Sequence, odd.ID, odd.Data.Late = schema.Sequence(4711), "1200-4711", true
					return append(e, odd)
				})
			},
			func(r *rig) {
				r.ledger.Remove(r.room, func(e schema.Event) bool { return e.Sequence == schema.Sequence(4711) })
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.act(300)
			r.poll(t)
			c.before(r)
			between := sync.OnceFunc(func() { c.between(r) })
			ledger := &watchedLedger{Memory: r.ledger, begins: func(reading int) {
				if reading == 2 {
					between()
				}
			}}
			v, err := New(r.client, ledger, Options{Feed: r.poller.opts.Feed}).Verify(t.Context(), r.room, VerifyOptions{})
			if err != nil || !v.Equal() || len(v.Findings)+v.Unread > 0 || ledger.readings.Load() != 2 {
				t.Errorf("%+v, %d readings: %v", v, ledger.readings.Load(), err)
			}
		})
	}
}

func TestAHiddenRowHidesOneEventAndNoMore(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	other := r.portal.CreateRoom(nil, "Deal room B")
	r.act(50)
	r.portal.Upload(nil, other, "a.docx", "b.docx", "c.docx")
	r.portal.Upload(nil, r.room, "hidden.docx")
	r.portal.Upload(nil, other, "d.docx")
	hidden := r.portal.PoisonAt(r.room, 0, 500)
	r.act(50)
	r.poll(t)
	for extra := range 3 {
		r.ledger.Edit(r.room, func(e []schema.Event) []schema.Event {
			odd, id := e[10], hidden-int64(extra)
			odd.Sequence, odd.ID, odd.Data.Late = schema.Sequence(id), schema.EventID(r.room, id), true
			return append(e, odd)
		})
		if v := r.verify(t, VerifyOptions{}); v.Extra != extra || v.Hidden != 2 {
			t.Errorf("%d events of rows the portal does not show: %+v", extra+1, v)
		}
	}
}

func TestARepairTellsItsReasonAsPersonalDataAllows(t *testing.T) {
	t.Parallel()
	for want, privacy := range map[string]schema.Privacy{
		": zoe@example.com purged it": schema.Standard, "late ones": schema.Minimal(goldenKey), " purged it": schema.Pseudonymous(goldenKey),
	} {
		r := newRig(t, Options{To: time.Now().Add(time.Hour)})
		r.poller.opts.Feed.Privacy = privacy
		r.act(300)
		r.poll(t)
		gone := r.shown()[100]
		r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e) == gone })
		r.verify(t, VerifyOptions{Mend: true, Reason: "zoe@example.com purged it"})
		events := r.ledger.Events(r.room)
		told := slices.IndexFunc(events, func(e schema.Event) bool { return e.Data.Connector != nil && e.Data.Connector.Reason == "repaired" })
		detail := events[told].Data.Connector.Detail
		if !strings.HasSuffix(detail, want) || privacy != schema.Standard && strings.Contains(detail, "zoe") || events[told].IngestMode != schema.Backfill {
			t.Errorf("%s: %q", events[told].IngestMode, detail)
		}
	}
}

// Once a year the portal reports some rows an hour late, depending on the time
// zone it is set to.
func TestAChangeOfTheTimeZoneMakesNoRowDifferent(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"3.7.2", "3.5.0"} {
		now := time.Date(2026, 3, 29, 1, 55, 0, 0, time.UTC)
		r := newRigOf(t, docspacetest.Options{Seed: 1, Version: version, Now: func() time.Time { return now }}, Options{})
		for range 300 {
			now = now.Add(2 * time.Second)
			r.portal.Upload(nil, r.room, "a.docx")
		}
		r.poll(t)
		r.portal.SetTimeZone(berlin)
		r.equal(t)
	}
}

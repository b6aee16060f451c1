package poller

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
)

// told runs a slow schedule and the queue of its hints.
func (r *rig) told(t *testing.T, during func(*Schedule, *HintQueue)) {
	t.Helper()
	r.watched(t, slow, func(s *Schedule) {
		q := NewHintQueue(s)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = q.Run(ctx) }()
		time.Sleep(10 * time.Second)
		during(s, q)
		cancel()
		<-ended
	})
}

// lookups returns how many folders were asked for during something.
func (r *rig) lookups(during func()) int {
	before := r.portal.RequestsTo(docspacetest.RouteFolder)
	during()
	return r.portal.RequestsTo(docspacetest.RouteFolder) - before
}

// counted returns what the metrics say, by outcome.
func counted(t *testing.T, q *HintQueue) map[HintOutcome]int {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(q)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "docspace_nats_hints_total" {
		t.Fatalf("metrics %v: %v", families, err)
	}
	counts := make(map[HintOutcome]int)
	for _, m := range families[0].GetMetric() {
		counts[HintOutcome(m.GetLabel()[0].GetValue())] = int(m.GetCounter().GetValue())
	}
	return counts
}

func fileIn(parent int) docspace.Webhook {
	return docspace.Webhook{Trigger: "file.uploaded", Kind: docspace.KindFile, ID: 7, ParentID: parent}
}

func TestAHintFromAFolderDeepInsideWakesItsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		inner := r.room
		for i := range 5 {
			inner = r.portal.CreateFolder(nil, inner, fmt.Sprintf("Level %d", i))
		}
		r.told(t, func(_ *Schedule, q *HintQueue) {
			asked := r.lookups(func() {
				for i := range 100 {
					r.portal.Upload(nil, inner, fmt.Sprintf("scan %d.pdf", i))
					q.Add(fileIn(inner))
				}
				r.within(t, 3*time.Second)
			})
			if asked != 5 {
				t.Errorf("%d folders asked for on the way up, want 5", asked)
			}
			asked = r.lookups(func() {
				time.Sleep(time.Minute)
				r.portal.Upload(nil, inner, "later")
				q.Add(fileIn(inner))
				r.within(t, 3*time.Second)
			})
			if asked != 0 {
				t.Errorf("%d folders asked for, want none: the way up is known", asked)
			}
			if n := counted(t, q)[HintAccepted]; n != 101 {
				t.Errorf("%d hints accepted, want 101", n)
			}
		})
		r.holds(t)
	})
}

func TestARoomAndAFolderAreHintedAtByTheirOwnID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.told(t, func(_ *Schedule, q *HintQueue) {
			asked := r.lookups(func() {
				r.portal.RenameRoom(nil, r.room, "Deal room B")
				q.Add(docspace.Webhook{Trigger: "room.updated", Kind: docspace.KindRoom, ID: r.room, ParentID: r.portal.RoomsRoot()})
				r.within(t, 3*time.Second)
				folder := r.portal.CreateFolder(nil, r.room, "Contracts")
				q.Add(docspace.Webhook{Trigger: "folder.created", Kind: docspace.KindFolder, ID: folder, ParentID: r.room})
				r.within(t, 3*time.Second)
				r.portal.Upload(nil, folder, "Plan.docx")
				q.Add(fileIn(folder))
				r.within(t, 3*time.Second)
			})
			if asked != 0 {
				t.Errorf("%d folders asked for, want none: the hints told it all", asked)
			}
		})
		r.holds(t)
	})
}

func TestAMovedFolderWakesTheRoomItLeftAndTheOneItWentTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		from, to := r.room, r.portal.CreateRoom(nil, "Deal room B")
		folder := r.portal.CreateFolder(nil, from, "Contracts")
		inner := r.portal.CreateFolder(nil, folder, "2026")
		r.told(t, func(_ *Schedule, q *HintQueue) {
			r.portal.Upload(nil, inner, "Plan.docx")
			q.Add(fileIn(inner))
			r.within(t, 3*time.Second)
			r.portal.Move(nil, folder, to)
			q.Add(docspace.Webhook{Trigger: "folder.moved", Kind: docspace.KindFolder, ID: folder, ParentID: to})
			r.within(t, 3*time.Second)
			r.room = to
			r.within(t, 3*time.Second)
			r.portal.Upload(nil, inner, "After the move.docx") // what is inside went along
			q.Add(fileIn(inner))
			r.within(t, 3*time.Second)
		})
	})
}

func TestHintsThatConcernNoWatchedFolderAreDroppedAndCostNextToNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		mine := r.portal.CreateFolder(nil, r.portal.MyDocuments(nil), "Private")
		elsewhere := []docspace.Webhook{
			fileIn(mine),
			fileIn(r.portal.TrashRoot(nil)),
			fileIn(999_999), // gone, or not for this account
			fileIn(0),       // in a third-party storage
			{Trigger: "user.updated"},
			{Trigger: "room.created", Kind: docspace.KindRoom, ID: 888_888},
			{Trigger: "folder.deleted", Kind: docspace.KindFolder, ID: 777_777},
			{Trigger: "folder.created", Kind: docspace.KindFolder, ID: 5, ParentID: 6}, {Trigger: "folder.created", Kind: docspace.KindFolder, ID: 6, ParentID: 5},
		}
		r.told(t, func(_ *Schedule, q *HintQueue) {
			var polls int
			asked := r.lookups(func() {
				polls = r.polls(func() {
					for range 100 {
						for _, w := range elsewhere {
							q.Add(w)
						}
						time.Sleep(time.Second)
					}
				})
			})
			if asked > 6 || polls > 1 {
				t.Errorf("%d folders asked for and %d polls for 900 hints of no use", asked, polls)
			}
			if n := counted(t, q)[HintDropped]; n != 900 {
				t.Errorf("%d dropped, want 900", n)
			}
		})
	})
}

func TestHintsFromEverywhereAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		folders := make([]int, 3*maxPlaces)
		for i := range folders {
			folders[i] = r.portal.CreateFolder(nil, r.room, fmt.Sprintf("Folder %d", i))
		}
		r.told(t, func(_ *Schedule, q *HintQueue) {
			asked := r.lookups(func() {
				for _, folder := range folders {
					q.Add(fileIn(folder))
				}
				time.Sleep(time.Minute)
			})
			if most := lookups + int(time.Minute/lookupEvery) + 1; asked > most {
				t.Errorf("%d folders asked for in a minute, want at most %d", asked, most)
			}
			if n := counted(t, q)[HintDropped]; n < len(folders)-maxPlaces-lookups-1 {
				t.Errorf("%d dropped, want all but the %d that may wait", n, maxPlaces)
			}
		})
	})
}

func TestAPortalInTroubleIsNotAskedWhereAFolderLies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		inner := r.portal.CreateFolder(nil, r.room, "Contracts")
		r.told(t, func(_ *Schedule, q *HintQueue) {
			heal := r.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Unauthorized()})
			time.Sleep(10 * time.Minute)
			asked := r.lookups(func() {
				for range 100 {
					q.Add(fileIn(inner))
					time.Sleep(time.Second)
				}
			})
			if asked != 0 {
				t.Errorf("%d folders asked for", asked)
			}
			heal()
			time.Sleep(5 * time.Minute)
			r.portal.Upload(nil, inner, "Plan.docx")
			q.Add(fileIn(inner))
			r.within(t, 3*time.Second) // nothing wrong was learnt meanwhile
		})
	})
}

func TestWhatIsKnownOfFoldersIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAncestry(NewSchedule(New(nil, nil, Options{}), newQueue(), ScheduleOptions{}))
		for i := range 3 * ancestrySize {
			a.learn(i+1, 1204)
		}
		if len(a.above) > ancestrySize {
			t.Errorf("%d folders known", len(a.above))
		}
		a.learn(5, 6)
		if parent, ok := a.known(5); !ok || parent != 6 {
			t.Errorf("folder 5 lies in %d, %t", parent, ok)
		}
		time.Sleep(ancestryAge)
		if _, ok := a.known(5); ok {
			t.Error("known for ever")
		}
	})
}

func TestEveryOutcomeOfAHintIsThereFromTheStart(t *testing.T) {
	t.Parallel()
	got := counted(t, NewHintQueue(NewSchedule(nil, newQueue(), ScheduleOptions{})))
	want := map[HintOutcome]int{HintAccepted: 0, HintDropped: 0, HintRefused: 0, HintUnreadable: 0, HintLimited: 0}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestADownloadWakesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.told(t, func(_ *Schedule, q *HintQueue) {
			before := r.portal.Requests()
			for range 20 {
				q.Add(docspace.Webhook{Trigger: "file.downloaded", Kind: docspace.KindFile, ID: 7, ParentID: r.room})
				time.Sleep(time.Second)
			}
			if n := r.portal.Requests() - before; n > 0 || counted(t, q)[HintDropped] != 20 {
				t.Errorf("%d requests, %v", n, counted(t, q))
			}
		})
	})
}

func TestAHintForAWatchedFolderIsNotHeldUpByLookups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.told(t, func(_ *Schedule, q *HintQueue) {
			for i := range 500 {
				q.Add(fileIn(5_000 + i)) // folders nobody watches
			}
			time.Sleep(time.Second)
			r.act(1)
			q.Add(fileIn(r.room))
			time.Sleep(6 * time.Second)
			if got, want := len(r.stored()), r.portal.Count(r.room); got != want {
				t.Errorf("%d rows stored of %d", got, want)
			}
		})
	})
}

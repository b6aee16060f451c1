package poller

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
)

// slow is a schedule nobody waits for: what is published in time, hints did.
var slow = ScheduleOptions{MinInterval: 2 * time.Minute, MaxInterval: 2 * time.Minute}

// within waits until everything the portal shows of the room is stored, and
// fails when that takes longer than it may.
func (r *rig) within(t *testing.T, limit time.Duration) {
	t.Helper()
	for began := time.Now(); len(r.stored()) < len(r.shown()); time.Sleep(250 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("%d of %d rows stored after %s", len(r.stored()), len(r.shown()), limit)
		}
	}
}

// polls returns how many polls there were during something.
func (r *rig) polls(during func()) int {
	before := r.portal.RequestsTo(docspacetest.RouteHistory)
	during()
	return r.portal.RequestsTo(docspacetest.RouteHistory) - before
}

func TestAHintWakesTheFolderOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		other := r.portal.CreateRoom(nil, "Not hinted at")
		r.watched(t, slow, func(s *Schedule) {
			time.Sleep(10 * time.Second)
			n := r.polls(func() {
				for i := range 50 {
					r.portal.Upload(nil, r.room, fmt.Sprintf("scan %d.pdf", i))
					s.Hint(r.room)
				}
				r.within(t, 3*time.Second)
				time.Sleep(time.Minute)
			})
			if n != 1 {
				t.Errorf("%d polls for 50 hints and their 50 rows, want 1", n)
			}
			if s.Hint(r.portal.RoomsRoot()) {
				t.Error("a hint for a folder that is not watched is taken")
			}
			r.portal.Upload(nil, other, "unheard of")
		})
		r.holds(t)
	})
}

func TestARowThatIsLaterThanItsHintIsStoredWithinThreeSeconds(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{0, time.Second, 1900 * time.Millisecond, 2100 * time.Millisecond, 4 * time.Second, 5 * time.Second, 7500 * time.Millisecond, 9900 * time.Millisecond} {
		for _, opts := range []ScheduleOptions{slow, {}} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Options{})
				r.watched(t, opts, func(s *Schedule) {
					time.Sleep(time.Hour)
					restore := r.portal.Outage()
					r.portal.Upload(nil, r.room, "Plan.docx")
					s.Hint(r.room)
					time.Sleep(late)
					restore()
					r.within(t, 3*time.Second)
				})
				r.holds(t)
			})
		}
	}
}

func TestRowsOfOneBurstThatBecomeVisibleOneAfterTheOtherAreAllFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.watched(t, slow, func(s *Schedule) {
			time.Sleep(time.Hour)
			var publish []func()
			for i := range 4 {
				publish = append(publish, r.portal.Reserve(docspacetest.Action{Code: 5011, Folder: r.room, Entry: 9000 + i, Title: "scan.pdf"}))
				s.Hint(r.room)
			}
			for _, visible := range publish {
				time.Sleep(1500 * time.Millisecond)
				visible()
				r.within(t, 3*time.Second)
			}
		})
		r.holds(t)
	})
}

func TestAHintWithoutARowCostsAFewPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.watched(t, slow, func(s *Schedule) {
			time.Sleep(10 * time.Second)
			n := r.polls(func() {
				s.Hint(r.room)
				time.Sleep(time.Minute)
			})
			if n != hintTries {
				t.Errorf("%d polls, want %d", n, hintTries)
			}
		})
	})
}

func TestHintsWithoutEndDoNotDefeatTheShortestInterval(t *testing.T) {
	t.Parallel()
	for _, opts := range []ScheduleOptions{{MinInterval: 5 * time.Second}, {MinInterval: time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Options{})
			r.watched(t, opts, func(s *Schedule) {
				time.Sleep(time.Minute)
				n := r.polls(func() {
					for range 3600 {
						s.Hint(r.room)
						time.Sleep(time.Second)
					}
				})
				regular := int(time.Hour / opts.MinInterval)
				quick := quickPolls + int(time.Hour/quickEvery)
				if n > regular+quick {
					t.Errorf("%d polls in an hour, want at most %d by the interval and %d more", n, regular, quick)
				}
			})
		})
	}
}

func TestABusyFolderIsStillPolledSoonerThanItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.watched(t, slow, func(s *Schedule) {
			time.Sleep(time.Minute)
			for range 100 {
				r.portal.Upload(nil, r.room, "Plan.docx")
				s.Hint(r.room)
				r.within(t, quickEvery+hintDelay)
				time.Sleep(time.Second)
			}
		})
		r.holds(t)
	})
}

func TestAHintDuringAPollIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.watched(t, slow, func(s *Schedule) {
			for range 20 {
				time.Sleep(10 * time.Second)
				r.portal.Upload(nil, r.room, "Seen by the poll, of which no hint told")
				r.portal.AfterPage(func(int, int) {
					r.portal.AfterPage(nil)
					r.portal.Upload(nil, r.room, "Not on the page in hand")
					s.Hint(r.room)
				})
				for before := len(r.stored()); len(r.stored()) == before; time.Sleep(100 * time.Millisecond) {
				}
				r.within(t, 3*time.Second)
			}
		})
		r.holds(t)
	})
}

func TestAHintDoesNotWakeWhatIsHeldBack(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]docspacetest.Outcome{
		"the portal refuses the credentials": docspacetest.Unauthorized(),
		"the folder cannot be read":          docspacetest.AccessDenied(),
		"the folder is gone":                 docspacetest.NotFound(),
		"the portal fails":                   docspacetest.Page(http.StatusBadGateway),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Options{})
				r.watched(t, ScheduleOptions{}, func(s *Schedule) {
					time.Sleep(time.Hour)
					heal := r.portal.Fail(docspacetest.Fault{Folder: r.room, Times: -1, Do: do})
					time.Sleep(time.Hour)
					n := r.polls(func() {
						for range 60 {
							if s.Hint(r.room) {
								t.Error("a hint is taken")
							}
							time.Sleep(10 * time.Second)
						}
					})
					if n > 6 {
						t.Errorf("%d polls in ten minutes", n)
					}
					heal()
					time.Sleep(5 * time.Minute)
					if !s.Hint(r.room) {
						t.Error("a hint is not taken once the folder is polled again")
					}
				})
			})
		})
	}
}

// The heap of turns has to keep its order whichever of them is brought forward.
func TestAnyOfManyFoldersCanBeHintedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		rooms := []int{r.room}
		for i := range 200 {
			rooms = append(rooms, r.portal.CreateRoom(nil, fmt.Sprintf("Room %d", i)))
		}
		rng := rand.New(rand.NewPCG(1, 2))
		r.watched(t, ScheduleOptions{Workers: 3}, func(s *Schedule) {
			time.Sleep(10 * time.Minute)
			for range 100 {
				r.room = rooms[rng.IntN(len(rooms))]
				r.portal.Upload(nil, r.room, "Plan.docx")
				s.Hint(r.room)
				r.within(t, 3*time.Second)
				time.Sleep(time.Duration(rng.IntN(20_000)) * time.Millisecond)
			}
			time.Sleep(3 * time.Minute)
			for _, f := range s.Standings() {
				if since := time.Since(f.Polled); since > 3*time.Minute || f.State != checkpoint.Watching {
					t.Errorf("folder %d is %s and was not polled for %s", f.Folder, f.State, since)
				}
			}
		})
		for _, r.room = range rooms {
			r.holds(t)
		}
	})
}

// Hints beyond what the portal allows must not keep a folder from its turn.
func TestHintsForAllFoldersAtOnceKeepNoneWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 200, 1, docspace.Options{RequestsPerMinute: 60})
		w.open(t)
		for range 20 * 60 {
			time.Sleep(time.Second)
			for _, room := range w.rooms {
				w.schedule.Hint(room)
			}
		}
		w.close()
		for _, f := range w.schedule.Standings() {
			if since := time.Since(f.Polled); since > 10*time.Minute {
				t.Errorf("folder %d was not polled for %s", f.Folder, since)
			}
		}
	})
}

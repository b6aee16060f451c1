package poller

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

// watched runs a schedule over all rooms for a while, in a bubble where time
// passes only as everybody waits.
func (r *rig) watched(t *testing.T, opts ScheduleOptions, during func(*Schedule)) (log string) {
	t.Helper()
	var out syncBuffer
	opts.Log = zerolog.New(&out)
	s := NewSchedule(r.poller, newQueue(), opts)
	d := &Discovery{Log: zerolog.Nop()}
	ctx, cancel := context.WithCancel(t.Context())
	var members sync.WaitGroup
	members.Go(func() { _ = s.Run(ctx) })
	members.Go(func() { _ = d.Run(ctx, s) })
	during(s)
	cancel()
	members.Wait()
	return out.String()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestIdleFoldersArePolledEverLessOftenAndActiveOnesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.watched(t, ScheduleOptions{MinInterval: 5 * time.Second, MaxInterval: 2 * time.Minute}, func(*Schedule) {
			time.Sleep(time.Hour)
			idle := r.portal.RequestsTo(docspacetest.RouteHistory)
			if idle < 25 || idle > 40 {
				t.Errorf("%d polls in an idle hour, want about one in two minutes", idle)
			}
			busy := func(d time.Duration) {
				for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(4 * time.Second) {
					r.act(1)
				}
			}
			busy(2 * time.Minute) // until it is noticed
			before := r.portal.RequestsTo(docspacetest.RouteHistory)
			busy(5 * time.Minute)
			active := r.portal.RequestsTo(docspacetest.RouteHistory) - before
			if active < 50 || active > 62 {
				t.Errorf("%d polls in five busy minutes, want about one in five seconds", active)
			}
		})
		r.settle(t)
	})
}

func TestARoomCreatedWhileRunningIsPickedUpWithinOneInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.watched(t, ScheduleOptions{}, func(*Schedule) {
			time.Sleep(10 * time.Minute)
			r.room = r.portal.CreateRoom(nil, "New room")
			r.act(20)
			time.Sleep(70 * time.Second)
			r.holds(t)
		})
	})
}

func TestABlindRoomDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		blind := r.portal.CreateRoom(nil, "Closed room")
		r.portal.Fail(docspacetest.Fault{Folder: blind, Times: -1, Do: docspacetest.AccessDenied()})
		log := r.watched(t, ScheduleOptions{Workers: 1}, func(s *Schedule) {
			for range 30 {
				r.act(2)
				time.Sleep(time.Minute)
			}
			var states []checkpoint.State
			for _, f := range s.Standings() {
				states = append(states, f.State)
			}
			if want := []checkpoint.State{checkpoint.Watching, checkpoint.Blind}; !slices.Equal(states, want) {
				t.Errorf("states %v, want %v", states, want)
			}
		})
		r.settle(t)
		if n := strings.Count(log, "folder is blind"); n != 1 {
			t.Errorf("told %d times that a folder is blind:\n%s", n, log)
		}
	})
}

func TestRefusedCredentialsPauseEverythingWithOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		for range 20 {
			r.portal.CreateRoom(nil, "Another room")
		}
		log := r.watched(t, ScheduleOptions{}, func(s *Schedule) {
			time.Sleep(10 * time.Minute)
			heal := r.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Unauthorized()})
			before := r.portal.Requests()
			time.Sleep(time.Hour)
			if n := r.portal.Requests() - before; n > 400 {
				t.Errorf("%d requests in an hour of refusals", n)
			}
			if err := s.Ready(); !errors.Is(err, docspace.ErrUnauthorized) && !strings.Contains(err.Error(), "401") {
				t.Errorf("Ready = %v, want the refusal", err)
			}
			heal()
			r.act(5)
			time.Sleep(10 * time.Minute)
			if err := s.Ready(); err != nil {
				t.Errorf("Ready = %v once the credentials are good again", err)
			}
		})
		r.settle(t)
		if refused, again := strings.Count(log, "no folder can be polled"), strings.Count(log, "folders are polled again"); refused != 1 || again != 1 {
			t.Errorf("told %d times of the refusal and %d times of its end:\n%s", refused, again, log)
		}
	})
}

func TestAFolderThatFailsAgainIsToldAloneOnlyIfAnotherFares(t *testing.T) {
	t.Parallel()
	const all, alone = "no folder can be polled", "this folder cannot be polled"
	everybodys, itsOwn := error(docspace.ErrUnauthorized), errors.New("its own")
	for name, c := range map[string]struct {
		other error
		want  string
	}{
		"the other fails alike":              {everybodys, all},
		"the other is polled":                {nil, alone},
		"the other fails for another reason": {itsOwn, alone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			s := NewSchedule(New(nil, nil, Options{}), newQueue(), ScheduleOptions{Log: zerolog.New(&out).Level(zerolog.InfoLevel)})
			first, other := &turn{folder: 1}, &turn{folder: 2}
			s.folders = map[int]*turn{1: first, 2: other}
			ends := func(t *turn, err error) {
				now := time.Now()
				s.tell(t, now, Report{Folder: t.folder}, err)
				t.standing.polled(now, now, Report{Folder: t.folder}, err)
				s.trouble.add(t.folder, err, s, now, now)
			}
			for range 3 {
				ends(first, everybodys)
			}
			if out.Len() > 0 {
				t.Fatalf("told before anybody knows: %s", out.String())
			}
			ends(other, c.other)
			for range 2 {
				ends(first, everybodys)
			}
			if n := strings.Count(out.String(), c.want); n != 1 {
				t.Errorf("%q is told %d times: %s", c.want, n, out.String())
			}
		})
	}
}

func TestABackfillDoesNotKeepOthersWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Chunk: 100, Turn: 2})
		long := r.portal.CreateRoom(nil, "Long history")
		r.portal.Fill(long, 5000, 1)
		var order []int
		var mu sync.Mutex
		r.ledger.After = func(folder int, events []schema.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if len(events) > 0 {
				order = append(order, folder)
			}
			return nil
		}
		r.watched(t, ScheduleOptions{Workers: 1}, func(*Schedule) { time.Sleep(time.Second) })
		if at := slices.Index(order, r.room); at < 0 || at > 4 {
			t.Errorf("the short room was published after %d commits of the long one", at)
		}
	})
}

func TestAnEndedScheduleLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fails on goroutines that stay
		r := newRig(t, Options{})
		r.portal.Fill(r.room, 20_000, 1)
		r.watched(t, ScheduleOptions{}, func(*Schedule) {})
	})
}

func TestNobodyIsReadyBeforeTheFoldersAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		heal := r.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Refuse()})
		r.watched(t, ScheduleOptions{}, func(s *Schedule) {
			time.Sleep(time.Minute)
			if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "folders to watch are not known") {
				t.Errorf("Ready = %v while the portal does not answer", err)
			}
			heal()
			time.Sleep(2 * time.Minute)
			if err := s.Ready(); err != nil {
				t.Errorf("Ready = %v", err)
			}
		})
	})
}

func TestRowsWithWrongDatesDoNotSlowTheirFolder(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"past": -10 * time.Hour, "ahead": 10 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Options{})
				r.watched(t, ScheduleOptions{}, func(*Schedule) {
					time.Sleep(time.Hour)
					act := func(d time.Duration) {
						for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(4 * time.Second) {
							r.portal.Record(docspacetest.Action{Code: 5070, Folder: r.room, Entry: r.room, At: time.Now().Add(off)})
						}
					}
					act(5 * time.Minute)
					before := r.portal.RequestsTo(docspacetest.RouteHistory)
					act(5 * time.Minute)
					if polls := r.portal.RequestsTo(docspacetest.RouteHistory) - before; polls < 40 || polls > 62 {
						t.Errorf("%d polls in five busy minutes", polls)
					}
				})
			})
		})
	}
}

func TestWhoeverTriesItOutIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.portal.Fill(r.room, 500, 1) // the last of it long ago
		time.Sleep(24 * time.Hour)
		r.watched(t, ScheduleOptions{}, func(*Schedule) {
			time.Sleep(20 * time.Second)
			r.act(1)
			time.Sleep(25 * time.Second)
			r.holds(t)
		})
	})
}

func TestAFolderThatIsSlowToReadGivesItsPlaceToAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.portal.Fill(r.room, 20_000, 1)
		r.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Stall(5 * time.Second)})
		began := time.Now()
		report, err := r.poller.Poll(t.Context(), r.room)
		if took := time.Since(began); err != nil || !report.More || took < longestTurn || took > 2*longestTurn {
			t.Errorf("a poll of %d rows took %s: %v", report.Events, took, err)
		}
	})
}

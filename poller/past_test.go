package poller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/poller/queue"
	"docspace-nats/poller/queue/queuetest"
	"docspace-nats/schema"
)

// past returns a schedule that reads the past of all rooms.
func (r *rig) past(q queue.Queue, opts ScheduleOptions) *Schedule {
	opts.Past, opts.Log = true, zerolog.Nop()
	s := NewSchedule(r.poller, q, opts)
	for _, room := range r.portal.Rooms() {
		s.Watch(room)
	}
	return s
}

func TestAPastEndsWithItsLastSecondWhateverHappensSince(t *testing.T) {
	t.Parallel()
	for _, version := range docspacetest.Versions()[1:] {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := time.Now().Add(time.Hour)
				r := newRigOf(t, docspacetest.Options{Seed: 1, Version: version}, Options{To: to, Chunk: 200})
				r.act(1500)
				time.Sleep(time.Until(to))
				r.act(3) // of the last second
				want := r.portal.Count(r.room)
				busy := true
				r.portal.AfterPage(func(int, int) {
					if busy {
						busy = false
						time.Sleep(time.Second)
					}
					r.act(1)
				})
				s := r.past(newQueue(), ScheduleOptions{})
				if err := s.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				mark := r.mark(t)
				events := slices.DeleteFunc(r.ledger.Events(r.room), func(e schema.Event) bool { return e.Data.Connector != nil })
				if len(events) != want || mark.Accounted != want || mark.State != checkpoint.Watching || r.portal.Count(r.room) <= want {
					t.Errorf("%d events, %v; want %d rows of %d", len(events), mark, want, r.portal.Count(r.room))
				}
				for _, e := range events {
					if e.IngestMode != schema.Backfill || e.Time.After(to) {
						t.Fatalf("event %s of %s is %s", e.ID, e.Time, e.IngestMode)
					}
				}
			})
		})
	}
}

func TestAFolderOfAPastIsNotPolledAgainByAnyReplicaNorTheNextRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{To: time.Now().Add(time.Hour)})
		for i := range 9 {
			r.portal.CreateRoom(nil, fmt.Sprintf("Room %d", i))
		}
		memory := queuetest.NewMemory(30 * time.Second)
		for run := range 2 {
			before := r.portal.RequestsTo(docspacetest.RouteHistory)
			ends := make(chan error)
			for range 3 {
				go func() { ends <- r.past(memory.Replica(), ScheduleOptions{}).Run(t.Context()) }()
			}
			for range 3 {
				if err := <-ends; err != nil {
					t.Fatal(err)
				}
			}
			// A replica may have put a folder back that another has just ended.
			if n := r.portal.RequestsTo(docspacetest.RouteHistory) - before; run == 0 && (n < 10 || n > 20) || run > 0 && n != 0 {
				t.Errorf("run %d made %d requests for 10 folders", run, n)
			}
			if left, err := memory.Replica().Folders(t.Context()); err != nil || len(left) != 0 {
				t.Errorf("%v are in the queue, %v", left, err)
			}
		}
	})
}

func TestAPastEndsThoughAFolderCannotBeReadAndTriesItAgainInTheNextRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{To: time.Now().Add(time.Hour)})
		closed := r.portal.CreateRoom(nil, "Closed room")
		r.act(300)
		heal := r.portal.Fail(docspacetest.Fault{Folder: closed, Times: -1, Do: docspacetest.AccessDenied()})
		q := newQueue()
		for _, want := range []checkpoint.State{checkpoint.Blind, checkpoint.Watching} {
			s, began := r.past(q, ScheduleOptions{MaxInterval: 10 * time.Second}), time.Now()
			if err := s.Run(t.Context()); err != nil || time.Since(began) > time.Minute {
				t.Fatal(time.Since(began), err)
			}
			for _, f := range s.Standings() {
				if f.Folder == closed && (f.State != want || (f.Reason == "") != (want == checkpoint.Watching)) {
					t.Errorf("the closed room is %s (%s), want %s", f.State, f.Reason, want)
				}
			}
			heal()
		}
		r.holds(t)
	})
}

func TestAPastWaitsForAPortalThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{To: time.Now().Add(24 * time.Hour)})
		r.act(300)
		heal := r.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Unauthorized()})
		time.AfterFunc(3*time.Hour, heal)
		began := time.Now()
		if err := r.past(newQueue(), ScheduleOptions{}).Run(t.Context()); err != nil || time.Since(began) < 3*time.Hour {
			t.Fatalf("ended after %s, %v", time.Since(began), err)
		}
		r.holds(t)
	})
}

func TestAFolderThatFailsForItselfIsGivenUpAndASetOfNoneIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{To: time.Now().Add(time.Hour)})
		s := NewSchedule(r.poller, newQueue(), ScheduleOptions{Past: true, Log: zerolog.Nop()})
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		odd := r.portal.CreateRoom(nil, "Odd room")
		r.portal.Fail(docspacetest.Fault{Folder: odd, Route: docspacetest.RouteHistory, Times: -1, Do: docspacetest.Failure(409, "System.InvalidOperationException", "It is odd")})
		s = r.past(newQueue(), ScheduleOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		if err := s.Run(ctx); err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err())
		}
		for _, f := range s.Standings() {
			if f.Folder == odd && (f.Err == nil || !strings.Contains(f.Err.Error(), "history")) {
				t.Errorf("%+v", f)
			}
		}
		r.holds(t)
	})
}

package poller

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/poller/queue"
)

// The rows of hints are found by the folder's own poll, while the hints are
// handed on to the queue.
func TestHintsHandedOnDuringAPollDoNotCostLaterOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		opts := ScheduleOptions{MinInterval: time.Minute, MaxInterval: time.Minute}
		r.watched(t, opts, func(s *Schedule) {
			time.Sleep(time.Hour)
			// Hints just before the folder's next poll, which takes three seconds.
			turn := s.folders[r.room]
			s.mu.Lock()
			next := turn.due
			s.mu.Unlock()
			time.Sleep(time.Until(next) - time.Second)
			heal := r.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Stall(3 * time.Second)})
			for range 20 {
				r.portal.Upload(nil, r.room, "scan.pdf")
				s.Hint(r.room)
			}
			time.Sleep(10 * time.Second)
			heal()
			time.Sleep(20 * time.Second)
			r.portal.Upload(nil, r.room, "plan.docx")
			s.Hint(r.room)
			r.within(t, 4*time.Second)
		})
	})
}

// A replica whose clock was ahead has stored a mark; another goes on.
func TestAMarkFromAClockAheadDoesNotMakeAnIdleFolderLookActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.watched(t, ScheduleOptions{}, func(*Schedule) { time.Sleep(time.Minute) })
		m := r.mark(t)
		ahead := m
		ahead.Active = time.Now().Add(365 * 24 * time.Hour)
		if _, err := r.ledger.Commit(t.Context(), r.room, nil, m, ahead); err != nil {
			t.Fatal(err)
		}
		r.watched(t, ScheduleOptions{}, func(*Schedule) {
			r.act(3) // it might heal
			time.Sleep(24 * time.Hour)
			if n := r.polls(func() { time.Sleep(time.Hour) }); n > 40 {
				t.Errorf("%d polls of an idle folder in an hour, a day later", n)
			}
		})
	})
}

// Nobody polls: the folders wait in a queue that hands nothing out.
func TestReplicasThatAllPollNothingAreNotReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		r := &replica{}
		r.Schedule = NewSchedule(New(c.client, c.ledger, c.poller.opts), silentQueue{c.memory.Replica()}, ScheduleOptions{Replicas: others{2, true}})
		ctx, cancel := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		parts.Go(func() { _ = r.Run(ctx) })
		parts.Go(func() { _ = (&Discovery{}).Run(ctx, r.Schedule) })
		time.Sleep(24 * time.Hour)
		if r.Ready() == nil {
			t.Error("ready, and no folder was polled for a day")
		}
		cancel()
		parts.Wait()
	})
}

type silentQueue struct{ queue.Queue }

func (silentQueue) Take(ctx context.Context, _ queue.Lane) (queue.Lease, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// One lane is in trouble, the others work.
func TestTroubleWithOneLaneIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		for range 20 {
			c.portal.CreateRoom(nil, "Another room")
		}
		var log syncBuffer
		s := NewSchedule(New(c.client, c.ledger, c.poller.opts), lameQueue{c.memory.Replica()}, ScheduleOptions{Log: zerolog.New(&log)})
		ctx, cancel := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		parts.Go(func() { _ = s.Run(ctx) })
		parts.Go(func() { _ = (&Discovery{}).Run(ctx, s) })
		time.Sleep(time.Hour)
		cancel()
		parts.Wait()
		if n := strings.Count(log.String(), "queue of folders"); n > 1 {
			t.Errorf("told %d times in an hour", n)
		}
	})
}

type lameQueue struct{ queue.Queue }

func (q lameQueue) Take(ctx context.Context, lane queue.Lane) (queue.Lease, error) {
	if lane == queue.Hinted {
		return nil, errors.New("no consumer")
	}
	return q.Queue.Take(ctx, lane)
}

// joinAndLosePortal returns two replicas of which one has lost its way to the portal.
func (c *crew) joinAndLosePortal(t *testing.T) (healthy, lost *replica) {
	t.Helper()
	c.portal.CreateRoom(nil, "Another room")
	healthy = c.join(t, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
	cut := &unreachable{Portal: c.client}
	lost = c.joinThrough(t, cut, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
	time.Sleep(time.Hour)
	cut.down.Store(true)
	return healthy, lost
}

// A webhook reaches the replica that has no portal; the other has one.
func TestAHintThatReachesAReplicaWithoutAPortalIsHandedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		healthy, lost := c.joinAndLosePortal(t)
		time.Sleep(time.Hour)
		c.act(1)
		if !lost.Hint(c.room) {
			t.Error("the hint is dropped")
		}
		// The replica that is lost may just be trying whether its portal is back,
		// with this very folder.
		time.Sleep(hintDelay + hintRetry + time.Second)
		if len(c.stored()) != len(c.shown()) {
			t.Errorf("and its row is not stored after %v", hintDelay+hintRetry)
		}
		lost.stop()
		healthy.stop()
	})
}

// Whose folder it was by chance when the way to the portal was lost must not matter.
func TestAFolderIsNotLeftToAReplicaWithoutAPortal(t *testing.T) {
	t.Parallel()
	for range 6 {
		synctest.Test(t, func(t *testing.T) {
			c := newCrew(t)
			healthy, lost := c.joinAndLosePortal(t)
			for range 10 {
				time.Sleep(time.Hour)
				c.act(1)
				time.Sleep(2*time.Minute + 10*time.Second)
				if len(c.stored()) != len(c.shown()) {
					t.Fatal("a row is not stored after two minutes and ten seconds")
				}
			}
			lost.stop()
			healthy.stop()
		})
	}
}

// A replica saw a folder blind, another one polls it ever since it is well again.
func TestWhatAReplicaSaysOfAFolderOthersPollIsNotOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		a := c.join(t, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
		b := c.join(t, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
		time.Sleep(time.Hour)
		heal := c.portal.Fail(docspacetest.Fault{Folder: c.room, Times: -1, Do: docspacetest.AccessDenied()})
		time.Sleep(time.Hour)
		heal()
		var worst time.Duration
		for began := time.Now(); ; time.Sleep(time.Second) {
			sa, sb := a.Standings()[0].State, b.Standings()[0].State
			if sa == sb && sa == "watching" {
				worst = time.Since(began)
				break
			}
			if time.Since(began) > 24*time.Hour {
				t.Fatal(sa, sb)
			}
		}
		t.Logf("%s", worst)
		a.stop()
		b.stop()
	})
}

package poller

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
)

// gaps are the times between two polls of each folder, whoever made them.
type gaps struct {
	mu    sync.Mutex
	last  map[int]time.Time
	worst time.Duration
}

// forget forgets the worst.
func (g *gaps) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.worst = 0
}

func (g *gaps) longest() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.worst
}

func (g *gaps) note(folder int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.last[folder]; ok {
		g.worst = max(g.worst, time.Since(last))
	}
	g.last[folder] = time.Now()
}

// A timed portal notes when each folder was polled.
type timed struct {
	Portal
	gaps *gaps
}

func (p timed) History(ctx context.Context, folder int, q docspace.Query) (docspace.Page, error) {
	page, err := p.Portal.History(ctx, folder, q)
	if err == nil {
		p.gaps.note(folder)
	}
	return page, err
}

// One of two replicas has no portal for ten minutes. What it knows of the folders is
// old then, and the other has polled them.
func TestAReplicaThatIsWellAgainKeepsNoFolderWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		for range 99 {
			c.portal.CreateRoom(nil, "Another room")
		}
		g := &gaps{last: make(map[int]time.Time)}
		cut := &unreachable{Portal: timed{c.client, g}}
		opts := ScheduleOptions{Replicas: others{2, true}}
		healthy := c.joinThrough(t, timed{c.client, g}, &Discovery{}, opts)
		lost := c.joinThrough(t, cut, &Discovery{}, opts)
		time.Sleep(time.Hour)
		cut.down.Store(true)
		time.Sleep(10 * time.Minute)
		cut.down.Store(false)
		g.forget()
		time.Sleep(30 * time.Minute)
		if worst := g.longest(); worst > 2*time.Minute+10*time.Second {
			t.Errorf("a folder was not polled for %s", worst)
		}
		lost.stop()
		healthy.stop()
	})
}

// hourly are the intervals where hints say when to poll.
var hourly = ScheduleOptions{MinInterval: 6 * time.Hour, MaxInterval: 6 * time.Hour}

// The polls for some hints meet a portal that is away for some seconds.
func TestWhatAHintToldOfWaitsForNoIntervalWhenThePortalWasAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		rooms := c.withRooms(5)
		r := c.join(t, &Discovery{}, hourly)
		time.Sleep(25 * time.Hour)
		for _, c.room = range rooms {
			c.act(1)
			r.Hint(c.room)
		}
		heal := c.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Refuse()})
		time.Sleep(10 * time.Second)
		heal()
		time.Sleep(troubleLongRetry + troubleRetry)
		for _, c.room = range rooms {
			if len(c.stored()) != len(c.shown()) {
				t.Errorf("room %d: it is not stored %s after the trouble", c.room, troubleLongRetry+troubleRetry)
			}
		}
		r.stop()
	})
}

// The folders become due while the portal is away, and no hint tells of any.
func TestReplicasPollSoonAfterThePortalWasAwayWhateverTheIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		rooms := c.withRooms(5)
		opts := hourly
		opts.Replicas = others{2, true}
		first, second := c.join(t, &Discovery{}, opts), c.join(t, &Discovery{}, opts)
		time.Sleep(25 * time.Hour)
		heal := c.portal.Fail(docspacetest.Fault{Times: -1, Do: docspacetest.Refuse()})
		time.Sleep(7 * time.Hour)
		for _, c.room = range rooms {
			c.act(1)
		}
		heal()
		time.Sleep(2 * troubleLongRetry)
		for _, c.room = range rooms {
			if len(c.stored()) != len(c.shown()) {
				t.Errorf("room %d: it is not stored %s after the trouble", c.room, 2*troubleLongRetry)
			}
		}
		first.stop()
		second.stop()
	})
}

func TestALaneThatFailedForAMomentIsServedSoonWhateverTheIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		r := c.join(t, &Discovery{}, hourly)
		time.Sleep(25 * time.Hour)
		heal := c.memory.Fail(context.DeadlineExceeded)
		time.Sleep(10 * time.Second)
		heal()
		time.Sleep(2 * laneLongRetry)
		c.act(1)
		r.Hint(c.room)
		time.Sleep(hintDelay + time.Second)
		if len(c.stored()) != len(c.shown()) {
			t.Errorf("what a hint told of is not stored %s after the trouble", 2*laneLongRetry)
		}
		r.stop()
	})
}

func TestAQueueThatCouldNotBeFilledAtTheStartIsFilledSoonWhateverTheIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		c.act(3)
		heal := c.memory.Fail(context.DeadlineExceeded)
		r := c.join(t, &Discovery{}, hourly)
		time.Sleep(10 * time.Second)
		heal()
		time.Sleep(2 * laneLongRetry)
		if len(c.stored()) != len(c.shown()) {
			t.Errorf("rows are not stored %s after the trouble", 2*laneLongRetry)
		}
		r.stop()
	})
}

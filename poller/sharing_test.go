package poller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/poller/queue"
	"docspace-nats/poller/queue/queuetest"
)

// A crew are replicas that share one portal, one ledger and one queue.
type crew struct {
	*rig
	memory *queuetest.Memory
}

func newCrew(t *testing.T) *crew {
	t.Helper()
	return &crew{rig: newRig(t, Options{}), memory: queuetest.NewMemory(10 * time.Second)}
}

// withRooms makes so many more rooms, and returns all.
func (c *crew) withRooms(more int) []int {
	rooms := []int{c.room}
	for range more {
		rooms = append(rooms, c.portal.CreateRoom(nil, "Another room"))
	}
	return rooms
}

// others stands for the replicas beside one.
type others struct {
	count int
	alike bool
}

func (o others) Count() int  { return o.count }
func (o others) Alike() bool { return o.alike }

// replica is one process: its own poller and schedule, and the polls it made.
type replica struct {
	*Schedule
	log   syncBuffer
	stop  func()
	kill  func()
	ended chan struct{}
}

// join starts a replica.
func (c *crew) join(t *testing.T, d *Discovery, opts ScheduleOptions) *replica {
	t.Helper()
	return c.joinThrough(t, c.client, d, opts)
}

// joinThrough starts a replica with a way to the portal of its own.
func (c *crew) joinThrough(t *testing.T, portal Portal, d *Discovery, opts ScheduleOptions) *replica {
	t.Helper()
	r := &replica{ended: make(chan struct{})}
	opts.Log = zerolog.New(&r.log)
	view := c.memory.Replica()
	r.Schedule = NewSchedule(New(portal, c.ledger, c.poller.opts), view, opts)
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = func() { cancel(); <-r.ended }
	r.kill = func() { view.Kill(); r.stop() }
	var parts sync.WaitGroup
	parts.Go(func() { _ = r.Run(ctx) })
	parts.Go(func() { _ = d.Run(ctx, r.Schedule) })
	go func() { parts.Wait(); close(r.ended) }()
	t.Cleanup(r.stop)
	return r
}

// three replicas that know of each other begin their work.
func (c *crew) three(t *testing.T) (replicas []*replica) {
	t.Helper()
	for range 3 {
		replicas = append(replicas, c.join(t, &Discovery{}, ScheduleOptions{Replicas: others{3, true}}))
	}
	return replicas
}

// polled returns how many polls each replica made.
func polled(replicas ...*replica) []int {
	counts := make([]int, len(replicas))
	for i, r := range replicas {
		for _, f := range r.Standings() {
			if !f.Polled.IsZero() {
				counts[i]++
			}
		}
	}
	return counts
}

func TestReplicasPublishEveryRowOnceAndPollNoMoreThanOneWould(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		rooms := c.withRooms(40)
		replicas := c.three(t)
		time.Sleep(10 * time.Minute)
		before := c.portal.RequestsTo(docspacetest.RouteHistory)
		time.Sleep(time.Hour)
		if n := c.portal.RequestsTo(docspacetest.RouteHistory) - before; n > 41*31 {
			t.Errorf("%d polls of %d idle folders in an hour", n, len(rooms))
		}
		for i := range 60 {
			c.room = rooms[i%len(rooms)]
			c.act(1 + i%3)
			time.Sleep(7 * time.Second)
		}
		time.Sleep(3 * time.Minute)
		for _, c.room = range rooms {
			c.holds(t)
		}
		if counts := polled(replicas...); slices.Min(counts) < len(rooms)/2 {
			t.Errorf("the replicas polled %v folders", counts)
		}
	})
}

func TestAnActiveFolderStaysActiveWhoeverPollsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		time.Sleep(time.Hour)
		c.three(t)
		time.Sleep(30 * time.Minute)
		busy := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(4 * time.Second) {
				c.act(1)
			}
		}
		busy(3 * time.Minute) // until it is noticed
		n := c.polls(func() { busy(5 * time.Minute) })
		if n < 50 || n > 62 {
			t.Errorf("%d polls in five busy minutes, want about one in five seconds", n)
		}
	})
}

func TestARestartPollsAFolderAsOftenAsBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		first := c.join(t, &Discovery{}, ScheduleOptions{})
		time.Sleep(time.Hour)
		first.stop()
		n := c.polls(func() {
			second := c.join(t, &Discovery{}, ScheduleOptions{})
			time.Sleep(10 * time.Minute)
			second.stop()
		})
		if n > 6 {
			t.Errorf("%d polls of an idle folder in the ten minutes after a restart", n)
		}
	})
}

func TestAFolderNobodyWatchesAnyMoreLeavesTheQueue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		alike bool
		stays bool
	}{
		"all watch the same":                   {alike: true},
		"another replica may watch it, so not": {stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t)
				stranger := c.portal.CreateRoom(nil, "No longer named")
				if err := c.memory.Put(t.Context(), stranger, queue.Quiet); err != nil {
					t.Fatal(err)
				}
				r := c.join(t, &Discovery{IDs: []int{c.room}}, ScheduleOptions{Replicas: others{2, test.alike}})
				time.Sleep(10 * time.Minute)
				r.stop()
				there, err := c.memory.Folders(t.Context())
				if err != nil || there[stranger] != test.stays || !there[c.room] {
					t.Errorf("in the queue: %v, %v", slices.Collect(maps.Keys(there)), err)
				}
				if n := len(c.ledger.Events(stranger)); n > 0 {
					t.Errorf("%d events of a folder nobody watches", n)
				}
			})
		})
	}
}

func TestARoomAnotherReplicaFoundIsPolledAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		r := c.join(t, &Discovery{Interval: 24 * time.Hour}, ScheduleOptions{Replicas: others{2, true}})
		time.Sleep(time.Minute)
		c.room = c.portal.CreateRoom(nil, "Found elsewhere")
		c.act(5)
		if err := c.memory.Put(t.Context(), c.room, queue.History); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.stop()
		c.holds(t)
		if e := c.ledger.Events(c.room)[0]; e.Data.Feed.Title != "Found elsewhere" {
			t.Errorf("the room is called %q", e.Data.Feed.Title)
		}
	})
}

func TestAQueueThatLostItsFoldersIsFilledAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		r := c.join(t, &Discovery{}, ScheduleOptions{})
		time.Sleep(10 * time.Minute)
		c.memory.Clear()
		time.Sleep(5 * time.Minute)
		c.act(3)
		time.Sleep(3 * time.Minute)
		r.stop()
		c.holds(t)
	})
}

func TestAKilledReplicaLeavesNothingBehindThatOthersDoNotDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		c.portal.Fill(c.room, 5000, 1)
		c.portal.Fail(docspacetest.Fault{Times: -1, Route: docspacetest.RouteHistory, Do: docspacetest.Stall(time.Second)})
		victim := c.join(t, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
		time.Sleep(10 * time.Second) // in the middle of the history
		heir := c.join(t, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
		victim.kill()
		time.Sleep(10 * time.Minute)
		heir.stop()
		c.holds(t)
	})
}

func TestAReplicaWithoutAPortalLeavesTheFoldersToTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		for range 30 {
			c.portal.CreateRoom(nil, "Another room")
		}
		healthy := c.join(t, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
		cut := &unreachable{Portal: c.client}
		lost := c.joinThrough(t, cut, &Discovery{}, ScheduleOptions{Replicas: others{2, true}})
		time.Sleep(10 * time.Minute)
		cut.down.Store(true)
		for range 120 {
			c.act(1)
			time.Sleep(10 * time.Second)
			if missing := len(c.shown()) - len(c.stored()); missing > 15 {
				t.Fatalf("%d rows are not stored", missing)
			}
		}
		time.Sleep(3 * time.Minute)
		lost.stop()
		healthy.stop()
		c.holds(t)
		if n := cut.asked.Load(); n > 200 {
			t.Errorf("the replica without a portal asked %d times in twenty minutes", n)
		}
	})
}

// unreachable is a portal behind a network that can be down.
type unreachable struct {
	Portal
	down  atomic.Bool
	asked atomic.Int64 // while it was
}

func (u *unreachable) History(ctx context.Context, folder int, q docspace.Query) (docspace.Page, error) {
	if !u.down.Load() {
		return u.Portal.History(ctx, folder, q)
	}
	u.asked.Add(1)
	return docspace.Page{}, fmt.Errorf("%w: no route to host", docspace.ErrPortal)
}

func TestAQueueInTroubleIsToldOnceAndItsEndToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t)
		r := c.join(t, &Discovery{}, ScheduleOptions{})
		time.Sleep(time.Minute)
		heal := c.memory.Fail(context.DeadlineExceeded)
		time.Sleep(10 * time.Minute)
		heal()
		c.act(3)
		time.Sleep(5 * time.Minute)
		r.stop()
		c.holds(t)
		log := r.log.String()
		if in, out := strings.Count(log, "queue of folders is in trouble"), strings.Count(log, "queue of folders works again"); in != 1 || out != 1 {
			t.Errorf("told %d times of the trouble and %d times of its end:\n%s", in, out, log)
		}
	})
}

func TestALongListOfRoomsIsAskedForLessOften(t *testing.T) {
	t.Parallel()
	for rooms, want := range map[int]time.Duration{1: time.Minute, 3000: time.Minute, 12_000: 4 * time.Minute} {
		if got := (&Discovery{listed: rooms}).wait(); got != want {
			t.Errorf("%d rooms are listed every %s, want %s", rooms, got, want)
		}
	}
}

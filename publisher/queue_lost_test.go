package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"docspace-nats/poller/queue"
	"docspace-nats/publisher/natstest"
)

// The connection is cut while a replica waits for a folder; another server might
// answer at once.
func TestAReplicaThatIsConnectedAgainAsksForFoldersAtOnce(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	link := natstest.NewLink(t, server.URL())
	q, other := join(t, link.URL(), Options{}), join(t, server.URL(), Options{})
	q.beats = 5 * time.Second // when two of them are missed it asks again, too
	if err := other.Put(t.Context(), 1, queue.Active); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Take(t.Context(), queue.Active); err != nil {
		t.Fatal(err)
	}
	taken := make(chan time.Time, 1)
	go func() {
		if l, err := q.Take(t.Context(), queue.Active); err == nil {
			taken <- time.Now()
			_ = l.Remove()
		}
	}()
	q.waitAsked(t, queue.Active)
	back := q.nc.StatusChanged(nats.CONNECTED)
	link.Cut()
	<-back
	connected := time.Now()
	if err := other.Put(t.Context(), 2, queue.Active); err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-taken:
		t.Logf("a folder was handed out %s after the connection was back", at.Sub(connected).Round(time.Millisecond))
		if at.Sub(connected) > q.beats*3/2 {
			t.Errorf("a folder was handed out %s after the connection was back", at.Sub(connected))
		}
	case <-time.After(natstest.Patience):
		t.Fatal("no folder is handed out")
	}
}

// waitAsked waits until somebody waits for folders of a lane.
func (m member) waitAsked(t *testing.T, lane queue.Lane) {
	t.Helper()
	natstest.Eventually(t, "somebody asks for folders of lane "+string(lane), func() bool {
		c, err := m.j.js.Consumer(t.Context(), m.j.queueName(), string(lane))
		return err == nil && c.CachedInfo().NumWaiting > 0
	})
}

// led waits until a server leads a lane, and returns its name.
func (m member) led(t *testing.T, lane queue.Lane) (leader string) {
	t.Helper()
	natstest.Eventually(t, "a server leads lane "+string(lane), func() bool {
		c, err := m.j.js.Consumer(t.Context(), m.j.queueName(), string(lane))
		if err == nil && c.CachedInfo().Cluster != nil {
			leader = c.CachedInfo().Cluster.Leader
		}
		return leader != ""
	})
	return leader
}

// A lane that was just made has no leader for a moment.
func TestReplicasThatBeginAtTheSameMomentFindNoTrouble(t *testing.T) {
	t.Parallel()
	cluster := natstest.Cluster(t, 3)
	for round := range 3 {
		var members []member
		for range 4 {
			members = append(members, join(t, cluster.URL(), Options{Stream: fmt.Sprint("S", round), Prefix: fmt.Sprint("s", round), Replicas: 3}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
		var takes errgroup.Group
		for i, m := range members {
			for _, lane := range queue.Lanes() {
				takes.Go(func() error {
					l, err := m.Take(ctx, lane)
					if err != nil {
						return fmt.Errorf("replica %d, lane %s: %w", i, lane, err)
					}
					return l.Remove()
				})
			}
		}
		for _, lane := range queue.Lanes() {
			members[0].waitAsked(t, lane)
			for i := range members {
				if err := members[0].Put(ctx, i+1, lane); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := takes.Wait(); err != nil {
			t.Error(err)
		}
		cancel()
	}
}

// As with an account that imports the rest of the API: the consumer is there, and
// requests to it reach nobody.
func TestALaneThatNobodyEverServesIsTrouble(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	q := join(t, server.URL(), Options{})
	if err := server.Embedded().GlobalAccount().AddMapping("$JS.API.CONSUMER.MSG.NEXT."+q.j.queueName()+"."+string(queue.Active), "nowhere"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	if _, err := q.Take(ctx, queue.Active); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("nobody served the lane, and to take a folder returned %v", err)
	}
}

// A server stands still for so long that others take over what it led, and answers
// get lost. Then it goes on. How long an election takes is no matter of the replicas.
func TestReplicasShareAgainSoonAfterAServerStoodStill(t *testing.T) {
	t.Parallel()
	const still, soon = 7 * time.Second, 7 * time.Second
	cluster := natstest.Processes(t, []string{t.TempDir(), t.TempDir(), t.TempDir()})
	var members []member
	for range 4 {
		members = append(members, join(t, cluster.URL(), Options{Replicas: 3}))
	}
	if _, err := members[0].Folders(t.Context()); err != nil {
		t.Fatal(err)
	}
	for folder := range 100 {
		if err := members[0].Put(t.Context(), folder+1, queue.Quiet); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var polls sync.WaitGroup
	t.Cleanup(func() { stop(); polls.Wait() })
	took := make([]chan struct{}, len(members))
	for i, m := range members {
		took[i] = make(chan struct{})
		polls.Go(func() {
			for ctx.Err() == nil {
				l, err := m.Take(ctx, queue.Quiet)
				if err != nil {
					continue
				}
				select {
				case took[i] <- struct{}{}:
				default:
				}
				_ = l.Return(ctx, queue.Quiet, time.Second)
			}
		})
	}
	// all waits until each replica has taken a folder.
	all := func(within time.Duration, when string) {
		t.Helper()
		late := time.After(within)
		for i := range members {
			select {
			case <-took[i]:
			case <-late:
				t.Fatalf("%s replica %d took no folder for %s", when, i, within)
			}
		}
	}
	all(natstest.Patience, "at the start")
	began := time.Now()
	all(natstest.Patience, "without any trouble")
	usual := time.Since(began)
	for range 3 {
		leader := members[0].led(t, queue.Quiet)
		for _, server := range cluster.Servers {
			if server.Name() != leader {
				continue
			}
			server.Pause()
			<-time.After(still)
			server.Resume()
		}
		members[0].led(t, queue.Quiet)
		began = time.Now()
		all(soon+3*usual, "after the server stood still")
		t.Logf("all replicas took folders %s after a server led the lane again, and %s without trouble", time.Since(began).Round(time.Millisecond), usual.Round(time.Millisecond))
		all(natstest.Patience, "later")
	}
}

// A replica that ends gives its folders back while the server still has its requests.
func TestAFolderThatIsGivenBackAtTheEndIsNotHandedToWhoEnds(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	for folder := 1; folder <= 20; folder++ {
		q, next := join(t, server.URL(), Options{}), join(t, server.URL(), Options{})
		q.lasts, next.lasts = natstest.Patience, natstest.Patience
		if err := q.Put(t.Context(), folder, queue.Active); err != nil {
			t.Fatal(err)
		}
		ending, end := context.WithCancel(t.Context())
		leased, err := q.Take(ending, queue.Active)
		if err != nil {
			t.Fatal(err)
		}
		q.waitAsked(t, queue.Active)
		end()
		if err := leased.Return(ending, queue.Active, 0); err != nil {
			t.Fatal(err)
		}
		q.Close()

		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience/2)
		if leased, err = next.Take(ctx, queue.Active); err != nil {
			t.Fatalf("folder %d was not handed to the next replica: %v", folder, err)
		}
		cancel()
		if err := leased.Remove(); err != nil {
			t.Fatal(err)
		}
		next.Close()
	}
}

package publisher

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"docspace-nats/poller/queue/queuetest"
	"docspace-nats/publisher/natstest"
)

// A member is a Queue of a process of its own, as far as the server can tell.
type member struct {
	*Queue
	nc *nats.Conn
}

// Kill ends the connection and says nothing more, as a killed process.
func (m member) Kill() { m.nc.Close() }

// crowded says that there are other replicas.
func crowded() bool { return false }

func TestJetStreamIsAQueue(t *testing.T) {
	t.Parallel()
	const lasts = 3 * time.Second // a lease lapses when a busy machine stops for two thirds of it
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d servers", servers), func(t *testing.T) {
			t.Parallel()
			var url string
			if servers == 1 {
				url = natstest.Run(t).URL()
			} else {
				url = natstest.Cluster(t, servers).URL()
			}
			var count atomic.Int64 // of streams
			queuetest.Exercise(t, func(t *testing.T) queuetest.Bench {
				name := fmt.Sprintf("S%d", count.Add(1))
				return queuetest.Bench{Lasts: lasts, Join: func(t *testing.T) queuetest.Member {
					m := join(t, url, Options{Stream: name, Prefix: name, Replicas: servers})
					m.lasts = lasts
					return m
				}}
			})
		})
	}
}

func join(t *testing.T, url string, o Options) member {
	t.Helper()
	nc, err := Connect(t.Context(), ConnectOptions{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	j, err := Open(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	q := j.Queue(crowded)
	q.lasts = time.Second
	return member{q, nc}
}

package publisher

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"docspace-nats/publisher/natstest"
)

// Its connection is away for longer than a replica is silent that lives.
func TestAReplicaThatWasCutOffTakesNoRequestsOfTheOthers(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	link := natstest.NewLink(t, server.URL())
	cut, other := newHead(t, link.URL()), newHead(t, server.URL())
	cut.until(t, 2)
	other.until(t, 2)
	link.Break()
	other.until(t, 1)
	link.Mend()
	other.until(t, 2)
	if told := cut.all(); !slices.Equal(told, []int{1, 2}) {
		t.Errorf("the replica that was cut off counted %v, want 1, then 2", told)
	}
}

// It is connected again at the moment at which it looks who is silent.
func TestAReplicaDropsNobodyBeforeItKnowsThatItWasCutOff(t *testing.T) {
	t.Parallel()
	r := join(t, natstest.Run(t).URL(), Options{}).j.Replicas("", func(int) {})
	r.others["another"] = sighting{at: time.Now().Add(-2 * replicaSilent)}
	connected := make(chan nats.Status, 1)
	connected <- nats.CONNECTED
	r.check(connected)
	if n := r.Count(); n != 2 {
		t.Errorf("%d replicas are counted, want 2", n)
	}
	r.others["another"] = sighting{at: time.Now().Add(-2 * replicaSilent)}
	r.check(connected)
	if n := r.Count(); n != 1 {
		t.Errorf("of two replicas one has died, and %d are counted", n)
	}
}

// A head is one that counts replicas, and what it was told.
type head struct {
	mu   sync.Mutex
	told []int
}

func newHead(t *testing.T, url string) *head {
	t.Helper()
	h := new(head)
	r := join(t, url, Options{}).j.Replicas("", func(n int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.told = append(h.told, n)
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

// all returns what it was told, without repetitions.
func (h *head) all() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Compact(slices.Clone(h.told))
}

// until waits until it was told a number last.
func (h *head) until(t *testing.T, n int) {
	t.Helper()
	natstest.Eventually(t, fmt.Sprintf("%d replicas are told", n), func() bool {
		told := h.all()
		return len(told) > 0 && told[len(told)-1] == n
	})
}

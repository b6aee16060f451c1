package publisher

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Replicas tell each other that they live, by plain messages nobody stores. They
// divide what the portal allows by their number, so nothing more depends on it
// than how polite they are together.
const (
	replicaBeat   = 2 * time.Second
	replicaSilent = 7 * time.Second // after which one is taken for dead
	maxReplicas   = 1000

	longestPresence = 1 << 10 // bytes; what is longer tells nothing

	// replicasSuffix makes the subject they speak on of the name of the stream.
	replicasSuffix = "_REPLICAS"
)

// Replicas knows the processes that publish to the same stream.
type Replicas struct {
	j       *JetStream
	me      presence
	changed func(replicas int)

	mu     sync.Mutex
	others map[string]sighting
	heard  time.Time // when this replica first heard itself
}

// A presence is what a replica says of itself.
type presence struct {
	ID      string `json:"id"`
	Watches string `json:"watches"` // what it was told to watch
	Leaves  bool   `json:"leaves,omitzero"`
}

// A sighting is when another replica was last heard of.
type sighting struct {
	presence
	at time.Time
}

// Replicas returns those of this stream. watches says what this process was
// told to watch; changed is told how many there are, this one included, at
// first and whenever that changes, and must not block.
func (j *JetStream) Replicas(watches string, changed func(replicas int)) *Replicas {
	sum := sha256.Sum256([]byte(watches)) // it may be long, and is only compared
	return &Replicas{
		j:       j,
		me:      presence{ID: nuid.Next(), Watches: hex.EncodeToString(sum[:8])},
		changed: changed,
		others:  make(map[string]sighting),
	}
}

// ID names this replica among the others.
func (r *Replicas) ID() string { return r.me.ID }

// Count returns how many replicas live, this one included.
func (r *Replicas) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return 1 + len(r.others)
}

// Alike reports whether all were told to watch the same. One that does not hear
// itself hears no others either, and cannot know.
func (r *Replicas) Alike() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard.IsZero() || time.Since(r.heard) < 2*replicaBeat {
		return false
	}
	for _, other := range r.others {
		if other.Watches != r.me.Watches {
			return false
		}
	}
	return true
}

// Run says that this replica lives and listens to the others until ctx ends.
// Then it says that it leaves.
func (r *Replicas) Run(ctx context.Context) error {
	heard := make(chan *nats.Msg, 64)
	sub, err := r.j.nc.ChanSubscribe(r.subject(), heard)
	if err != nil {
		return fmt.Errorf("listen to other replicas on %s: %w", r.subject(), err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	connected := r.j.nc.StatusChanged(nats.CONNECTED)
	defer r.j.nc.RemoveStatusListener(connected)
	beat := time.NewTicker(replicaBeat)
	defer beat.Stop()
	r.changed(1)
	for r.say(r.me); ; {
		select {
		case <-ctx.Done():
			leaves := r.me
			leaves.Leaves = true
			r.say(leaves)
			return nil
		case msg := <-heard:
			r.hear(msg)
		case <-connected:
			r.remember()
			r.say(r.me)
		case <-beat.C:
			r.say(r.me)
			if r.j.nc.IsConnected() {
				r.check(connected)
			}
		}
	}
}

// check drops the replicas that are silent, unless it was this one that was cut off,
// of which it may not have heard yet.
func (r *Replicas) check(connected <-chan nats.Status) {
	select {
	case <-connected:
		r.remember()
		r.say(r.me)
	default:
		r.forget()
	}
}

func (r *Replicas) subject() string { return r.j.o.Stream + replicasSuffix }

// say fails only while there is no connection, and then nobody polls.
func (r *Replicas) say(p presence) {
	if text, err := json.Marshal(p); err == nil {
		_ = r.j.nc.Publish(r.subject(), text)
	}
}

// hear takes in what another replica says. One that is new is answered at once,
// so that it need not wait to know how many there are.
func (r *Replicas) hear(msg *nats.Msg) {
	p, ok := parsePresence(msg.Data)
	if !ok {
		return
	}
	r.mu.Lock()
	if p.ID == r.me.ID {
		r.heard = cmp.Or(r.heard, time.Now())
		r.mu.Unlock()
		return
	}
	_, known := r.others[p.ID]
	if !known && len(r.others) >= maxReplicas {
		r.mu.Unlock()
		return
	}
	if p.Leaves {
		delete(r.others, p.ID)
	} else {
		r.others[p.ID] = sighting{p, time.Now()}
	}
	n := 1 + len(r.others)
	r.mu.Unlock()
	if known == p.Leaves {
		r.changed(n)
	}
	if !known && !p.Leaves {
		r.say(r.me)
	}
}

func parsePresence(text []byte) (p presence, ok bool) {
	ok = len(text) <= longestPresence && json.Unmarshal(text, &p) == nil && p.ID != ""
	return p, ok
}

// remember keeps the replicas for as long as if they had just been heard of: it was
// this one that was cut off. Taken for dead, they would leave it their requests.
func (r *Replicas) remember() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, other := range r.others {
		other.at = time.Now()
		r.others[id] = other
	}
}

// forget drops the replicas that were not heard of for too long.
func (r *Replicas) forget() {
	r.mu.Lock()
	before := len(r.others)
	for id, other := range r.others {
		if time.Since(other.at) > replicaSilent {
			delete(r.others, id)
		}
	}
	n := 1 + len(r.others)
	r.mu.Unlock()
	if n <= before {
		r.changed(n)
	}
}

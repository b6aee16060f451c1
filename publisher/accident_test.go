package publisher

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
)

// An accident run is one folder that is published while everything happens to
// it that may: commits that are cut off after any event, marks and copies that
// are lost, processes and servers that restart, writers that are late.
type accidentRun struct {
	t      *testing.T
	rng    *rand.Rand
	o      Options
	server *natstest.Server
	j      *JetStream
	stale  checkpoint.Mark // some mark from before
	log    []string
}

func TestRandomAccidentsLeaveEveryRowOnceAndInOrder(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		for range 3 {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			server := natstest.Run(t)
			r := &accidentRun{t: t, rng: rand.New(rand.NewPCG(seed, 1)), o: o, server: server, j: open(t, server.Conn(t), o), stale: checkpoint.Mark{Folder: 7}}
			for range 40 {
				r.step()
				if err := r.sound(); err != nil {
					t.Fatalf("seed %d: %v, after %q", seed, err, r.log)
				}
			}
			r.settle()
			if now := checkInvariants(t, r.j, 7); now.Unsettled != 0 {
				t.Fatalf("seed %d: %+v is not settled, after %q", seed, now, r.log)
			}
			server.Shutdown()
		}
	})
}

func (r *accidentRun) step() {
	steps := []struct {
		name string
		do   func()
	}{
		{"publish", r.publish}, {"publish", r.publish}, {"publish", r.publish},
		{"cut off", r.cutOff}, {"cut off", r.cutOff},
		{"lose the mark", func() { purge(r.t, r.j, jetstream.WithPurgeSubject(r.j.markSubjects())) }},
		{"lose mark and copy", func() {
			_ = r.j.js.DeleteStream(r.t.Context(), r.j.copyName())
			purge(r.t, r.j, jetstream.WithPurgeSubject(r.j.markSubjects()))
		}},
		{"another process", func() {
			r.j.nc.Close()
			r.j = open(r.t, r.server.Conn(r.t), r.o)
		}},
		{"another server", func() {
			before := r.j.nc.Stats().Reconnects
			r.server.Restart()
			natstest.Eventually(r.t, "the connection is back", func() bool { return r.j.nc.Stats().Reconnects > before && r.j.nc.IsConnected() })
		}},
		{"a late writer", r.late},
	}
	s := steps[r.rng.IntN(len(steps))]
	r.log = append(r.log, s.name)
	s.do()
}

func (r *accidentRun) mark() checkpoint.Mark {
	r.t.Helper()
	mark, err := r.j.Mark(r.t.Context(), 7)
	if err != nil {
		r.t.Fatalf("%v, after %q", err, r.log)
	}
	return mark
}

func (r *accidentRun) publish() {
	mark := r.mark()
	r.stale = mark
	push(r.t, r.j, mark, r.rng.IntN(30))
}

// cutOff stores some events of a commit, one by one, and no mark.
func (r *accidentRun) cutOff() {
	one := open(r.t, r.server.Conn(r.t), Options{Commit: Dedup})
	defer one.nc.Close()
	n := 1 + r.rng.IntN(30)
	c := begin(r.t, one, r.mark(), n)
	sendEvents(r.t, c, 0, 1+r.rng.IntN(n))
}

// late commits on a mark that may not be the folder's any more.
func (r *accidentRun) late() {
	events := following(r.stale, 5)
	next, err := r.j.Commit(r.t.Context(), 7, events, r.stale, checkpointtest.After(r.stale, events))
	if err == nil {
		r.stale = next
	}
}

// settle publishes until all that is stored is accounted for.
func (r *accidentRun) settle() {
	for range 100 {
		stored := len(storedUpTo(r.t, r.j, 7))
		mark := r.mark()
		if mark.Accounted >= stored && mark.Unsettled == 0 && mark.Revision > 0 {
			return
		}
		push(r.t, r.j, mark, max(0, min(30, stored-mark.Accounted)))
	}
	r.t.Fatalf("rows are stored and never accounted for, after %q", r.log)
}

// sound holds that rows are stored from the first on, each once, in order.
func (r *accidentRun) sound() error {
	for i, id := range storedUpTo(r.t, r.j, 7) {
		if id != int64(i+1) {
			return fmt.Errorf("row %d is number %d", id, i+1)
		}
	}
	return nil
}

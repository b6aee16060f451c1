package poller

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// patrolled has a rig's room patrolled, in simulated time, while do goes on. The
// room counts as polled whenever it is looked at.
func patrolled(t *testing.T, log *strings.Builder, do func(t *testing.T, r *rig, p *Patrol, ledger *watchedLedger)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		r.act(2000)
		r.poll(t)
		watched := func() []Standing {
			return []Standing{{Folder: r.room, State: checkpoint.Watching, Accounted: r.mark(t).Accounted}}
		}
		ledger := &watchedLedger{Memory: r.ledger, begins: func(int) {}}
		p := NewPatrol(r.client, ledger, r.poller.opts, watched, PatrolOptions{PerMinute: 6, Log: zerolog.New(log)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		do(t, r, p, ledger)
		cancel()
		<-done
	})
}

// metric is the value of one that has no labels, or of one kind.
func metric(t *testing.T, c prometheus.Collector, name, kind string) (value float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (kind == "" || m.GetLabel()[0].GetValue() == kind) {
				value += m.GetGauge().GetValue()
			}
		}
	}
	return value
}

func TestAPatrolVerifiesEverythingSlowlyAndThenWhatIsNew(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	patrolled(t, &log, func(t *testing.T, r *rig, p *Patrol, ledger *watchedLedger) {
		unverified := func() float64 { return metric(t, p, "docspace_nats_unverified_rows", "") }
		if n := unverified(); n < 2000 {
			t.Errorf("%v rows are unverified at first", n)
		}
		before := r.portal.Requests()
		time.Sleep(patrolStart + 2*time.Minute)
		if n, asked := unverified(), r.portal.Requests()-before; n == 0 || asked > 2*6+patrolBurst+1 {
			t.Errorf("%v rows unverified after %d requests in two minutes", n, asked)
		}
		time.Sleep(30 * time.Minute)
		if n := unverified(); n != 0 {
			t.Errorf("%v rows unverified after half an hour", n)
		}
		r.act(150)
		r.poll(t)
		if n := unverified(); n != 150 {
			t.Errorf("%v rows unverified, want 150", n)
		}
		before = r.portal.Requests()
		time.Sleep(10 * time.Minute)
		if n, asked := unverified(), r.portal.Requests()-before; n != 0 || asked > 30 || ledger.readings.Load() != 1 {
			t.Errorf("%v rows unverified after %d requests and %d readings of all events", n, asked, ledger.readings.Load())
		}
		before = r.portal.Requests()
		time.Sleep(time.Hour)
		if asked := r.portal.Requests() - before; asked > 0 {
			t.Errorf("%d requests although nothing is new", asked)
		}
	})
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestAPatrolTellsWhatItFindsUntilItIsMended(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	patrolled(t, &log, func(t *testing.T, r *rig, p *Patrol, _ *watchedLedger) {
		gone := r.shown()[1000]
		r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e) == gone })
		found := func() float64 { return metric(t, p, "docspace_nats_verify_findings", "missing") }
		time.Sleep(30 * time.Minute)
		if diff := cmp.Diff(map[int]string{r.room: "1 missing"}, p.Findings()); diff != "" || found() != 1 {
			t.Errorf("%v missing: %s", found(), diff)
		}
		r.act(10)
		r.poll(t)
		time.Sleep(10 * time.Minute)
		if found() != 1 {
			t.Error("what is new has been verified, and what is missing is forgotten")
		}
		r.verify(t, VerifyOptions{Mend: true})
		time.Sleep(2 * time.Hour)
		if len(p.Findings()) > 0 || found() != 0 {
			t.Errorf("%v", p.Findings())
		}
	})
	for _, want := range []string{`"found":"1 missing"`, "again"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, log.String())
		}
	}
}

func TestAPatrolComparesAllOfAFolderThatWasPublishedAgain(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	patrolled(t, &log, func(t *testing.T, r *rig, p *Patrol, _ *watchedLedger) {
		gone := r.shown()[1000]
		time.Sleep(46 * time.Hour) // all was compared twice by now
		r.act(10)
		r.poll(t)
		time.Sleep(10 * time.Minute)
		r.change(t, Move{Command: ResetMark})
		r.act(10)
		r.poll(t)
		r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e) == gone })
		time.Sleep(30 * time.Minute)
		if diff := cmp.Diff(map[int]string{r.room: "1 missing"}, p.Findings()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAPatrolComparesTheFirstRowsOfAFolderThatWasEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Anchor: time.Now().Add(time.Minute)})
		r.poll(t)
		watched := func() []Standing {
			return []Standing{{Folder: r.room, State: checkpoint.Watching, Accounted: r.mark(t).Accounted}}
		}
		p := NewPatrol(r.client, r.ledger, r.poller.opts, watched, PatrolOptions{Log: zerolog.Nop()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		r.act(50)
		r.poll(t)
		time.Sleep(10 * time.Minute)
		if n := metric(t, p, "docspace_nats_unverified_rows", ""); n != 0 || r.mark(t).Accounted != 50 {
			t.Errorf("%v rows unverified, %v", n, r.mark(t))
		}
		cancel()
		<-done
	})
}

// A server that lost its newest messages numbers others as it did these.
func TestWhatWasComparedBeforeTheStreamLostItsEndIsComparedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(300)
	r.poll(t)
	gone := r.shown()[100]
	r.ledger.Remove(r.room, func(e schema.Event) bool { return auditID(e) == gone })
	before := outline(r.mark(t))
	before.Revision++
	if v := r.verify(t, VerifyOptions{From: before.NewestEvent, after: before}); v.Missing != 1 || !v.whole {
		t.Errorf("%+v", v)
	}
}

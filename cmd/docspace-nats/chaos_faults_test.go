//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
)

// A lane is a deck of faults: all of it is dealt before any of it comes again,
// and one fault ends before the next begins.
type lane struct {
	pause time.Duration // between two faults, on average
	deck  []fault
}

// A fault is something that goes wrong and ends. It draws all its numbers
// before it acts, so that the seed alone decides them.
type fault struct {
	name string
	do   func(ctx context.Context, rng *rand.Rand) (what string, err error)
}

// lanes go on beside one another. What happens to servers takes the cluster
// away for seconds, so that comes less often.
func (s *storm) lanes() []lane {
	pause := min(s.lasts/40, 8*time.Second)
	return []lane{
		{pause, []fault{
			{"connector killed", s.killConnector},
			{"connector killed", s.killConnector},
			{"connector paused", s.pauseConnector},
			{"connector paused", s.pauseConnector},
		}},
		{2 * pause, []fault{
			{"stream leader killed", s.killLeader},
			{"stream leader killed", s.killLeader},
			{"server killed", s.killServer},
			{"quorum lost", s.loseQuorum},
			{"disk full", s.fillDisks},
		}},
		{pause, []fault{
			{"link broken", s.breakLinks},
			{"link slow", s.slowLinks},
			{"answers lost", s.loseAnswers},
			{"answers lost", s.loseAnswers},
		}},
	}
}

// deal deals the faults of a lane until ctx ends.
func (s *storm) deal(ctx context.Context, t *testing.T, rng *rand.Rand, l lane) {
	began := time.Now()
	for {
		for _, i := range rng.Perm(len(l.deck)) {
			if !wait(ctx, time.Duration(min(rng.ExpFloat64(), 3)*float64(l.pause))) {
				return
			}
			at, fault := time.Since(began), l.deck[i]
			what, err := fault.do(ctx, rng)
			if err != nil {
				t.Errorf("%s (seed %d): %v", fault.name, s.seed, err)
				return
			}
			s.tally.add("fault: " + fault.name)
			t.Logf("%7.2fs %s: %s", at.Seconds(), fault.name, what)
		}
	}
}

// A span is a range of durations; short ones are drawn more often.
type span struct{ from, to time.Duration }

func (r span) draw(rng *rand.Rand) time.Duration {
	u := rng.Float64()
	return (r.from + time.Duration(u*u*float64(max(0, r.to-r.from)))).Round(time.Millisecond)
}

// Spans grow with the time there is.
func (s *storm) span(from, to, part time.Duration) span {
	to = min(to, s.lasts/part)
	return span{min(from, to), to}
}

// In mode Dedup a connector must not be paused for half of the stream's
// duplicate window, which is two minutes, together with what else delays a
// message.
const (
	dedupBears    = 40 * time.Second
	dedupCannot   = 65 * time.Second
	longestPauses = 3 * time.Minute
)

func (s *storm) pauses() span {
	pauses := s.span(time.Second, longestPauses, 4)
	switch {
	case s.mode == publisher.Dedup && *chaosLongPauses:
		return span{dedupCannot, longestPauses}
	case s.mode == publisher.Dedup:
		pauses.to = min(pauses.to, dedupBears)
	}
	return pauses
}

func (s *storm) killConnector(ctx context.Context, rng *rand.Rand) (string, error) {
	r, down := s.replicas[rng.IntN(len(s.replicas))], s.span(0, 10*time.Second, 20).draw(rng)
	r.kill(ctx, down)
	return fmt.Sprintf("%s, back after %s", r.name, down), nil
}

func (s *storm) pauseConnector(ctx context.Context, rng *rand.Rand) (string, error) {
	r, pause := s.replicas[rng.IntN(len(s.replicas))], s.pauses().draw(rng)
	r.signal(syscall.SIGSTOP)
	wait(ctx, pause)
	r.signal(syscall.SIGCONT)
	return fmt.Sprintf("%s for %s", r.name, pause), nil
}

func (s *storm) killLeader(ctx context.Context, rng *rand.Rand) (string, error) {
	other, down, calm := rng.IntN(chaosServers), s.outages().draw(rng), recovers(rng)
	victim, err := s.cluster.Leader(ctx, s.nc, "DOCSPACE")
	if err != nil {
		victim = s.cluster.Servers[other] // there is none at this moment
	}
	return s.takeDown(ctx, down, calm, victim)
}

func (s *storm) killServer(ctx context.Context, rng *rand.Rand) (string, error) {
	victim, down := s.cluster.Servers[rng.IntN(chaosServers)], s.outages().draw(rng)
	return s.takeDown(ctx, down, recovers(rng), victim)
}

func (s *storm) loseQuorum(ctx context.Context, rng *rand.Rand) (string, error) {
	order, down := rng.Perm(chaosServers), s.span(5*time.Second, 30*time.Second, 12).draw(rng)
	return s.takeDown(ctx, down, recovers(rng), s.cluster.Servers[order[0]], s.cluster.Servers[order[1]])
}

func (s *storm) outages() span { return s.span(200*time.Millisecond, 20*time.Second, 20) }

// takeDown kills servers and starts them again.
func (s *storm) takeDown(ctx context.Context, down time.Duration, calm bool, victims ...*natstest.ServerProcess) (string, error) {
	for _, v := range victims {
		v.Kill()
	}
	wait(ctx, down)
	return fmt.Sprintf("%s for %s", names(victims), down), s.restart(ctx, calm, victims)
}

// fillDisks fills the disks of some servers, frees them, and starts the servers
// again: one that finds its disk full switches JetStream off.
func (s *storm) fillDisks(ctx context.Context, rng *rand.Rand) (string, error) {
	order, lasts := rng.Perm(chaosServers), s.span(5*time.Second, 30*time.Second, 12).draw(rng)
	order = order[:1+rng.IntN(chaosServers)]
	calm := recovers(rng)
	var victims []*natstest.ServerProcess
	var which []int
	for _, i := range order {
		victims, which = append(victims, s.cluster.Servers[i]), append(which, i)
	}
	full, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	if err := s.disk.fill(full, s.nc, which); err != nil {
		return "", err
	}
	noticed := 0
	for _, v := range victims {
		v.Kill()
		if said := v.Log(); strings.Contains(said, "no space left") || strings.Contains(said, "insufficient") || strings.Contains(said, "resource limits") {
			noticed++
		}
	}
	s.tally.count("fault: disk full, as a server said itself", noticed)
	return fmt.Sprintf("%s for %s, noticed by %d", names(victims), lasts, noticed), s.restart(ctx, calm, victims)
}

// restart starts killed servers. Mostly it then lets the cluster recover, so that
// something is stored between the faults, too.
func (s *storm) restart(ctx context.Context, recovers bool, servers []*natstest.ServerProcess) error {
	for _, server := range servers {
		if err := server.Start(); err != nil {
			return err
		}
	}
	if recovers {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_ = s.cluster.WaitCurrent(ctx, s.nc, "DOCSPACE") // if it takes longer, the next fault meets it
	}
	return nil
}

// recovers decides whether the cluster may recover after a fault.
func recovers(rng *rand.Rand) bool { return rng.IntN(4) > 0 }

func names(servers []*natstest.ServerProcess) string {
	var all []string
	for _, server := range servers {
		all = append(all, server.Name())
	}
	return strings.Join(all, ", ")
}

func (s *storm) breakLinks(ctx context.Context, rng *rand.Rand) (string, error) {
	r, lasts, all := s.replicas[rng.IntN(len(s.replicas))], s.span(0, 15*time.Second, 20).draw(rng), rng.IntN(2) == 0
	links := r.links
	if !all {
		links = links[rng.IntN(len(links)):][:1]
	}
	for _, l := range links {
		l.Break()
	}
	wait(ctx, lasts)
	for _, l := range links {
		l.Mend()
	}
	return fmt.Sprintf("%d of %s for %s", len(links), r.name, lasts), nil
}

func (s *storm) slowLinks(ctx context.Context, rng *rand.Rand) (string, error) {
	r, lasts := s.replicas[rng.IntN(len(s.replicas))], s.span(2*time.Second, 30*time.Second, 12).draw(rng)
	delay := span{50 * time.Millisecond, 2 * time.Second}.draw(rng)
	for _, l := range r.links {
		l.Delay(delay)
	}
	wait(ctx, lasts)
	for _, l := range r.links {
		l.Delay(0)
	}
	return fmt.Sprintf("those of %s by %s each way for %s", r.name, delay, lasts), nil
}

// loseAnswers drops the answer to a commit, which the server has stored then,
// and all that follows, until the connection is lost.
func (s *storm) loseAnswers(ctx context.Context, rng *rand.Rand) (string, error) {
	r, lasts := s.replicas[rng.IntN(len(s.replicas))], s.span(time.Second, 15*time.Second, 15).draw(rng)
	before := lost(r.links)
	for _, l := range r.links {
		l.DropAnswersFrom(`{"stream":"DOCSPACE"`)
	}
	patient, cancel := context.WithTimeout(ctx, min(s.lasts/6, 30*time.Second))
	defer cancel()
	for lost(r.links) == before && wait(patient, 10*time.Millisecond) {
	}
	wait(ctx, lasts)
	for _, l := range r.links {
		l.Cut()
	}
	s.tally.count("fault: answers lost, after something was stored", lost(r.links)-before)
	return fmt.Sprintf("to %s for %s, after %d commits", r.name, lasts, lost(r.links)-before), nil
}

func lost(links []*natstest.Link) int {
	sum := 0
	for _, l := range links {
		sum += l.Lost()
	}
	return sum
}

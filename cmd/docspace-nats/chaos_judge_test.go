//go:build unix

package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

// judge holds what each server has stored against what happened.
func (s *storm) judge(t *testing.T) {
	t.Helper()
	if err := s.cluster.WaitCurrent(t.Context(), s.nc, "DOCSPACE"); err != nil {
		t.Fatalf("%v (seed %d)", err, s.seed)
	}
	t.Logf("what happened:\n%s", s.tally)
	bears := s.mode == publisher.Dedup && *chaosLongPauses
	digests := make(map[uint64]bool)
	for _, server := range s.cluster.Servers {
		own := newStoredCopy()
		err := s.cluster.OwnCopy(t.Context(), server, "DOCSPACE", "docspace.folder.>", func(msg jetstream.Msg) error {
			at, err := msg.Metadata()
			if err != nil {
				return err
			}
			return own.add(at.Sequence.Stream, msg.Subject(), msg.Data())
		})
		if err != nil {
			t.Fatalf("%v (seed %d)", err, s.seed)
		}
		digests[own.digest] = true
		c := own.compare(s.town.portal)
		t.Logf("server %s: rows made %d, events stored %d, lost %d, duplicated %d, out of order %d, gaps %d",
			server.Name(), c.made, c.stored, c.lost, c.duplicated, c.disordered, own.gaps)
		if err := own.verdict(s.town.portal, bears); err != nil {
			t.Errorf("server %s (mode %s, seed %d): %v", server.Name(), s.mode, s.seed, err)
		}
		if c.made < s.town.history {
			t.Errorf("%d rows were made, want at least %d", c.made, s.town.history)
		}
	}
	if len(digests) != 1 {
		t.Errorf("the servers hold %d different streams (seed %d)", len(digests), s.seed)
	}
}

// A storedCopy is what was read of a stream.
type storedCopy struct {
	events streamReader
	gaps   int
	digest uint64
	last   uint64 // sequence
}

func newStoredCopy() *storedCopy {
	return &storedCopy{events: streamReader{events: make(map[int][]readEvent)}}
}

func (c *storedCopy) add(seq uint64, subject string, data []byte) error {
	if seq <= c.last {
		return fmt.Errorf("sequence %d comes after %d", seq, c.last)
	}
	c.last = seq
	event, err := schema.Decode(data)
	if err != nil {
		return fmt.Errorf("message on %s: %w", subject, err)
	}
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%d %d %s %s", c.digest, seq, subject, data)
	c.digest = sum.Sum64()
	if strings.HasSuffix(subject, ".connector."+schema.Gap) {
		c.gaps++
	}
	c.events.keep(event)
	return nil
}

func (c *storedCopy) compare(portal *docspacetest.Portal) comparison {
	return compare(portal, nil, &c.events)
}

// verdict is an error unless every row is stored exactly once, in order. With
// bears it may be stored more than once.
func (c *storedCopy) verdict(portal *docspacetest.Portal, bears bool) error {
	found := c.compare(portal)
	if found.lost+c.gaps > 0 {
		return fmt.Errorf("%d rows are lost and %d reported as gaps: %+v", found.lost, c.gaps, found)
	}
	if bears {
		return nil
	}
	if found.duplicated+found.disordered > 0 || found.stored != found.made {
		return fmt.Errorf("events are doubled, out of order or of no row: %+v", found)
	}
	return nil
}

// A stormTally counts what happened.
type stormTally struct {
	mu      sync.Mutex
	counts  map[string]int
	commits map[string]float64
}

func newStormTally() *stormTally {
	return &stormTally{counts: make(map[string]int), commits: make(map[string]float64)}
}

func (t *stormTally) add(what string) { t.count(what, 1) }

func (t *stormTally) count(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[what] += n
}

func (t *stormTally) addCommits(by map[string]float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for outcome, n := range by {
		t.commits[outcome] += n
	}
}

func (t *stormTally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var text strings.Builder
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		fmt.Fprintf(&text, "  %6d %s\n", t.counts[what], what)
	}
	for _, outcome := range []string{"stored", "split", "conflict", "failed"} {
		fmt.Fprintf(&text, "  %6.0f commits: %s\n", t.commits[outcome], outcome)
	}
	return text.String()
}

func TestTheJudgeOfTheChaosNoticesWhatIsMissingDoubledSwappedOrAGap(t *testing.T) {
	t.Parallel()
	portal := docspacetest.New(docspacetest.Options{Seed: 1})
	room := portal.CreateRoom(nil, "Deal room")
	portal.Fill(room, 9, 1)
	rows := portal.Rows(room)
	row := func(i int) schema.Event { return eventOf(room, rows[i].ID) }
	late := func(e schema.Event) schema.Event { e.Data.Late = true; return e }
	var all []schema.Event
	for i := range rows {
		all = append(all, row(i))
	}
	with := func(at int, events ...schema.Event) []schema.Event {
		return append(append(slices.Clone(all[:at]), events...), all[at:]...)
	}
	swapped := slices.Clone(all)
	swapped[3], swapped[4] = swapped[4], swapped[3]
	lateOne := slices.Clone(all)
	lateOne[3], lateOne[4] = lateOne[4], late(lateOne[3])
	cases := map[string]struct {
		events []schema.Event
		gap    bool
		bears  bool
		fails  bool
	}{
		"all":                       {events: all},
		"one late":                  {events: lateOne},
		"one missing":               {events: slices.Delete(slices.Clone(all), 4, 5), fails: true},
		"one missing, bears":        {events: slices.Delete(slices.Clone(all), 4, 5), bears: true, fails: true},
		"one doubled":               {events: with(5, row(4)), fails: true},
		"one doubled, bears":        {events: with(5, row(4)), bears: true},
		"one doubled, one missing":  {events: with(5, row(4))[1:], fails: true},
		"two swapped":               {events: swapped, fails: true},
		"late, but in order":        {events: append(slices.Clone(all[:9]), late(all[9])), fails: true},
		"an event that is no row's": {events: append(slices.Clone(all), eventOf(room, rows[9].ID+1)), fails: true},
		"a gap":                     {events: all, gap: true, fails: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := newStoredCopy()
			var errs []error
			for i, e := range c.events {
				errs = append(errs, read.add(uint64(i+1), "docspace.folder.1.file.uploaded", e.AppendJSON(nil)))
			}
			if c.gap {
				errs = append(errs, read.add(1000, "docspace.folder.1.connector."+schema.Gap, new(eventOf(room, 0)).AppendJSON(nil)))
			}
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if err := read.verdict(portal, c.bears); (err != nil) != c.fails {
				t.Errorf("%v", err)
			}
		})
	}
}

// eventOf is what the judge looks at in the event of a row.
func eventOf(folder int, row int64) schema.Event {
	e := schema.Event{SpecVersion: "1.0", ID: fmt.Sprintf("%d-%d", folder, row), Type: "com.onlyoffice.docspace.file.uploaded.v1"}
	e.Data.Feed.FolderID = fmt.Sprint(folder)
	e.Data.AuditID = fmt.Sprint(row)
	return e
}

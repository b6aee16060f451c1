package poller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/poller/queue"
	"docspace-nats/poller/queue/queuetest"
	"docspace-nats/schema"
)

// newQueue returns a queue that no other replica shares.
func newQueue() queue.Queue { return queuetest.NewMemory(30 * time.Second).Replica() }

// A rig is a simulated portal with one room, a client that reads it without
// sockets, and a ledger in memory.
type rig struct {
	portal *docspacetest.Portal
	client *docspace.Client
	ledger *checkpointtest.Memory
	poller *Poller
	room   int
	sick   []int64 // rows made unrenderable
	filter schema.Filter
}

func newRig(t testing.TB, opts Options) *rig {
	t.Helper()
	return newRigOf(t, docspacetest.Options{Seed: 1}, opts)
}

// newRigOf is newRig with a portal of another kind.
func newRigOf(t testing.TB, of docspacetest.Options, opts Options) *rig {
	t.Helper()
	portal := docspacetest.New(of)
	token := portal.AddToken(nil) // every version takes one
	key := func() (string, error) { return token, nil }
	client, err := docspace.New(portal.URL(), docspace.Credentials{APIKey: key}, docspace.Options{Transport: portal, MaxElapsed: -1})
	if err != nil {
		t.Fatal(err)
	}
	opts.Feed = Feed{Portal: portal.Host(), SourceBase: portal.URL()}
	r := &rig{portal: portal, client: client, ledger: checkpointtest.NewMemory(), filter: opts.Filter}
	r.poller = New(client, r.ledger, opts)
	r.room = portal.CreateRoom(nil, "Deal room A")
	return r
}

// act makes n rows of many kinds, some shown as groups.
func (r *rig) act(n int) {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(r.portal.Count(r.room))))
	for n > 0 {
		files := r.portal.Files(r.room)
		switch {
		case len(files) == 0 || rng.IntN(4) > 0:
			burst := min(n, 1+rng.IntN(120))
			titles := make([]string, burst)
			for i := range titles {
				titles[i] = fmt.Sprintf("scan %d.pdf", i)
			}
			r.portal.Upload(nil, r.room, titles...)
			n -= burst
		case rng.IntN(2) == 0:
			r.portal.Update(nil, files[rng.IntN(len(files))])
			n--
		default:
			r.portal.Rename(nil, files[rng.IntN(len(files))], fmt.Sprintf("plan %d.docx", n))
			n--
		}
	}
}

// poll polls the room until nothing is left to read.
func (r *rig) poll(t testing.TB) Report {
	t.Helper()
	for range 1000 {
		report, err := r.poller.Poll(t.Context(), r.room)
		if err != nil {
			t.Fatal(err)
		}
		if !report.More {
			return report
		}
	}
	t.Fatal("1000 polls and still more to read")
	return Report{}
}

// settle polls until the portal's rows are in, as a connector would that is
// left alone, and then holds the promise.
func (r *rig) settle(t testing.TB) {
	t.Helper()
	for range 5 {
		if r.poll(t).Unread == 0 && len(r.stored()) >= len(r.shown()) {
			break
		}
	}
	r.holds(t)
}

// holds compares what is stored with what the portal shows: every row once,
// in order unless it says that it is late.
func (r *rig) holds(t testing.TB) {
	t.Helper()
	want, got := r.shown(), r.stored()
	sorted := slices.Sorted(slices.Values(got))
	if !slices.Equal(sorted, want) {
		t.Fatalf("%d rows stored, %d shown; %s", len(got), len(want), difference(sorted, want))
	}
	if err := r.inOrder(); err != nil {
		t.Fatal(err)
	}
	if mark := r.mark(t); mark.Accounted != r.portal.Count(r.room) {
		t.Fatalf("%v; the portal counts %d rows", mark, r.portal.Count(r.room))
	}
}

// inOrder holds that rows are stored by id unless they say that they are late;
// rows without an id, by date.
func inOrder(events []schema.Event) error {
	return ordered(events, func(late, said bool) bool { return late == said })
}

// inOrder is that for events some of which may be left out: a row can be late to
// one of those.
func (r *rig) inOrder() error {
	events := r.ledger.Events(r.room)
	if r.filter.IsZero() {
		return inOrder(events)
	}
	return ordered(events, func(late, said bool) bool { return said || !late })
}

func ordered(events []schema.Event, well func(late, said bool) bool) error {
	var highest int64
	var newest time.Time
	for _, e := range events {
		switch {
		case e.Data.Connector != nil:
		case e.Data.AuditID == "":
			if late := e.Time.Before(newest); !well(late, e.Data.Late) {
				return fmt.Errorf("row of %s stored after one of %s, late is %t", e.Time, newest, e.Data.Late)
			}
			if e.Time.After(newest) {
				newest = e.Time
			}
		default:
			id := auditID(e)
			afterUnnumbered := !newest.IsZero() && e.Data.Late // its id nobody knows
			if late := id < highest; !well(late, e.Data.Late) && !afterUnnumbered {
				return fmt.Errorf("row %d stored after row %d, late is %t", id, highest, e.Data.Late)
			}
			highest = max(highest, id)
		}
	}
	return nil
}

func (r *rig) mark(t testing.TB) checkpoint.Mark {
	t.Helper()
	mark, err := r.ledger.Mark(t.Context(), r.room)
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

// gaps returns how many rows were reported as gaps.
func (r *rig) gaps() (n int) {
	for _, e := range r.ledger.Events(r.room) {
		if c := e.Data.Connector; c != nil && e.Data.Action.Name == schema.Gap {
			n += int(c.Rows)
		}
	}
	return n
}

// passes reports whether a row of the portal is to be published.
func (r *rig) passes(row docspacetest.Row) bool {
	action, _ := schema.Lookup(row.Code)
	return r.filter.Passes(action.Category, action.Name)
}

// filterOf reads a filter; "" is none.
func filterOf(t testing.TB, include, exclude string) schema.Filter {
	t.Helper()
	in, err := schema.ParsePatterns(include)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := schema.ParsePatterns(exclude)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Filter{Include: in, Exclude: ex}
}

// shown returns the rows that can be seen and are to be published.
func (r *rig) shown() []int64 {
	var ids []int64
	for _, row := range r.portal.Rows(r.room) {
		if !row.Unexplained && r.passes(row) {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

func (r *rig) stored() []int64 {
	var ids []int64
	for _, e := range r.ledger.Events(r.room) {
		if e.Data.AuditID != "" {
			ids = append(ids, auditID(e))
		}
	}
	return ids
}

// said returns the kinds of events about the connector's own work.
func (r *rig) said() []string {
	var kinds []string
	for _, e := range r.ledger.Events(r.room) {
		if e.Data.Connector != nil {
			kinds = append(kinds, e.Data.Action.Name)
		}
	}
	return kinds
}

func auditID(e schema.Event) int64 {
	id, _ := strconv.ParseInt(e.Data.AuditID, 10, 64)
	return id
}

func difference(got, want []int64) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) {
			return fmt.Sprintf("row %d is missing", want[i])
		}
		if i >= len(want) || got[i] < want[i] {
			return fmt.Sprintf("row %d is too many", got[i])
		}
		if got[i] > want[i] {
			return fmt.Sprintf("row %d is missing", want[i])
		}
	}
	return "no difference"
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// A verifyRig is a portal of which everything is stored.
type verifyRig struct {
	portal *docspacetest.Portal
	cfg    config.Config
	js     jetstream.JetStream
}

func newVerifyRig(t *testing.T, rows int, commit string) *verifyRig {
	t.Helper()
	portal := docspacetest.New(docspacetest.Options{Seed: 11})
	rng := rand.New(rand.NewPCG(11, 11))
	portal.Populate(rng, 2)
	for len(portal.Rows(portal.Rooms()[0])) < rows {
		portal.Act(rng)
	}
	site := httptest.NewServer(portal)
	t.Cleanup(site.Close)
	server := natstest.Run(t)
	r := &verifyRig{portal: portal, cfg: demoConfig(site.URL, portal.APIKey(), "")}
	r.cfg.NATS.URL, r.cfg.NATS.Commit = config.ServerURL(server.URL()), commit
	r.cfg.Poll.RequestsPerMinute = 0
	r.catchUp(t)
	js, err := jetstream.New(server.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	r.js = js
	return r
}

func (r *verifyRig) catchUp(t *testing.T) {
	t.Helper()
	c, err := connect(t.Context(), r.cfg, 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.catchUp(t.Context(), zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
}

// verify runs the command, and returns what it found and whether it succeeded.
func (r *verifyRig) verify(t *testing.T, o verifyOptions) ([]verified, bool) {
	t.Helper()
	o.json, o.details = true, 1000
	var out, told bytes.Buffer
	err := verify(t.Context(), r.cfg, o, &out, &told)
	if err != nil && !errors.Is(err, errReported) {
		t.Fatal(err)
	}
	var all []verified
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	for _, v := range all {
		if v.Error != "" {
			t.Fatal(v.Error)
		}
	}
	return all, err == nil
}

// equal holds that nothing is found in any folder.
func (r *verifyRig) equal(t *testing.T) {
	t.Helper()
	all, well := r.verify(t, verifyOptions{})
	for _, v := range all {
		if !v.Equal || len(v.Findings) > 0 || v.Rows == 0 {
			t.Errorf("%+v", v)
		}
	}
	if !well || len(all) != len(r.portal.Rooms()) {
		t.Errorf("%d folders, success is %t", len(all), well)
	}
}

// rewrite puts another stream in the place of this one: with the messages that
// change makes of those there are.
func (r *verifyRig) rewrite(t *testing.T, change func([]*nats.Msg) []*nats.Msg) {
	t.Helper()
	stream, err := r.js.Stream(t.Context(), "DOCSPACE")
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := r.js.OrderedConsumer(t.Context(), "DOCSPACE", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var messages []*nats.Msg
	if err := natstest.Drain(t.Context(), consumer, func(msg jetstream.Msg) error {
		messages = append(messages, &nats.Msg{Subject: msg.Subject(), Data: msg.Data()})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, msg := range change(messages) {
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
}

// events are the indexes of the events of rows of a folder.
func eventsOf(messages []*nats.Msg, folder int) (at []int) {
	prefix := fmt.Sprintf("docspace.folder.%d.", folder)
	for i, msg := range messages {
		if strings.HasPrefix(msg.Subject, prefix) && bytes.Contains(msg.Data, []byte(`"sequence"`)) {
			at = append(at, i)
		}
	}
	return at
}

func TestVerifyNamesTheRowOfEveryPlantedFault(t *testing.T) {
	t.Parallel()
	r := newVerifyRig(t, 300, "auto")
	r.equal(t)
	room := r.portal.Rooms()[0]
	rows := r.portal.Rows(room)
	r.rewrite(t, func(messages []*nats.Msg) []*nats.Msg { return messages })
	r.equal(t) // the rewriting itself plants nothing
	r.rewrite(t, func(messages []*nats.Msg) []*nats.Msg {
		at := eventsOf(messages, room)
		altered := messages[at[20]]
		altered.Data = bytes.Replace(altered.Data, fmt.Appendf(nil, `"audit_id":"%d"`, rows[20].ID), []byte(`"audit_id":"12"`), 1)
		messages[at[40]], messages[at[41]] = messages[at[41]], messages[at[40]]
		again := slices.Insert(messages, at[200], messages[at[150]])
		return slices.Delete(again, at[100], at[100]+1)
	})
	all, well := r.verify(t, verifyOptions{folders: nil, ids: []int{room}})
	var got []string
	for _, f := range all[0].Findings {
		got = append(got, fmt.Sprintf("%s %d", f.Kind, f.Row))
	}
	want := []string{
		fmt.Sprint("different ", rows[20].ID), fmt.Sprint("out of order ", rows[40].ID), fmt.Sprint("twice ", rows[150].ID), fmt.Sprint("missing ", rows[100].ID),
	}
	if diff := cmp.Diff(want, got); diff != "" || well {
		t.Errorf("success is %t: %s", well, diff)
	}
}

func TestARepairStoresWhatWasDeletedAndSaysWhy(t *testing.T) {
	t.Parallel()
	r := newVerifyRig(t, 300, "atomic")
	stream, err := r.js.Stream(t.Context(), "DOCSPACE")
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{10, 11, 77} {
		if err := stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	missing := func(all []verified) (n, repaired int) {
		for _, v := range all {
			n, repaired = n+v.Missing, repaired+v.Repaired
		}
		return n, repaired
	}
	all, well := r.verify(t, verifyOptions{})
	if n, _ := missing(all); n != 3 || well {
		t.Fatalf("success is %t: %+v", well, all)
	}
	all, well = r.verify(t, verifyOptions{repair: true, reason: "deleted by mistake"})
	if n, repaired := missing(all); n != 3 || repaired != 3 || !well {
		t.Fatalf("success is %t: %+v", well, all)
	}
	r.equal(t)
	r.catchUp(t)
	r.equal(t)
	said := 0
	eachEvent(t, r.js, func(msg jetstream.Msg) error {
		if bytes.Contains(msg.Data(), []byte("deleted by mistake")) {
			said++
		}
		return nil
	})
	if said == 0 {
		t.Error("no event says why")
	}
}

func TestTheProgressOfVerifyGoesNeitherBackNorBeyondTheEnd(t *testing.T) {
	t.Parallel()
	p := verifyProgress{progress: newProgress("verify", "rows", new(tailBuffer), false)}
	p.begin(900)
	defer p.finish()
	share := 0.0
	at := func(done, total int64) {
		t.Helper()
		if p.bar.Current() != done || p.bar.Total() != total {
			t.Errorf("%d of %d, want %d of %d", p.bar.Current(), p.bar.Total(), done, total)
		}
		is := float64(p.bar.Current()) / float64(p.bar.Total())
		if is < share || is > 1 {
			t.Errorf("%.2f comes after %.2f", is, share)
		}
		share = is
	}
	p.next(300)
	p.begins()
	p.compared(200)
	at(200, 900)
	p.begins() // the log has changed
	p.compared(150)
	at(200, 900)
	p.compared(200) // 50 late ones came in
	at(350, 950)
	p.over()
	p.next(300) // cannot be read
	p.over()
	at(350, 650)
	p.next(300)
	p.begins()
	p.compared(280)
	p.over()
	at(630, 630)
}

func TestADedupStreamIsVerifiedLikeAnAtomicOne(t *testing.T) {
	t.Parallel()
	r := newVerifyRig(t, 150, "dedup")
	r.equal(t)
	stream, err := r.js.Stream(t.Context(), "DOCSPACE")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 33); err != nil {
		t.Fatal(err)
	}
	if _, well := r.verify(t, verifyOptions{}); well {
		t.Error("a deleted event was not found")
	}
}

func TestVerifyBesideARunningConnectorFindsNothing(t *testing.T) {
	t.Parallel()
	r := newVerifyRig(t, 400, "auto")
	ctx, cancel := context.WithCancel(t.Context())
	r.cfg.Poll.MinInterval, r.cfg.Poll.MaxInterval = 20*time.Millisecond, 50*time.Millisecond
	c, err := connect(ctx, r.cfg, 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { _ = c.watch(ctx) })
	running.Go(func() { r.portal.Traffic(ctx, docspacetest.TrafficOptions{Seed: 12, Rate: 300, Burst: time.Second}) })
	rows := func() int { return r.portal.Count(r.portal.Rooms()[0]) }
	for n := 0; n < 4 || n < 400 && rows() < 420; n++ { // a fast verification sees little of the traffic
		all, well := r.verify(t, verifyOptions{})
		if !well {
			t.Fatalf("%+v", all)
		}
	}
	if n := rows(); n < 420 {
		t.Errorf("only %s rows by the end: there was no traffic", strconv.Itoa(n))
	}
}

// signalled closes a channel with the first line that is written.
type signalled struct {
	once sync.Once
	line chan struct{}
}

func (s *signalled) Write(text []byte) (int, error) {
	s.once.Do(func() { close(s.line) })
	return len(text), nil
}

func TestWhatIsFoundWhileAConnectorRunsStandsOnReadyzAndInItsStatus(t *testing.T) {
	t.Parallel()
	r := newVerifyRig(t, 120, "auto")
	stream, err := r.js.Stream(t.Context(), "DOCSPACE")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	r.cfg.Poll.MaxInterval = time.Hour // nobody polls again, and none is late
	c, err := connect(t.Context(), r.cfg, 0, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.catchUp(t.Context(), zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	warned := &signalled{line: make(chan struct{})}
	c.patrol = poller.NewPatrol(c.portal, c.ledger, poller.Options{Feed: feed(r.cfg, schema.Standard)}, c.schedule.Standings,
		poller.PatrolOptions{PerMinute: 1_000_000, Start: 1, Log: zerolog.New(warned).Level(zerolog.WarnLevel)})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { _ = c.patrol.Run(ctx) })
	select {
	case <-warned.line:
	case <-t.Context().Done():
	}
	shown, err := serveState("", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	shown.connector.Store(c)
	const found = "the stream does not hold what the portal shows: 1 missing; docspace-nats verify --folder "
	wantAnswer(t, shown.handler(), "/readyz", http.StatusOK, found)
	(&lookout{c: c}).answers(t)
	is, _, err := told(t, r.cfg.NATS, "--attention")
	if !errors.Is(err, errReported) || len(is.Folders) != 1 || !strings.Contains(deref(is.Folders[0].Attention), found) {
		t.Errorf("status tells %+v, %v", is.Folders, err)
	}
}

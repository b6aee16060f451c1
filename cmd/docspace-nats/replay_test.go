package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

var replayEvents = flag.Int("replay", 3000, "events that are replayed to an endpoint that fails, by a process that is killed")

// It is what the whole command is for: neither end can be trusted, and nothing
// is lost.
func TestAReplayThatIsKilledHalfwayDeliversEveryEventInOrderToAnEndpointThatFails(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 0)
	r.folders = 20
	r.store(*replayEvents)
	hook := newWebhook(t, r.rng.Uint64(), 0.1)
	environment := []string{"NATS_URL=" + r.server.URL(), "NATS_STREAM=DOCSPACE"}
	line := []string{"replay", "--job", "siem", "--to", hook.url, "--json"}

	hook.stopAfter(*replayEvents/4 + r.rng.IntN(*replayEvents/2))
	first := start(t, role(t, "docspace-nats", line...), environment...)
	select {
	case <-hook.full:
	case <-first.ended:
		t.Fatalf("it ended by itself: %v\n%s", first.err, first.stderr.String())
	}
	first.kill()
	hook.again("second")
	killed := len(hook.received())
	r.store(10) // not of this job

	began := time.Now()
	var stdout bytes.Buffer
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("Sender: second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := role(t, "docspace-nats", append(line, "--header-file", headers)...)
	second.Stdout = &stdout
	p := start(t, second, environment...)
	p.finish(t)
	took := time.Since(began)

	r.ids = r.ids[:*replayEvents]
	r.holds(hook.received())
	told := toldBy(t, stdout.String())
	hook.mu.Lock()
	defer hook.mu.Unlock()
	t.Logf("killed after %d deliveries; then %d requests, %d failed, in %v, %.0f events/s: %v", killed, hook.requests, hook.failed, took, float64(told.Sent)/took.Seconds(), told.replayTotals)
	_, after, _ := strings.Cut(p.stderr.String(), "job siem goes on after event #")
	floor := 0
	if _, err := fmt.Sscan(after, &floor); err != nil || floor > killed {
		t.Errorf("after %d deliveries it says %s", killed, p.stderr.String())
	}
	want := replayTold{replayTotals: replayTotals{Read: *replayEvents - floor, Sent: hook.confirms, Repeated: hook.refused}, Finished: true}
	if told != want || told.Sent != told.Read {
		t.Errorf("it says %+v, want %+v", told, want)
	}
	if names := r.consumers(); len(names) > 0 {
		t.Errorf("consumers are left: %q", names)
	}
}

// consumers are the durable consumers of the stream.
func (r *tailRig) consumers() (names []string) {
	r.t.Helper()
	stream, err := r.js.Stream(r.t.Context(), "DOCSPACE")
	if err != nil {
		r.t.Fatal(err)
	}
	for info := range stream.ListConsumers(r.t.Context()).Info() {
		if info.Config.Durable != "" {
			names = append(names, info.Name)
		}
	}
	return names
}

// eventAt returns a message of a stream, and the event in it.
func eventAt(t *testing.T, stream jetstream.Stream, seq uint64) (*jetstream.RawStreamMsg, schema.Event) {
	t.Helper()
	msg, err := stream.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	e, err := schema.Decode(msg.Data)
	if err != nil {
		t.Fatal(err)
	}
	return msg, e
}

func TestAReplayStoresEventsUnderAnotherPrefixAsTheyAre(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 500)
	to, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "COPY", Subjects: []string{"copy.folder.>"}})
	if err != nil {
		t.Fatal(err)
	}
	for round, known := range []int64{0, 500} {
		stdout, _, err := r.replay("--to-prefix", "copy", "--json")
		if err != nil {
			t.Fatal(err)
		}
		want := replayTold{replayTotals: replayTotals{Read: 500, Sent: 500, Known: known}, Finished: true}
		if got := toldBy(t, stdout); got != want {
			t.Errorf("round %d: got %+v, want %+v", round, got, want)
		}
	}
	from, err := r.js.Stream(t.Context(), "DOCSPACE")
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]string) // subject and data, of each id
	for seq := range uint64(500) {
		msg, err := from.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		stored[r.ids[seq]] = strings.TrimPrefix(msg.Subject, "docspace") + string(msg.Data)
	}
	var ids []string
	for seq := range uint64(500) {
		msg, e := eventAt(t, to, seq+1)
		ids = append(ids, e.ID)
		if stored[e.ID] != strings.TrimPrefix(msg.Subject, "copy")+string(msg.Data) {
			t.Errorf("%s is another event than it was", msg.Subject)
		}
		if h := msg.Header; h.Get("Docspace-Ingest-Mode") != "backfill" || h.Get("Nats-Msg-Id") != e.MsgID() || h.Get("Content-Type") != schema.ContentType {
			t.Errorf("headers of %s: %v", e.ID, h)
		}
	}
	r.holds(ids)
}

func TestAReplayDeliversTheRangeItIsGiven(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 0)
	for i := range 20 {
		e := r.event()
		e.ID, e.PartitionKey = fmt.Sprintf("%d-%d", 1+i%2, i+1), fmt.Sprint(1+i%2)
		e.Time = e.Time.Add(time.Duration(i) * time.Hour)
		if i%5 == 0 {
			e.Data.Action.Name = "deleted"
		}
		r.add(e)
	}
	r.flush()
	if _, err := r.js.Publish(t.Context(), "docspace.folder.1.file.moved", []byte("no event")); err != nil { // #21
		t.Fatal(err)
	}
	at := r.stored(11).Time.Format(time.RFC3339Nano)
	for _, c := range []struct {
		args []string
		want []string
		said string
	}{
		{nil, r.ids, "21 events read, 20 sent, 1 that were none left out"},
		{[]string{"--seq", "3..7"}, r.ids[2:7], "replay: 5 of 5 events"},
		{[]string{"--seq", "19.."}, r.ids[18:], "replay: 3 of 3 events"},
		{[]string{"--seq", "..2"}, r.ids[:2], "2 events read, 2 sent"},
		{[]string{"--seq", "500..600"}, nil, "replay: no event matched; the stream ends with #21: "},
		{[]string{"--folder", "99"}, nil, "replay: no event matched; "},
		{[]string{"--event", "file.copied"}, nil, "replay: no event matched; "},
		{[]string{"--from", at}, r.ids[10:], ""},
		{[]string{"--from", "1h", "--until", at}, r.ids[:10], "replay: 10 of 10 events"},
		{[]string{"--seq", "5..", "--until", at}, r.ids[4:10], ""},
		{[]string{"--event-from", "2026-09-20T12:15:03Z", "--event-until", "2026-09-20T15:15:03Z"}, r.ids[2:5], "21 events read, 3 sent, 17 left out by the filters, 1 that were none"},
		{[]string{"--folder", "2", "--seq", "..5"}, []string{"2-2", "2-4"}, "replay: 2 of 2 events"},
		{[]string{"--folder", "2", "--event", "*.deleted"}, []string{"2-6", "2-16"}, "2 events read, 2 sent"},
		{[]string{"--event", "file.del*", "--seq", "..20"}, []string{"1-1", "2-6", "1-11", "2-16"}, "20 events read, 4 sent, 16 left out by the filters"},
	} {
		stdout, stderr, err := r.replay(c.args...)
		if err != nil {
			t.Fatalf("%q: %v", c.args, err)
		}
		if diff := cmp.Diff(c.want, idsOf(t, stdout)); diff != "" || !strings.Contains(stderr, c.said) {
			t.Errorf("%q: it says %s (-want +got):\n%s", c.args, stderr, diff)
		}
	}
}

func TestAReplayIsRefusedWhoseEventsWouldComeBackOrGoNowhere(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 5)
	if _, err := r.js.UpdateStream(t.Context(), jetstream.StreamConfig{
		Name: "DOCSPACE", Subjects: []string{"docspace.folder.>", "docspace.checkpoint.*", "wide.*.42.>"},
		Sources: []*jetstream.StreamSource{{Name: "COPY"}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "COPY", Subjects: []string{"copy.>"}}); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]string{
		"docspace": "stream DOCSPACE, which the events are read from, listens on docspace.folder.> itself: they",
		"wide":     "listens on wide.folder.> itself (wide.*.42.>)",
		"copy":     "takes over what stream COPY stores: they would come back into it; take another prefix",
		"nowhere":  "no stream listens on nowhere.folder.>; correct the prefix, or create one, as with nats stream add NOWHERE --subjects 'nowhere.folder.>' --defaults",
	} {
		_, _, err := r.replay("--to-prefix", prefix)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", prefix, err)
		}
	}
}

func TestAReplayWithoutAJobTellsWhereToGoOn(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 400)
	hook := newWebhook(t, 1, 0)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-hook.taken
		stop()
	}()
	_, stderr, err := r.replayWithin(ctx, "--to", hook.url, "--rate", "10", "--seq", "1..300")
	if err == nil {
		t.Fatalf("it was not stopped: %s", stderr)
	}
	var seq uint64
	_, after, _ := strings.Cut(err.Error(), "stopped before the end of the range; go on with --seq ")
	if _, err := fmt.Sscanf(after, "%d..300", &seq); err != nil {
		t.Fatalf("%q: %v", after, err)
	}
	if _, _, err := r.replay("--to", hook.url, "--seq", fmt.Sprintf("%d..300", seq)); err != nil {
		t.Fatal(err)
	}
	r.ids = r.ids[:300]
	if got := hook.received(); len(got) > 600 {
		t.Errorf("%d events came, going on at %d", len(got), seq)
	}
	r.holds(hook.received())
}

// No more comes again than the stop has said, and of one folder nothing does.
func TestAJobThatIsStoppedRemembersWhatTheEndpointHasConfirmed(t *testing.T) {
	t.Parallel()
	for _, folders := range []int{1, 20} {
		r := newTailRig(t, 0)
		r.folders = folders
		r.store(1000)
		hook := newWebhook(t, 1, 0)
		line := []string{"--job", "siem", "--to", hook.url, "--batch", "7"}
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			defer stop()
			natstest.Eventually(t, "events are confirmed", func() bool { return len(hook.received()) > 50 })
		}()
		_, _, err := r.replayWithin(ctx, append(line, "--rate", "100")...)
		const stopped = "stopped before the end of the range; the same command goes on"
		if err == nil || !strings.HasPrefix(err.Error(), stopped) {
			t.Fatalf("stopped with %v", err)
		}
		again := 0
		_, _ = fmt.Sscanf(strings.TrimPrefix(err.Error(), stopped), ", and sends %d event", &again) // says nothing of none
		r.acknowledgedTo("replay_siem", len(hook.received())-again)
		if _, _, err := r.replay(line...); err != nil {
			t.Fatal(err)
		}
		if got := len(hook.received()); got != 1000+again || folders == 1 && again > 0 {
			t.Errorf("%d folders: %d events came, %d of them again, as it said", folders, got, again)
		}
		r.holds(hook.received())
	}
}

func TestAJobGoesOnWithItsCommandOnlyAndKeepsItsEnd(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 300)
	file := filepath.Join(t.TempDir(), "events.ndjson")
	line := []string{"--job", "once", "--file", file, "--from", "2h", "--until", "-"}
	line[6] = time.Now().Add(time.Hour).Format(time.RFC3339)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		natstest.Eventually(t, "the replay has begun", func() bool {
			info, err := os.Stat(file)
			return err == nil && info.Size() > 0
		})
	}()
	_, _, err := r.replayWithin(ctx, append(line, "--rate", "10")...)
	if err == nil || !strings.Contains(err.Error(), "the same command goes on") {
		t.Fatalf("stopped with %v", err)
	}
	r.acknowledgedTo("replay_once", strings.Count(readFile(t, file), "\n"))
	r.store(5) // after the job has begun
	for _, other := range [][]string{{"--folder", "1"}, {"--event-until", "1m"}} {
		if _, _, err := r.replay(append(slices.Clone(line), other...)...); err == nil ||
			!strings.Contains(err.Error(), "job once, consumer replay_once of stream DOCSPACE: it was begun with another range or target; go on with the command it was begun with, give this one another name, or drop the job: nats consumer rm DOCSPACE replay_once") &&
				!strings.Contains(err.Error(), "consumer replay_once of stream DOCSPACE exists with other settings") {
			t.Errorf("%q: %v", other, err)
		}
	}
	if _, _, err := r.replay(line...); err != nil {
		t.Fatal(err)
	}
	r.ids = r.ids[:300]
	got := idsOf(t, readFile(t, file))
	if diff := cmp.Diff(r.ids, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if names := r.consumers(); len(names) > 0 {
		t.Errorf("consumers are left: %q", names)
	}
}

func TestAReplayStoresEachEventOnceWhileTheConnectionBreaksAndTheServerRestarts(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 2500)
	to, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "COPY", Subjects: []string{"copy.folder.>"}})
	if err != nil {
		t.Fatal(err)
	}
	link := natstest.NewLink(t, r.server.URL())
	cfg := r.config()
	cfg.URL = config.ServerURL(link.URL())
	var stdout, stderr tailBuffer
	ended := make(chan error, 1)
	go func() {
		ended <- runReplay(t.Context(), cfg, replayLine(t, "--to-prefix", "copy", "--job", "copy", "--json"), &stdout, &stderr)
	}()
	for _, trouble := range []struct {
		after uint64
		what  func()
	}{{100 + r.rng.Uint64N(400), link.Cut}, {600 + r.rng.Uint64N(400), func() { r.server.Restart() }}, {1300 + r.rng.Uint64N(400), link.Cut}} {
		natstest.Eventually(t, "events are stored", func() bool {
			info, err := to.Info(t.Context())
			return err == nil && info.State.Msgs >= trouble.after
		})
		trouble.what()
	}
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	info, err := to.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for seq := range info.State.LastSeq {
		_, e := eventAt(t, to, seq+1)
		ids = append(ids, e.ID)
	}
	r.holds(ids)
	told := toldBy(t, stdout.String())
	if len(ids) != len(r.ids) || told.Sent != len(r.ids) || told.Read != told.Sent {
		t.Errorf("%d events are stored, it says %+v", len(ids), told)
	}
	t.Logf("%+v", told)
}

func TestAReplayIsNoFasterThanItShouldBe(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 0)
	for i := range 120 {
		e := r.event()
		e.Time = e.Time.Add(time.Duration(i) * time.Hour)
		r.add(e)
	}
	r.flush()
	for _, c := range []struct {
		args  []string
		least time.Duration
	}{
		{[]string{"--rate", "100"}, 1090 * time.Millisecond}, // the first ten may come at once
		{[]string{"--pace", "18000", "--seq", "..12"}, 11 * 200 * time.Millisecond},
		{[]string{"--pace", "1", "--max-gap", "20ms"}, 119 * 20 * time.Millisecond},
	} {
		began := time.Now()
		stdout, _, err := r.replay(c.args...)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < c.least {
			t.Errorf("%q took %v", c.args, took)
		}
		if got := idsOf(t, stdout); !slices.Equal(got, r.ids[:len(got)]) {
			t.Errorf("%q: %q", c.args, got)
		}
	}
}

// moreThanInHand is more events than a replay reads before it has delivered any: those
// in hand, and what the server has delivered besides.
const moreThanInHand = replayWindow + 3000

func TestAReplayThatHasDeliveredAllItReadWaitsForAServerThatIsAway(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, moreThanInHand)
	hook := newWebhook(t, 1, 0)
	open := hook.close()
	link := natstest.NewLink(t, r.server.URL())
	cfg := r.config()
	cfg.URL = config.ServerURL(link.URL())
	var stdout, stderr tailBuffer
	ended := make(chan error, 1)
	go func() {
		ended <- runReplay(t.Context(), cfg, replayLine(t, "--to", hook.url, "--json"), &stdout, &stderr)
	}()
	<-hook.came
	link.Break()
	open()
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v\n%s", err, stderr.String())
	case <-time.After(2 * time.Second): // 20 looks whether all is read
	}
	link.Mend()
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	r.holds(hook.received())
}

func TestAReplayWhoseRangeIsDroppedBeforeItIsReadFails(t *testing.T) {
	t.Parallel()
	for name, purge := range map[string]jetstream.StreamPurgeOpt{"in part": jetstream.WithPurgeSequence(moreThanInHand - 10), "to the end": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTailRig(t, moreThanInHand)
			hook := newWebhook(t, 1, 0)
			open := hook.close()
			var stdout, stderr tailBuffer
			ended := make(chan error, 1)
			go func() {
				ended <- runReplay(t.Context(), r.config(), replayLine(t, "--to", hook.url, "--job", "late", "--json"), &stdout, &stderr)
			}()
			<-hook.came
			stream, err := r.js.Stream(t.Context(), "DOCSPACE")
			if err != nil {
				t.Fatal(err)
			}
			var opts []jetstream.StreamPurgeOpt
			if purge != nil {
				opts = append(opts, purge)
			}
			if err := stream.Purge(t.Context(), opts...); err != nil {
				t.Fatal(err)
			}
			open()
			err = <-ended
			told := toldBy(t, stdout.String())
			if err == nil || !strings.Contains(err.Error(), "the stream dropped them before they were read") || told.Finished || told.Dropped < uint64(moreThanInHand-told.Sent-11) {
				t.Errorf("%v, %+v\n%s", err, told, stderr.String())
			}
			if names := r.consumers(); len(names) > 0 {
				t.Errorf("the job is done, and its consumer is left: %q", names)
			}
		})
	}
}

package publisher

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

func TestAnAbsentStreamIsCreatedByOpenAndNotByInspect(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	_, found, err := Inspect(t.Context(), nc, Options{})
	if err != nil || len(found) != 1 || found[0].Severity != Note || found.Err() != nil {
		t.Fatalf("Inspect = %v, %v, want the note that the stream is absent", found, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), "DOCSPACE"); err == nil {
		t.Fatal("Inspect created the stream")
	}
	if found := open(t, nc, Options{}).Findings(); len(found) != 0 {
		t.Fatalf("findings on our own stream: %v", found)
	}
	if mode, found, err := Inspect(t.Context(), nc, Options{}); err != nil || len(found) != 0 || mode != Atomic {
		t.Fatalf("Inspect of our own stream = %v, %v", found, err)
	}
}

func TestOpenWaitsForAClusterThatHasNoLeader(t *testing.T) {
	t.Parallel()
	cluster := natstest.Cluster(t, 3)
	open(t, cluster.Conn(t), Options{Replicas: 3})
	nc := cluster.Servers[0].Conn(t, nats.IgnoreDiscoveredServers())
	cluster.Servers[1].Shutdown()
	cluster.Servers[2].Shutdown()
	before := nc.Stats().OutMsgs
	opened := make(chan error, 1)
	go func() {
		_, err := Open(t.Context(), nc, Options{Replicas: 3})
		opened <- err
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for nc.Stats().OutMsgs < before+2 { // it has asked a second time
		select {
		case err := <-opened:
			t.Fatalf("it did not wait: %v", err)
		case <-tick.C:
		}
	}
	cluster.Servers[1].Restart()
	cluster.Servers[2].Restart()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

func TestTheCopyOfTheMarksIsThereAlsoWhenTheAnswerToItsCreationIsLost(t *testing.T) {
	t.Parallel()
	link := natstest.NewLink(t, natstest.Run(t).URL())
	nc := link.Conn(t)
	link.DropAnswersFrom(`"name":"DOCSPACE_MARKS"`)
	type result struct {
		j   *JetStream
		err error
	}
	opened := make(chan result, 1)
	go func() {
		j, err := Open(t.Context(), nc, Options{})
		opened <- result{j, err}
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for link.Lost() == 0 {
		<-tick.C
	}
	link.Cut()
	if got := <-opened; got.err != nil || len(got.j.Findings()) > 0 {
		t.Fatalf("%v, %v", got.j.Findings(), got.err)
	}
}

// breaks has, for each rule, a stream as somebody may have made it, and what
// must be said about it.
var breaks = []struct {
	setting  string
	severity Severity
	mode     Mode
	change   func(*jetstream.StreamConfig)
}{
	{"subjects", Broken, Atomic, func(c *jetstream.StreamConfig) { c.Subjects = []string{"docspace.folder.*.file.>"} }},
	{"allow_atomic", Broken, Atomic, func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }},
	{"allow_rollup_hdrs", Broken, Atomic, func(c *jetstream.StreamConfig) { c.AllowRollup = false }},
	{"allow_msg_ttl", Broken, Atomic, func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false }},
	{"deny_purge", Broken, Atomic, func(c *jetstream.StreamConfig) { c.DenyPurge, c.AllowRollup = true, false }},
	{"no_ack", Broken, Atomic, func(c *jetstream.StreamConfig) { c.NoAck = true }},
	{"allow_msg_counter", Broken, Atomic, func(c *jetstream.StreamConfig) { c.AllowMsgCounter, c.AllowMsgTTL = true, false }},
	{"mirror", Broken, Atomic, func(c *jetstream.StreamConfig) {
		*c = jetstream.StreamConfig{Name: c.Name, Mirror: &jetstream.StreamSource{Name: "ORIGIN"}}
	}},
	{"subject_transform", Broken, Atomic, func(c *jetstream.StreamConfig) {
		c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "docspace.folder.>", Destination: "elsewhere.>"}
	}},
	{"retention", Broken, Atomic, func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }},
	{"storage", Broken, Atomic, func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
	{"max_msgs_per_subject", Broken, Atomic, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }},
	{"max_msg_size", Broken, Atomic, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1 << 10 }},
	{"allow_atomic", Warning, Auto, func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }},
	{"allow_rollup_hdrs", Warning, Dedup, func(c *jetstream.StreamConfig) { c.AllowRollup = false }},
	{"allow_msg_ttl", Broken, Dedup, func(c *jetstream.StreamConfig) { c.AllowMsgTTL, c.MaxAge = false, time.Hour }},
	{"duplicate_window", Broken, Dedup, func(c *jetstream.StreamConfig) { c.Duplicates = time.Second }},
	{"duplicate_window", Broken, Dedup, func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "ORIGIN"}} }},
	{"no_ack", Broken, Dedup, func(c *jetstream.StreamConfig) { c.NoAck = true }},
	{"sources", Warning, Auto, func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "ORIGIN"}} }},
	{"max_age", Warning, Auto, func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
	{"max_bytes", Warning, Auto, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }},
}

func TestAStreamThatBreaksThePromiseIsRefusedWithTheSettingAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORIGIN", Subjects: []string{"origin"}}); err != nil {
		t.Fatal(err)
	}
	for _, b := range breaks {
		t.Run(b.setting+" "+string(b.mode), func(t *testing.T) {
			config := wantedStream(b.change)
			created, err := js.CreateStream(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			before := created.CachedInfo().Config
			_, found, err := Inspect(t.Context(), nc, Options{Commit: b.mode})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(found, func(f Finding) bool { return f.Setting == b.setting && f.Severity == b.severity && f.Need != "" }) {
				t.Errorf("Inspect = %v, want %s %s", found, b.severity, b.setting)
			}
			_, err = Open(t.Context(), nc, Options{Commit: b.mode})
			if refused := err != nil && strings.Contains(err.Error(), b.setting+" is "); refused != (b.severity == Broken) {
				t.Errorf("Open = %v, but %s is %s", err, b.setting, b.severity)
			}
			after, err := js.Stream(t.Context(), config.Name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after.CachedInfo().Config); diff != "" {
				t.Errorf("the stream was changed: %s", diff)
			}
			if err := js.DeleteStream(t.Context(), config.Name); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func wantedStream(change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
	config := (&JetStream{o: Options{}.withDefaults()}).wanted(apiLevel)
	change(&config)
	return config
}

func TestASealedStreamIsRefused(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config := wantedStream(func(*jetstream.StreamConfig) {})
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	config.Sealed = true
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), nc, Options{}); err == nil || !strings.Contains(err.Error(), "sealed is true, needs false") {
		t.Fatalf("Open = %v", err)
	}
}

func TestAllBrokenSettingsAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE", Subjects: []string{"docspace.>"}}); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), nc, Options{Commit: Atomic})
	for _, setting := range []string{"allow_atomic", "allow_rollup_hdrs", "allow_msg_ttl"} {
		if err == nil || !strings.Contains(err.Error(), setting+" is false, needs true") {
			t.Errorf("Open = %v, want %s named", err, setting)
		}
	}
}

// A server of today cannot be made to say that it is an older one, so this one
// has no JetStream and somebody else answers for it.
func TestAServerThatIsTooOldIsRefused(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t, func(o *server.Options) { o.JetStream = false }).Conn(t)
	answer := func(subject, text string) {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(text)) }); err != nil {
			t.Fatal(err)
		}
	}
	answer("$JS.API.INFO", `{"type":"io.nats.jetstream.api.v1.account_info_response","limits":{},"api":{"level":1,"total":1,"errors":0}}`)
	answer("$JS.API.STREAM.INFO.DOCSPACE", `{"type":"io.nats.jetstream.api.v1.stream_info_response","error":{"code":404,"err_code":10059,"description":"stream not found"}}`)
	if _, err := nc.Subscribe("$JS.API.STREAM.CREATE.>", func(*nats.Msg) { t.Error("tried to create a stream on it") }); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), nc, Options{Commit: Atomic})
	if err == nil || !strings.Contains(err.Error(), "nats-server 2.12") {
		t.Fatalf("Open = %v, want the version that is needed", err)
	}
}

func TestAServerWithoutJetStreamOrWithSmallMessagesIsRefused(t *testing.T) {
	t.Parallel()
	plain := natstest.Run(t, func(o *server.Options) { o.JetStream = false }).Conn(t)
	if _, err := Open(t.Context(), plain, Options{}); err == nil || !strings.Contains(err.Error(), "JetStream is not enabled") {
		t.Errorf("Open = %v", err)
	}
	small := natstest.Run(t, func(o *server.Options) { o.MaxPayload = 32 << 10 }).Conn(t)
	if _, err := Open(t.Context(), small, Options{}); err == nil || !strings.Contains(err.Error(), "max_payload is 32768, needs at least 65536") {
		t.Errorf("Open = %v", err)
	}
}

func TestNamesThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	for _, o := range []Options{{Stream: "a.b"}, {Stream: "a*"}, {Prefix: "a..b"}, {Prefix: "a.*"}, {Prefix: "$JS"}, {Prefix: "a b"}, {Domain: "x.y"}} {
		if _, err := Open(t.Context(), nc, o); err == nil {
			t.Errorf("Open with %+v succeeded", o)
		}
	}
}

func TestASubjectPatternCoversWhatItMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wide, narrow string
		want         bool
	}{
		{"docspace.>", "docspace.folder.>", true},
		{">", "docspace.checkpoint.*", true},
		{"docspace.folder.>", "docspace.folder.>", true},
		{"docspace.*.>", "docspace.folder.>", true},
		{"docspace.*.*", "docspace.checkpoint.*", true},
		{"docspace.folder.*", "docspace.folder.>", false},
		{"docspace.folder.>", "docspace.>", false},
		{"docspace.checkpoint.7", "docspace.checkpoint.*", false},
		{"docspace.checkpoint.*.x", "docspace.checkpoint.*", false},
		{"docspace.checkpoint", "docspace.checkpoint.*", false},
	} {
		if got := covers(c.wide, c.narrow); got != c.want {
			t.Errorf("covers(%q, %q) = %t", c.wide, c.narrow, got)
		}
	}
}

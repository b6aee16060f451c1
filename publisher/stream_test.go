package publisher

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher/natstest"
)

func TestAnAbsentStreamIsCreatedByOpenAndNotByInspect(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	is, err := Inspect(t.Context(), nc, Options{}, false)
	if err != nil || len(is.Findings) != 3 || len(is.Findings.Of(Note)) != 3 || len(is.Created) != 0 {
		t.Fatalf("Inspect = %+v, %v, want the notes that the streams are absent", is, err)
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
	if is, err := Inspect(t.Context(), nc, Options{}, false); err != nil || len(is.Findings) != 0 || is.Mode != Atomic {
		t.Fatalf("Inspect of our own stream = %+v, %v", is, err)
	}
}

func TestOpenWaitsForAClusterThatHasNoLeader(t *testing.T) {
	t.Parallel()
	cluster := natstest.Cluster(t, 3)
	open(t, cluster.Conn(t), Options{Replicas: 3})
	leads := max(0, slices.IndexFunc(cluster.Servers, func(s *natstest.Server) bool { return s.Embedded().JetStreamIsLeader() }))
	kept, other, leader := cluster.Servers[(leads+1)%3], cluster.Servers[(leads+2)%3], cluster.Servers[leads]
	nc := kept.Conn(t, nats.IgnoreDiscoveredServers())
	other.Shutdown()
	leader.Shutdown()
	natstest.Eventually(t, "the server that is left leads nobody", func() bool { return !kept.Embedded().JetStreamIsLeader() })
	before := nc.Stats().OutMsgs
	opened := make(chan error, 1)
	go func() {
		_, err := Open(t.Context(), nc, Options{Replicas: 3, RetryFor: natstest.Patience})
		opened <- err
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for nc.Stats().OutMsgs < before+2 { // it has begun
		select {
		case err := <-opened:
			t.Fatalf("it did not wait: %v", err)
		case <-tick.C:
		}
	}
	other.Restart()
	leader.Restart()
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
	{"max_msgs", Warning, Auto, func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 }},
	{"max_consumers", Warning, Auto, func(c *jetstream.StreamConfig) { c.MaxConsumers = 10 }},
	{"discard", Warning, Auto, func(c *jetstream.StreamConfig) { c.Discard, c.MaxBytes = jetstream.DiscardNew, 1<<20 }},
	{"discard_new_per_subject", Broken, Auto, func(c *jetstream.StreamConfig) {
		c.Discard, c.DiscardNewPerSubject, c.MaxMsgsPerSubject = jetstream.DiscardNew, true, 1
	}},
	{"subject_delete_marker_ttl", Broken, Auto, func(c *jetstream.StreamConfig) { c.SubjectDeleteMarkerTTL, c.MaxAge = time.Minute, time.Hour }},
	{"consumer_limits", Broken, Auto, func(c *jetstream.StreamConfig) { c.ConsumerLimits.InactiveThreshold = 10 * time.Second }},
	{"persist_mode", Warning, Auto, func(c *jetstream.StreamConfig) {
		c.PersistMode, c.AllowAtomicPublish = jetstream.AsyncPersistMode, false
	}},
}

func TestEveryRuleHasAStreamThatBreaksIt(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{"sealed": true, "num_replicas": true} // cases of their own
	for _, b := range breaks {
		broken[b.setting] = true
	}
	for _, r := range slices.Concat(streamRules, modeRules[Atomic].stream, modeRules[Dedup].stream) {
		if !broken[r.setting] {
			t.Errorf("no stream breaks the rule on %s", r.setting)
		}
	}
}

func TestEverySettingOfAStreamIsJudged(t *testing.T) {
	t.Parallel()
	unknown := maps.Clone(fineSettings)
	judged := make(map[string]bool)
	for _, r := range slices.Concat(streamRules, modeRules[Atomic].stream, modeRules[Dedup].stream) {
		judged[r.setting] = true
		unknown[r.setting] = r.why
	}
	for field := range reflect.TypeFor[jetstream.StreamConfig]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		_, fine := fineSettings[name]
		switch {
		case name == "" || name == "-":
			t.Errorf("%s is not a setting of the server", field.Name)
		case judged[name] == fine:
			t.Errorf("%s is judged %t and said to be fine %t", name, judged[name], fine)
		}
		delete(unknown, name)
	}
	for name := range unknown {
		t.Errorf("there is no setting %s", name)
	}
}

func TestSettingsThatAreFineAreNotSpokenOf(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	plainStream(t, nc, "DOCSPACE", "docspace", func(c *jetstream.StreamConfig) {
		*c = wantedStream(func(c *jetstream.StreamConfig) {
			c.Description, c.Metadata = "ours", map[string]string{"team": "audit"}
			c.Compression, c.FirstSeq, c.DenyDelete = jetstream.S2Compression, 1000, true
			c.RePublish = &jetstream.RePublish{Source: "docspace.folder.>", Destination: "mirrored.>"}
			c.AllowDirect, c.MirrorDirect, c.AllowMsgSchedules, c.AllowBatchPublish = false, false, true, true
		})
	})
	j := open(t, nc, Options{})
	if found := j.Findings(); len(found) != 0 {
		t.Errorf("findings %v", found)
	}
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	push(t, j, mark, 2)
	checkInvariants(t, j, 7)
	if marks, err := j.Marks(t.Context()); err != nil || len(marks) != 1 {
		t.Errorf("Marks = %v, %v", marks, err)
	}
}

func TestAStreamThatTakesOurSubjectsIsNamed(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	plainStream(t, nc, "EVERYTHING", "docspace")
	for name, ask := range map[string]func() error{
		"check": func() error {
			is, err := Inspect(t.Context(), nc, Options{}, false)
			if err == nil {
				err = is.Findings.Err()
			}
			return err
		},
		"run": func() error {
			_, err := Open(t.Context(), nc, Options{})
			return err
		},
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "EVERYTHING") || !strings.Contains(err.Error(), "NATS_SUBJECT_PREFIX") {
			t.Errorf("%s: %v, want the stream and what to do", name, err)
		}
	}
}

func TestAnAccountWithoutRoomForTheStreamsIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		setting string
		limits  jetstream.AccountLimits
	}{
		{"account max_bytes_required", jetstream.AccountLimits{MaxStore: -1, MaxStreams: -1, MaxBytesRequired: true}},
		{"account max_storage", jetstream.AccountLimits{MaxStreams: -1}},
		{"account max_streams", jetstream.AccountLimits{MaxStore: -1, MaxStreams: 4}},
	} {
		f := facts{mode: Atomic, level: apiLevel, maxPayload: minMessage, want: wantedStream(func(*jetstream.StreamConfig) {})}
		f.account = jetstream.AccountInfo{Tier: jetstream.Tier{Streams: 3, Limits: c.limits}}
		found := judge(f).Of(Broken)
		if len(found) != 1 || found[0].Setting != c.setting {
			t.Errorf("%+v: findings %v, want %s", c.limits, found, c.setting)
		}
		f.account.Tiers = map[string]jetstream.Tier{"R1": {}}
		if found := judge(f).Of(Broken); len(found) > 0 && !c.limits.MaxBytesRequired {
			t.Errorf("an account with tiers: %v", found)
		}
	}
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
			is, err := Inspect(t.Context(), nc, Options{Commit: b.mode}, false)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(is.Findings, func(f Finding) bool { return f.Setting == b.setting && f.Severity == b.severity && f.Need != "" }) {
				t.Errorf("Inspect = %v, want %s %s", is.Findings, b.severity, b.setting)
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
	if _, err := nc.Subscribe("$JS.API.STREAM.CREATE.>", func(m *nats.Msg) {
		if len(m.Data) > 0 { // otherwise it is the permission that is tried
			t.Error("tried to create a stream on it")
		}
	}); err != nil {
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

func TestOneCopyInAClusterIsWarnedOf(t *testing.T) {
	t.Parallel()
	warned := func(j *JetStream) bool {
		return slices.ContainsFunc(j.Findings().Of(Warning), func(f Finding) bool { return f.Setting == "num_replicas" })
	}
	cluster := natstest.Cluster(t, 3)
	if !warned(open(t, cluster.Conn(t), Options{Stream: "ONE", Prefix: "one"})) {
		t.Error("nothing is said of one copy in a cluster of three")
	}
	if warned(open(t, cluster.Conn(t), Options{Stream: "THREE", Prefix: "three", Replicas: 3})) {
		t.Error("three copies are warned of")
	}
	if warned(open(t, natstest.Run(t).Conn(t), Options{})) {
		t.Error("one copy on a server alone is warned of")
	}
}

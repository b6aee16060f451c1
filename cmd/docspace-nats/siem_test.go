//go:build unix

package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/schema"
)

var (
	siemRows = flag.Int("siem", 0, "send so many rows through each pipeline to a SIEM; 0 skips those tests")
	siemSeed = flag.Uint64("siem-seed", 0, "what the SIEM tests send, and what fails when; 0: something else every time")
)

// A siemSource is what a SIEM reads: a stream, filled by the connector from a
// portal with people who want their titles to break something.
type siemSource struct {
	seed   uint64
	rng    *rand.Rand
	portal *docspacetest.Portal
	room   int // where the titles are
	env    []string
	server string // of the NATS server
	url    string // the same for its reader
	js     jetstream.JetStream
	events []storedEvent // in the order of the stream
}

// A storedEvent is a message of the stream.
type storedEvent struct {
	seq     uint64
	subject string
	at      time.Time // when it was stored; events of one commit share it
	data    []byte
	event   schema.Event
}

// newSIEMSource skips the test unless it is asked for.
func newSIEMSource(t *testing.T) *siemSource {
	t.Helper()
	if *siemRows == 0 || testing.Short() {
		t.Skip("takes a while, and other programs: go test ./cmd/docspace-nats -run TestSIEM -v -siem 3000")
	}
	s := &siemSource{seed: *siemSeed}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	t.Logf("%d rows; repeat with -siem-seed %d", *siemRows, s.seed)
	s.rng = rand.New(rand.NewPCG(s.seed, 1))
	s.portal = docspacetest.New(docspacetest.Options{Seed: s.seed})
	const rooms = 5
	for i := range rooms {
		room := s.portal.CreateRoom(nil, fmt.Sprintf("Room %d", i))
		s.portal.Fill(room, *siemRows/rooms, s.seed+uint64(i))
	}
	s.room = s.portal.CreateRoom(nil, "Room | of = \\ strangers")
	stranger := s.portal.AddUser("O=Neil|CEF:0|\\\n<134>1 - -", "stranger@example.com")
	for _, title := range hostileTitles() {
		s.portal.Upload(stranger, s.room, title)
	}
	// The longest event there is: it says its titles more than once.
	long := strings.Repeat("🗂", 512)
	cellar := s.portal.CreateRoom(nil, long)
	wordy := s.portal.AddUser(strings.Repeat("名", 255), "wordy@example.com")
	s.portal.Rename(wordy, s.portal.Upload(wordy, cellar, long)[0], long[4:]+"|")
	portal := httptest.NewServer(s.portal)
	t.Cleanup(portal.Close)

	s.server = natsServer(t)
	s.url = strings.Replace(s.server, "nats://", "nats://reader:"+natsPasswords["reader"]+"@", 1)
	s.env = []string{
		"DOCSPACE_URL=" + portal.URL, "DOCSPACE_API_KEY=" + s.portal.APIKey(), "NATS_URL=" + s.server,
		"NATS_USER=connector", "NATS_PASSWORD=" + natsPasswords["connector"], "NATS_INBOX_PREFIX=" + inbox(t),
		"POLL_REQUESTS_PER_MINUTE=0", "HTTP_ADDR=", "LOG_LEVEL=error",
	}
	var err error
	if s.js, err = jetstream.New(natsUser(t, s.server, "operator")); err != nil {
		t.Fatal(err)
	}
	s.publish(t)
	return s
}

// hostileTitles are what somebody calls a file who knows how logs are made.
func hostileTitles() []string {
	return []string{
		"a|b||c\\|d.docx", "a=b suser=root \\=.docx", `ends with a backslash\`, `\\\\.docx`,
		"first\nsecond.docx", "first\r\nCEF:0|ONLYOFFICE|DocSpace|1|0|Nothing happened|0|suser=nobody",
		"<134>1 2020-01-01T00:00:00Z evil evil - - - CEF:0|a|b|c|d|e|0|msg=fake", "x CEF:0|Evil|Corp|1|1|forged|10|act=forged",
		"\x1b[2J\x1b[31mred\x07.docx", "invoice\u202egpj.exe", "zero\u200bwidth\u2066.docx", "line\u2028paragraph\u2029.docx", "nul\x00.docx",
		strings.Repeat("long|=\\ ", 64), strings.Repeat("🗂", 512), `{"json": "in \"a\" title"}`, "<b>bold</b> & <script>alert(1)</script>.docx",
		"tab\tand  spaces ", "${NATS_URL} $(id) `id` %s %n {{.}}", "-rf", "日本語 契約書.docx",
	}
}

// publish runs the connector over what is new, and reads the stream.
func (s *siemSource) publish(t *testing.T) {
	t.Helper()
	start(t, exec.Command(program(t), "run", "--once"), s.env...).finish(t)
	s.events = s.events[:0]
	consumer, err := s.js.OrderedConsumer(t.Context(), "DOCSPACE", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"docspace.folder.>"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := consumer.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for range info.NumPending {
		msg, err := messages.Next()
		if err != nil {
			t.Fatal(err)
		}
		at, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		event, err := schema.Decode(msg.Data())
		if err != nil {
			t.Fatal(err)
		}
		s.events = append(s.events, storedEvent{at.Sequence.Stream, msg.Subject(), at.Timestamp, msg.Data(), event})
	}
	t.Logf("%d events in the stream", len(s.events))
}

// consumer makes a consumer as the file says which users apply, except for its
// name and how long it waits for acknowledgements.
func (s *siemSource) consumer(t *testing.T, file, name string, wait time.Duration) {
	t.Helper()
	config := consumerFile(t, file)
	config.Durable, config.AckWait = name, wait
	var err error
	if config.DeliverSubject == "" {
		_, err = s.js.CreateConsumer(t.Context(), "DOCSPACE", config)
	} else {
		_, err = s.js.CreatePushConsumer(t.Context(), "DOCSPACE", config)
	}
	if err != nil {
		t.Fatalf("consumer %s as in %s: %v", name, file, err)
	}
}

// unread is how many events a consumer has not had acknowledged.
func (s *siemSource) unread(t *testing.T, name string) int {
	t.Helper()
	consumer, err := s.js.Consumer(t.Context(), "DOCSPACE", name)
	if err != nil {
		if errors.Is(err, jetstream.ErrConsumerNotFound) { // tail makes its own
			return len(s.events)
		}
		if consumer, pushErr := s.js.PushConsumer(t.Context(), "DOCSPACE", name); pushErr == nil {
			return outstanding(consumer.CachedInfo())
		}
		t.Fatal(err)
	}
	return outstanding(consumer.CachedInfo())
}

func outstanding(info *jetstream.ConsumerInfo) int { return int(info.NumPending) + info.NumAckPending }

// waitRead polls until everything is acknowledged: only the server knows.
func (s *siemSource) waitRead(t *testing.T, name string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(siemPatience()); time.Now().Before(deadline); <-tick.C {
		if s.unread(t, name) == 0 {
			return
		}
	}
	t.Fatalf("%d of %d events are not acknowledged by %s after %s (seed %d)", s.unread(t, name), len(s.events), name, siemPatience(), s.seed)
}

// siemPatience is how long a pipeline may take, on a machine that has other
// things to do.
func siemPatience() time.Duration { return 2*time.Minute + time.Duration(*siemRows)*5*time.Millisecond }

// slim builds a program of a module of its own under deploy/siem/testdata.
func slim(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = filepath.Join(siemDir, "testdata", name)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s in %s: %v\n%s", name, cmd.Dir, err, out)
	}
	t.Logf("%s is built after %s", name, time.Since(began).Round(time.Second))
	return path
}

// An arrivals is what came out at the far end of a pipeline.
type arrivals struct {
	order []uint64 // sequences in the stream, by first arrival
	count map[uint64]int
}

// arrived finds the events of the stream by id.
func (s *siemSource) arrived(t *testing.T, ids []string) arrivals {
	t.Helper()
	byID := make(map[string]uint64, len(s.events))
	for _, e := range s.events {
		byID[e.event.ID] = e.seq
	}
	a := arrivals{count: make(map[uint64]int)}
	for _, id := range ids {
		seq, ok := byID[id]
		if !ok {
			t.Errorf("event %q arrived, which is not in the stream", id)
			continue
		}
		if a.count[seq]++; a.count[seq] == 1 {
			a.order = append(a.order, seq)
		}
	}
	return a
}

// judge fails unless every event arrived, and counts what came again and what
// came after a later event of its folder.
func (s *siemSource) judge(t *testing.T, ids []string) (again, overtaken int) {
	t.Helper()
	a := s.arrived(t, ids)
	folder := make(map[uint64]string, len(s.events))
	lost := 0
	for _, e := range s.events {
		folder[e.seq] = e.event.PartitionKey
		if a.count[e.seq] == 0 {
			lost++
		}
	}
	newest := make(map[string]uint64)
	for _, seq := range a.order {
		if seq < newest[folder[seq]] {
			overtaken++
		}
		newest[folder[seq]] = max(newest[folder[seq]], seq)
	}
	again = len(ids) - len(a.order)
	t.Logf("events in the stream %d, arrived %d, lost %d, arrived again %d, overtaken within their folder %d (seed %d)",
		len(s.events), len(a.order), lost, again, overtaken, s.seed)
	if lost > 0 {
		t.Errorf("%d events are lost", lost)
	}
	return again, overtaken
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
)

// told is what status says, as JSON, and its error.
func told(t *testing.T, cfg config.NATS, args ...string) (statusReport, string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	failed := runStatus(t.Context(), cfg, statusLine(t, append(args, "--json")...), &stdout, &stderr)
	var r statusReport
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, stdout.String())
		}
	}
	return r, stderr.String(), failed
}

// statusLine reads a command line.
func statusLine(t *testing.T, args ...string) statusOptions {
	t.Helper()
	var o statusOptions
	flags := statusFlags(&o)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := o.check(new(bytes.Buffer)); err != nil {
		t.Fatal(err)
	}
	return o
}

func plainStatus(t *testing.T, cfg config.NATS, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if err := runStatus(t.Context(), cfg, statusLine(t, args...), &stdout, &stderr); err != nil {
		t.Fatalf("%v, %s", err, stderr.String())
	}
	return stdout.String()
}

func (r statusReport) of(t *testing.T, folder int) folderStatus {
	t.Helper()
	for _, f := range r.Folders {
		if f.Folder == folder {
			return f
		}
	}
	t.Fatalf("folder %d is not told of", folder)
	return folderStatus{}
}

func TestTwoReplicasTellWhoPollsWhatAndWhenToWhoMayAsk(t *testing.T) {
	t.Parallel()
	h, url := newHouse(t, 8, 2), natsServer(t)
	names, began := make(map[string]bool), time.Now()
	for i := range h.keys {
		p := h.start(t, i, "NATS_URL="+url, "NATS_USER=connector", "NATS_PASSWORD="+natsPasswords["connector"], "NATS_INBOX_PREFIX="+inbox(t),
			"POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=1s", "POLL_REQUESTS_PER_MINUTE=6000")
		names[fmt.Sprint("/", p.cmd.Process.Pid)] = true
	}
	cfg := config.NATS{URL: config.ServerURL(url), User: "monitor", Password: config.Secret(natsPasswords["monitor"]), Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: monitorInbox}
	owners := make(map[string]bool)
	var r statusReport
	natstest.Eventually(t, "both replicas own folders, and know of each other", func() bool {
		var err error
		var said string
		r, said, err = told(t, cfg)
		if err != nil || said != "" && len(r.Replicas) > 0 {
			if err != nil && !strings.Contains(err.Error(), "there is no such stream") {
				t.Fatalf("%v, %q", err, said)
			}
			return false
		}
		stored := 0 // a mark is looked at before the replica that polls the folder
		for _, f := range r.Folders {
			if f.Owner != nil {
				owners[(*f.Owner)[strings.LastIndexByte(*f.Owner, '/'):]] = true
			}
			if f.Accounted > 0 {
				stored++
			}
		}
		apart := slices.ContainsFunc(r.Replicas, func(s replicaStatus) bool {
			return s.Replicas != 2 || s.Watched != 8 || s.Budget != 3000 || s.Trouble != ""
		})
		return len(owners) == 2 && stored == 8 && len(r.Replicas) == 2 && !apart && r.Totals.Unknown == 0 && r.Totals.Folders == 8
	})
	if diff := cmp.Diff(names, owners); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	for _, f := range r.Folders {
		switch {
		case f.LastPoll == nil || r.At.Sub(*f.LastPoll) > natstest.Patience:
			t.Errorf("folder %d: last poll %v", f.Folder, f.LastPoll)
		case f.NextPoll == nil || f.NextPoll.Sub(r.At).Abs() > natstest.Patience:
			t.Errorf("folder %d: next poll %v", f.Folder, f.NextPoll)
		case !strings.HasPrefix(f.Title, "Room ") || deref(f.Unread) != 0 || f.Accounted == 0 || f.Attention != nil || deref(f.Lane) == "":
			t.Errorf("folder %d: %+v", f.Folder, f)
		}
	}
	for _, s := range r.Replicas {
		if s.Requests == 0 || s.Version == "" || s.Started.Before(began) || s.Started.After(r.At) {
			t.Errorf("replica: %+v", s)
		}
	}
	var text logBuffer
	natstest.Eventually(t, "the table tells the same", func() bool {
		table := plainStatus(t, cfg)
		_, _ = text.Write([]byte(table))
		return strings.Contains(table, "8 folders (8 watching)") && strings.Contains(table, "of 3000")
	}, &text)

	// Who may only read events is told what is missing.
	reader := cfg
	reader.User, reader.Password, reader.InboxPrefix = "reader", config.Secret(natsPasswords["reader"]), "_INBOX"
	if _, _, err := told(t, reader); err == nil || !strings.Contains(err.Error(), "permission to publish $JS.API.CONSUMER.CREATE.DOCSPACE.*.docspace.checkpoint.* is missing") {
		t.Errorf("the reader: %v", err)
	}
}

// A lookout is a connector in this process with three rooms, the third denied to it
// and the second rewound; it is not running.
type lookout struct {
	portal                 *docspacetest.Portal
	c                      *connector
	cfg                    config.Config
	well, rewound, blinded int
}

func newLookout(t *testing.T, change func(*config.Config)) *lookout {
	t.Helper()
	portal := docspacetest.New(docspacetest.Options{Seed: 1})
	s := &lookout{portal: portal, well: portal.CreateRoom(nil, "Plans"), rewound: portal.CreateRoom(nil, "Deals")}
	s.blinded = portal.CreateRoom(nil, "Closed")
	portal.Fill(s.well, 20, 1)
	before := portal.Rows(s.well)
	portal.Fill(s.rewound, 20, 2)
	portal.Fail(docspacetest.Fault{Folder: s.blinded, Times: -1, Do: docspacetest.AccessDenied()})
	site := httptest.NewServer(portal)
	t.Cleanup(site.Close)
	s.cfg = demoConfig(site.URL, portal.APIKey(), "")
	s.cfg.NATS.URL = config.ServerURL(natstest.Run(t).URL())
	if change != nil {
		change(&s.cfg)
	}
	s.catchUp(t)
	portal.Rewind(before[len(before)-1].ID)
	s.catchUp(t)
	return s
}

// catchUp is a run that ends.
func (s *lookout) catchUp(t *testing.T) {
	t.Helper()
	if s.c != nil {
		s.c.close()
	}
	var err error
	if s.c, err = connect(t.Context(), s.cfg, 0, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.c.close)
	_ = s.c.catchUp(t.Context(), zerolog.Nop()) // one folder is blind
}

// answers lets the connector answer, as while it runs.
func (s *lookout) answers(t *testing.T) { s.answersWith(t, s.c.answer) }

func (s *lookout) answersWith(t *testing.T, answer func(question []byte, most int) []byte) {
	t.Helper()
	before := s.c.nc.NumSubscriptions()
	go func() { _ = s.c.ledger.Answer(t.Context(), answer) }()
	natstest.Eventually(t, "the connector listens", func() bool { return s.c.nc.NumSubscriptions() > before })
	if err := s.c.nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestStatusTellsWhatTheStreamTellsWithoutAConnector(t *testing.T) {
	t.Parallel()
	s := newLookout(t, nil)
	s.c.close()
	r, said, err := told(t, s.cfg.NATS)
	if err != nil || said != "docspace-nats status: no connector answers; this is what the stream tells\n" {
		t.Errorf("%v, %q", err, said)
	}
	well := r.of(t, s.well)
	if well.Unread != nil || well.LastPoll != nil || well.NextPoll != nil || well.Owner != nil || well.LastError != nil || well.Gaps != nil || well.Polling != nil {
		t.Errorf("what nobody knows is told: %+v", well)
	}
	if well.Title != "Plans" || well.State != checkpoint.Watching || well.Accounted != 21 || well.NewestEvent == nil || well.Writer != writer() || well.Lane == nil || *well.Lane != "" || well.Attention != nil {
		t.Errorf("what the stream knows is not told: %+v", well)
	}
	for folder, want := range map[int]checkpoint.State{s.rewound: checkpoint.Rewound, s.blinded: checkpoint.Blind} {
		if f := r.of(t, folder); f.State != want || !strings.Contains(deref(f.Attention), fmt.Sprintf("folder %d is %s: ", folder, want)) {
			t.Errorf("folder %d: %+v", folder, f)
		}
	}
	if r.Folders[2].Folder != s.well {
		t.Error("what needs attention does not come first")
	}
	if r.Totals.Attention != 2 || r.Totals.Unread != nil || r.Totals.Unknown != 3 || r.Totals.States[checkpoint.Watching] != 1 || r.Answered || r.Mode != publisher.Atomic {
		t.Errorf("%+v", r)
	}
	text := plainStatus(t, s.cfg.NATS, "--limit", "1")
	for _, want := range []string{"no connector answers", "\nand 2 more\n", " - unread; 2 need attention\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if r, _, err = told(t, s.cfg.NATS, "--attention"); !errors.Is(err, errReported) || len(r.Folders) != 2 || r.More != 1 {
		t.Errorf("--attention: %v, %d folders and %d more", err, len(r.Folders), r.More)
	}
	if _, _, err = told(t, s.cfg.NATS, "--attention", "--folder", fmt.Sprint(s.well)); !errors.Is(err, errReported) {
		t.Errorf("no connector runs, and a monitoring check is told %v", err)
	}
	if _, _, err = told(t, s.cfg.NATS, "--folder", "77", "--folder", fmt.Sprint(s.well)); err == nil || !strings.Contains(err.Error(), "folder 77: no connector has published it") {
		t.Errorf("a folder nobody knows: %v", err)
	}
}

func TestStatusAndReadyzSayTheSame(t *testing.T) {
	t.Parallel()
	s := newLookout(t, nil)
	s.answers(t)
	shown, err := serveState("", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	shown.show(s.c)
	w := httptest.NewRecorder()
	shown.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")[1:]
	r, _, err := told(t, s.cfg.NATS, "--attention")
	for _, f := range r.Folders {
		if f.Unread != nil {
			t.Errorf("folder %d is %s, and %d rows are unread", f.Folder, f.State, *f.Unread)
		}
	}
	if !errors.Is(err, errReported) || len(lines) != 2 {
		t.Errorf("%v; /readyz says %q", err, lines)
	}
	var attention []string
	for _, f := range r.Folders {
		attention = append(attention, deref(f.Attention))
	}
	if diff := cmp.Diff(lines, attention); diff != "" {
		t.Errorf("/readyz and status (-readyz +status):\n%s", diff)
	}
	r, _, err = told(t, s.cfg.NATS, "--attention", "--folder", fmt.Sprint(s.well))
	if err != nil || len(r.Folders) > 0 || r.Totals.Folders != 1 || !r.Answered {
		t.Errorf("a folder that is well: %v, %+v", err, r)
	}

	// A poll that fails is told, too, and nothing was published for it.
	s.portal.Fail(docspacetest.Fault{Folder: s.well, Times: -1, Do: docspacetest.ServerError()})
	_ = s.c.catchUp(t.Context(), zerolog.Nop())
	r, _, err = told(t, s.cfg.NATS, "--folder", fmt.Sprint(s.well))
	if f := r.of(t, s.well); err != nil || f.State != checkpoint.Watching || !strings.Contains(deref(f.LastError), "500") || !strings.Contains(deref(f.Attention), "cannot be polled") {
		t.Errorf("a folder that fails: %v, %+v", err, f)
	}
}

// A lineBuffer tells when a line is written to it.
type lineBuffer struct {
	logBuffer
	lines chan string
}

func (b *lineBuffer) Write(p []byte) (int, error) {
	b.lines <- string(p)
	return b.logBuffer.Write(p)
}

func TestAWatchShowsWhatIsNewUntilItIsStopped(t *testing.T) {
	t.Parallel()
	s := newLookout(t, nil)
	s.answers(t)
	ctx, stop := context.WithCancel(t.Context())
	o := statusLine(t, "--watch", "--json")
	o.every = 10 * time.Millisecond
	shown, ended := &lineBuffer{lines: make(chan string)}, make(chan error, 1)
	go func() { ended <- runStatus(ctx, s.cfg.NATS, o, shown, io.Discard) }()
	accounted := func() int {
		var r statusReport
		line := <-shown.lines
		if err := json.Unmarshal([]byte(line), &r); err != nil || strings.Count(line, "\n") != 1 {
			t.Fatalf("%v in %s", err, line)
		}
		return r.of(t, s.well).Accounted
	}
	if n := accounted(); n != 21 {
		t.Errorf("%d rows at first", n)
	}
	s.portal.Fill(s.well, 5, 3)
	_ = s.c.catchUp(t.Context(), zerolog.Nop())
	accounted() // which may have been made before
	if n := accounted(); n != s.portal.Count(s.well) {
		t.Errorf("%d rows after %d", n, s.portal.Count(s.well))
	}
	stop()
	for {
		select {
		case <-shown.lines:
			continue
		case err := <-ended:
			if err != nil {
				t.Errorf("a stop is %v", err)
			}
			return
		}
	}
}

// testKey is 32 random bytes.
const testKey = config.Secret("kF3vJq0Zb9y7x1nQe5t8uW2mCdLhRgTsPaVoYiXjKlM=")

func TestStatusShowsNoTitleThatPrivacyHides(t *testing.T) {
	t.Parallel()
	s := newLookout(t, func(cfg *config.Config) {
		cfg.DocSpace.Privacy, cfg.DocSpace.PrivacyKey, cfg.DocSpace.PrivacyKeyID = "minimal", testKey, "k"
	})
	if r, _, err := told(t, s.cfg.NATS); err != nil || r.Answered || r.of(t, s.well).Title != "" {
		t.Errorf("the stream: %v, %+v", err, r)
	}
	s.answers(t)
	if r, _, err := told(t, s.cfg.NATS); err != nil || !r.Answered || r.of(t, s.well).Title != "" {
		t.Errorf("the connector: %v, %+v", err, r)
	}
	for _, secret := range []string{"Plans", s.portal.APIKey(), string(testKey)} {
		if text := s.c.answer([]byte("{}"), 1<<20); bytes.Contains(text, []byte(secret)) {
			t.Errorf("the answer holds %q: %s", secret, text)
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"

	"docspace-nats/checkpoint"
	"docspace-nats/poller"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
)

// hostile is what strangers call their rooms.
const hostile = "\x1b[2J\x1b]0;owned\a\u202eexe.gpj\r\nfolder 7 is fine\t\u200b\ue000"

// manyStandings are so many folders as a replica knows them after trouble.
func manyStandings(n int) []poller.Standing {
	all := make([]poller.Standing, n)
	now := time.Now()
	for i := range all {
		all[i] = poller.Standing{Folder: i + 1, State: checkpoint.Watching, Unread: i, Tried: now, Polled: now, Due: now, Err: errors.New(hostile + strings.Repeat("x", 5000))}
	}
	return all
}

// Two replicas know 10,000 folders each, the second one polled the even ones last.
// The server takes 64 KiB a message.
func TestTenThousandFoldersComeInPagesThatFit(t *testing.T) {
	t.Parallel()
	const folders = 10_000
	s := natstest.Run(t, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	var view *publisher.View
	for i, name := range []string{"first", "second"} {
		nc := s.Conn(t)
		ledger, err := publisher.Open(t.Context(), nc, publisher.Options{})
		if err != nil {
			t.Fatal(err)
		}
		standings := manyStandings(folders)
		for j := range standings {
			if j%2 == i {
				standings[j].Tried = standings[j].Tried.Add(-time.Minute)
			}
		}
		go func() {
			_ = ledger.Answer(t.Context(), func(question []byte, most int) []byte {
				var q statusQuestion
				if json.Unmarshal(question, &q) != nil || q.Replica != "" && q.Replica != name {
					return nil
				}
				page := q.page(replicaStatus{ID: name, Name: name, At: time.Now(), Replicas: 2}, standings, nil, func(int) string { return strings.Repeat("é", 500) }, most)
				if len(page) > most {
					t.Errorf("a page of %d bytes, %d fit", len(page), most)
				}
				return page
			})
		}()
		natstest.Eventually(t, "it listens", func() bool { return nc.NumSubscriptions() > 1 })
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if view == nil {
			if view, err = publisher.Look(t.Context(), s.Conn(t), publisher.Options{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	patient := patience{page: time.Minute, all: time.Hour}
	h, err := patient.askReplicas(t.Context(), view, nil)
	if err != nil || len(h.partly) > 0 || len(h.folders) != folders || len(h.replicas) != 2 {
		t.Fatalf("%v: %d folders, %d replicas, not complete: %v", err, len(h.folders), len(h.replicas), h.partly)
	}
	t.Logf("two times %d folders in pages of 64 KiB took %s", folders, time.Since(began).Round(time.Millisecond))
	for folder, live := range h.folders {
		want := []string{"first", "second"}[folder%2]
		if live.owner != want || live.Folder != folder {
			t.Fatalf("folder %d: %s owns it", folder, live.owner)
		}
	}
	if h, err = patient.askReplicas(t.Context(), view, []int{7, 9999}); err != nil || len(h.folders) != 2 {
		t.Errorf("two that were named: %v, %d", err, len(h.folders))
	}
}

// What lies is not believed for ever, and nobody waits for it.
func TestAnswersThatMakeNoSenseEndTheQuestions(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	nc := s.Conn(t)
	ledger, err := publisher.Open(t.Context(), nc, publisher.Options{})
	if err != nil {
		t.Fatal(err)
	}
	view, err := publisher.Look(t.Context(), s.Conn(t), publisher.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string, 1)
	go func() {
		_ = ledger.Answer(t.Context(), func([]byte, int) []byte {
			text := <-answers
			answers <- text
			return []byte(text)
		})
	}()
	natstest.Eventually(t, "it listens", func() bool { return nc.NumSubscriptions() > 1 })
	_ = nc.Flush()
	for _, text := range []string{`{}`, `[]`, "\x00", `{"replica":{"id":"a","name":"a","replicas":1000000},"folders":[{"folder":5}],"more":true}`, `{"replica":{"id":"a"},"folders":[],"more":true}`} {
		answers <- text
		wait := 2 * time.Second
		if strings.Contains(text, `"id"`) { // it is heard, on a busy machine, too
			wait = 15 * time.Second
		}
		h, err := patience{page: wait, all: time.Hour}.askReplicas(t.Context(), view, nil)
		if strings.Contains(text, `"id"`) && (err != nil || len(h.partly) != 1) || !strings.Contains(text, `"id"`) && !errors.Is(err, publisher.ErrNobodyAnswers) {
			t.Errorf("%q: %v, %+v", text, err, h)
		}
		if strings.Contains(text, "1000000") && (h.counted != 1_000_000 || !strings.HasPrefix(h.incomplete(), "not all that these know came in time: a")) {
			t.Errorf("%q: %+v, %q", text, h, h.incomplete())
		}
		<-answers
	}
}

// What it knows of its folders nobody else tells.
func TestAReplicaThatDoesNotAnswerNeedsAttention(t *testing.T) {
	t.Parallel()
	s := newLookout(t, nil)
	replicas := `"replicas":1`
	s.answersWith(t, func(question []byte, most int) []byte {
		return []byte(strings.Replace(string(s.c.answer(question, most)), `"replicas":1`, replicas, 1))
	})
	well := []string{"--attention", "--folder", fmt.Sprint(s.well)}
	if _, said, err := told(t, s.cfg.NATS, well...); err != nil {
		t.Fatalf("all is well: %v, %s", err, said)
	}
	replicas = `"replicas":2`
	if r, said, err := told(t, s.cfg.NATS, well...); !errors.Is(err, errReported) || len(r.Folders) > 0 || !strings.Contains(said, "1 of 2 replicas answer") {
		t.Errorf("one of two answers: %v, %s", err, said)
	}
}

func TestReplicasThatDoNotAnswerAreMissed(t *testing.T) {
	t.Parallel()
	h := heard{replicas: []replicaStatus{{Name: "a"}, {Name: "b"}}, counted: 3}
	if got := h.incomplete(); got != "2 of 3 replicas answer; what the others know is missing" {
		t.Error(got)
	}
	if h.counted = 2; h.incomplete() != "" {
		t.Error(h.incomplete())
	}
	h.partly = []string{hostile}
	if got := h.incomplete(); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}

func TestTheClockOfAReplicaIsTakenIntoAccount(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	theirs := now.Add(-time.Hour)
	a := statusAnswer{Replica: replicaStatus{At: theirs, Started: theirs.Add(-time.Minute)}, Folders: []folderPolls{{Tried: theirs.Add(-10 * time.Second), Due: theirs.Add(time.Second)}}}
	a = a.inOurTime(now)
	if f := a.Folders[0]; now.Sub(f.Tried) != 10*time.Second || f.Due.Sub(now) != time.Second || !f.Polled.IsZero() || now.Sub(a.Replica.Started) != time.Minute {
		t.Errorf("%+v", a)
	}
}

// manyFolders are a report with a hostile title and reason in each.
func manyFolders(n int) *statusReport {
	now := time.Now()
	live := make(map[int]folderLive)
	for _, s := range manyStandings(n) {
		polls := pollsOf(s, "")
		polls.Title = hostile
		live[s.Folder] = folderLive{polls, hostile}
	}
	r := &statusReport{At: now, Answered: true, Portal: hostile, Replicas: []replicaStatus{{Name: hostile, Version: hostile, Trouble: hostile}}, Folders: folders(nil, []checkpoint.Mark{{Folder: 1, Revision: 1, Reason: hostile}}, live, nil)}
	r.count()
	return r
}

func TestATerminalObeysNoTitleInAStatus(t *testing.T) {
	t.Parallel()
	const n = 5
	text := manyFolders(n).text(screen{width: 500})
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("it holds %q", r)
		}
	}
	if lines := strings.Count(text, "\n"); lines != 4+n+1+n+1+2+1 {
		t.Errorf("%d lines:\n%s", lines, text)
	}
	if !strings.Contains(text, "cannot be polled") {
		t.Error(text)
	}
}

func TestAFrameFitsTheTerminal(t *testing.T) {
	t.Parallel()
	r := manyFolders(200)
	frame := r.frame(screen{width: 60, height: 24})
	lines := strings.Split(strings.TrimSuffix(frame, "\x1b[J"), "\n")
	for _, line := range lines {
		if shown := strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[H"), "\x1b[K"); utf8.RuneCountInString(shown) > 60 {
			t.Errorf("a line wraps: %q", shown)
		}
	}
	if len(lines) > 24 || !strings.Contains(frame, "more\x1b[K\n") || !strings.HasPrefix(frame, "\x1b[H") || !strings.Contains(frame, "200 folders") || !strings.Contains(frame, "…") {
		t.Errorf("%d lines:\n%q", len(lines), frame)
	}
	if len(r.Folders) != 200 {
		t.Error("the report was changed")
	}
}

func TestOfTwoReplicasTheOneThatPolledLastKnows(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old := folderPolls{Folder: 7, Tried: now.Add(-time.Minute), Unread: 5, Gaps: 2, Error: "an error of before"}
	fresh := folderPolls{Folder: 7, Tried: now, Unread: 1, Gaps: 3}
	polling := folderPolls{Folder: 7, Tried: now.Add(-time.Hour), Polling: true, Unread: 9}
	for name, c := range map[string]struct {
		said []folderPolls
		want folderLive
	}{
		"the newer one comes last":  {[]folderPolls{old, fresh}, folderLive{folderPolls{Folder: 7, Tried: now, Unread: 1, Gaps: 5}, "1"}},
		"the newer one comes first": {[]folderPolls{fresh, old}, folderLive{folderPolls{Folder: 7, Tried: now, Unread: 1, Gaps: 5}, "0"}},
		"who polls it now has it":   {[]folderPolls{polling, fresh}, folderLive{folderPolls{Folder: 7, Tried: polling.Tried, Polling: true, Unread: 9, Gaps: 3}, "0"}},
	} {
		h := heard{folders: make(map[int]folderLive)}
		for i, polls := range c.said {
			h.take(statusAnswer{Replica: replicaStatus{Name: string(rune('0' + i))}, Folders: []folderPolls{polls}})
		}
		if got := h.folders[7]; got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAFolderThatAnotherReplicaPublishesNeedsNoAttention(t *testing.T) {
	t.Parallel()
	if why := attention(pollsOf(poller.Standing{Folder: 7, State: checkpoint.Watching, Err: fmt.Errorf("commit: %w", checkpoint.ErrConflict)}, "")); why != "" {
		t.Error(why)
	}
}

func TestTheMeterCountsTheLastMinute(t *testing.T) {
	t.Parallel()
	var m meter
	start := time.Unix(1_800_000_000, 0)
	for i := range 90 {
		m.count(start.Add(time.Duration(i) * time.Second))
		m.count(start.Add(time.Duration(i) * time.Second))
	}
	for after, want := range map[int]int{89: 120, 119: 60, 148: 2, 149: 0, 5000: 0} {
		if got := m.lastMinute(start.Add(time.Duration(after) * time.Second)); got != want {
			t.Errorf("%d s after the start: %d, want %d", after, got, want)
		}
	}
}

func TestTimesAreToldInOneUnit(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{-time.Second: "0s", 12 * time.Second: "12s", 5 * time.Minute: "5m", 3 * time.Hour: "3h", 100 * time.Hour: "4d"} {
		if got := lasting(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

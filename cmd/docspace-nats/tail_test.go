package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

func TestTailPrintsWhatIsStoredAsItIsStored(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 300)
	stdout, stderr := r.tail("--from", "beginning", "--no-follow")
	r.holds(idsOf(t, stdout))
	if stderr != "" {
		t.Errorf("it also says %s", stderr)
	}
	if got, want := strings.Split(stdout, "\n")[16], string(r.stored(17).Data); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestTailFollowsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 10)
	is := r.start("--seq", "6")
	natstest.Eventually(t, "what is stored is printed", func() bool { return strings.Count(is.stdout.String(), "\n") == 5 })
	r.store(3)
	natstest.Eventually(t, "what comes is printed", func() bool { return strings.Count(is.stdout.String(), "\n") == 8 })
	is.stop()
	is.finish()
	if diff := cmp.Diff(r.ids[5:], idsOf(t, is.stdout.String())); diff != "" {
		t.Error(diff)
	}
}

func TestTailBeginsAndEndsWhereItIsTold(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 20)
	at := r.stored(11).Time.Format(time.RFC3339Nano)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--no-follow"}, nil},
		{[]string{"--from", "1h", "--no-follow"}, r.ids},
		{[]string{"--seq", "18", "--no-follow"}, r.ids[17:]},
		{[]string{"--seq", "18", "--count", "2"}, r.ids[17:19]},
		{[]string{"--from", at, "--no-follow"}, r.ids[10:]},
		{[]string{"--from", "beginning", "--until", at}, r.ids[:10]},
		{[]string{"--from", "beginning", "--until", "1h"}, nil},
		{[]string{"--from", "beginning", "--until", time.Now().Add(time.Second).Format(time.RFC3339Nano)}, r.ids},
		{[]string{"--from", "beginning", "--count", "3"}, r.ids[:3]},
	} {
		stdout, _ := r.tail(c.args...)
		if diff := cmp.Diff(c.want, idsOf(t, stdout)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestTailShowsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 0)
	add := func(folder int, category, name string, severity int, change func(*schema.Data)) string {
		e := r.event()
		e.ID, e.PartitionKey, e.Data.Feed.FolderID = fmt.Sprintf("%d-%d", folder, len(r.ids)), fmt.Sprint(folder), fmt.Sprint(folder)
		e.Data.Feed.Title, e.Data.Actor.Name, e.Data.Target.Name = "", "", ""
		e.Data.Action.Category, e.Data.Action.Name, e.Data.Severity = category, name, severity
		change(&e.Data)
		r.add(e)
		return e.ID
	}
	moved := add(1, "file", "moved", 1, func(d *schema.Data) { d.Actor.Name, d.Target.Name = "Zoë Müller", "Budget 2026.xlsx" })
	renamed := add(2, "file", "renamed", 1, func(d *schema.Data) { d.Target.PreviousName = "Old budget" })
	deleted := add(2, "file", "deleted", 2, func(d *schema.Data) { d.Actor.Email = "zoe.m@example.com" })
	link := add(3, "room", "external_link_created", 3, func(d *schema.Data) { d.Actor.ID = "AB-12"; d.Link = &schema.Link{Title: "Auditors"} })
	room := add(3, "room", "deleted", 4, func(d *schema.Data) { d.Tags = []string{"Budget"} })
	r.flush()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--folder", "1", "--folder", "3"}, []string{moved, link, room}},
		{[]string{"--folder", "1,2", "--event", "file.moved,file.renamed"}, []string{moved, renamed}},
		{[]string{"--event", "room.*"}, []string{link, room}},
		{[]string{"--event", "*.deleted"}, []string{deleted, room}},
		{[]string{"--event", "file.*", "--event", "*.deleted"}, []string{moved, renamed, deleted, room}},
		{[]string{"--event", "room.external_*"}, []string{link}},
		{[]string{"--severity", "3"}, []string{link, room}},
		{[]string{"--actor", "zoe"}, []string{moved, deleted}},
		{[]string{"--actor", "zoe muller"}, []string{moved}},
		{[]string{"--actor", "ZOË"}, []string{moved, deleted}},
		{[]string{"--actor", "ab-12"}, []string{link}},
		{[]string{"--actor", "ab-1"}, nil},
		{[]string{"--text", "budget"}, []string{moved, renamed, room}},
		{[]string{"--text", "audit"}, []string{link}},
		{[]string{"--text", "budget", "--severity", "2", "--event", "room.*", "--folder", "3"}, []string{room}},
	} {
		stdout, _ := r.tail(append(c.args, "--from", "beginning", "--no-follow")...)
		if diff := cmp.Diff(c.want, idsOf(t, stdout)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestTheServerSendsAsLittleAsItCan(t *testing.T) {
	t.Parallel()
	many := make([]string, 70)
	for i := range many {
		many[i] = fmt.Sprint(i + 1)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"p.folder.>"}},
		{[]string{"--folder", "7"}, []string{"p.folder.7.*.*"}},
		{[]string{"--folder", "7,8", "--event", "file.moved"}, []string{"p.folder.7.file.moved", "p.folder.8.file.moved"}},
		{[]string{"--event", "file.*,room.deleted"}, []string{"p.folder.*.file.*", "p.folder.*.room.deleted"}},
		{[]string{"--event", "file.*,file.moved"}, []string{"p.folder.*.file.*"}},
		{[]string{"--event", "file.*,*.deleted"}, []string{"p.folder.>"}},
		{[]string{"--event", "room.external_link_*"}, []string{"p.folder.*.room.*"}},
		{[]string{"--folder", strings.Join(many, ",")}, []string{"p.folder.>"}},
	} {
		got := tailLine(t, c.args...).subjects("p")
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestADurableTailGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 30)
	args := []string{"--durable", "siem", "--from", "beginning", "--no-follow"}
	first, _ := r.tail(append(args, "--count", "12")...)
	r.acknowledgedTo("siem", 12)
	r.store(5)
	second, _ := r.tail(args...)
	r.acknowledged("siem")
	third, _ := r.tail(args...)
	if diff := cmp.Diff(r.ids, idsOf(t, first+second+third)); diff != "" || third != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAMessageThatIsNoEventIsToldOfAndLeftOut(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 2)
	for range 3 {
		if _, err := r.js.Publish(t.Context(), "docspace.folder.1.file.moved", []byte("{no event\x1b[2J")); err != nil {
			t.Fatal(err)
		}
	}
	r.store(2)
	stdout, stderr := r.tail("--durable", "siem", "--from", "beginning", "--no-follow")
	r.holds(idsOf(t, stdout))
	if !strings.Contains(stderr, "message 3 on docspace.folder.1.file.moved is no event") || !strings.Contains(stderr, "3 messages were no events") || strings.Contains(stderr, "\x1b") {
		t.Errorf("%q", stderr)
	}
	r.acknowledged("siem")
}

func TestAnEventStoredOverSeveralLinesIsOneLine(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 1)
	pretty := "{\n  \"specversion\": \"1.0\",\r\n \"id\": \"1-9\", \"type\": \"x\", \"data\": {\"tags\": [\"a b\"]}\n}"
	if _, err := r.js.Publish(t.Context(), "docspace.folder.1.file.moved", []byte(pretty)); err != nil {
		t.Fatal(err)
	}
	stdout, _ := r.tail("--seq", "2", "--no-follow")
	if want := `{"specversion":"1.0","id":"1-9","type":"x","data":{"tags":["a b"]}}` + "\n"; stdout != want {
		t.Errorf("got %q", stdout)
	}
}

func TestATerminalObeysNoTitle(t *testing.T) {
	t.Parallel()
	got := visible([]byte("{\"a\":\"\u009b31m \u202e \x7f ü 🙂\"}"))
	if want := `{"a":"\u009b31m \u202e \u007f ü 🙂"}`; string(got) != want {
		t.Errorf("got %q", got)
	}
}

func TestEveryOutputIsOneLineForEachEvent(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 200)
	for _, args := range [][]string{{"-o", "text"}, {"-o", "cef"}, {"-o", "syslog"}, {"-o", "syslog", "--payload", "json", "--facility", "audit"}} {
		stdout, _ := r.tail(append(args, "--from", "beginning", "--no-follow")...)
		lines := slices.Collect(strings.Lines(stdout))
		if len(lines) != 200 {
			t.Fatalf("%q: %d lines", args, len(lines))
		}
		for i, line := range lines {
			if args[1] != "text" && !strings.Contains(line, r.ids[i]) {
				t.Fatalf("%q: line %d is not %s: %q", args, i, r.ids[i], line)
			}
		}
		if args[1] == "syslog" && len(args) > 2 && !strings.HasPrefix(stdout, "<110>1 2026-09-20T10:15:03.000Z docs.example.com docspace - FileMoved - {") {
			t.Errorf("%.200q", stdout)
		}
	}
}

func TestWhatComesWhileTheServerIsAskedForTheEndIsNotLeftOut(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 200)
	reader, err := publisher.OpenReader(t.Context(), r.server.Conn(t), publisher.ReaderOptions{Stream: "DOCSPACE", Subjects: []string{"docspace.folder.>"}})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan publisher.Delivery, 256)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = reader.Read(ctx, waiting) }()
	natstest.Eventually(t, "the server has nothing left", func() bool {
		is, err := reader.Drained(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return is
	})
	if is, err := drained(t.Context(), reader, waiting); is || err != nil {
		t.Errorf("over, with %d events that nobody took: %v", len(waiting), err)
	}
	for len(waiting) > 0 {
		<-waiting
	}
	if is, err := drained(t.Context(), reader, waiting); !is || err != nil {
		t.Errorf("not over with everything taken: %v", err)
	}
}

func TestTimesAndPlacesAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]publisher.Position{
		"now": {Now: true}, "beginning": {}, "2h": {Time: now.Add(-2 * time.Hour)}, "7d": {Time: now.AddDate(0, 0, -7)},
		"2026-01-31T00:00:00Z": {Time: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
	} {
		if got, err := parseFrom(text, now); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "#12", "-2h", "d", "-1d", "99999999d", "2026-01-31"} {
		if got, err := parseFrom(text, now); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestTailReadsFromTheConnectorOfThisMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address, key := startPortal(t, 1, 10)
	p := start(t, exec.Command(program(t), "run"), "DOCSPACE_URL="+address, "DOCSPACE_API_KEY="+key, "NATS_DATA_DIR="+dir, "HTTP_ADDR=")
	natstest.Eventually(t, "it says where it is", func() bool { _, err := publisher.FindLocal(dir); return err == nil })
	cfg := config.NATS{Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: "_INBOX", DataDir: dir}
	var stdout, stderr bytes.Buffer
	natstest.Eventually(t, "its stream is there", func() bool {
		stdout.Reset()
		return runTail(t.Context(), cfg, tailLine(t, "--from", "beginning", "--count", "10"), &stdout, &stderr) == nil
	})
	if got := len(idsOf(t, stdout.String())); got != 10 || stderr.Len() > 0 {
		t.Errorf("%d events, and it says %s", got, stderr.String())
	}
	p.kill()
	err := runTail(t.Context(), cfg, tailLine(t), &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "does not run any more") && !strings.Contains(err.Error(), "is another server") {
		t.Errorf("after it was killed: %v", err)
	}
}

func TestAFlagWithoutAValueIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--to", ""}, {"--file", ""}, {"--durable", ""}, {"--folder", ""}, {"--event", ""}, {"--actor", ""}, {"--text", ""}, {"--until", ""},
		{"--ca", "", "--to", "tls://h:1"}, {"--seq", "3", "--from", "2h"}, {"--payload", "json"}, {"--payload", "cef", "-o", "cef"},
	} {
		cmd := tailCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		var usage *usageError
		if err := cmd.Execute(); !errors.As(err, &usage) || !strings.Contains(err.Error(), args[0]) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

const (
	markChanges    = 6     // made in each mode
	changedHistory = 3_000 // rows of the room that is changed most
)

// Two processes publish what people do, and an operator changes marks under
// them. The numbers that were announced are what happened, to the row. In mode dedup
// marks are only put back: over rows that are being stored they cannot be moved on.
func TestMarksChangedUnderTwoReplicasPublishAgainAndSkipExactlyWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	for _, mode := range []publisher.Mode{publisher.Atomic, publisher.Dedup} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			town := newTown(t, rand.Uint64(), changedHistory)
			server := natstest.Process(t)
			env := town.environment("NATS_URL="+server.URL(), "NATS_COMMIT="+string(mode))
			var replicas []*process
			for range 2 {
				replicas = append(replicas, start(t, exec.Command(program(t), "run"), env...))
			}
			var made []changeRow
			for range markChanges {
				town.wait(t, replicas[0])
				town.wait(t, replicas[1])
				made = append(made, town.change(t, env, mode == publisher.Atomic)...)
			}
			for _, p := range replicas {
				p.kill()
			}
			town.rest()
			start(t, exec.Command(program(t), "run", "--once"), env...).finish(t)
			town.holdsChanges(t, server.URL(), made)
		})
	}
}

// change changes the mark of a room, of the one with a long history as often as of
// all others: it puts it back or, if it may, on. One that has no mark yet is left
// alone.
func (w *town) change(t *testing.T, env []string, on bool) []changeRow {
	t.Helper()
	rooms := w.portal.Rooms()
	room := slices.Min(rooms)
	if w.rng.IntN(2) == 0 {
		room = rooms[w.rng.IntN(len(rooms))]
	}
	args := []string{"checkpoint", "reset", "--folder", strconv.Itoa(room)}
	if on && w.rng.IntN(5) < 2 {
		args = []string{"checkpoint", "set", "--folder", strconv.Itoa(room), "--to", "now"}
	}
	cmd := exec.Command(program(t), append(args, "--reason", "a test", "--yes", "--json")...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if strings.Contains(stderr.String(), "it has no mark") {
			return nil
		}
		t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
	var rows []changeRow
	if err := json.Unmarshal(stdout.Bytes(), &rows); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stdout.String())
	}
	return rows
}

// A changedFolder is what is stored of a folder whose mark was changed.
type changedFolder struct {
	rows    []int64 // of the portal, ascending
	stored  int
	said    []schema.Connector
	since   map[int64]bool // rows stored that the mark does not let be stored again
	highest int64
}

func (f *changedFolder) add(e schema.Event) error {
	switch {
	case e.Data.Action.Name == schema.MarkChanged && e.Data.Connector != nil:
		f.change(*e.Data.Connector)
		return nil
	case e.Data.Connector != nil:
		return nil
	}
	id, err := strconv.ParseInt(e.Data.AuditID, 10, 64)
	switch {
	case err != nil:
		return err
	case f.since[id]:
		return fmt.Errorf("row %d is stored twice after change %d", id, len(f.said))
	case id < f.highest && !e.Data.Late:
		return fmt.Errorf("row %d is stored after row %d", id, f.highest)
	}
	f.stored++
	f.since[id], f.highest = true, max(f.highest, id)
	return nil
}

// change takes up what an operator did. What was stored and not accounted for, by
// a commit that was overtaken, is not to be stored again.
func (f *changedFolder) change(c schema.Connector) {
	left := make(map[int64]bool)
	for i, id := range f.rows {
		if f.since[id] && i >= int(*c.AccountedBefore) {
			left[id] = true
		}
	}
	f.said, f.since, f.highest = append(f.said, c), left, 0
}

// holdsChanges compares what is stored with the portal's rows and with what was
// announced.
func (w *town) holdsChanges(t *testing.T, url string, made []changeRow) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	folders := make(map[int]*changedFolder)
	for _, room := range w.portal.Rooms() {
		f := &changedFolder{since: make(map[int64]bool)}
		for _, row := range w.portal.Rows(room) {
			f.rows = append(f.rows, row.ID)
		}
		slices.Sort(f.rows)
		folders[room] = f
	}
	eachEvent(t, js, func(msg jetstream.Msg) error {
		var e schema.Event
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			return err
		}
		folder, err := strconv.Atoi(e.PartitionKey)
		if err != nil {
			return err
		}
		if err := folders[folder].add(e); err != nil {
			return fmt.Errorf("folder %d: %w", folder, err)
		}
		return nil
	})
	again, skipped := 0, 0
	for room, f := range folders {
		want := len(f.rows)
		for i, c := range slices.DeleteFunc(slices.Clone(made), func(c changeRow) bool { return c.Folder != room }) {
			if i >= len(f.said) || int(*f.said[i].Again) != c.Again || int(*f.said[i].Skipped) != c.Skipped || c.AtMost || !c.Done {
				t.Fatalf("room %d: %+v was announced, the stream says %+v", room, c, f.said)
			}
			want += c.Again - c.Skipped
			again, skipped = again+c.Again, skipped+c.Skipped
		}
		if f.stored != want {
			t.Errorf("room %d: %d rows are stored, want %d, of %d there are, with what was announced: %+v", room, f.stored, want, len(f.rows), made)
		}
	}
	t.Logf("%d changes, %d rows published again, %d skipped", len(made), again, skipped)
}

func TestAChangeIsMadeOnlyAfterAYes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, " y": true, "\n": false, "": false, "n\n": false, "yy\n": false} {
		var out, asked bytes.Buffer
		talk := &markTalk{in: strings.NewReader(answer), out: &out, err: &asked, o: &changeOptions{}}
		if err := talk.agree(t.Context(), 3); (err == nil) != want {
			t.Errorf("%q: %v", answer, err)
		}
		if got := asked.String(); got != "Change these 3 marks? [y/N] " || out.Len() > 0 {
			t.Errorf("asked %q, said %q", got, out.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never, _ := io.Pipe()
	t.Cleanup(func() { _ = never.Close() })
	talk := &markTalk{in: never, out: io.Discard, err: io.Discard, o: &changeOptions{}}
	if err := talk.ask(ctx, "Change this mark?"); !errors.Is(err, errDeclined) {
		t.Errorf("a stop while it asks: %v", err)
	}
}

package publisher

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher/natstest"
)

func TestMarksListsTheNewestMarkOfEveryFolder(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		o.Prefix = "a.b"
		j := open(t, natstest.Run(t).Conn(t), o)
		if marks, err := j.Marks(t.Context()); err != nil || len(marks) != 0 {
			t.Fatalf("Marks of an empty stream = %v, %v", marks, err)
		}
		var want []int
		for folder := 300; folder > 0; folder-- {
			mark := push(t, j, checkpoint.Mark{Folder: folder}, 1)
			if folder%3 == 0 {
				push(t, j, mark, 2)
			}
			want = append(want, folder)
		}
		slices.Reverse(want)
		marks, err := j.Marks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, m := range marks {
			got = append(got, m.Folder)
			if rows := 1 + 2*((3-m.Folder%3)/3); m.Accounted != rows || m.Revision == 0 {
				t.Errorf("%v, want %d rows", m, rows)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("folders %v", got)
		}
	})
}

func TestAMarkOfANewerProgramIsAnErrorAndNotAnEmptyMark(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	j := open(t, nc, Options{})
	if _, err := j.js.Publish(t.Context(), j.markSubject(7), []byte(`{"version":"9.0","folder":7}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Mark(t.Context(), 7); !errors.Is(err, checkpoint.ErrNewerVersion) {
		t.Fatalf("Mark = %v", err)
	}
	if _, err := j.Marks(t.Context()); !errors.Is(err, checkpoint.ErrNewerVersion) {
		t.Fatalf("Marks = %v", err)
	}
}

func TestAMarkRemovedByALimitOfTheStreamIsPutBack(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		nc := natstest.Run(t).Conn(t)
		o.MaxBytes = 128 << 10
		j := open(t, nc, o)
		idle := push(t, j, checkpoint.Mark{Folder: 7}, 10)
		waitCopied(t, j, idle)
		busy := checkpoint.Mark{Folder: 8}
		eventually(t, "the idle folder's mark is evicted", func() bool {
			busy = push(t, j, busy, 20)
			stored, err := j.lastMark(t.Context(), 7)
			return err == nil && stored.Revision == 0
		})
		restored, err := j.Mark(t.Context(), 7)
		if err != nil || restored.Accounted != 10 || restored.Revision <= idle.Revision {
			t.Fatalf("Mark = %+v, %v, want 10 rows at a new revision", restored, err)
		}
		push(t, j, restored, 3)
	})
}

func TestAMarkRemovedByAPurgeOfEverythingIsPutBack(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
		waitCopied(t, j, mark)
		if err := stream(t, j).Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if restored, err := j.Mark(t.Context(), 7); err != nil || restored.Accounted != 10 || restored.Revision == 0 {
			t.Fatalf("Mark = %+v, %v", restored, err)
		}
	})
}

func TestAMarkRemovedAloneStopsTheFolderUntilAnOperatorSetsIt(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
		push(t, j, checkpoint.Mark{Folder: 8}, 1)
		waitCopied(t, j, mark)
		if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSubject(j.markSubject(7))); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Mark(t.Context(), 7); !errors.Is(err, ErrMarkLost) {
			t.Fatalf("Mark = %v, want ErrMarkLost", err)
		}
		if _, err := j.Commit(t.Context(), 7, nil, checkpoint.Mark{Folder: 7}, mark); err != nil {
			t.Fatalf("set the mark: %v", err)
		}
		checkInvariants(t, j, 7)
	})
}

func TestTheCopyOfAMarkIsNotUsedForAStreamMadeAnew(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		nc := natstest.Run(t).Conn(t)
		j := open(t, nc, o)
		waitCopied(t, j, push(t, j, checkpoint.Mark{Folder: 7}, 3))
		if err := j.js.DeleteStream(t.Context(), j.o.Stream); err != nil {
			t.Fatal(err)
		}
		j = open(t, nc, o)
		push(t, j, checkpoint.Mark{Folder: 8}, 20)
		if mark, err := j.Mark(t.Context(), 7); err != nil || mark.Revision != 0 || mark.Accounted != 0 {
			t.Fatalf("Mark = %+v, %v, want none", mark, err)
		}
	})
}

func TestEventsWithoutAnyMarkAreNotStoredAgain(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		push(t, j, checkpoint.Mark{Folder: 7}, 300)
		if err := j.js.DeleteStream(t.Context(), j.copyName()); err != nil {
			t.Fatal(err)
		}
		if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSubject(j.markSubject(7))); err != nil {
			t.Fatal(err)
		}
		none, err := j.Mark(t.Context(), 7)
		if err != nil || none.Revision != 0 {
			t.Fatalf("Mark = %v, %v", none, err)
		}
		push(t, j, none, 400)
		more := push(t, j, checkInvariants(t, j, 7), 800)
		push(t, j, more, 900)
		if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSubject(j.markSubject(7))); err != nil {
			t.Fatal(err)
		}
		events := following(none, 1)
		if _, err := j.Commit(t.Context(), 7, events, none, none); !errors.Is(err, ErrMarkLost) {
			t.Fatalf("Commit below 2100 events without mark = %v, want ErrMarkLost", err)
		}
	})
}

func TestACopyThatCannotBeMadeIsAWarning(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE_MARKS", Subjects: []string{"other"}}); err != nil {
		t.Fatal(err)
	}
	if found := open(t, nc, Options{}).Findings(); len(found.Of(Warning)) != 1 || found[0].Setting != "stream DOCSPACE_MARKS" {
		t.Fatalf("findings %v", found)
	}
}

// waitCopied polls: the server copies in its own time.
func waitCopied(t *testing.T, j *JetStream, mark checkpoint.Mark) {
	t.Helper()
	eventually(t, "the mark is copied", func() bool {
		_, seq, _, err := j.copiedMark(t.Context(), mark.Folder)
		return err == nil && seq == mark.Revision
	})
}

func stream(t *testing.T, j *JetStream) jetstream.Stream {
	t.Helper()
	s, err := j.js.Stream(t.Context(), j.o.Stream)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

package publisher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
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

// Each is something that takes the mark of an idle folder away.
func TestAMarkThatIsTakenAwayIsPutBack(t *testing.T) {
	for name, take := range map[string]func(*testing.T, *JetStream, checkpoint.Mark){
		"by a purge of everything": func(t *testing.T, j *JetStream, _ checkpoint.Mark) { purge(t, j) },
		"by a purge that keeps the newest messages": func(t *testing.T, j *JetStream, _ checkpoint.Mark) {
			purge(t, j, jetstream.WithPurgeKeep(3))
		},
		"by a purge up to a sequence": func(t *testing.T, j *JetStream, mark checkpoint.Mark) {
			purge(t, j, jetstream.WithPurgeSequence(mark.Revision+1))
		},
		"with all marks": func(t *testing.T, j *JetStream, _ checkpoint.Mark) {
			purge(t, j, jetstream.WithPurgeSubject(j.markSubjects()))
		},
		"alone": func(t *testing.T, j *JetStream, mark checkpoint.Mark) {
			purge(t, j, jetstream.WithPurgeSubject(j.markSubject(mark.Folder)))
		},
		"by hand": func(t *testing.T, j *JetStream, mark checkpoint.Mark) {
			if err := stream(t, j).DeleteMsg(t.Context(), mark.Revision); err != nil {
				t.Fatal(err)
			}
		},
		"by max_bytes": func(t *testing.T, j *JetStream, mark checkpoint.Mark) {
			evict(t, j, mark, func(c *jetstream.StreamConfig) { c.MaxBytes = 128 << 10 })
		},
		"by max_msgs": func(t *testing.T, j *JetStream, mark checkpoint.Mark) {
			evict(t, j, mark, func(c *jetstream.StreamConfig) { c.MaxMsgs = 50 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, o Options) {
				j := open(t, natstest.Run(t).Conn(t), o)
				idle := push(t, j, checkpoint.Mark{Folder: 7}, 10)
				push(t, j, checkpoint.Mark{Folder: 8}, 5)
				waitCopied(t, j, idle)
				before := storedUpTo(t, j, 7)
				take(t, j, idle)
				if now, err := j.lastMark(t.Context(), 7); err != nil || now.Revision != 0 {
					t.Fatalf("the mark is still there: %v, %v", now, err)
				}
				mark, err := j.Mark(t.Context(), 7)
				if err != nil || mark.Accounted != 10 || mark.Revision <= idle.Revision || mark.Unsettled != 0 {
					t.Fatalf("Mark = %+v, %v, want 10 rows at a new revision", mark, err)
				}
				push(t, j, mark, 3)
				if after := storedUpTo(t, j, 7); after[len(after)-1] != 13 || len(after) > len(before)+3 {
					t.Fatalf("rows %v are stored, before %v", after, before)
				}
			})
		})
	}
}

func purge(t *testing.T, j *JetStream, options ...jetstream.StreamPurgeOpt) {
	t.Helper()
	if err := stream(t, j).Purge(t.Context(), options...); err != nil {
		t.Fatal(err)
	}
}

// evict sets a limit and lets another folder reach it, until a mark is gone.
func evict(t *testing.T, j *JetStream, idle checkpoint.Mark, limit func(*jetstream.StreamConfig)) {
	t.Helper()
	config := stream(t, j).CachedInfo().Config
	limit(&config)
	if _, err := j.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	busy := checkpoint.Mark{Folder: 9}
	natstest.Eventually(t, "the idle folder's mark is evicted", func() bool {
		busy = push(t, j, busy, 20)
		stored, err := j.lastMark(t.Context(), idle.Folder)
		return err == nil && stored.Revision == 0
	})
}

// storedUpTo returns the ids of the rows of a folder in the order they lie in,
// and fails when one is there twice.
func storedUpTo(t *testing.T, j *JetStream, folder int) []int64 {
	t.Helper()
	ids, err := storedIDs(t.Context(), j, folder)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]int64, len(ids))
	seen := make(map[string]bool)
	for i, id := range ids {
		if seen[id] {
			t.Fatalf("event %s is stored twice", id)
		}
		seen[id] = true
		if _, err := fmt.Sscanf(id, fmt.Sprint(folder)+"-%d", &rows[i]); err != nil {
			t.Fatalf("event %s: %v", id, err)
		}
	}
	return rows
}

// The server copies in its own time: what was committed meanwhile is not in the
// copy.
func TestEventsAboveAMarkWhoseCopyLaggedAreNotStoredAgain(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t)
		j := open(t, server.Conn(t), o)
		old := push(t, j, checkpoint.Mark{Folder: 7}, 10)
		waitCopied(t, j, old)
		stopCopying(t, j)
		push(t, j, push(t, j, old, 20), 70)
		purge(t, j, jetstream.WithPurgeSubject(j.markSubject(7)))

		mark, err := j.Mark(t.Context(), 7)
		if err != nil || mark.Accounted != 10 || mark.Unsettled != old.Revision+1 {
			t.Fatalf("Mark = %+v, %v, want 10 rows and where the others are", mark, err)
		}
		publishUpTo(t, j, 7, 50)
		publishUpTo(t, open(t, server.Conn(t), o), 7, 150) // another process goes on
		if now := checkInvariants(t, j, 7); now.Unsettled != 0 || now.Accounted != 150 {
			t.Fatalf("%+v: 150 rows are accounted for, and nothing is left to look for", now)
		}
	})
}

func TestAFolderWithoutMarkAndCopyIsReadAgainAndNothingIsStoredTwice(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t)
		j := open(t, server.Conn(t), o)
		const rows = 2 * MaxEvents
		publishUpTo(t, j, 7, rows)
		loseMarks(t, j)

		mark, err := j.Mark(t.Context(), 7)
		if err != nil || mark.Revision != 0 || mark.Unsettled != 1 || mark.Since.IsZero() {
			t.Fatalf("Mark = %+v, %v, want one that tells that something is stored", mark, err)
		}
		// Before the first mark a dedup commit leaves the same when it is cut off.
		if said := strings.Contains(mark.Reason, "lost"); said != (o.Commit == Atomic) {
			t.Fatalf("the reason is %q", mark.Reason)
		}
		j.portion = 300
		publishUpTo(t, j, 7, rows/3)
		if now, err := j.Mark(t.Context(), 7); err != nil || now.Unsettled != 1 {
			t.Fatalf("Mark = %+v, %v, want it to tell that more is stored", now, err)
		}
		// Killed in the middle: another process knows no more than the mark.
		j = open(t, server.Conn(t), o)
		publishUpTo(t, j, 7, rows+50)
		if now := checkInvariants(t, j, 7); now.Unsettled != 0 || len(now.Recent) != checkpoint.MaxRecent {
			t.Fatalf("the mark remembers %d rows, and that some lie from %d on", len(now.Recent), now.Unsettled)
		}
		if len(j.sets.of) != 0 {
			t.Error("what was read back is kept for good")
		}
	})
}

// loseMarks takes marks and copy away.
func loseMarks(t *testing.T, j *JetStream) {
	t.Helper()
	if err := j.js.DeleteStream(t.Context(), j.copyName()); err != nil {
		t.Fatal(err)
	}
	purge(t, j, jetstream.WithPurgeSubject(j.markSubjects()))
}

func TestRowsWhoseEventsTheStreamHasDroppedAreNotStoredAgainWhenTheMarkIsLost(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		publishUpTo(t, j, 7, 3*MaxEvents)
		purge(t, j, jetstream.WithPurgeKeep(MaxEvents+500))
		before := storedUpTo(t, j, 7)
		loseMarks(t, j)
		publishUpTo(t, j, 7, 3*MaxEvents+10)
		after := storedUpTo(t, j, 7)
		if len(after) != len(before)+10 || after[0] != before[0] || after[0] == 1 {
			t.Fatalf("%d rows from %d on were stored, now %d from %d on", len(before), before[0], len(after), after[0])
		}
	})
}

func TestRowsWithoutIDsAreNotStoredAgainWhenTheMarkIsLost(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		commit := func(mark checkpoint.Mark, from, to int) checkpoint.Mark {
			t.Helper()
			events := hashedEvents(7, from, to)
			next := mark
			next.Accounted, next.NewestEvent = to, events[len(events)-1].Time
			next, err := j.Commit(t.Context(), 7, events, mark, next)
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		commit(commit(checkpoint.Mark{Folder: 7}, 0, 300), 300, 600)
		loseMarks(t, j)
		mark, err := j.Mark(t.Context(), 7)
		if err != nil || mark.Unsettled != 1 {
			t.Fatalf("Mark = %+v, %v", mark, err)
		}
		mark = commit(commit(mark, 0, 500), 500, 620)
		if ids, err := storedIDs(t.Context(), j, 7); err != nil || len(ids) != 620 || mark.Unsettled != 0 {
			t.Fatalf("%d events are stored, want 620; mark %+v, %v", len(ids), mark, err)
		}
	})
}

// hashedEvents are those of rows without ids, a second apart.
func hashedEvents(folder, from, to int) []schema.Event {
	events := checkpointtest.Events(folder, 1, to)[from:]
	for i := range events {
		events[i].ID, events[i].Sequence = schema.HashedEventID("docspace.example.com", folder, fmt.Sprint(from+i), 0), ""
		events[i].Time = events[i].Time.Add(time.Duration(from+i) * time.Second)
	}
	return events
}

func TestAStreamMadeAnewBeginsAnewAndSaysSo(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		nc := natstest.Run(t).Conn(t)
		j := open(t, nc, o)
		waitCopied(t, j, push(t, j, checkpoint.Mark{Folder: 7}, 3))
		if err := j.js.DeleteStream(t.Context(), j.o.Stream); err != nil {
			t.Fatal(err)
		}
		j = open(t, nc, o)
		push(t, j, checkpoint.Mark{Folder: 8}, 20)
		mark, err := j.Mark(t.Context(), 7)
		if err != nil || mark.Revision != 0 || mark.Accounted != 0 || mark.Unsettled != 0 || !strings.Contains(mark.Reason, "made anew") {
			t.Fatalf("Mark = %+v, %v, want none, and why", mark, err)
		}
		push(t, j, mark, 5)
		checkInvariants(t, j, 7)
	})
}

// A copy can be of messages that a server has lost, and whose sequences others
// have taken since.
func TestTheCopyOfAMarkTheStreamHasLostWithItsEventsIsNotUsed(t *testing.T) {
	for name, grown := range map[string]int{"at once": 0, "after as many other messages": 60} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, o Options) {
				server := natstest.Run(t)
				j := open(t, server.Conn(t), o)
				eight := push(t, j, checkpoint.Mark{Folder: 8}, 4)
				server.Shutdown()
				backup := t.TempDir()
				files := filepath.Join(server.Dir(), "jetstream", "$G", "streams", j.o.Stream)
				if err := os.CopyFS(backup, os.DirFS(files)); err != nil {
					t.Fatal(err)
				}
				server.Restart()
				natstest.Eventually(t, "the connection is back", j.nc.IsConnected)
				anchor := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				waitCopied(t, j, push(t, j, checkpoint.Mark{Folder: 7, Anchor: anchor}, 30))

				server.Shutdown()
				if err := errors.Join(os.RemoveAll(files), os.CopyFS(files, os.DirFS(backup))); err != nil {
					t.Fatal(err)
				}
				server.Restart()
				natstest.Eventually(t, "the connection is back", j.nc.IsConnected)
				if grown > 0 {
					push(t, j, eight, grown)
				}
				mark, err := j.Mark(t.Context(), 7)
				if err != nil || mark.Accounted != 0 || !mark.Anchor.Equal(anchor) || !strings.Contains(mark.Reason, "lost its newest messages") {
					t.Fatalf("Mark = %+v, %v, want none, and why", mark, err)
				}
				push(t, j, mark, 30)
				checkInvariants(t, j, 7)
			})
		})
	}
}

// A server that starts drops what is older than max_age, marks, too: of a folder
// that was idle only the copy is left. After a power failure that can be of a mark
// the stream has lost.
func TestAnIdleFolderGoesOnFromTheLastMarkThatWasNotLost(t *testing.T) {
	t.Parallel()
	nothing := func(*testing.T, *JetStream) {}
	for name, then := range map[string]func(*testing.T, *JetStream){
		"at once": nothing,
		"after as many other messages": func(t *testing.T, j *JetStream) {
			push(t, j, checkpoint.Mark{Folder: 8}, 60)
		},
		"after as many marks that others replaced": func(t *testing.T, j *JetStream) {
			var replaced []checkpoint.Mark
			for folder := range 10 {
				replaced = append(replaced, push(t, j, checkpoint.Mark{Folder: 100 + folder}, 0))
			}
			for _, mark := range replaced[1:] {
				push(t, j, mark, 0)
			}
		},
	} {
		for settings, damage := range map[string]func(*testing.T, string){
			"with its settings": func(*testing.T, string) {},
			"with its settings lost": func(t *testing.T, files string) {
				if err := os.Truncate(filepath.Join(files, "meta.inf"), 0); err != nil {
					t.Fatal(err)
				}
			},
		} {
			t.Run(name+"/"+settings, func(t *testing.T) {
				t.Parallel()
				o := Options{MaxAge: time.Second}
				server := natstest.Run(t)
				j := open(t, server.Conn(t), o)
				mark := push(t, j, push(t, j, checkpoint.Mark{Folder: 7}, 25), 5)
				waitCopied(t, j, mark)
				server.Shutdown()
				files := filepath.Join(server.Dir(), "jetstream", "$G", "streams", j.o.Stream)
				backup := t.TempDir()
				if err := os.CopyFS(backup, os.DirFS(files)); err != nil {
					t.Fatal(err)
				}
				server.Restart()
				mark, err := j.Mark(t.Context(), 7) // it may be old enough to be dropped and put back
				if err != nil || mark.Accounted != 30 {
					t.Fatalf("Mark = %+v, %v, want 30 rows", mark, err)
				}
				waitCopied(t, j, push(t, j, push(t, j, mark, 1), 2))
				server.Shutdown()
				if err := errors.Join(os.RemoveAll(files), os.CopyFS(files, os.DirFS(backup))); err != nil {
					t.Fatal(err)
				}
				damage(t, files)
				stopped := time.Now()
				natstest.Eventually(t, "everything is old", func() bool { return time.Since(stopped) > o.MaxAge })
				server.Restart()
				j = open(t, server.Conn(t), o)
				if now, err := j.lastMark(t.Context(), 7); err != nil || now.Revision != 0 {
					t.Fatalf("the mark is still there: %+v, %v", now.Mark, err)
				}
				config := stream(t, j).CachedInfo().Config
				config.MaxAge = 0 // what follows must not grow old before it is counted
				if _, err := j.js.UpdateStream(t.Context(), config); err != nil {
					t.Fatal(err)
				}
				then(t, j)

				now, err := j.Mark(t.Context(), 7)
				if err != nil || now.Accounted != 30 || now.Revision == 0 {
					t.Fatalf("Mark = %+v, %v, want 30 rows", now, err)
				}
				push(t, j, now, 4)
				if rows := storedUpTo(t, j, 7); !slices.Equal(rows, []int64{31, 32, 33, 34}) {
					t.Fatalf("rows %v are stored, want those that were lost and the new one", rows)
				}
			})
		}
	}
}

// Whoever starts learns from them which folders were published, since when and of
// which portal.
func TestMarksListsFoldersOfWhichOnlyTheCopyHasAMark(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		nc := natstest.Run(t).Conn(t)
		j := open(t, nc, o)
		idle := push(t, j, checkpoint.Mark{Folder: 7, Portal: "docspace.example.com"}, 10)
		waitCopied(t, j, idle)
		purge(t, j)
		waitCopied(t, j, push(t, j, checkpoint.Mark{Folder: 8}, 1)) // before the stream is gone
		marks, err := j.Marks(t.Context())
		if err != nil || len(marks) != 2 || marks[0].Folder != 7 || marks[0].Accounted != 10 || marks[0].Portal == "" || marks[1].Folder != 8 {
			t.Fatalf("Marks = %v, %v, want folders 7 and 8", marks, err)
		}

		if err := j.js.DeleteStream(t.Context(), j.o.Stream); err != nil {
			t.Fatal(err)
		}
		j = open(t, nc, o)
		if marks, err := j.Marks(t.Context()); err != nil || len(marks) != 0 {
			t.Fatalf("Marks of a stream made anew = %v, %v", marks, err)
		}
	})
}

// A commit that was cut off may be followed by a smaller one.
func TestEventsOfACommitThatWasCutOffAreRememberedUntilAllAreAccountedFor(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t)
		j := open(t, server.Conn(t), o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
		dedup := open(t, server.Conn(t), Options{Commit: Dedup})
		storeForgotten(t, dedup, mark, 0, 10)
		mark = push(t, j, mark, 4)
		mark = push(t, j, mark, 0)
		j = open(t, server.Conn(t), o)
		mark = push(t, j, mark, 4)
		mark = push(t, j, mark, 4)
		if now := checkInvariants(t, j, 7); now.Accounted != 15 || now.Unsettled != 0 || mark.Unsettled != 0 {
			t.Fatalf("%+v", now)
		}
	})
}

func TestARowOvertakenByACommitThatWasCutOffSaysThatItIsLate(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		server := natstest.Run(t)
		j := open(t, server.Conn(t), o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
		dedup := open(t, server.Conn(t), Options{Commit: Dedup})
		skipped := mark
		skipped.Accounted++
		storeForgotten(t, dedup, skipped, 0, 3) // rows 5 to 7; row 4 becomes visible now
		mark = push(t, j, mark, 5)
		var late []string
		err := eachMessage(t.Context(), j, j.EventSubjects(), func(msg jetstream.Msg) error {
			e, err := schema.Decode(msg.Data())
			if e.Data.Late {
				late = append(late, e.ID)
			}
			return err
		})
		if err != nil || !slices.Equal(late, []string{"7-4"}) {
			t.Fatalf("late are %v, %v", late, err)
		}
		if rows := storedUpTo(t, j, 7); !slices.Equal(rows, []int64{1, 2, 3, 5, 6, 7, 4, 8}) || mark.Unsettled != 0 {
			t.Fatalf("rows %v", rows)
		}
	})
}

func TestWhatACommitThatWasCutOffSaidIsSaidAgainOnlyIfItHasChanged(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
		origin := schema.Origin{Portal: "docspace.example.com", SourceBase: "https://docspace.example.com", Folder: 7}
		gap := func(rows int64) schema.Event {
			return origin.Connector(schema.Gap, mark.Revision, schema.Live, time.Now(), schema.Connector{Reason: "hidden", Rows: rows})
		}
		first := gap(2)
		if _, err := j.js.Publish(t.Context(), first.NATSSubject(j.o.Prefix), first.Encode()); err != nil {
			t.Fatal(err)
		}
		now, err := j.Commit(t.Context(), 7, []schema.Event{gap(2), gap(5)}, mark, mark)
		if err != nil || now.Unsettled != 0 {
			t.Fatalf("Commit = %+v, %v", now, err)
		}
		ids, err := storedIDs(t.Context(), j, 7)
		if again := gap(5); err != nil || !slices.Equal(ids[3:], []string{first.ID, again.ID}) {
			t.Fatalf("events %v, %v, want each gap once", ids, err)
		}
	})
}

func TestAStrangersMessageOnAFoldersSubjectIsNamed(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	ack, err := j.js.Publish(t.Context(), "docspace.folder.7.file.created", []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	none := checkpoint.Mark{Folder: 7}
	events := following(none, 1)
	_, err = j.Commit(t.Context(), 7, events, none, none)
	if want := fmt.Sprintf("sequence %d", ack.Sequence); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("Commit = %v, want %s named", err, want)
	}
}

func TestACopyThatKeepsNoMarksIsAWarningWithTheSetting(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	j := open(t, nc, Options{})
	for setting, change := range map[string]func(*jetstream.StreamConfig){
		"sources": func(c *jetstream.StreamConfig) { c.Sources, c.Subjects = nil, []string{"other"} },
		"mirror": func(c *jetstream.StreamConfig) {
			*c = jetstream.StreamConfig{Name: c.Name, Mirror: &jetstream.StreamSource{Name: "DOCSPACE"}}
		},
		"subject_transform": func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "docspace.checkpoint.*", Destination: "elsewhere.{{wildcard(1)}}"}
		},
		"max_msgs_per_subject": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = -1 },
		"max_age":              func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"max_bytes":            func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 },
		"max_msgs":             func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 },
		"max_msg_size":         func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 },
		"retention":            func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"storage":              func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"sealed":               nil,
		"created":              nil,
	} {
		if err := j.js.DeleteStream(t.Context(), j.copyName()); err != nil {
			t.Fatal(err)
		}
		config := j.wantedCopy()
		if change != nil {
			change(&config)
		}
		if _, err := j.js.CreateStream(t.Context(), config); err != nil {
			t.Fatalf("%s: %v", setting, err)
		}
		switch setting {
		case "sealed":
			config.Sealed = true
			if _, err := j.js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		case "created":
			if err := j.js.DeleteStream(t.Context(), j.o.Stream); err != nil {
				t.Fatal(err)
			}
			open(t, nc, Options{})
		}
		is, err := Inspect(t.Context(), nc, Options{}, false)
		want := "stream DOCSPACE_MARKS: " + setting
		if err != nil || is.Findings.Err() != nil || !slices.ContainsFunc(is.Findings, func(f Finding) bool { return f.Setting == want && f.Need != "" }) {
			t.Errorf("%s: findings %v, %v", setting, is.Findings, err)
		}
	}
}

func TestACopyThatOlderServersLeaveEmptyIsNoticed(t *testing.T) {
	t.Parallel()
	j := open(t, natstest.Run(t).Conn(t), Options{})
	f, err := j.copyFacts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	j.level = apiLevel - 1
	f.wantCopy = j.wantedCopy()
	if found := apply(copyRules, f); len(found) != 1 || found[0].Setting != "allow_rollup_hdrs" {
		t.Fatalf("findings %v", found)
	}
}

// waitCopied polls: the server copies in its own time.
func waitCopied(t *testing.T, j *JetStream, mark checkpoint.Mark) {
	t.Helper()
	natstest.Eventually(t, "the mark is copied", func() bool {
		copied, err := j.copiedMark(t.Context(), mark.Folder)
		return err == nil && copied.Revision == mark.Revision
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

// What was read of a stream that is gone says nothing about the one made in its
// place.
func TestARecoveryInHandDoesNotLeaveOutRowsOfAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	j := open(t, server.Conn(t), Options{})
	publishUpTo(t, j, 7, 900)
	loseMarks(t, j)
	publishUpTo(t, j, 7, 300) // the recovery is in hand
	for _, name := range []string{j.o.Stream, j.copyName()} {
		if err := j.js.DeleteStream(t.Context(), name); err != nil && name == j.o.Stream {
			t.Fatal(err)
		}
	}
	open(t, server.Conn(t), Options{}) // check --fix, or another replica
	mark, err := j.Mark(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	mark = push(t, j, mark, 100)
	if rows := storedUpTo(t, j, 7); len(rows) != mark.Accounted {
		t.Fatalf("%d rows are accounted for, %d stored", mark.Accounted, len(rows))
	}
}

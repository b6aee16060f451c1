package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/queue"
	"docspace-nats/publisher/natstest"
)

// viewers is a server whose user viewer has what a View needs and no more.
func viewers(t *testing.T, o Options, without ...string) *natstest.Server {
	t.Helper()
	may := &server.Permissions{Publish: &server.SubjectPermission{Deny: without}, Subscribe: &server.SubjectPermission{Deny: without}}
	for _, p := range ViewPermissions(o) {
		if p.Operation == Publish {
			may.Publish.Allow = append(may.Publish.Allow, p.Subject)
		} else {
			may.Subscribe.Allow = append(may.Subscribe.Allow, p.Subject)
		}
	}
	return natstest.Run(t, func(opts *server.Options) {
		opts.Users = []*server.User{{Username: "connector", Password: password}, {Username: "viewer", Password: password, Permissions: may}}
	})
}

func look(t *testing.T, s *natstest.Server, o Options) *View {
	t.Helper()
	v, err := Look(t.Context(), s.Conn(t, nats.UserInfo("viewer", password)), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAViewShowsWhatThereIsAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := viewers(t, Options{})
	viewer := s.Conn(t, nats.UserInfo("viewer", password))
	if _, err := Look(t.Context(), viewer, Options{}); !errors.Is(err, jetstream.ErrStreamNotFound) || !strings.Contains(err.Error(), "start the connector, which creates it") {
		t.Errorf("without a stream: %v", err)
	}
	js, err := jetstream.New(s.Conn(t, nats.UserInfo("connector", password)))
	if err != nil {
		t.Fatal(err)
	}
	for name := range js.StreamNames(t.Context()).Name() {
		t.Errorf("it made the stream %s", name)
	}

	j := open(t, js.Conn(), Options{})
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 30)
	push(t, j, checkpoint.Mark{Folder: 8}, 3)
	q := j.Queue(crowded)
	defer q.Close()
	for folder, lane := range map[int]queue.Lane{7: queue.Quiet, 8: queue.Hinted} {
		if err := q.Put(t.Context(), folder, lane); err != nil {
			t.Fatal(err)
		}
	}
	before := stream(t, j).CachedInfo()
	v := look(t, s, Options{})
	marks, err := v.Marks(t.Context())
	if err != nil || len(marks) != 2 || marks[0].Folder != 7 || marks[0].Accounted != 30 || marks[0].Revision != mark.Revision || len(marks[0].Recent) > 0 {
		t.Fatalf("marks: %+v, %v", marks, err)
	}
	lanes, err := v.Lanes(t.Context())
	if diff := cmp.Diff(map[int]queue.Lane{7: queue.Quiet, 8: queue.Hinted}, lanes); diff != "" || err != nil {
		t.Errorf("lanes: %v (-want +got):\n%s", err, diff)
	}
	if v.Mode() != Atomic || v.Stream() != "DOCSPACE" || len(v.Hidden()) > 0 {
		t.Errorf("mode %s of %s, hidden: %v", v.Mode(), v.Stream(), v.Hidden())
	}
	// What is new is seen, and what was there stays.
	push(t, j, mark, 5)
	if marks, err = v.Marks(t.Context()); err != nil || len(marks) != 2 || marks[0].Accounted != 35 || marks[1].Accounted != 3 {
		t.Errorf("after five more: %+v, %v", marks, err)
	}
	if n := stream(t, j).CachedInfo().State.LastSeq - before.State.LastSeq; n != 6 {
		t.Errorf("%d messages were stored, want the six of the commit", n)
	}
	// A stream that was made anew is not mixed with the one before.
	if err := js.DeleteStream(t.Context(), "DOCSPACE"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Marks(t.Context()); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("without the stream: %v", err)
	}
	if err := js.DeleteStream(t.Context(), "DOCSPACE_MARKS"); err != nil {
		t.Fatal(err)
	}
	push(t, open(t, js.Conn(), Options{}), checkpoint.Mark{Folder: 9}, 1)
	if marks, err = v.Marks(t.Context()); err != nil || len(marks) != 1 || marks[0].Folder != 9 {
		t.Errorf("of the new stream: %+v, %v", marks, err)
	}
}

func TestAViewShowsTheMarksThatOnlyTheCopyHas(t *testing.T) {
	t.Parallel()
	s := viewers(t, Options{})
	j := open(t, s.Conn(t, nats.UserInfo("connector", password)), Options{})
	waitCopied(t, j, push(t, j, checkpoint.Mark{Folder: 7}, 30))
	if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSubject("docspace.checkpoint.*")); err != nil {
		t.Fatal(err)
	}
	marks, err := look(t, s, Options{}).Marks(t.Context())
	if err != nil || len(marks) != 1 || marks[0].Accounted != 30 {
		t.Errorf("got %+v, %v", marks, err)
	}
}

func TestAViewSaysWhichPermissionItLacks(t *testing.T) {
	t.Parallel()
	for _, p := range ViewPermissions(Options{}) {
		s := viewers(t, Options{}, p.Subject)
		j := open(t, s.Conn(t, nats.UserInfo("connector", password)), Options{})
		stored := push(t, j, checkpoint.Mark{Folder: 7}, 3)
		there := 1
		if strings.Contains(p.Subject, "DOCSPACE_MARKS") { // where only the copy has the mark, it is not seen
			waitCopied(t, j, stored)
			if err := stream(t, j).Purge(t.Context(), jetstream.WithPurgeSubject("docspace.checkpoint.*")); err != nil {
				t.Fatal(err)
			}
			there = 0
		}
		v, err := Look(t.Context(), s.Conn(t, nats.UserInfo("viewer", password)), Options{})
		if p.severity == Broken {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("permission to %s %s is missing", p.Operation, p.Subject)) {
				t.Errorf("without %s: %v", p.Subject, err)
			}
			continue
		}
		if err != nil || len(v.Hidden()) != map[Severity]int{Warning: 1}[p.severity] {
			t.Errorf("without %s: %v", p.Subject, err)
			continue
		}
		began := time.Now()
		marks, err := v.Marks(t.Context())
		if err != nil || len(marks) != there {
			t.Errorf("without %s: %v, %v", p.Subject, marks, err)
		}
		if _, err := v.Lanes(t.Context()); err != nil {
			t.Errorf("without %s: %v", p.Subject, err)
		}
		if _, err := v.Title(t.Context(), 7); err != nil {
			t.Errorf("without %s: %v", p.Subject, err)
		}
		if err := v.Ask(t.Context(), nil, func([]byte) bool { return true }); !errors.Is(err, ErrNobodyAnswers) {
			t.Errorf("without %s: %v", p.Subject, err)
		}
		if took := time.Since(began); took >= answerWait {
			t.Errorf("without %s it waited for what cannot come: %s", p.Subject, took)
		}
	}
}

func TestEveryReplicaAnswersAndOnlyWhoAsksHears(t *testing.T) {
	t.Parallel()
	s := viewers(t, Options{})
	v := (*View)(nil)
	for i := range 2 {
		j := open(t, s.Conn(t, nats.UserInfo("connector", password)), Options{})
		if v == nil {
			v = look(t, s, Options{})
			if err := v.Ask(t.Context(), nil, func([]byte) bool { return true }); !errors.Is(err, ErrNobodyAnswers) {
				t.Errorf("nobody is there, and yet: %v", err)
			}
		}
		replying(t, j, func(question []byte, most int) []byte {
			if string(question) == "silence" {
				return nil
			}
			return fmt.Appendf(nil, "%s %d, %v", question, i, most > 500_000)
		})
	}
	heard := make(map[string]bool)
	if err := v.Ask(t.Context(), []byte("who?"), func(answer []byte) bool {
		heard[string(answer)] = true
		return len(heard) == 2
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"who? 0, true": true, "who? 1, true": true}, heard); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := v.Ask(ctx, []byte("silence"), func([]byte) bool { return true }); !errors.Is(err, ErrNobodyAnswers) {
		t.Errorf("silence is %v", err)
	}
}

// replying lets a replica answer until the test ends, and returns once it listens.
func replying(t *testing.T, j *JetStream, answer func([]byte, int) []byte) {
	t.Helper()
	probe, listens := nuid.Next(), make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- j.Answer(ctx, func(question []byte, most int) []byte {
			if string(question) != probe {
				return answer(question, most)
			}
			select {
			case listens <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	natstest.Eventually(t, "the replica listens", func() bool {
		if err := j.nc.PublishRequest(j.questions(), j.questions()+"."+probe, []byte(probe)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-listens:
			return true
		default:
			return false
		}
	})
}

// Whoever may ask could otherwise make a connector store what it wants.
func TestAnswersGoNowhereElse(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	j := open(t, s.Conn(t), Options{})
	replying(t, j, func([]byte, int) []byte { return []byte("an answer") })
	nc := s.Conn(t)
	everything, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"docspace.folder.7.file.moved", "docspace.checkpoint.7", "_INBOX.x", "DOCSPACE_STATUS", "DOCSPACE_STATUS.a.b", "DOCSPACE_STATUSES.a", "$JS.API.STREAM.DELETE.DOCSPACE"} {
		if err := nc.PublishRequest("DOCSPACE_STATUS", reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.PublishRequest("DOCSPACE_STATUS", "DOCSPACE_STATUS.a", make([]byte, longestQuestion+1)); err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("DOCSPACE_STATUS", "DOCSPACE_STATUS.last", nil); err != nil {
		t.Fatal(err)
	}
	for {
		msg, err := everything.NextMsgWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(msg.Data) != "an answer" {
			continue
		}
		if msg.Subject != "DOCSPACE_STATUS.last" {
			t.Errorf("it answered on %s", msg.Subject)
			continue
		}
		return
	}
}

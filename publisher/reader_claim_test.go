package publisher

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

// patient are options of a durable reader that waits for others as long as it takes.
func (r *readerRig) patient(durable string) ReaderOptions {
	o := r.options(durable)
	o.patience = natstest.Patience
	return o
}

// shortly are those whose requests for messages live as shortly as can be, too.
func (r *readerRig) shortly(durable string) ReaderOptions {
	o := r.patient(durable)
	o.pull = 2500 * time.Millisecond
	return o
}

// refusedAfter is how long a reader waits that is not let in.
const refusedAfter = otherReaderTold + 300*time.Millisecond

// refused opens a reader, which another one must keep out, however long that one
// takes to answer.
func (r *readerRig) refused(nc *nats.Conn, o ReaderOptions) {
	r.t.Helper()
	o.patience, o.silent = refusedAfter, natstest.Patience
	if _, err := OpenReader(r.t.Context(), nc, o); err == nil || !strings.Contains(err.Error(), "consumer "+o.Durable+" of stream DOCSPACE: another process reads with it") {
		r.t.Errorf("a second reader got %v", err)
	}
}

// requestsEnd waits until a reader has got messages and asks for no more.
func (r *readerRig) requestsEnd(durable string) {
	r.t.Helper()
	natstest.Eventually(r.t, "the request for messages ends", func() bool {
		consumer, err := r.js.Consumer(r.t.Context(), "DOCSPACE", durable)
		return err == nil && consumer.CachedInfo().NumAckPending > 0 && consumer.CachedInfo().NumWaiting == 0
	})
}

// forgotten waits until the server knows that a reader which has ended does not
// listen any more.
func (r *readerRig) forgotten(is *reading) {
	r.t.Helper()
	natstest.Eventually(r.t, "nobody listens", func() bool {
		_, err := r.js.Conn().Request(is.reader.claimant.subject, nil, time.Second)
		return errors.Is(err, nats.ErrNoResponders)
	})
}

func TestASecondReaderIsRefusedWhileTheFirstWaitsForItsTarget(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 3)
	first := r.read(r.conn(), r.shortly("siem"))
	r.requestsEnd("siem")
	r.refused(r.conn(), r.shortly("siem"))
	first.reader.Done(first.next(1, 2)...) // it was not disturbed
	r.flush(first)
	first.die()
	r.forgotten(first)
	o := r.shortly("siem")
	o.silent = natstest.Patience
	began := time.Now()
	r.read(r.conn(), o).next(3, 1)
	if took := time.Since(began); took > o.silent {
		t.Errorf("after the first had ended it took %s", took)
	}
}

func TestASecondReaderWithOtherSettingsIsToldWhichAndNotToWait(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 3)
	r.read(r.conn(), r.shortly("siem")).next(1, 3)
	other := r.shortly("siem")
	other.Subjects = []string{"docspace.folder.7.>"}
	if _, err := OpenReader(r.t.Context(), r.conn(), other); err == nil || !strings.Contains(err.Error(), "exists with other settings: the filter is") {
		t.Errorf("got %v", err)
	}
}

func TestOfReadersThatStartAtTheSameMomentOneGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		conns    func(*testing.T) []*nats.Conn
		consumer bool // is there
	}{
		{"on one server", func(t *testing.T) []*nats.Conn { s := natstest.Run(t); return sameServer(t, s, s, s) }, false},
		{"with a consumer that is there", func(t *testing.T) []*nats.Conn { s := natstest.Run(t); return sameServer(t, s, s, s) }, true},
		{"on three servers", func(t *testing.T) []*nats.Conn { return sameServer(t, natstest.Cluster(t, 3).Servers...) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conns := c.conns(t)
			plainStream(t, conns[0], "DOCSPACE", "docspace")
			for round := range 5 {
				o := ReaderOptions{Stream: "DOCSPACE", Subjects: []string{"docspace.folder.>"}, Durable: fmt.Sprintf("siem%d", round), patience: time.Second, silent: 10 * time.Second}
				if c.consumer {
					js, err := jetstream.New(conns[0])
					if err != nil {
						t.Fatal(err)
					}
					r := newReader(conns[0], js, o)
					config := r.durableConfig()
					subjects(o.Subjects).apply(&config)
					if _, err := js.CreateConsumer(t.Context(), "DOCSPACE", config); err != nil {
						t.Fatal(err)
					}
				}
				in, out := startTogether(t, conns, o)
				if in != 1 || len(out) != len(conns)-1 {
					t.Errorf("round %d: %d go on, the others: %v", round, in, out)
				}
				for _, err := range out {
					if !strings.Contains(err.Error(), "another process reads with it") {
						t.Errorf("round %d: %v", round, err)
					}
				}
			}
		})
	}
}

func sameServer(t *testing.T, servers ...*natstest.Server) (conns []*nats.Conn) {
	for _, s := range servers {
		conns = append(conns, s.Conn(t, nats.NoEcho()))
	}
	return conns
}

// startTogether opens a reader on each connection, and returns how many could be
// opened, and why the others could not. Where all are so slow that each waits for
// another one for longer than it may, they begin again, as processes would.
func startTogether(t *testing.T, conns []*nats.Conn, o ReaderOptions) (in int, out []error) {
	t.Helper()
	errs := make([]error, len(conns))
	var ready, done sync.WaitGroup
	var reads atomic.Bool // one of them
	ready.Add(len(conns))
	for i, nc := range conns {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			for last, deadline := false, time.Now().Add(natstest.Patience); !last && time.Now().Before(deadline); {
				last = reads.Load()
				if _, errs[i] = OpenReader(t.Context(), nc, o); errs[i] == nil {
					reads.Store(true)
					return
				}
			}
		})
	}
	done.Wait()
	for _, err := range errs {
		if err == nil {
			in++
		} else {
			out = append(out, err)
		}
	}
	return in, out
}

// As a process that is stopped, or whose machine has lost its power: its
// connection stays, and nothing comes from it.
func TestAReaderThatDoesNotAnswerIsFollowedAndDoesNotReadBesideTheNextOne(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 3)
	link := natstest.NewLink(t, r.server.URL())
	o := r.shortly("siem")
	o.patience = refusedAfter
	first := r.read(link.Conn(t, nats.NoEcho()), o)
	first.reader.Done(first.next(1, 1)...)
	r.flush(first)
	r.requestsEnd("siem")
	link.DropAnswersFrom("DOCSPACE_READERS.")
	o.patience = natstest.Patience
	began := time.Now()
	second := r.read(r.conn(), o)
	if took := time.Since(began); took < readerSilent || took > o.patience {
		t.Errorf("it was let in after %s", took)
	}
	second.reader.Done(second.next(2, 2)...)
	link.Cut() // it wakes up
	natstest.Eventually(t, "the first one notices that there is another", func() bool {
		return r.hasTold("reading stream DOCSPACE is interrupted: consumer siem of stream DOCSPACE: another process reads with it")
	})
	r.store(4, 100)
	second.reader.Done(second.next(4, 97)...)
	r.flush(second)
	second.die()
	r.store(101, 110)
	first.next(101, 10) // now it is its turn
}

func TestAReaderThatIsNoneAnswersNobody(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 1)
	is := r.read(r.conn(), r.options("siem"))
	nc := r.server.Conn(t)
	heard, err := nc.SubscribeSync(">") // before the questions, since they follow on this connection
	if err != nil {
		t.Fatal(err)
	}
	questions := is.reader.claimant.subject
	const mine = `{"id":"me"}`
	for _, wrong := range []struct{ reply, text string }{
		{"docspace.folder.7.file.moved", mine}, {"_INBOX.x", mine}, {questions, mine}, {questions + ".a.b", mine}, {questions + ".*", mine},
		{questions + ".a", ""}, {questions + ".a", "{}"}, {questions + ".a", `{"id":"` + strings.Repeat("x", longestClaim) + `"}`},
		{questions + ".last", mine},
	} {
		if err := nc.PublishRequest(questions, wrong.reply, []byte(wrong.text)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		msg, err := heard.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		c, ok := parseClaim(msg.Data)
		if !ok || c.ID != is.reader.claimant.claim().ID {
			continue
		}
		if msg.Subject != questions+".last" {
			t.Errorf("it answered on %s", msg.Subject)
		}
		return
	}
}

// As with a copy of deploy/nats that is older.
func TestWithoutThePermissionToSpeakRequestsForMessagesAreTheSign(t *testing.T) {
	t.Parallel()
	for _, denied := range []server.Permissions{
		{Publish: &server.SubjectPermission{Deny: []string{"DOCSPACE_READERS.>"}}},
		{Subscribe: &server.SubjectPermission{Deny: []string{"DOCSPACE_READERS.>"}}},
		{Publish: &server.SubjectPermission{Deny: []string{"DOCSPACE_READERS.>"}}, Subscribe: &server.SubjectPermission{Deny: []string{"DOCSPACE_READERS.>"}}},
	} {
		r := newReaderRigOn(t, natstest.Run(t, func(o *server.Options) {
			o.Users = []*server.User{{Username: "full", Password: password}, {Username: "reader", Password: password, Permissions: &denied}}
			o.NoAuthUser = "full"
		}))
		r.store(1, 3)
		var violations atomic.Int32
		conn := func() *nats.Conn {
			return r.server.Conn(t, nats.UserInfo("reader", password), nats.NoEcho(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				if errors.Is(err, nats.ErrPermissionViolation) {
					violations.Add(1)
				}
			}))
		}
		o := r.patient("siem")
		o.silent = natstest.Patience
		o.pull = natstest.Patience // between two requests there is a moment without
		began := time.Now()
		first := r.read(conn(), o)
		if took := time.Since(began); took > o.silent {
			t.Errorf("it took %s", took)
		}
		if !r.hasTold("lacks the permission to publish and subscribe DOCSPACE_READERS.>") {
			t.Errorf("told: %q", r.told)
		}
		taken := first.next(1, 3) // it waits for more
		r.refused(conn(), r.shortly("siem"))
		first.reader.Done(taken...)
		r.flush(first)
		first.die()
		r.store(4, 6)
		is := r.read(conn(), r.shortly("siem"))
		r.server.Restart()
		is.next(4, 3)
		if n := violations.Load(); n > 3 {
			t.Errorf("three readers were refused %d times", n)
		}
	}
}

func TestReadersHearOfEachOtherAcrossALeafNode(t *testing.T) {
	t.Parallel()
	hub, leaf := natstest.HubAndLeaf(t)
	r, other := newReaderRigOn(t, leaf), newReaderRigOn(t, hub)
	r.store(1, 3)
	through := r.shortly("siem")
	through.Domain = "leaf"
	first := r.read(r.conn(), r.shortly("siem"))
	r.requestsEnd("siem")
	r.refused(other.conn(), through)
	other.read(other.conn(), other.shortly("siem")) // a stream of the same name is another one
	first.die()
	r.read(other.conn(), through).next(1, 3)
}

package publisher

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"docspace-nats/publisher/natstest"
)

// As after a power cut, or when a disk is put back to what it was.
func TestAServerThatForgotItsNewestMessagesTakesNoneWithIt(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 100)
	is := r.read(r.conn(), r.options("siem"))
	is.reader.Done(is.next(1, 100)...)
	r.flush(is)
	r.server.Shutdown()
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(r.server.Dir())); err != nil {
		t.Fatal(err)
	}
	r.server.Restart()
	natstest.Eventually(t, "the publisher is back", func() bool { _, err := r.js.AccountInfo(t.Context()); return err == nil })
	r.store(101, 200)
	is.reader.Done(is.next(101, 100)...)
	r.flush(is)
	r.server.Shutdown()
	jetstreamDir := filepath.Join(r.server.Dir(), "jetstream")
	if err := os.RemoveAll(jetstreamDir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(r.server.Dir(), os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	r.server.Restart()
	natstest.Eventually(t, "the publisher is back", func() bool { _, err := r.js.AccountInfo(t.Context()); return err == nil })
	r.store(1001, 1150) // with sequences from 101 on
	is.next(1001, 150)
	if !r.hasTold("lost its newest messages") {
		t.Errorf("told: %q", r.told)
	}
}

// As when a second connector of this machine gets the port of the first.
func TestAnotherStreamOfTheSameNameIsNotTakenForTheOneBefore(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	r.store(1, 100)
	o := r.options("siem")
	o.ackWait = 2 * time.Second
	is := r.read(r.conn(), o)
	is.reader.Done(is.next(1, 100)...)
	r.server.Shutdown()
	if err := os.RemoveAll(filepath.Join(r.server.Dir(), "jetstream")); err != nil {
		t.Fatal(err)
	}
	other := newReaderRig(t)
	other.store(2001, 2050)
	w := other.read(other.conn(), o)
	w.next(2001, 1)
	w.die()
	other.server.Shutdown()
	if err := os.CopyFS(r.server.Dir(), os.DirFS(other.server.Dir())); err != nil {
		t.Fatal(err)
	}
	r.server.Restart()
	select {
	case d := <-is.from:
		t.Fatalf("got %s", d.Data)
	case err := <-is.ended:
		is.ended <- err
		if err == nil || !strings.Contains(err.Error(), "another stream") {
			t.Errorf("got %v", err)
		}
	case <-time.After(natstest.Patience):
		t.Errorf("it goes on; told %q", r.told)
	}
	natstest.Eventually(t, "the publisher is back", func() bool { _, err := r.js.AccountInfo(t.Context()); return err == nil })
	consumer, err := r.js.Consumer(t.Context(), "DOCSPACE", "siem")
	if err != nil {
		t.Fatal(err)
	}
	if at := consumer.CachedInfo().AckFloor.Stream; at != 0 {
		t.Errorf("it acknowledged up to %d", at)
	}
}

func TestAPurgeWhileAReaderIsBehindLeavesItAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "siem"} {
		r := newReaderRig(t)
		r.store(1, 3000)
		is := r.read(r.conn(), r.options(durable))
		is.reader.Done(is.next(1, 10)...)
		stream, err := r.js.Stream(t.Context(), "DOCSPACE")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		is.takeAll() // what was under way
		is.drained()
	}
}

func TestWhatIsLostOnTheWayBeforeTheFirstMessageComesAgain(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "siem"} {
		r := newReaderRig(t)
		r.store(1, 1500)
		link := natstest.NewLink(t, r.server.URL())
		link.DropAnswersFrom(".file.moved") // which is in each message
		is := r.read(link.Conn(t, nats.NoEcho()), r.options(durable))
		natstest.Eventually(t, "messages are lost", func() bool { return link.Lost() > 0 })
		link.DropAnswersFrom("nothing at all")
		link.Cut()
		is.reader.Done(is.next(1, 1500)...)
	}
}

func TestWhatIsLostOnTheWayComesAgainThoughNothingFollows(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "siem"} {
		r := newReaderRig(t)
		r.store(1, 100)
		link := natstest.NewLink(t, r.server.URL())
		o := r.options(durable)
		o.ackWait = 2 * time.Second
		link.DropAnswersFrom(".file.moved")
		is := r.read(link.Conn(t, nats.NoEcho()), o)
		natstest.Eventually(t, "messages are lost", func() bool { return link.Lost() > 0 })
		link.Cut()
		is.reader.Done(is.next(1, 100)...)
	}
}

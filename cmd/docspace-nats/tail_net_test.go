package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"docspace-nats/publisher/natstest"
)

// tailSyslog are the ways to hand over syslog.
var tailSyslog = []struct {
	name, scheme string
	take         func(*tailReceiver, net.Conn, *tailLife)
	secure       bool
	args         []string
}{
	{"tcp", "tcp://", takeCounted, false, nil},
	{"tcp lines", "tcp://", takeLines, false, []string{"--framing", "newline"}},
	{"relp", "relp://", takeRELP, false, nil},
	{"tls", "tls://", takeCounted, true, nil},
	{"relp tls", "relp+tls://", takeRELP, true, nil},
}

func TestAReceiverThatDiesAgainAndAgainLosesNoEvent(t *testing.T) {
	t.Parallel()
	for _, way := range tailSyslog {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			r := newTailRig(t, 5_000)
			args := append([]string{"--durable", "siem", "--from", "beginning", "-o", "syslog"}, way.args...)
			var secure *tls.Config
			if way.secure {
				var files []string
				secure, files = tailTLS(t)
				args = append(args, files...)
			}
			receiver := newTailReceiver(t, secure, way.take)
			is := r.start(append(args, "--to", way.scheme+receiver.addr)...)
			for range 8 {
				receiver.waitMore(1 + r.rng.IntN(700))
				receiver.kill()
				receiver.live()
			}
			receiver.waitAll(r)
			is.stop()
			is.finish()
			r.holds(receiver.ids())
			r.acknowledged("siem")
		})
	}
}

// waitMore waits for that many more lines, or for as long as some come.
func (r *tailReceiver) waitMore(n int) {
	r.t.Helper()
	quiet := time.NewTimer(time.Second)
	defer quiet.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for until := r.count() + n; r.count() < until; {
		select {
		case <-tick.C:
		case <-quiet.C:
			return
		}
	}
}

// waitAll waits until every event was taken.
func (r *tailReceiver) waitAll(rig *tailRig) {
	r.t.Helper()
	natstest.Eventually(r.t, "every event is there", func() bool {
		if r.count() < len(rig.ids) {
			return false
		}
		seen := make(map[string]bool)
		for _, id := range r.ids() {
			seen[id] = true
		}
		return len(seen) == len(rig.ids)
	})
}

// acknowledged holds that the stream would deliver nothing again.
func (r *tailRig) acknowledged(durable string) {
	r.t.Helper()
	natstest.Eventually(r.t, "everything is acknowledged", func() bool {
		consumer, err := r.js.Consumer(r.t.Context(), "DOCSPACE", durable)
		return err == nil && consumer.CachedInfo().NumAckPending == 0 && consumer.CachedInfo().NumPending == 0
	})
}

// acknowledgedTo waits until the server has looked at the acknowledgements of the
// first events, which it does in its own time.
func (r *tailRig) acknowledgedTo(durable string, seq int) {
	r.t.Helper()
	natstest.Eventually(r.t, fmt.Sprintf("the first %d events are acknowledged", seq), func() bool {
		consumer, err := r.js.Consumer(r.t.Context(), "DOCSPACE", durable)
		return err == nil && consumer.CachedInfo().AckFloor.Stream == uint64(seq)
	})
}

// Both ends die, one of them as a process that is killed.
func TestBothEndsDieAndNoEventIsLost(t *testing.T) {
	t.Parallel()
	for _, way := range tailSyslog[:3] {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			r := newTailRig(t, 5_000)
			receiver := newTailReceiver(t, nil, way.take)
			args := append([]string{"tail", "--durable", "siem", "--from", "beginning", "-o", "syslog", "--to", way.scheme + receiver.addr}, way.args...)
			env := []string{"NATS_URL=" + r.server.URL(), "GOMAXPROCS=1"}
			p := start(t, exec.Command(program(t), args...), env...)
			for range 8 {
				receiver.waitMore(1 + r.rng.IntN(700))
				if r.rng.IntN(2) == 0 {
					p.kill()
					p = start(t, exec.Command(program(t), args...), env...)
				} else {
					receiver.kill()
					receiver.live()
				}
			}
			p.kill()
			start(t, exec.Command(program(t), append(args, "--no-follow")...), env...).finish(t)
			r.holds(receiver.ids())
			r.acknowledged("siem")
		})
	}
}

func TestAReceiverThatIsAwayIsWaitedForAndToldOfOnce(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 100)
	receiver := newTailReceiver(t, nil, takeRELP)
	receiver.kill()
	is := r.start("--durable", "siem", "--from", "beginning", "--to", "relp://"+receiver.addr)
	is.says("trying again; nothing is lost meanwhile")
	receiver.live()
	receiver.waitAll(r)
	is.says("works again")
	is.stop()
	is.finish()
	r.holds(receiver.ids())
	if n := strings.Count(is.stderr.String(), "trying again"); n != 1 {
		t.Errorf("told %d times:\n%s", n, is.stderr.String())
	}
}

func TestAReceiverThatTellsNothingIsTrustedOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 10)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	is := r.start("--durable", "siem", "--from", "beginning", "-o", "cef", "--confirm", "none", "--no-follow", "--to", "tcp://"+listener.Addr().String())
	is.finish()
	r.acknowledged("siem")
	// At the end of the stream it does not wait for more to confirm together.
	dead := r.start("--durable", "other", "--from", "beginning", "-o", "cef", "--no-follow", "--to", "tcp://"+listener.Addr().String())
	dead.says("has not closed the connection")
	_ = listener.Close() // so that its last attempt is over at once
	consumer, err := r.js.Consumer(t.Context(), "DOCSPACE", "other")
	if err != nil || consumer.CachedInfo().AckFloor.Stream != 0 {
		t.Errorf("acknowledged to %d, %v", consumer.CachedInfo().AckFloor.Stream, err)
	}
}

func TestAnUnknownReceiverGetsNothing(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 10)
	secure, _ := tailTLS(t)
	receiver := newTailReceiver(t, secure, takeCounted)
	_, files := tailTLS(t)
	is := r.start(append(files, "--durable", "siem", "--from", "beginning", "-o", "syslog", "--to", "tls://"+receiver.addr)...)
	is.says("certificate signed by unknown authority")
	if receiver.count() > 0 {
		t.Error("it got events")
	}
}

// tailTLS is a receiver that demands a certificate, and the flags to have one.
func tailTLS(t *testing.T) (*tls.Config, []string) {
	t.Helper()
	authority := natstest.NewAuthority(t)
	cert, key := authority.Issue("receiver").Files(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(authority.File())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	clientCert, clientKey := authority.Issue("tail").Files(t)
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
		[]string{"--ca", authority.File(), "--cert", clientCert, "--key", clientKey}
}

func TestWhatWasReadAndNotDeliveredComesAgain(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 3000)
	receiver := newTailReceiver(t, nil, takeRELP)
	receiver.kill()
	args := []string{"--durable", "siem", "--from", "beginning", "--to", "relp://" + receiver.addr}
	is := r.start(args...)
	is.says("trying again")
	is.stop()
	err := <-is.ended
	is.ended <- err
	if err == nil || !strings.Contains(err.Error(), ", to come again") {
		t.Errorf("stopped with %v", err)
	}
	receiver.live()
	r.tail(append(args, "--no-follow")...)
	r.holds(receiver.ids())
	if n := receiver.count(); n != 3000 {
		t.Errorf("%d lines", n)
	}
}

func TestAReceiverThatRefusesTheCertificateIsToldOfEvenWhenItIsTrusted(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 10)
	secure, files := tailTLS(t)
	receiver := newTailReceiver(t, secure, takeCounted)
	is := r.start("--ca", files[1], "--durable", "siem", "--from", "beginning", "-o", "syslog", "--confirm", "none", "--to", "tls://"+receiver.addr)
	natstest.Eventually(t, "it says so", func() bool { // of the next connection, should a receiver that is slow have said so too late
		r.store(1)
		return strings.Contains(is.stderr.String(), "certificate required")
	})
	is.stop()
}

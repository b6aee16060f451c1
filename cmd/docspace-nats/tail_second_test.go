package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher/natstest"
)

func TestASecondTailIsRefusedWhileTheReceiverOfTheFirstIsAway(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 2_000)
	receiver := newTailReceiver(t, nil, takeRELP)
	receiver.kill()
	tail := func() *process {
		return start(t, exec.Command(program(t), "tail", "--durable", "siem", "--from", "beginning", "--to", "relp://"+receiver.addr), "NATS_URL="+r.server.URL(), "GOMAXPROCS=1")
	}
	first := tail()
	r.noRequests()
	second := tail()
	select {
	case <-second.ended:
	case <-time.After(natstest.Patience):
		t.Fatal("the second one goes on")
	}
	if code := second.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(second.stderr.String(), "consumer siem of stream DOCSPACE: another process reads with it; stop that one, or give this one a name of its own") {
		t.Errorf("it ended with %d and said %s", code, second.stderr.String())
	}

	// One that is stopped does not keep others out.
	if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	receiver.live()
	third := tail()
	receiver.waitAll(r)
	if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.acknowledged("siem")
	r.store(1_000) // what the first takes of these before it notices the third comes again later

	// One that is killed is followed.
	first.kill()
	third.kill()
	tail()
	receiver.waitAll(r)
	r.acknowledged("siem")
	r.holds(receiver.ids())
}

// noRequests waits until a consumer has delivered messages and nobody asks for
// more, since the receiver is away.
func (r *tailRig) noRequests() {
	r.t.Helper()
	natstest.Eventually(r.t, "nobody asks for messages", func() bool {
		consumer, err := r.js.Consumer(r.t.Context(), "DOCSPACE", "siem")
		return err == nil && consumer.CachedInfo().NumAckPending > 0 && consumer.CachedInfo().NumWaiting == 0
	})
}

// The reader of deploy/nats hears of others; one of an older copy of it reads all
// the same.
func TestAReaderOfAnOlderConfigurationReadsAndSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		opts := natsOptions(t)
		for _, user := range opts.Users {
			if p := user.Permissions; old && user.Username == "reader" {
				p.Publish.Allow, p.Subscribe.Allow = without(p.Publish.Allow, "DOCSPACE_READERS.>"), without(p.Subscribe.Allow, "DOCSPACE_READERS.>")
			}
		}
		url := natsServerWith(t, opts)
		js, err := jetstream.New(natsUser(t, url, "operator"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE", Subjects: []string{"docspace.folder.>"}}); err != nil {
			t.Fatal(err)
		}
		cfg := config.NATS{URL: config.ServerURL(url), User: "reader", Password: config.Secret(natsPasswords["reader"]), Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: "_INBOX"}
		var stdout, stderr tailBuffer
		if err := runTail(t.Context(), cfg, tailLine(t, "--durable", "siem", "--no-follow"), &stdout, &stderr); err != nil {
			t.Fatal(err)
		}
		said := strings.Contains(stderr.String(), "lacks the permission to publish and subscribe DOCSPACE_READERS.>")
		if said != old || strings.Count(stderr.String(), "\n") > 2 {
			t.Errorf("older %t: it says %s", old, stderr.String())
		}
	}
}

func without(all []string, one string) (rest []string) {
	for _, s := range all {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

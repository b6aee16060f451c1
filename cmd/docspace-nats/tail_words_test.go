package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
)

func TestTailThatFindsNothingEndsAndSaysSo(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 20)
	for _, args := range [][]string{
		{"--folder", "999999"}, {"--event", "agent.*"}, {"--actor", "nobody"}, {"--text", "nowhere"}, {"--severity", "4"},
		{"--folder", "999999", "--durable", "siem"},
	} {
		for _, end := range [][]string{{"--no-follow"}, {"--until", "1h"}} {
			stdout, stderr := r.tail(append(append(args, "--from", "beginning"), end...)...)
			if stdout != "" || !strings.Contains(stderr, "no event matched") {
				t.Errorf("%q %q: %q, %q", args, end, stdout, stderr)
			}
		}
	}
}

func TestTailSaysWhereAConsumerThatExistsGoesOn(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 20)
	args := []string{"--durable", "siem", "--no-follow"}
	const word = "consumer siem exists, goes on after event #12"
	if _, stderr := r.tail(append(args, "--from", "beginning", "--count", "12")...); stderr != "" {
		t.Errorf("the first time: %q", stderr)
	}
	r.acknowledgedTo("siem", 12)
	if _, stderr := r.tail(append(args, "--seq", "3", "--count", "1")...); !strings.Contains(stderr, word) {
		t.Errorf("--seq: %q", stderr)
	}
	if _, stderr := r.tail(args...); strings.Contains(stderr, "exists") {
		t.Errorf("without --from: %q", stderr)
	}
}

// Nothing was delivered yet, so where the consumer is cannot be told by that.
func TestAConsumerThatDeliveredNothingYetGoesOnWhereItWasMade(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 20)
	nc := r.server.Conn(t)
	if _, err := publisher.OpenReader(t.Context(), nc, publisher.ReaderOptions{Stream: "DOCSPACE", Subjects: []string{"docspace.folder.>"}, Durable: "siem"}); err != nil {
		t.Fatal(err)
	}
	nc.Close() // or it would be told that somebody reads
	stdout, _ := r.tail("--durable", "siem", "--seq", "15", "--no-follow")
	r.holds(idsOf(t, stdout))
	r.acknowledged("siem")
}

func TestAReaderThatMayNotAskWhetherItIsAtTheEndSaysSo(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "all", Password: "x"}, {Username: "few", Password: "x", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: []string{"$JS.API.CONSUMER.INFO.>"}}}}}
	})
	js, err := jetstream.New(s.Conn(t, nats.UserInfo("all", "x")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE", Subjects: []string{"docspace.folder.>"}}); err != nil {
		t.Fatal(err)
	}
	cfg := config.NATS{URL: config.ServerURL(s.URL()), User: "few", Password: "x", Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: "_INBOX"}
	var stdout, stderr bytes.Buffer
	err = runTail(t.Context(), cfg, tailLine(t, "--from", "beginning", "--no-follow"), &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "CONSUMER.INFO") {
		t.Errorf("%v", err)
	}
}

func TestTailSaysWhatAStopLosesWithoutADurableConsumer(t *testing.T) {
	t.Parallel()
	r := newTailRig(t, 1)
	receiver := newTailReceiver(t, nil, takeRELP)
	receiver.kill()
	is := r.start("--from", "beginning", "--to", "relp://"+receiver.addr)
	is.says("trying again; without --durable these are lost if tail stops")
	is.stop()
	err := <-is.ended
	is.ended <- err
	if err == nil || !strings.HasSuffix(err.Error(), "; not delivered for certain: 1 event") {
		t.Errorf("stopped with %v", err)
	}
}

func TestCaseAndAccentsDoNotMatterToSearch(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		"Zoë Müller": "zoe", "Zoe\u0308": "ZOË", "ÅNGSTRÖM": "angstrom", "Straße": "STRASSE", "Σίσυφος": "σισυφοσ", "Йод": "иод", "ｆｕｌｌ": "full",
	} {
		if !contains(text, part) {
			t.Errorf("%q is not found in %q", part, text)
		}
	}
	if contains("Zoë", "zoo") {
		t.Error("zoo is found in Zoë")
	}
}

func TestAPortThatIsTakenIsSaidInWords(t *testing.T) {
	t.Parallel()
	var log logBuffer
	var local *publisher.Local
	natstest.Eventually(t, "somebody has the port meanwhile", func() bool {
		listener, err := net.Listen("tcp", "127.0.0.1:4222")
		if err == nil { // otherwise somebody else has it, unless that ends
			defer listener.Close()
		}
		if local, err = startLocal(config.NATS{DataDir: t.TempDir()}, newLogger(demoConfig("", "", "").Log, &log)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(local.Shutdown)
		return !strings.HasSuffix(local.URL(), ":4222")
	})
	if want := "port 4222 is taken; the embedded NATS server listens on " + local.URL() + "\n"; !strings.Contains(log.String(), want) {
		t.Errorf("it says %q", log.String())
	}
}

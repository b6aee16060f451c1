package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// The reader of deploy/nats may do all that tail does, and is refused nothing.
func TestTheReadersPermissionsAreEnoughForTail(t *testing.T) {
	t.Parallel()
	url := natsServer(t)
	js, err := jetstream.New(natsUser(t, url, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "DOCSPACE", Subjects: []string{"docspace.folder.>", "docspace.checkpoint.*"}}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, folder := range []string{"1", "2", "3", "1"} {
		e := schema.Event{SpecVersion: "1.0", ID: folder + "-" + string(rune('a'+len(ids))), Type: "x", PartitionKey: folder}
		e.Data.Feed.FolderID, e.Data.Action.Category, e.Data.Action.Name = folder, "file", "moved"
		if _, err := js.Publish(t.Context(), e.NATSSubject("docspace"), e.Encode()); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "docspace.checkpoint."+folder, []byte("a mark")); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	cfg := config.NATS{URL: config.ServerURL(url), User: "reader", Password: config.Secret(natsPasswords["reader"]), Stream: "DOCSPACE", SubjectPrefix: "docspace", InboxPrefix: "_INBOX"}
	run := func(want []string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if err := runTail(t.Context(), cfg, tailLine(t, append(args, "--from", "beginning", "--no-follow")...), &stdout, &stderr); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		if diff := cmp.Diff(want, idsOf(t, stdout.String())); diff != "" || stderr.Len() > 0 && !strings.Contains(stderr.String(), "consumer siem exists") {
			t.Errorf("%q: it says %s (-want +got):\n%s", args, stderr.String(), diff)
		}
	}
	run(ids)
	run([]string{ids[1]}, "--folder", "2")
	run([]string{ids[1], ids[2]}, "--folder", "2", "--folder", "3")

	// What a reader took and did not acknowledge before it died.
	nc := natsUser(t, url, "reader")
	reader, err := publisher.OpenReader(t.Context(), nc, publisher.ReaderOptions{Stream: "DOCSPACE", Subjects: []string{"docspace.folder.>"}, Durable: "siem"})
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan publisher.Delivery, 10)
	ended := make(chan error, 1)
	go func() { ended <- reader.Read(t.Context(), taken) }()
	reader.Done(<-taken)
	<-taken
	if err := reader.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the server has looked at the acknowledgement", func() bool {
		consumer, err := js.Consumer(t.Context(), "DOCSPACE", "siem")
		return err == nil && consumer.CachedInfo().AckFloor.Consumer == 1
	})
	nc.Close()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("reading a closed connection ended with %v", err)
	}
	run(ids[1:], "--durable", "siem")
}

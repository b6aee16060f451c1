package publisher

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher/natstest"
)

func TestARepublisherSaysWhetherTheStreamMayTakeAnEventLater(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	nc := server.Conn(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []jetstream.StreamConfig{
		{Name: "DOCSPACE", Subjects: []string{"docspace.folder.>"}},
		{Name: "COPY", Subjects: []string{"copy.folder.>"}, MaxMsgs: 2, Discard: jetstream.DiscardNew, MaxMsgSize: 1000},
	} {
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	r, err := NewRepublisher(t.Context(), nc, RepublishOptions{Stream: "DOCSPACE", Prefix: "docspace", To: "copy"})
	if err != nil {
		t.Fatal(err)
	}
	event := func(id string, size int) Republished {
		return Republished{Subject: "docspace.folder.7.file.moved", MsgID: id, Data: []byte(strings.Repeat("x", size))}
	}
	stored, known, err := r.Publish(t.Context(), []Republished{event("a", 10), event("a", 10), event("b", 10), event("c", 10), event("d", 10)})
	refused := new(StoreError)
	if stored != 3 || known != 1 || !errors.As(err, &refused) || !refused.Temporary() || refused.Stream != "COPY" || !strings.Contains(refused.Hint, "discard new") {
		t.Errorf("a stream without room: %d stored, %d known, %v", stored, known, err)
	}
	if stored, _, err = r.Publish(t.Context(), []Republished{event("e", 2000)}); stored != 0 || !errors.As(err, &refused) || refused.Temporary() {
		t.Errorf("an event that is too large: %d stored, %v", stored, err)
	}
	if stored, _, err = r.Publish(t.Context(), []Republished{{Subject: "other.folder.7.file.moved", MsgID: "f"}}); stored != 0 || err == nil || errors.As(err, new(*StoreError)) {
		t.Errorf("a subject of another stream: %d stored, %v", stored, err)
	}
	server.Shutdown()
	if stored, _, err = r.Publish(t.Context(), []Republished{event("g", 10)}); stored != 0 || !errors.As(err, &refused) || !refused.Temporary() {
		t.Errorf("a server that is away: %d stored, %v", stored, err)
	}
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

func TestALateRowFarBelowIsFoundInARealStreamAlsoWhenThatHasDroppedOldEvents(t *testing.T) {
	t.Parallel()
	for _, dropped := range []int{0, 400} {
		t.Run(fmt.Sprintf("%d dropped", dropped), func(t *testing.T) {
			t.Parallel()
			nc := natstest.Run(t).Conn(t)
			ledger, err := publisher.Open(t.Context(), nc, publisher.Options{})
			if err != nil {
				t.Fatal(err)
			}
			portal := docspacetest.New(docspacetest.Options{Seed: 1})
			client, err := docspace.New(portal.URL(), docspace.Credentials{APIKey: func() (string, error) { return portal.APIKey(), nil }},
				docspace.Options{Transport: portal})
			if err != nil {
				t.Fatal(err)
			}
			p := poller.New(client, ledger, poller.Options{Feed: poller.Feed{Portal: portal.Host(), SourceBase: portal.URL()}})
			room := portal.CreateRoom(nil, "Deal room A")
			poll := func() poller.Report {
				t.Helper()
				for {
					report, err := p.Poll(t.Context(), room)
					if err != nil {
						t.Fatal(err)
					}
					if !report.More {
						return report
					}
				}
			}
			portal.Fill(room, 1000, 1)
			publish := portal.Reserve(docspacetest.Action{Code: 5070, Folder: room, Entry: room, Title: "late"})
			portal.Fill(room, 3000, 2)
			poll()
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := js.Stream(t.Context(), "DOCSPACE")
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("docspace.folder.>"), jetstream.WithPurgeSequence(uint64(dropped)+1)); err != nil {
				t.Fatal(err)
			}
			publish()
			if report := poll(); report.State != checkpoint.Unreconciled {
				t.Fatalf("%+v", report)
			}
			for range 3 {
				poll()
			}
			if report := poll(); report.State != checkpoint.Watching || report.Unread != 0 {
				t.Errorf("%+v", report)
			}
			want := make([]int64, 0, 4002)
			for _, row := range portal.Rows(room)[dropped:] {
				want = append(want, row.ID)
			}
			if got := storedRows(t, js); !slices.Equal(got, want) {
				t.Errorf("%d rows stored, want %d", len(got), len(want))
			}
		})
	}
}

// storedRows returns the ids of all rows in the stream, ascending.
func storedRows(t *testing.T, js jetstream.JetStream) []int64 {
	t.Helper()
	var ids []int64
	eachEvent(t, js, func(msg jetstream.Msg) error {
		e, err := schema.Decode(msg.Data())
		if id, err := strconv.ParseInt(e.Data.AuditID, 10, 64); err == nil {
			ids = append(ids, id)
		}
		return err
	})
	slices.Sort(ids)
	return ids
}

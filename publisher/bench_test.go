package publisher

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// BenchmarkCommit stores events of about 1 KiB on a server in its own process,
// by several folders at a time. B/op and allocs/op are for one commit.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct{ events, folders int }{{3, 1}, {3, 8}, {100, 1}, {MaxEvents, 1}, {MaxEvents, 4}} {
		b.Run(fmt.Sprintf("events=%d/folders=%d", c.events, c.folders), func(b *testing.B) {
			benchmarkCommits(b, natstest.Process(b).Conn(b), c.events, c.folders)
		})
	}
}

// BenchmarkCommitEmbedded is BenchmarkCommit on a server in this process.
func BenchmarkCommitEmbedded(b *testing.B) {
	for _, always := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync_always=%t", always), func(b *testing.B) {
			s := natstest.Run(b, func(o *server.Options) { o.SyncAlways = always })
			benchmarkCommits(b, s.Conn(b, nats.InProcessServer(s.Embedded())), MaxEvents, 1)
		})
	}
}

func benchmarkCommits(b *testing.B, nc *nats.Conn, size, folders int) {
	j := open(b, nc, Options{})
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var writers sync.WaitGroup
	for folder := 1; folder <= folders; folder++ {
		events := kibibyteEvents(folder, size)
		writers.Go(func() {
			mark := checkpoint.Mark{Folder: folder}
			for left.Add(-1) >= 0 {
				next := mark
				next.Accounted += size
				next, err := j.Commit(b.Context(), folder, events, mark, next)
				if err != nil {
					b.Error(err)
					return
				}
				mark = next
			}
		})
	}
	writers.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

// kibibyteEvents have the size of real ones.
func kibibyteEvents(folder, n int) []schema.Event {
	events := checkpointtest.Events(folder, 1, n)
	for i := range events {
		events[i].Data.Feed.Title = strings.Repeat("x", max(0, 1024-len(events[i].Encode())))
	}
	return events
}

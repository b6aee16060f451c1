package poller

import (
	"context"
	"testing"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// A blackHole keeps marks and encodes events without storing them.
type blackHole struct {
	mark checkpoint.Mark
	buf  []byte
}

func (b *blackHole) Mark(_ context.Context, folder int) (checkpoint.Mark, error) {
	b.mark.Folder = folder
	return b.mark, nil
}

func (b *blackHole) Commit(_ context.Context, _ int, events []schema.Event, _, next checkpoint.Mark) (checkpoint.Mark, error) {
	for i := range events {
		b.buf = events[i].AppendJSON(b.buf[:0])
	}
	next.Revision++
	b.mark = next
	return next, nil
}

// BenchmarkPoll reads a long log without sockets and without a server: what the
// connector itself costs for a row, the simulated portal included.
func BenchmarkPoll(b *testing.B) {
	const rows = 100_000
	r := newRig(b, Options{})
	r.portal.Fill(r.room, rows-1, 1)
	b.ReportAllocs()
	for b.Loop() {
		p := New(r.client, &blackHole{}, Options{Feed: r.poller.opts.Feed})
		for more := true; more; {
			report, err := p.Poll(b.Context(), r.room)
			if err != nil {
				b.Fatal(err)
			}
			more = report.More
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

package main

import (
	"os/exec"
	"testing"
	"time"

	"docspace-nats/publisher/natstest"
)

// environment sets up the program against a portal and a NATS server, as fast
// as it may go.
func environment(portal, key, server string) []string {
	return []string{
		"DOCSPACE_URL=" + portal, "DOCSPACE_API_KEY=" + key, "NATS_URL=" + server,
		"POLL_REQUESTS_PER_MINUTE=0", "HTTP_ADDR=", "LOG_LEVEL=warn", "LOG_FORMAT=json",
	}
}

// BenchmarkBackfill reads 100 rooms of 5,000 rows from a portal process into a
// nats-server process, in turn with the naive program that does the same.
// ratio is how many times as many rows a second this program stores.
func BenchmarkBackfill(b *testing.B) {
	const rooms, rows = 100, 5000
	var ours, theirs measured
	for b.Loop() {
		portal, key := startPortal(b, rooms, rows)
		ours.add(b, rooms*rows, func(server string) *process {
			return start(b, exec.Command(program(b), "run", "--once"), environment(portal, key, server)...)
		})
		theirs.add(b, rooms*rows, func(server string) *process {
			return start(b, role(b, "naive-process", portal, key, server))
		})
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours.rate(), "rows/s")
	b.ReportMetric(ours.cpu/float64(b.N), "cpu-s")
	b.ReportMetric(float64(ours.peak)/(1<<20), "peak-MiB")
	b.ReportMetric(theirs.rate(), "naive-rows/s")
	b.ReportMetric(theirs.cpu/float64(b.N), "naive-cpu-s")
	b.ReportMetric(ours.rate()/theirs.rate(), "ratio")
}

// BenchmarkMillion reads one folder of a million rows.
func BenchmarkMillion(b *testing.B) {
	const rows = 1_000_000
	var ours measured
	for b.Loop() {
		portal, key := startPortal(b, 1, rows)
		ours.add(b, rows, func(server string) *process {
			return start(b, exec.Command(program(b), "run", "--once"), environment(portal, key, server)...)
		})
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours.rate(), "rows/s")
	b.ReportMetric(ours.cpu/float64(b.N), "cpu-s")
	b.ReportMetric(float64(ours.peak)/(1<<20), "peak-MiB")
}

// measured adds up runs of a program.
type measured struct {
	rows int
	took time.Duration
	cpu  float64
	peak int64
}

// add runs a program against a server of its own until it ends.
func (m *measured) add(b *testing.B, rows int, run func(server string) *process) {
	b.Helper()
	server := natstest.Process(b)
	began := time.Now()
	p := run(server.URL())
	p.finish(b)
	m.took += time.Since(began)
	m.rows += rows
	m.cpu += p.cpu()
	m.peak = max(m.peak, p.peak())
	if stored := storedEvents(b, server.Conn(b)); stored != rows {
		b.Fatalf("%d events stored, want %d", stored, rows)
	}
	server.Kill()
}

func (m *measured) rate() float64 { return float64(m.rows) / m.took.Seconds() }

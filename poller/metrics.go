package poller

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// Metrics are what the poller counts. Names and labels hold ids and numbers
// only, never titles or people.
type Metrics struct {
	events   *prometheus.CounterVec
	late     prometheus.Counter
	gaps     prometheus.Counter
	filtered prometheus.Counter
	removed  prometheus.Counter
	commits  *prometheus.CounterVec
	requests *prometheus.CounterVec
	answers  *prometheus.HistogramVec
}

// NewMetrics returns Metrics at zero.
func NewMetrics() *Metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	one := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &Metrics{
		events:   vec("docspace_nats_events_total", "Events stored, by ingest mode.", "mode"),
		late:     one("docspace_nats_late_rows_total", "Rows stored after later ones, because they became visible late."),
		gaps:     one("docspace_nats_gap_rows_total", "Rows the portal counts and does not show, reported as gaps."),
		filtered: one("docspace_nats_rows_filtered_total", "Rows accounted for and not stored, because EVENTS_INCLUDE or EVENTS_EXCLUDE leave them out."),
		removed:  one("docspace_nats_removed_rows_total", "Stored rows that are gone from the bottom of a log."),
		commits:  vec("docspace_nats_commits_total", "Commits by outcome: stored, split into smaller ones, conflict or failed.", "outcome"),
		requests: vec("docspace_nats_requests_total", "Requests to the portal, by route and HTTP status; status 0 is no answer.", "route", "status"),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "docspace_nats_request_duration_seconds",
			Help:    "Time the portal took to answer, by route.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 7),
		}, []string{"route"}),
	}
}

// Requested counts a request to the portal.
func (m *Metrics) Requested(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.answers.WithLabelValues(route).Observe(took.Seconds())
}

func (m *Metrics) committed(err error) {
	switch {
	case err == nil:
		m.commits.WithLabelValues("stored").Inc()
	case errors.Is(err, checkpoint.ErrConflict):
		m.commits.WithLabelValues("conflict").Inc()
	case fits(err) > 0:
		m.commits.WithLabelValues("split").Inc()
	default:
		m.commits.WithLabelValues("failed").Inc()
	}
}

func (m *Metrics) published(r reading, events []schema.Event, left int) {
	for i := range events {
		m.events.WithLabelValues(events[i].IngestMode).Inc()
		if events[i].Data.Late {
			m.late.Inc()
		}
	}
	m.filtered.Add(float64(left))
	m.gaps.Add(float64(len(r.unseen)))
	m.removed.Add(float64(r.removed))
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.late, m.gaps, m.filtered, m.removed, m.commits, m.requests, m.answers}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(descs)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(metrics)
	}
}

package poller

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docspace-nats/checkpoint"
)

// Standing is what this process knows about a watched folder.
type Standing struct {
	Folder   int
	State    checkpoint.State // "" until the first poll
	Reason   string           // why the state needs attention
	Unread   int              // rows counted at the last poll and not published
	Since    time.Time        // when this process began to watch it
	Polled   time.Time        // end of the last poll the portal answered
	Complete time.Time        // start of the last poll that proved it complete
	Err      error            // why the last poll failed; nil when it did not
}

// Fresh returns since when the folder is known to be published completely, or
// the time it has been watched without that.
func (s Standing) Fresh() time.Time {
	if s.Complete.IsZero() {
		return s.Since
	}
	return s.Complete
}

// polled takes over the outcome of a poll.
func (s *Standing) polled(began, ended time.Time, r Report, err error) {
	s.Err = err
	if err != nil {
		return
	}
	s.State, s.Reason, s.Unread, s.Polled = r.State, r.Reason, r.Unread, ended
	if r.State == checkpoint.Watching && r.Unread == 0 {
		s.Complete = began
	}
}

// Standings returns what is known about every watched folder, by id.
func (s *Schedule) Standings() []Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Standing, 0, len(s.folders))
	for _, t := range s.folders {
		all = append(all, t.standing)
	}
	slices.SortFunc(all, func(a, b Standing) int { return cmp.Compare(a.Folder, b.Folder) })
	return all
}

// Ready returns nil while every watched folder is being polled with success,
// and otherwise an error that names the first that is not.
func (s *Schedule) Ready() error {
	limit := 3 * s.opts.MaxInterval
	late := time.Now().Add(-limit)
	for _, f := range s.Standings() {
		if f.Polled.IsZero() && f.Err != nil {
			return fmt.Errorf("folder %d was never polled: %w", f.Folder, f.Err)
		}
		if last := maxTime(f.Polled, f.Since); last.Before(late) {
			return fmt.Errorf("folder %d was not polled for %s: %v", f.Folder, limit, f.Err)
		}
	}
	return nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

var (
	freshnessDesc = prometheus.NewDesc("docspace_nats_folder_freshness_seconds",
		"Time since the folder was last proven complete.", []string{"folder"}, nil)
	unreadDesc = prometheus.NewDesc("docspace_nats_unread_rows",
		"Rows the portal counted at the last poll that are not stored yet.", []string{"folder"}, nil)
	foldersDesc = prometheus.NewDesc("docspace_nats_folders",
		"Watched folders by state.", []string{"state"}, nil)
)

// Describe implements prometheus.Collector.
func (s *Schedule) Describe(descs chan<- *prometheus.Desc) {
	descs <- freshnessDesc
	descs <- unreadDesc
	descs <- foldersDesc
}

// Collect implements prometheus.Collector.
func (s *Schedule) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, label string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, label)
	}
	counts := make(map[checkpoint.State]int)
	for _, state := range checkpoint.States() {
		counts[state] = 0
	}
	for _, f := range s.Standings() {
		folder := strconv.Itoa(f.Folder)
		gauge(freshnessDesc, time.Since(f.Fresh()).Seconds(), folder)
		gauge(unreadDesc, float64(f.Unread), folder)
		if f.State != "" {
			counts[f.State]++
		}
	}
	for state, n := range counts {
		gauge(foldersDesc, float64(n), string(state))
	}
}

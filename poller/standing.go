package poller

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docspace-nats/checkpoint"
)

// Standing is what this process knows about a watched folder.
type Standing struct {
	Folder    int
	State     checkpoint.State // "" until the first poll
	Reason    string           // why the state needs attention
	Gaps      int              // rows this process reported as gaps
	Unread    int              // rows counted at the last poll and not published
	Accounted int              // rows accounted for by then
	Since     time.Time        // when this process began to watch it
	Polled    time.Time        // end of the last poll the portal answered
	Complete  time.Time        // start of the last poll that proved it complete
	Tried     time.Time        // end of the last poll, whatever came of it
	Due       time.Time        // of the next poll, if no other replica polled it since
	Polling   bool             // this process polls it at this moment
	Over      bool             // it was read to its end, and that is all that is wanted
	Err       error            // why the last poll failed; nil when it did not
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
	s.Err, s.Tried = err, ended
	if err != nil {
		return
	}
	s.State, s.Reason, s.Unread, s.Accounted, s.Polled = r.State, r.Reason, r.Unread, r.Accounted, ended
	s.Gaps += r.Gaps
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
		standing := t.standing
		standing.Due, standing.Polling = t.due, t.polled
		all = append(all, standing)
	}
	slices.SortFunc(all, func(a, b Standing) int { return cmp.Compare(a.Folder, b.Folder) })
	return all
}

// Title returns what events say a folder is called, "" where that is unknown or
// hidden.
func (s *Schedule) Title(folder int) string {
	return s.poller.opts.Feed.Privacy.Title(s.poller.description(folder).Title)
}

// discovery is when and how the folders to watch were last looked for.
type discovery struct {
	at    time.Time // of the last success; zero before
	final bool      // they are named, and need not be looked for again
	err   error     // of the last try
}

func (s *Schedule) discovered(err error, final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found.err = err
	if err == nil {
		s.found.at, s.found.final = time.Now(), final
	}
}

// Ready returns nil while the folders to watch are known and each is being
// polled with success, and otherwise an error that says what is wrong. A folder
// that this process does not get round to is the business of other replicas, if
// there are any.
func (s *Schedule) Ready() error {
	limit := 3 * s.opts.MaxInterval
	s.mu.Lock()
	found := s.found
	s.mu.Unlock()
	switch {
	case found.at.IsZero() && found.err != nil:
		return fmt.Errorf("the folders to watch are not known: %w", found.err)
	case found.at.IsZero():
		return errors.New("starting: looking for the folders to watch")
	case found.err != nil && time.Since(found.at) > limit:
		return fmt.Errorf("no rooms were found for %s: %w", limit, found.err)
	}
	if err := s.idle(); err != nil {
		return err
	}
	late := time.Now().Add(-limit)
	for _, f := range s.Standings() {
		if f.Polled.IsZero() && f.Err != nil {
			return fmt.Errorf("folder %d was never polled: %w", f.Folder, f.Err)
		}
		if last := maxTime(f.Polled, f.Since); !last.Before(late) || f.Err == nil && s.shared() {
			continue
		}
		if f.Err != nil {
			return fmt.Errorf("folder %d was not polled for %s: %w", f.Folder, limit, f.Err)
		}
		return fmt.Errorf("folder %d was not polled for %s: its turn has not come", f.Folder, limit)
	}
	return nil
}

// idle returns an error when this process gets no folder from the queue for so long
// that it cannot be by chance that others got them all.
func (s *Schedule) idle() error {
	standings := s.Standings()
	if !s.shared() || len(standings) == 0 {
		return nil
	}
	var newest time.Time
	for _, f := range standings {
		newest = maxTime(newest, maxTime(f.Polled, f.Since))
		if f.Err != nil {
			return nil // it gets some, and that they fail is told
		}
	}
	rounds := max(3, (15*s.opts.Replicas.Count()+len(standings)-1)/len(standings))
	if limit := time.Duration(rounds) * s.opts.MaxInterval; time.Since(newest) > limit {
		return fmt.Errorf("no folder was polled by this process for %s: the queue hands it none", limit)
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
		"Time since this process last proved the folder complete, or began to watch it.", []string{"folder"}, nil)
	unreadDesc = prometheus.NewDesc("docspace_nats_unread_rows",
		"Rows the portal counted at the last poll that are not stored yet.", []string{"folder"}, nil)
	discoveryDesc = prometheus.NewDesc("docspace_nats_discovery_age_seconds",
		"Time since the folders to watch were last found; 0 for folders that are named. Absent before the first success.", nil, nil)
	foldersDesc = prometheus.NewDesc("docspace_nats_folders",
		"Watched folders by state.", []string{"state"}, nil)
)

// Describe implements prometheus.Collector.
func (s *Schedule) Describe(descs chan<- *prometheus.Desc) {
	descs <- freshnessDesc
	descs <- unreadDesc
	descs <- foldersDesc
	descs <- discoveryDesc
}

// Collect implements prometheus.Collector.
func (s *Schedule) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	s.mu.Lock()
	found := s.found
	s.mu.Unlock()
	switch {
	case found.final:
		gauge(discoveryDesc, 0)
	case !found.at.IsZero():
		gauge(discoveryDesc, time.Since(found.at).Seconds())
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

package poller

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
)

// A patrol verifies folders while a connector runs: those that have all their rows
// stored, one after the other, each whole once and then what is new in it, and
// whole again when that was long ago. It stores nothing and lets everybody else
// ask the portal first.

const (
	// patrolStart is how long after its start a process begins, so that who only
	// catches up is not held up.
	patrolStart = time.Minute
	// patrolPause is how long it waits when there is nothing to verify, and
	// patrolRetry until it tries a folder again that could not be.
	patrolPause = time.Minute
	patrolRetry = time.Hour
	// patrolWhole is when what was verified is verified again.
	patrolWhole = 24 * time.Hour
	// patrolPerMinute is how many requests it makes where the portal sets no limit.
	patrolPerMinute = 6
	patrolBurst     = 5
)

// PatrolOptions say how a Patrol works.
type PatrolOptions struct {
	PerMinute int           // requests to the portal; default 6
	Start     time.Duration // how long after its start it begins; default 1 min
	Log       zerolog.Logger
}

// A Patrol verifies the watched folders again and again.
type Patrol struct {
	poller  *Poller
	tokens  *rate.Limiter
	watched func() []Standing
	start   time.Duration
	log     zerolog.Logger

	mu      sync.Mutex
	beats   map[int]*beat
	renewed bool // the last one was of a folder that was verified before
}

// A beat is what was verified of a folder.
type beat struct {
	at        time.Time       // when the last verification ended
	whole     time.Time       // when the last one of the whole folder did
	failed    time.Time       // when one did in vain
	verified  checkpoint.Mark // up to which all is
	findings  map[string]int  // by kind, since the whole was verified
	firstRows []int64
}

// NewPatrol returns a Patrol of the folders that watched returns, with a ledger that
// is an Archive.
func NewPatrol(portal Portal, archive Archive, opts Options, watched func() []Standing, o PatrolOptions) *Patrol {
	p := &Patrol{tokens: rate.NewLimiter(0, patrolBurst), watched: watched, start: cmp.Or(o.Start, patrolStart), log: o.Log, beats: make(map[int]*beat)}
	p.SetPerMinute(o.PerMinute)
	opts.Prefetch, opts.Metrics = 1, nil
	p.poller = New(slowPortal{portal, p.tokens}, archive, opts)
	return p
}

// SetPerMinute replaces its share of the requests to the portal.
func (p *Patrol) SetPerMinute(n int) {
	p.tokens.SetLimit(rate.Limit(cmp.Or(n, patrolPerMinute)) / 60)
}

// Run verifies until ctx ends.
func (p *Patrol) Run(ctx context.Context) error {
	for wait := p.start; await(ctx, wait, nil) == nil; {
		wait = patrolPause
		if folder, o, any := p.next(); any {
			p.verify(ctx, folder, o)
			wait = 0
		}
	}
	return nil
}

// next returns the folder to verify, and what of it: one that never was, before one
// of which something is new and one that was long ago, which take turns.
func (p *Patrol) next() (folder int, o VerifyOptions, any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var never, grown, old *Standing
	earlier := func(a *Standing, b Standing) bool {
		return a == nil || p.beats[b.Folder].at.Before(p.beats[a.Folder].at)
	}
	for _, s := range p.watched() {
		b := p.beats[s.Folder]
		switch {
		case s.Err != nil || s.State != checkpoint.Watching || s.Unread > 0:
		case b == nil:
			never = cmp.Or(never, &s)
		case time.Since(b.failed) < patrolRetry:
		case b.whole.IsZero() || b.verified.Accounted == 0 && s.Accounted > 0: // it was empty
			never = cmp.Or(never, &s)
		case time.Since(b.whole) > patrolWhole || len(b.findings) > 0 && time.Since(b.whole) > patrolRetry:
			if earlier(old, s) {
				old = &s
			}
		case s.Accounted > b.verified.Accounted && b.verified.Newest() > 0:
			if earlier(grown, s) {
				grown = &s
			}
		}
	}
	if old != nil && (grown == nil || !p.renewed) {
		never, p.renewed = cmp.Or(never, old), true
	} else {
		p.renewed = false
	}
	switch {
	case never != nil:
		return never.Folder, VerifyOptions{}, true
	case grown != nil:
		at := p.beats[grown.Folder].verified
		return grown.Folder, VerifyOptions{From: at.NewestEvent.Add(-suspectMargin), after: at}, true
	}
	return 0, VerifyOptions{}, false
}

// verify verifies one folder.
func (p *Patrol) verify(ctx context.Context, folder int, o VerifyOptions) {
	verdict, err := p.poller.Verify(ctx, folder, o)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.beats[folder]
	if b == nil {
		b = &beat{}
		p.beats[folder] = b
	}
	b.at = time.Now()
	if err != nil {
		b.failed = b.at
		p.log.Debug().Int("folder", folder).Err(err).Msg("this folder could not be verified")
		return
	}
	before := len(b.findings)
	if b.verified = outline(verdict.mark); verdict.whole {
		b.whole, b.findings, b.firstRows = b.at, make(map[string]int), nil
	}
	for kind, n := range verdict.counts() {
		if n > 0 {
			b.findings[kind] += n
		}
	}
	for _, f := range verdict.Findings[:min(len(verdict.Findings), seqsMost)] {
		b.firstRows = append(b.firstRows, f.Row)
	}
	switch {
	case !verdict.Equal():
		p.log.Warn().Int("folder", folder).Str("found", b.text()).Ints64("rows", b.firstRows).Msg("the stream does not hold what the portal shows; docspace-nats verify tells each row")
	case before > 0 && len(b.findings) == 0:
		p.log.Info().Int("folder", folder).Msg("the stream holds what the portal shows again")
	}
}

// outline is what of a mark is needed to go on from it.
func outline(m checkpoint.Mark) checkpoint.Mark {
	short := checkpoint.Mark{Folder: m.Folder, Accounted: m.Accounted, NewestEvent: m.NewestEvent, Changes: m.Changes, Revision: m.Revision}
	if newest := m.Newest(); newest > 0 {
		short.Recent = []int64{newest}
	}
	return short
}

// text says what was found.
func (b *beat) text() string {
	var words []string
	for _, kind := range findingKinds {
		if n := b.findings[kind]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, kind))
		}
	}
	return strings.Join(words, ", ")
}

// Findings returns what was found in each folder, in words, by folder; folders in
// which nothing was are left out.
func (p *Patrol) Findings() map[int]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := make(map[int]string)
	for folder, b := range p.beats {
		if len(b.findings) > 0 {
			found[folder] = b.text()
		}
	}
	return found
}

var (
	unverifiedDesc = prometheus.NewDesc("docspace_nats_unverified_rows",
		"Rows of watched folders that are accounted for and that this process has not compared with the stream since it started.", nil, nil)
	foundDesc = prometheus.NewDesc("docspace_nats_verify_findings",
		"What the last verification of each folder found, by kind.", []string{"kind"}, nil)
)

// Describe implements prometheus.Collector.
func (p *Patrol) Describe(descs chan<- *prometheus.Desc) {
	descs <- unverifiedDesc
	descs <- foundDesc
}

// Collect implements prometheus.Collector.
func (p *Patrol) Collect(metrics chan<- prometheus.Metric) {
	watched := p.watched()
	p.mu.Lock()
	defer p.mu.Unlock()
	unverified, found := 0, make(map[string]int)
	for _, s := range watched {
		b := p.beats[s.Folder]
		if b == nil {
			b = &beat{}
		}
		unverified += max(0, s.Accounted-b.verified.Accounted)
		for kind, n := range b.findings {
			found[kind] += n
		}
	}
	metrics <- prometheus.MustNewConstMetric(unverifiedDesc, prometheus.GaugeValue, float64(unverified))
	for _, kind := range findingKinds {
		metrics <- prometheus.MustNewConstMetric(foundDesc, prometheus.GaugeValue, float64(found[kind]), strings.ReplaceAll(kind, " ", "_"))
	}
}

// A slowPortal makes every request wait for its turn.
type slowPortal struct {
	Portal
	tokens *rate.Limiter
}

// History implements Portal.
func (s slowPortal) History(ctx context.Context, folder int, q docspace.Query) (docspace.Page, error) {
	if err := s.tokens.Wait(ctx); err != nil {
		return docspace.Page{}, err
	}
	return s.Portal.History(docspace.Patient(ctx), folder, q)
}

// Folder implements Portal.
func (s slowPortal) Folder(ctx context.Context, id int) (docspace.Folder, error) {
	if err := s.tokens.Wait(ctx); err != nil {
		return docspace.Folder{}, err
	}
	return s.Portal.Folder(docspace.Patient(ctx), id)
}

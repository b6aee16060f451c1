package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

// A connector is the program's parts, put together as a Config says. This file
// is the only one that knows them all.
type connector struct {
	portal    *docspace.Client
	local     *publisher.Local // nil when NATS runs elsewhere
	nc        *nats.Conn
	ledger    *publisher.JetStream
	queue     *publisher.Queue
	replicas  *publisher.Replicas
	schedule  *poller.Schedule
	hints     *poller.HintQueue
	discovery *poller.Discovery
	patrol    *poller.Patrol
	metrics   []prometheus.Collector

	name     string // as in the marks
	started  time.Time
	requests *meter       // to the portal
	budget   atomic.Int64 // of them, a minute; 0: no limit
}

// connect assembles a connector. It waits for NATS for so long, less than zero
// meaning until ctx ends, and asks the portal only for its clock.
func connect(ctx context.Context, cfg config.Config, wait time.Duration, log zerolog.Logger) (c *connector, err error) {
	c = &connector{name: writer(), started: time.Now().UTC(), requests: new(meter)}
	c.budget.Store(int64(cfg.Poll.RequestsPerMinute))
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	privacy, err := cfg.DocSpace.ReadPrivacy()
	if err != nil {
		return c, err
	}
	feed, metrics := feed(cfg, privacy), poller.NewMetrics()
	if c.portal, err = newPortal(cfg, privacy, callPatience, func(route string, status int, took time.Duration) {
		metrics.Requested(route, status, took)
		c.requests.count(time.Now())
	}); err != nil {
		return c, err
	}
	if err := c.connectNATS(ctx, cfg.NATS, wait, log); err != nil {
		return c, err
	}
	marks, err := c.openLedger(ctx, streamOptions(cfg.NATS), wait, log)
	if err != nil {
		return c, err
	}
	for _, name := range c.ledger.Created() {
		log.Info().Str("stream", name).Msg("stream created")
	}
	for _, f := range c.ledger.Findings().Of(publisher.Warning) {
		log.Warn().Str("stream", c.ledger.Stream()).Msg(f.String())
	}
	c.queue = c.ledger.Queue(func() bool { return c.replicas.Count() == 1 })
	if err := ownMarks(cfg, feed, marks); err != nil {
		return c, err
	}
	began, err := c.began(ctx, cfg.DocSpace.Start, marks)
	if err != nil {
		return c, err
	}
	options := poller.Options{
		Anchor:   cfg.DocSpace.Start.Time(began),
		Began:    began,
		Now:      c.portal.Now,
		Feed:     feed,
		Filter:   cfg.Events.Filter(),
		Prefetch: min(4, cfg.Poll.MaxInFlight),
		Writer:   c.name,
		Metrics:  metrics,
	}
	poll := poller.New(c.portal, c.ledger, options)
	c.replicas = c.ledger.Replicas(cfg.DocSpace.Folders.String(), func(n int) { c.divide(cfg.Poll.RequestsPerMinute, n) })
	c.schedule = poller.NewSchedule(poll, c.queue, poller.ScheduleOptions{
		MinInterval: cfg.Poll.MinInterval,
		MaxInterval: cfg.Poll.MaxInterval,
		Workers:     cfg.Poll.MaxInFlight,
		Replicas:    c.replicas,
		Log:         log,
	})
	c.discovery = &poller.Discovery{IDs: cfg.DocSpace.Folders, Known: published(marks), Log: log}
	c.hints = poller.NewHintQueue(c.schedule)
	c.patrol = poller.NewPatrol(c.portal, c.ledger, options, c.schedule.Standings, poller.PatrolOptions{PerMinute: patrolShare(cfg.Poll.RequestsPerMinute), Log: log})
	c.metrics = []prometheus.Collector{metrics, c.schedule, c.hints, c.patrol, replicasGauge(c.replicas)}
	return c, nil
}

// divide leaves each replica its part of the requests to the portal.
func (c *connector) divide(perMinute, replicas int) {
	if perMinute > 0 {
		share := max(1, perMinute/replicas)
		c.portal.SetRequestsPerMinute(share)
		c.budget.Store(int64(share))
	}
}

// patrolShare is the part of the requests that is left to verifying: one in a
// hundred.
func patrolShare(perMinute int) int {
	if perMinute == 0 {
		return 0
	}
	return (perMinute + 99) / 100
}

// close stops the parts: the connection before the server inside this process.
func (c *connector) close() {
	if c.queue != nil {
		c.queue.Close()
	}
	if c.nc != nil {
		c.nc.Close()
	}
	if c.local != nil {
		c.local.Shutdown()
	}
	if c.portal != nil {
		c.portal.Close()
	}
}

// callPatience is how long one call to the portal repeats itself. The loop that
// polls goes on for ever, and says why it waits.
const callPatience = 15 * time.Second

func newPortal(cfg config.Config, privacy schema.Privacy, patience time.Duration, observe func(route string, status int, took time.Duration)) (*docspace.Client, error) {
	d := cfg.DocSpace
	creds := docspace.Credentials{
		APIKey:   docspace.Source(d.APIKeySource()),
		Token:    docspace.Source(d.TokenSource()),
		Password: docspace.Source(d.PasswordSource()),
	}
	if creds.Password != nil {
		creds.Username = func() (string, error) { return d.Username, nil }
	}
	return docspace.New(d.URL, creds, docspace.Options{
		UserAgent:         "docspace-nats/" + thisBuild().Version,
		RequestsPerMinute: cfg.Poll.RequestsPerMinute,
		MaxInFlight:       cfg.Poll.MaxInFlight,
		MaxElapsed:        patience,
		Words:             privacy.Words,
		Observe:           observe,
	})
}

// openLedger opens the stream and reads the marks in it. While servers come and go
// it tries again, for as long as connectNATS would.
func (c *connector) openLedger(ctx context.Context, options publisher.Options, wait time.Duration, log zerolog.Logger) (marks []checkpoint.Mark, err error) {
	open := func() (err error) {
		if c.ledger, err = publisher.Open(ctx, c.nc, options); err == nil {
			marks, err = c.ledger.Marks(ctx)
		}
		if err != nil && (wait == 0 || c.nc.IsClosed() || !publisher.Unanswered(err)) {
			return backoff.Permanent(err)
		}
		return err
	}
	tell := func(err error, _ time.Duration) {
		log.Warn().Err(err).Msg("the stream cannot be opened yet; trying again")
	}
	patience := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(max(wait, 0)), backoff.WithMaxInterval(10*time.Second))
	return marks, backoff.RetryNotify(open, backoff.WithContext(patience, ctx), tell)
}

// connectNATS starts the embedded server when no other is configured, and
// connects.
func (c *connector) connectNATS(ctx context.Context, cfg config.NATS, wait time.Duration, log zerolog.Logger) (err error) {
	options := connectOptions(cfg)
	options.RetryFor = wait
	options.Changed = func(connected bool, err error) {
		switch {
		case err != nil:
			message := "trouble with NATS"
			if !connected {
				message += "; trying again"
			}
			log.Warn().Bool("connected", connected).Err(err).Msg(message)
		case connected:
			log.Info().Msg("NATS is back")
		}
	}
	if cfg.URL == "" {
		if c.local, err = startLocal(cfg, log); err != nil {
			return err
		}
		options.Local = c.local
	}
	c.nc, err = publisher.Connect(ctx, options)
	return err
}

// localPort is where NATS clients look first.
const localPort = 4222

// startLocal starts the embedded server on the usual port, or on a free one
// when that is taken.
func startLocal(cfg config.NATS, log zerolog.Logger) (*publisher.Local, error) {
	options := publisher.LocalOptions{
		Dir:          cfg.DataDir,
		Port:         localPort,
		MaxStore:     cfg.DataMaxBytes,
		SyncAlways:   cfg.DataSync.Always,
		SyncInterval: cfg.DataSync.Interval,
		Log:          natsLog(log),
	}
	local, err := publisher.StartLocal(options)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(local.URL(), fmt.Sprint(":", localPort)) {
		log.Warn().Msgf("port %d is taken; the embedded NATS server listens on %s", localPort, local.URL())
	}
	log.Info().Str("url", local.URL()).Str("dir", cfg.DataDir).Msg("embedded NATS server is ready")
	return local, nil
}

func connectOptions(cfg config.NATS) publisher.ConnectOptions {
	return publisher.ConnectOptions{
		URL:         string(cfg.URL),
		Inbox:       cfg.InboxPrefix,
		User:        cfg.User,
		Password:    publisher.Secret(cfg.PasswordSource()),
		Token:       publisher.Secret(cfg.TokenSource()),
		NKeySeed:    cfg.NKeyFile,
		Credentials: cfg.CredsFile,
		CA:          cfg.TLSCAFile,
		Cert:        cfg.TLSCertFile,
		Key:         cfg.TLSKeyFile,
		TLSFirst:    cfg.TLSFirst,
	}
}

func streamOptions(cfg config.NATS) publisher.Options {
	return publisher.Options{
		Stream:     cfg.Stream,
		Prefix:     cfg.SubjectPrefix,
		Domain:     cfg.JSDomain,
		Inbox:      cfg.InboxPrefix,
		Replicas:   cfg.Replicas,
		MaxAge:     cfg.MaxAge,
		MaxBytes:   cfg.MaxBytes,
		Commit:     publisher.Mode(cfg.Commit),
		MessageIDs: cfg.MsgID == "always",
	}
}

// began returns when watching began, by the portal's clock: when the first
// folder got its first mark, or now. A room created while the program was not
// running is then read from its first row, whatever DOCSPACE_START says.
func (c *connector) began(ctx context.Context, start config.Start, marks []checkpoint.Mark) (time.Time, error) {
	var first time.Time
	for _, m := range marks {
		if first.IsZero() || m.Since.Before(first) {
			first = m.Since
		}
	}
	if !first.IsZero() {
		return first, nil
	}
	if !start.Now() {
		return time.Now(), nil
	}
	now, err := c.portal.ServerTime(ctx)
	if err != nil {
		return now, fmt.Errorf("DOCSPACE_START=now needs the portal's clock: %w", err)
	}
	return now, nil
}

// replicasGauge tells how many share the folders.
func replicasGauge(r *publisher.Replicas) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "docspace_nats_replicas",
		Help: "Replicas that share the folders and the requests to the portal, this one included.",
	}, func() float64 { return float64(r.Count()) })
}

// published returns the folders to look at even when the portal no longer
// lists them.
func published(marks []checkpoint.Mark) []int {
	var folders []int
	for _, m := range marks {
		if m.State != checkpoint.Gone {
			folders = append(folders, m.Folder)
		}
	}
	return folders
}

// ownMarks refuses a stream that holds the folders of another portal, or the
// pseudonyms of another key with the id of ours, before more are mixed into it.
func ownMarks(cfg config.Config, ours poller.Feed, marks []checkpoint.Mark) error {
	for _, m := range marks {
		owned := ours.Owns(m)
		if key := new(poller.OtherKeyError); errors.As(owned, &key) {
			return fmt.Errorf("stream %s: %w (DOCSPACE_PRIVACY_KEY, DOCSPACE_PRIVACY_KEY_ID)", cfg.NATS.Stream, key)
		}
		if other := new(poller.OtherPortalError); errors.As(owned, &other) {
			return fmt.Errorf("stream %s: %w; set NATS_STREAM and NATS_SUBJECT_PREFIX to others for this portal, or, if it is the same portal under a new name, DOCSPACE_FORMERLY to %q",
				cfg.NATS.Stream, other, other.Theirs)
		}
	}
	return nil
}

func feed(cfg config.Config, privacy schema.Privacy) poller.Feed {
	host := cfg.DocSpace.URL
	if u, err := url.Parse(cfg.DocSpace.URL); err == nil {
		host = u.Host
	}
	return poller.Feed{
		Portal:     host,
		Formerly:   cfg.DocSpace.Formerly,
		SourceBase: strings.TrimSuffix(cfg.DocSpace.URL, "/"),
		SchemaBase: cfg.Events.SchemaBase,
		Privacy:    privacy,
	}
}

// writer names this process in the marks it writes.
func writer() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

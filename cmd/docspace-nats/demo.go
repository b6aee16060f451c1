package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace/docspacetest"
)

// demoOptions say what the simulated people do.
type demoOptions struct {
	lasts time.Duration // 0: until interrupted
	rate  float64
	rooms int
	seed  uint64
}

func (o demoOptions) check() error {
	var errs []error
	if o.lasts < 0 {
		errs = append(errs, fmt.Errorf("--for: must not be negative, got %s", o.lasts))
	}
	if o.rate <= 0 || o.rate > 1000 {
		errs = append(errs, fmt.Errorf("--rate: must be more than 0 and at most 1000, got %v", o.rate))
	}
	if o.rooms < 1 || o.rooms > 1000 {
		errs = append(errs, fmt.Errorf("--rooms: must be 1 to 1000, got %d", o.rooms))
	}
	return errors.Join(errs...)
}

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything in one process: simulated portal, NATS, events",
		Long: `demo needs nothing: it starts a simulated DocSpace portal with people at work, a
NATS server with JetStream, and the connector between them, and prints every
event as a consumer of the stream receives it. It begins with a line that, given to
another shell, points status, tail, replay, verify, backfill and checkpoint at it.

At the end it compares the rows the portal made with what the consumer read
back, in one line. Exit status 0 when nothing is lost, duplicated or out of
order, 1 otherwise. What a checkpoint reset has had stored again counts as
duplicated and out of order.`,
		Example: `  docspace-nats demo
  docspace-nats demo --for 10s
  docspace-nats demo --rooms 50 --rate 200 --seed 7`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usagef("%w; see docspace-nats demo --help", err)
			}
			return demo(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().DurationVar(&o.lasts, "for", 0, "stop after this time; 0: when interrupted")
	cmd.Flags().Float64Var(&o.rate, "rate", 10, "actions a second")
	cmd.Flags().IntVar(&o.rooms, "rooms", 4, "rooms to begin with")
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "what people do; 0: something else every time")
	return cmd
}

func demo(ctx context.Context, o demoOptions, stdout, stderr io.Writer) error {
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	dir, err := os.MkdirTemp("", "docspace-nats-demo-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	portal, address, stop, err := demoPortal(o)
	if err != nil {
		return err
	}
	defer stop()
	cfg := demoConfig(address, portal.APIKey(), dir)
	log := newLogger(cfg.Log, stderr)
	c, err := connect(ctx, cfg, 0, log)
	if err != nil {
		return err
	}
	defer c.close()
	c.discovery.Interval = time.Second
	reader, err := readStream(ctx, c.local.URL(), c.ledger.Stream(), c.ledger.EventSubjects(), stdout)
	if err != nil {
		return err
	}
	defer reader.close()
	fmt.Fprintf(stdout, "A simulated portal with %d rooms and the connector are running (seed %d).\n", o.rooms, o.seed)
	fmt.Fprintf(stdout, "Any NATS client can listen:  nats -s %s sub --stream %s --all '%s'\n", c.local.URL(), c.ledger.Stream(), c.ledger.EventSubjects())
	fmt.Fprintf(stdout, "So can tail:                 NATS_URL=%s docspace-nats tail\n", c.local.URL())
	fmt.Fprintf(stdout, "For the other commands, in another terminal (the key is no secret: it opens this simulated portal only):\n")
	fmt.Fprintf(stdout, "export DOCSPACE_URL=%s DOCSPACE_API_KEY=%s NATS_URL=%s\n\n", address, portal.APIKey(), c.local.URL())

	if err := c.work(ctx, portal, o); err != nil {
		return err
	}
	// An interrupt ends the traffic, not the comparison.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := c.catchUp(ctx, log.Level(zerolog.WarnLevel)); err != nil {
		return err
	}
	if err := reader.finish(ctx); err != nil {
		return err
	}
	return compare(portal, c.schedule.Standings(), reader).print(stdout)
}

// work lets people work and the connector run until the time is over.
func (c *connector) work(ctx context.Context, portal *docspacetest.Portal, o demoOptions) error {
	if o.lasts > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.lasts)
		defer cancel()
	}
	traffic := make(chan struct{})
	go func() {
		defer close(traffic)
		portal.Traffic(ctx, docspacetest.TrafficOptions{Seed: o.seed, Rate: o.rate, Rooms: o.rooms, NewRooms: 20 * time.Second, Burst: time.Minute})
	}()
	err := c.watch(ctx)
	<-traffic
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// demoPortal serves a simulated portal whose first room has a past.
func demoPortal(o demoOptions) (portal *docspacetest.Portal, address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, fmt.Errorf("simulated portal: %w", err)
	}
	portal = docspacetest.New(docspacetest.Options{Host: listener.Addr().String(), Seed: o.seed})
	portal.Fill(portal.CreateRoom(nil, "Archive of last year"), 2500, o.seed)
	server := &http.Server{Handler: portal, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return portal, "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}

func demoConfig(address, key, dir string) config.Config {
	return config.Config{
		DocSpace: config.DocSpace{URL: address, APIKey: config.Secret(key)},
		NATS:     config.NATS{Stream: "DOCSPACE", SubjectPrefix: "docspace", DataDir: dir, Replicas: 1},
		Poll:     config.Poll{MinInterval: 200 * time.Millisecond, MaxInterval: time.Second, MaxInFlight: 8},
		Log:      config.Log{Level: "warn", Format: "text"},
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
)

// A client is a command that works on the stream beside the connectors, which
// may or may not run.
type client struct {
	name string        // the server shows it
	wait time.Duration // for a server named in NATS_URL, less than zero: until it is there
	own  bool          // without NATS_URL, start the embedded server of a connector that does not run
	anew bool          // the same, also in a directory no connector ever ran with
	deaf bool          // hears nothing of its own, as who may read with a durable consumer
	tell func(format string, args ...any)
}

// teller returns what writes lines about a command's work to stderr.
func teller(command string, stderr io.Writer) func(format string, args ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(stderr, "docspace-nats "+command+": "+fmt.Sprintf(format, args...))
	}
}

// connect connects to the configured servers, or to the one inside a connector
// on this machine.
func (c client) connect(ctx context.Context, cfg config.NATS) (nc *nats.Conn, disconnect func(), err error) {
	options := connectOptions(cfg)
	options.Name, options.NoEcho = "docspace-nats "+c.name, c.deaf
	options.Changed = func(connected bool, err error) {
		switch {
		case err != nil && !connected:
			c.tell("NATS is away: %v; trying again", err)
		case connected && err == nil:
			c.tell("NATS is back")
		}
	}
	if cfg.URL != "" {
		options.RetryFor = c.wait
		nc, err = publisher.Connect(ctx, options)
	} else {
		nc, err = connectInner(ctx, cfg, options)
	}
	if errors.Is(err, publisher.ErrLocalNotRunning) && (c.anew || c.own && publisher.LocalUsed(cfg.DataDir)) {
		c.tell("no connector runs with NATS_DATA_DIR=%s; its NATS server is started until this command ends", cfg.DataDir)
		return connectOwn(ctx, cfg, options)
	}
	if err != nil {
		return nil, nil, err
	}
	return nc, nc.Close, nil
}

// connectInner connects to the server inside a connector that runs.
func connectInner(ctx context.Context, cfg config.NATS, options publisher.ConnectOptions) (*nats.Conn, error) {
	local, err := publisher.FindLocal(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("NATS_URL is empty, and %w; set NATS_URL to a server, such as the address that docspace-nats demo prints, or NATS_DATA_DIR to the directory of a connector that runs", err)
	}
	options.URL = local.URL
	nc, err := publisher.Connect(ctx, options)
	if errors.Is(err, nats.ErrNoServers) {
		return nil, &innerGoneError{cfg.DataDir, local.URL}
	}
	if err != nil {
		return nil, err
	}
	if err := local.Check(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("NATS_URL is empty, and %w; start the connector, or set NATS_URL", err)
	}
	return nc, nil
}

// An innerGoneError is of a connector that was killed.
type innerGoneError struct{ dir, url string }

func (e *innerGoneError) Error() string {
	return fmt.Sprintf("the connector with NATS_DATA_DIR=%s does not run any more: nobody listens on %s; start it, or set NATS_URL", e.dir, e.url)
}

func (e *innerGoneError) Unwrap() error { return publisher.ErrLocalNotRunning }

// connectOwn starts the server in the directory for as long as the command runs.
func connectOwn(ctx context.Context, cfg config.NATS, options publisher.ConnectOptions) (*nats.Conn, func(), error) {
	local, err := startLocal(cfg, zerolog.Nop())
	if err != nil {
		return nil, nil, err
	}
	options.Local = local
	nc, err := publisher.Connect(ctx, options)
	if err != nil {
		local.Shutdown()
		return nil, nil, err
	}
	return nc, func() { nc.Close(); local.Shutdown() }, nil
}

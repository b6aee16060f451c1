package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
)

func tailCommand() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print or forward the events of the stream",
		Long: `tail reads events from the stream and prints them, or hands them to a file or a
syslog receiver. It needs the NATS_* settings only, of a user who may read.
Without NATS_URL it reads from the connector that runs with NATS_DATA_DIR on this
machine.

It prints what is stored from now on, until it is interrupted. --from begins
earlier, by the time an event was stored: history that was read later was stored
later, so look for its own time with a filter of yours.

With --durable NAME the stream remembers what was delivered. A restart, or
another process with the same name once the first has ended, goes on there,
--from only says where to begin the first time, and an event counts as delivered
when
  --file         it is on the disk
  --to relp://   the receiver has answered
  --to tcp://    the receiver has read everything and closed the connection,
                 which tail asks for every 5 seconds or 1,000 events
  stdout         it is written
Nothing is lost by a crash of either side, and what was not certain is delivered
again, in order: receivers know repetitions by the event's id (externalId).
A receiver must write what it took before it says so: in rsyslog, that is
queue.type="Direct" for the ruleset, or a queue on disk.

Severities: 1 routine, 2 access or destructive, 3 exposure or protection,
4 irreversible. In CEF they are 2, 4, 6 and 8, in syslog info, notice, warning
and error.`,
		Example: `  docspace-nats tail
  docspace-nats tail --from 2h --folder 42 --event 'file.*' --actor zoe
  docspace-nats tail --from beginning --no-follow -o ndjson > events.ndjson
  docspace-nats tail --severity 3 -o cef --count 10
  docspace-nats tail --durable siem-file --from beginning --file /var/log/docspace/events.ndjson
  docspace-nats tail --durable siem-syslog --to relp://logs.example.com:2514
  docspace-nats tail --durable siem-tls -o syslog --to tls://logs.example.com:6514 --ca ca.pem`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(emptyFlags(cmd.Flags()), o.check(time.Now(), cmd.OutOrStdout())); err != nil {
				return &usageError{err}
			}
			cfg, err := config.LoadNATS()
			if err != nil {
				return &usageError{err}
			}
			return runTail(cmd.Context(), cfg, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.register(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}

// runTail runs until what was asked for is delivered. A stop is no failure.
func runTail(ctx context.Context, cfg config.NATS, o tailOptions, stdout, stderr io.Writer) error {
	tell := teller("tail", stderr)
	to, err := o.open(stdout)
	if err != nil {
		return fmt.Errorf("%s: %w", o.target(), err)
	}
	of := client{name: strings.TrimSpace("tail " + o.durable), deaf: true, tell: tell}
	if o.durable != "" {
		of.wait = -1 // who is to deliver for good waits for the server
	}
	nc, disconnect, err := of.connect(ctx, cfg)
	if err != nil {
		return stopped(ctx, err)
	}
	defer disconnect()
	reader, err := publisher.OpenReader(ctx, nc, publisher.ReaderOptions{
		Stream:   cfg.Stream,
		Domain:   cfg.JSDomain,
		Subjects: o.subjects(cfg.SubjectPrefix),
		From:     o.position,
		Durable:  o.durable,
		Told:     func(text string) { tell("%s", text) },
	})
	if err != nil {
		return stopped(ctx, err)
	}
	if after, is := reader.Resumed(); is && (o.from != "" || o.seq > 0) {
		tell("consumer %s exists, goes on after event #%d; --from and --seq count only the first time", o.durable, after)
	}
	pump := &tailPump{o: o, reader: reader, sink: to, render: o.renderer(stdout), tell: tell}
	err = pump.run(ctx)
	if closed := to.Close(); err == nil && closed != nil {
		err = fmt.Errorf("%s: %w", o.target(), closed)
	}
	return err
}

// stopped drops the error of what a stop has cut short.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

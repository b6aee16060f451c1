package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
)

func runCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch the configured folders until stopped",
		Long: `run watches the configured folders, or every room, and stores each action as an
event. It goes on from where it, or any other process with the same stream,
stopped. An interrupt stops it, a second one at once; neither loses or repeats
anything.

With --once it reads until every folder is caught up and exits: 0 when all are,
1 when one could not be read to its end.

Settings (environment variables):

` + config.Help(),
		Example: `  DOCSPACE_URL=https://docs.example.com DOCSPACE_API_KEY_FILE=key.txt docspace-nats run
  DOCSPACE_FOLDERS=1204,1310 NATS_URL=nats://nats:4222 docspace-nats run
  docspace-nats run --once`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load()
			if err != nil {
				return &usageError{err}
			}
			return run(cmd.Context(), cfg, once, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "read until every folder is caught up, then exit")
	return cmd
}

// onceWaits is how long a run that is to end by itself waits for NATS.
const onceWaits = 30 * time.Second

// run watches until ctx ends or, once, until everything is caught up.
func run(ctx context.Context, cfg config.Config, once bool, stderr io.Writer) error {
	log := newLogger(cfg.Log, stderr)
	for _, warning := range cfg.Warnings() {
		log.Warn().Msg(warning)
	}
	state, err := serveState(cfg.HTTP.Addr, log)
	if err != nil {
		return err
	}
	defer state.close()
	if once {
		cfg.Hints.Addr = "" // every folder is polled anyway
	}
	hints, err := listenHints(cfg.Hints.Addr)
	if err != nil {
		return err
	}
	if hints != nil {
		defer hints.Close()
	}
	wait := time.Duration(-1)
	if once {
		wait = onceWaits
	}
	c, err := connect(ctx, cfg, wait, log)
	if err != nil {
		return ended(ctx, err, log)
	}
	defer c.close()
	state.show(c)
	if err := refuseOld(ctx, c.portal, cfg.DocSpace.Folders, log); err != nil {
		return ended(ctx, err, log)
	}
	log.Info().Str("version", thisBuild().Version).Str("portal", cfg.DocSpace.URL).Str("stream", c.ledger.Stream()).
		Stringer("folders", cfg.DocSpace.Folders).Msg("started; " + c.ledger.Mode().Promise())
	cfg.Events.Tell(log)
	if once {
		err = c.catchUp(ctx, log)
	} else {
		err = c.watch(ctx, c.hintMembers(hints, cfg.Hints.SecretSource(), log)...)
	}
	return ended(ctx, err, log)
}

// watch runs the members of the program. The error of the first that fails
// stops the others and is the reason of the exit.
func (c *connector) watch(ctx context.Context, more ...func(context.Context) error) error {
	members, ctx := errgroup.WithContext(ctx)
	members.Go(func() error { return c.discovery.Run(ctx, c.schedule) })
	members.Go(func() error { return c.schedule.Run(ctx) })
	members.Go(func() error { return c.replicas.Run(ctx) })
	members.Go(func() error { return c.patrol.Run(ctx) })
	members.Go(func() error { return c.ledger.Answer(ctx, c.answer) })
	for _, member := range more {
		members.Go(func() error { return member(ctx) })
	}
	return members.Wait()
}

func (c *connector) catchUp(ctx context.Context, log zerolog.Logger) error {
	found := c.discovery.Find(ctx, c.schedule)
	if root := new(poller.RootFolderError); errors.As(found, &root) {
		return found
	}
	// What was found is caught up with, even when not all was.
	if err := errors.Join(found, c.schedule.CatchUp(ctx)); err != nil {
		return err
	}
	log.Info().Int("folders", len(c.schedule.Standings())).Msg("every folder is caught up")
	return nil
}

// ended logs why a run ended and returns what its exit code comes from. What a
// stop looks like from inside is no error, and some mistakes in the
// configuration only the portal can tell.
func ended(ctx context.Context, err error, log zerolog.Logger) error {
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		log.Info().Msg("stopped")
		return nil
	}
	if root := new(poller.RootFolderError); errors.As(err, &root) {
		log.Error().Err(fmt.Errorf("DOCSPACE_FOLDERS: %w", err)).Msg("stopped")
		return &usageError{errReported}
	}
	log.Error().Err(err).Msg("stopped")
	return errReported
}

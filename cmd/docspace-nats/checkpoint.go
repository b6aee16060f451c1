package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

func checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Show and change how far each folder has been published",
		Long: `checkpoint shows, saves and changes the marks of folders. A mark says how far a
folder has been published, and lies in the stream beside the events.

It needs the settings and the NATS user of the connector, which may run or not;
show and export need the NATS_* settings only. Without NATS_URL it uses the server
inside the connector that runs with NATS_DATA_DIR on this machine, or starts that
server for as long as it works. Only import may do so where no connector ever ran.

set, reset and import say in one sentence and in numbers what they will do before
they do it. Each change is one commit with an event connector.mark_changed, which
carries the reason. A connector that publishes the folder at that moment is refused
its commit and goes on from the new mark: none has to be stopped.`,
		Example: `  docspace-nats checkpoint show
  docspace-nats checkpoint reset --folder 42 --dry-run
  docspace-nats checkpoint export marks.ndjson`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(checkpointShowCommand(), checkpointSetCommand(), checkpointResetCommand(), checkpointExportCommand(), checkpointImportCommand())
	return cmd
}

// subcommand refuses what is none.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q; see %s --help", args[0], cmd.CommandPath())
	}
	return nil
}

// A markKeeper is what the commands on marks work with.
type markKeeper struct {
	ledger *publisher.JetStream
	portal *docspace.Client // nil where no portal is asked
	poller *poller.Poller   // the same
	close  func()
}

// An opener opens the stream: publisher.Attach, or publisher.AttachOrAbsent.
type opener func(context.Context, *nats.Conn, publisher.Options) (*publisher.JetStream, error)

// keepMarks connects to the stream.
func keepMarks(ctx context.Context, of client, cfg config.NATS, open opener) (*markKeeper, error) {
	nc, disconnect, err := of.connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	ledger, err := open(ctx, nc, streamOptions(cfg))
	if err != nil {
		disconnect()
		return nil, err
	}
	return &markKeeper{ledger: ledger, close: disconnect}, nil
}

// ask gives the keeper a poller, which knows what a change does.
func (k *markKeeper) ask(cfg config.Config) error {
	privacy, err := cfg.DocSpace.ReadPrivacy()
	if err != nil {
		return err
	}
	portal, err := newPortal(cfg, privacy, callPatience, nil)
	if err != nil {
		return err
	}
	disconnect := k.close
	k.portal, k.close = portal, func() { portal.Close(); disconnect() }
	k.poller = poller.New(portal, k.ledger, poller.Options{Feed: feed(cfg, privacy), Filter: cfg.Events.Filter(), Writer: writer()})
	return nil
}

// marks returns the marks of these folders, all when there are none.
func (k *markKeeper) marks(ctx context.Context, folders []int) ([]checkpoint.Mark, error) {
	marks, err := k.ledger.Marks(ctx)
	if err != nil || len(folders) == 0 {
		return marks, err
	}
	var chosen []checkpoint.Mark
	var errs []error
	for _, folder := range folders {
		i, found := slices.BinarySearchFunc(marks, folder, func(m checkpoint.Mark, id int) int { return cmp.Compare(m.Folder, id) })
		if !found {
			errs = append(errs, fmt.Errorf("folder %d: stream %s has no mark of it", folder, k.ledger.Stream()))
			continue
		}
		chosen = append(chosen, marks[i])
	}
	return chosen, errors.Join(errs...)
}

// cleanReason is the operator's reason as it is published.
func cleanReason(reason string) (string, error) {
	reason = schema.Text(reason)
	switch {
	case reason == "":
		return "", errors.New("--reason: must say why, for those who read the event; what people typed is left out under DOCSPACE_PRIVACY=minimal")
	case len([]rune(reason)) > poller.MaxReason:
		return "", fmt.Errorf("--reason: must not be longer than %d characters", poller.MaxReason)
	}
	return reason, nil
}

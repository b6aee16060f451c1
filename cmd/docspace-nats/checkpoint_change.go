package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/publisher"
)

func checkpointSetCommand() *cobra.Command {
	var o changeOptions
	var folders []string
	var to string
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Let rows count as published without storing them",
		Long: `set moves marks on. Rows of the folder up to a time, or up to now, count as published
from then on; those that were not are skipped, and consumers never see them. It also
ends the states rewound and unreconciled: what the portal has now is taken as it is.`,
		Example: `  docspace-nats checkpoint set --folder 42 --to now --dry-run
  docspace-nats checkpoint set --folder 42 --folder 43 --to now --reason 'history is not wanted'
  docspace-nats checkpoint set --folder 42 --to 2026-01-31T00:00:00Z --reason 'loaded by hand up to January' --yes`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := parseMarkTime(to, "now", time.Now())
			return o.run(cmd, folders, poller.Move{Command: poller.SetMark, To: at}, err)
		},
	}
	folderFlag(cmd.Flags(), &folders, "folder id to change; may be repeated; required")
	cmd.Flags().StringVar(&to, "to", "", "now, a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z: rows dated before count as published; required")
	o.register(cmd.Flags())
	return cmd
}

func checkpointResetCommand() *cobra.Command {
	var o changeOptions
	var folders []string
	var to string
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Have folders read and published again",
		Long: `reset puts marks back. The folder is read again from its first row, or from a time on,
and what was published is published a second time: the events come in the same order,
with the same ids, and with ingestmode backfill. Consumers who go by the id take no
harm. It also ends the states rewound and unreconciled.

Rows that were left out because they are older than DOCSPACE_START are published,
too, when the folder is read again from an earlier time. Rows from before the time
are left alone: they stay in the stream, and are not looked after any more.`,
		Example: `  docspace-nats checkpoint reset --folder 42 --dry-run
  docspace-nats checkpoint reset --folder 42 --reason 'the index was lost'
  docspace-nats checkpoint reset --folder 42 --to 7d --reason 'the index lost a week' --yes --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := parseMarkTime(to, "beginning", time.Now())
			return o.run(cmd, folders, poller.Move{Command: poller.ResetMark, To: at}, err)
		},
	}
	folderFlag(cmd.Flags(), &folders, "folder id to change; may be repeated; required")
	cmd.Flags().StringVar(&to, "to", "beginning", "beginning, a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z: rows dated at it or later are read again")
	o.register(cmd.Flags())
	return cmd
}

// parseMarkTime reads the value of --to: a word, which is the zero time, or a time that
// has come. The portal knows whole seconds.
func parseMarkTime(text, word string, now time.Time) (time.Time, error) {
	if text == word {
		return time.Time{}, nil
	}
	if text == "" {
		return time.Time{}, fmt.Errorf("--to: must be given: %s, a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z", word)
	}
	at, err := parseWhen(text, now)
	if err != nil {
		return at, fmt.Errorf("--to: must be %s, a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z, got %s", word, config.Shown(text))
	}
	if at.After(now) {
		return at, fmt.Errorf("--to: must not lie in the future, got %s", config.Shown(text))
	}
	return at.UTC().Truncate(time.Second), nil
}

// changeOptions are the flags of commands that change marks.
type changeOptions struct {
	reason      string
	yes, dryRun bool
	asJSON      bool
}

func (o *changeOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.reason, "reason", "", "why; it is published with the change; required")
	flags.BoolVar(&o.yes, "yes", false, "do not ask; required where standard input is no terminal")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	flags.SortFlags = false
}

// check judges the flags. Where nobody can be asked, somebody must have agreed.
func (o *changeOptions) check(stdin io.Reader) (err error) {
	if o.dryRun {
		return nil
	}
	o.reason, err = cleanReason(o.reason)
	if !o.yes && !isTerminal(stdin) {
		err = errors.Join(err, errors.New("--yes: must be given where standard input is no terminal and nobody can be asked; --dry-run says what would be done"))
	}
	return err
}

// run changes the marks of folders in the same way.
func (o *changeOptions) run(cmd *cobra.Command, folders []string, move poller.Move, badTo error) error {
	ids, err := folderIDs(folders)
	if err == nil && len(ids) == 0 {
		err = errors.New("--folder: must name at least one folder")
	}
	if err := errors.Join(err, badTo, o.check(cmd.InOrStdin())); err != nil {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
	cfg, err := config.Load()
	if err != nil {
		return &usageError{err}
	}
	var moves []folderMove
	for _, id := range ids {
		moves = append(moves, folderMove{id, move})
	}
	return o.change(cmd, cfg, publisher.Attach, moves)
}

// A folderMove is what is to be done to a folder's mark.
type folderMove struct {
	folder int
	poller.Move
}

// change plans every change before it makes the first. A stream that may be absent,
// which is open's business, is created when all agree.
func (o *changeOptions) change(cmd *cobra.Command, cfg config.Config, open opener, moves []folderMove) error {
	ctx, name := cmd.Context(), "checkpoint "+cmd.Name()
	of := client{name: name, own: true, tell: teller(name, cmd.ErrOrStderr())}
	of.anew = !o.dryRun && cmd.Name() == poller.ImportMark // what is only tried creates nothing
	keeper, err := keepMarks(ctx, of, cfg.NATS, open)
	if err != nil {
		return err
	}
	defer func() { keeper.close() }()
	if err := keeper.ask(cfg); err != nil {
		return err
	}
	talk := &markTalk{in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), o: o}
	plans, err := keeper.plan(ctx, moves, talk)
	if err != nil {
		return refused(cfg.DocSpace, err)
	}
	create := len(plans) > 0 && keeper.ledger.Absent()
	if create {
		talk.say("stream %s does not exist yet: it will be created", keeper.ledger.Stream())
	}
	if o.dryRun || len(plans) == 0 {
		return talk.finish()
	}
	if err := talk.agree(ctx, len(plans)); err != nil {
		return err
	}
	if create {
		if err := keeper.ledger.Create(ctx); err != nil {
			return fmt.Errorf("%w; no mark was changed", err)
		}
	}
	var failed []error
	for _, plan := range plans {
		done, err := plan.Make(ctx, o.reason, func(c poller.Change) error { return talk.anew(ctx, c) })
		switch {
		case errors.Is(err, poller.ErrNothingToChange):
			talk.say("%v", err) // a connector has published all of it meanwhile
		case err != nil:
			failed = append(failed, err)
		default:
			talk.done(done)
		}
	}
	return errors.Join(errors.Join(failed...), talk.finish())
}

// plan works out all changes, and tells them. What is there already is told and
// left out; what cannot be done ends it.
func (k *markKeeper) plan(ctx context.Context, moves []folderMove, talk *markTalk) ([]*poller.Plan, error) {
	var plans []*poller.Plan
	var failed []error
	for _, move := range moves {
		plan, err := k.poller.Plan(ctx, move.folder, move.Move)
		switch {
		case errors.Is(err, poller.ErrNothingToChange):
			talk.say("%v", err)
		case ctx.Err() != nil:
			return nil, err
		case err != nil:
			failed = append(failed, err)
		default:
			plans = append(plans, plan)
			talk.announce(plan.Change)
		}
	}
	if n := len(failed); n > 0 {
		if n > mostAnnounced {
			failed = append(failed[:mostAnnounced], fmt.Errorf("and %d more folders", n-mostAnnounced))
		}
		return nil, fmt.Errorf("%w; nothing was changed", errors.Join(failed...))
	}
	return plans, nil
}

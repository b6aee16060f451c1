package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"docspace-nats/publisher"
)

func backfillCancelCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "cancel JOB",
		Short: "Delete a job, with the events it has stored",
		Long: `cancel deletes the streams of a job: its events, its marks and its queue. The live
stream is left alone. It asks before, or takes --yes. A job that somebody works on
is not deleted: stop that first.`,
		Example: `  docspace-nats backfill cancel audit-2026
  docspace-nats backfill cancel audit-2026 --yes`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !jobName.MatchString(args[0]) {
				return usagef("%s takes the name of one job, got %q; see %[1]s --help", cmd.CommandPath(), args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withJobs(cmd, "cancel", func(ctx context.Context, nc *nats.Conn, o publisher.Options) error {
				return cancelJob(ctx, nc, o, args[0], cmd, yes)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func cancelJob(ctx context.Context, nc *nats.Conn, o publisher.Options, name string, cmd *cobra.Command, yes bool) error {
	job, there, err := publisher.FindJob(ctx, nc, o, name)
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("there is no job %s; docspace-nats backfill list shows those there are", name)
	}
	rows, err := jobRows(ctx, nc, o, []publisher.Job{job})
	if err != nil {
		return err
	}
	row := rows[0]
	if err := idle(row.Processes, name); err != nil {
		return err
	}
	question := fmt.Sprintf("Delete job %s, which is %s, with %s of %s stored (stream %s)?", name, row.State, counted(row.Stored, "row"), counted(row.Folders, "folder"), row.Stream)
	if err := consent(cmd, yes, question); err != nil {
		return err
	}
	if !yes { // somebody may have started it while the question stood
		running, err := publisher.Running(ctx, nc, job)
		if err := cmp.Or(err, idle(running[name], name)); err != nil {
			return err
		}
	}
	if err := job.Remove(ctx, nc, o); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "job %s is deleted\n", name)
	return nil
}

// idle returns an error when processes work on a job.
func idle(processes int, name string) error {
	if processes == 0 {
		return nil
	}
	return fmt.Errorf("job %s is worked on by %s; stop that first (an interrupt pauses the job), then cancel it", name, counted(processes, "process"))
}

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
)

func backfillListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the jobs there are, and how far they are",
		Long: `list shows the jobs beside the stream NATS_STREAM. It needs the NATS_* settings
only, and takes three seconds, in which every process that works on a job is heard.

STATE is running, paused (some folder is not read to its end, and nobody works on
it) or complete. FOLDERS are those read to their end, ROWS those that are stored, of
all there were when the job was created: the numbers that the job's progress shows.`,
		Example: `  docspace-nats backfill list
  docspace-nats backfill list --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withJobs(cmd, "list", func(ctx context.Context, nc *nats.Conn, o publisher.Options) error {
				jobs, err := publisher.Jobs(ctx, nc, o)
				if err != nil {
					return err
				}
				rows, err := jobRows(ctx, nc, o, jobs)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !asJSON {
					fmt.Fprintf(cmd.ErrOrStderr(), "there are no jobs beside stream %s; docspace-nats backfill --help tells how to create one\n", o.Stream)
					return nil
				}
				return printJobs(cmd.OutOrStdout(), rows, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// withJobs connects for a command about jobs.
func withJobs(cmd *cobra.Command, name string, do func(context.Context, *nats.Conn, publisher.Options) error) error {
	cfg, err := config.LoadNATS()
	if err != nil {
		return &usageError{err}
	}
	of := client{name: "backfill " + name, own: true, tell: teller("backfill "+name, cmd.ErrOrStderr())}
	nc, disconnect, err := of.connect(cmd.Context(), cfg)
	if err != nil {
		return stopped(cmd.Context(), err)
	}
	defer disconnect()
	return do(cmd.Context(), nc, streamOptions(cfg))
}

// States of a job.
const (
	jobRunning  = "running"
	jobPaused   = "paused"
	jobComplete = "complete"
	jobBroken   = "unreadable" // what it is, its stream does not tell
)

// A jobRow is a job as list shows it.
type jobRow struct {
	Job         string    `json:"job"`
	State       string    `json:"state"`
	Processes   int       `json:"processes"` // that work on it now
	Folders     int       `json:"folders"`
	FoldersOver int       `json:"folders_complete"`
	Rows        int       `json:"rows"` // in its folders, when it was created
	Stored      int       `json:"stored"`
	From        time.Time `json:"from,omitzero"`
	To          time.Time `json:"to,omitzero"`
	Created     time.Time `json:"created"`
	Stream      string    `json:"stream"`
	Bytes       uint64    `json:"bytes"`
	Error       string    `json:"error,omitzero"`
}

func jobRows(ctx context.Context, nc *nats.Conn, o publisher.Options, jobs []publisher.Job) ([]jobRow, error) {
	running, err := publisher.Running(ctx, nc, jobs...)
	if err != nil {
		return nil, err
	}
	rows := make([]jobRow, 0, len(jobs))
	for _, found := range jobs {
		marks, err := publisher.StoredMarks(ctx, nc, o.Job(found.Name, nil))
		if err != nil {
			return nil, err
		}
		rows = append(rows, jobRowOf(found, marks, running[found.Name]))
	}
	return rows, nil
}

func jobRowOf(found publisher.Job, marks []checkpoint.Mark, processes int) jobRow {
	row := jobRow{Job: found.Name, Processes: processes, Created: found.Created, Stream: found.Stream, Bytes: found.Bytes}
	for _, m := range marks {
		row.Stored += m.Accounted
		if m.State == checkpoint.Watching {
			row.FoldersOver++
		}
	}
	job, err := parseJob(found)
	if err != nil {
		row.State, row.Error = jobBroken, err.Error()
		return row
	}
	row.Folders, row.Rows, row.From, row.To = len(job.Folders), job.Rows, job.From, job.To
	switch {
	case row.FoldersOver >= row.Folders:
		row.State = jobComplete
	case processes > 0:
		row.State = jobRunning
	default:
		row.State = jobPaused
	}
	return row
}

func printJobs(w io.Writer, rows []jobRow, asJSON bool) error {
	if asJSON {
		return printJSON(w, rows)
	}
	table := &table{w: w}
	fmt.Fprintln(table, "JOB\tSTATE\tFOLDERS\tROWS\tFROM\tTO\tCREATED\tSTREAM")
	for _, r := range rows {
		from := "beginning"
		if !r.From.IsZero() {
			from = r.From.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%d of %d\t%d of %d\t%s\t%s\t%s\t%s\n", r.Job, r.State, r.FoldersOver, r.Folders, r.Stored, max(r.Stored, r.Rows),
			from, r.To.Format(time.RFC3339), r.Created.Format(time.RFC3339), r.Stream)
	}
	return table.Flush()
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

func checkpointShowCommand() *cobra.Command {
	var folders []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the marks",
		Long: `show prints the marks of the stream, one line for each folder. ACCOUNTED is the number
of rows that are in the stream, were reported as gaps, were left out by the filter
or were skipped by checkpoint set, counted from the anchor.
ANCHOR is a time: rows dated before it do not count, and are not looked after; with - all do.
REASON says why a folder is in a state other than watching or backfilling.`,
		Example: `  docspace-nats checkpoint show
  docspace-nats checkpoint show --folder 42 --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ids, err := folderIDs(folders)
			if err != nil {
				return &usageError{err}
			}
			cfg, err := config.LoadNATS()
			if err != nil {
				return &usageError{err}
			}
			return showMarks(cmd.Context(), cfg, ids, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	folderFlag(cmd.Flags(), &folders, "only this folder id; may be repeated")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showMarks(ctx context.Context, cfg config.NATS, folders []int, asJSON bool, stdout, stderr io.Writer) error {
	keeper, err := keepMarks(ctx, client{name: "checkpoint show", own: true, tell: teller("checkpoint show", stderr)}, cfg, publisher.Attach)
	if err != nil {
		return err
	}
	defer keeper.close()
	marks, err := keeper.marks(ctx, folders)
	if err != nil {
		return err
	}
	return printMarkTable(stdout, marks, asJSON)
}

// A markRow is a mark as people and scripts see it.
type markRow struct {
	Folder      int              `json:"folder"`
	State       checkpoint.State `json:"state"`
	Reason      string           `json:"reason,omitzero"`
	Accounted   int              `json:"accounted"`
	Anchor      time.Time        `json:"anchor,omitzero"`
	Newest      int64            `json:"newest,omitzero"`
	NewestEvent time.Time        `json:"newest_event,omitzero"`
	Filtered    int              `json:"filtered,omitzero"`
	Changes     int              `json:"changes"`
	Since       time.Time        `json:"since,omitzero"`
	Committed   time.Time        `json:"committed,omitzero"`
	Writer      string           `json:"writer,omitzero"`
	Portal      string           `json:"portal,omitzero"`
	Revision    uint64           `json:"revision"`
}

func rowOf(m checkpoint.Mark) markRow {
	return markRow{
		Folder: m.Folder, State: checkpoint.State(schema.Text(string(cmp.Or(m.State, checkpoint.Watching)))), Reason: schema.Text(m.Reason),
		Accounted: m.Accounted, Anchor: m.Anchor, Newest: m.Newest(), NewestEvent: m.NewestEvent, Filtered: m.Filtered.Rows,
		Changes: m.Changes, Since: m.Since, Committed: m.LastPoll,
		Writer: schema.Text(m.Writer), Portal: schema.Text(m.Portal), Revision: m.Revision,
	}
}

func printMarkTable(w io.Writer, marks []checkpoint.Mark, asJSON bool) error {
	rows := make([]markRow, len(marks))
	for i, m := range marks {
		rows[i] = rowOf(m)
	}
	if asJSON {
		return printJSON(w, rows)
	}
	table := &table{w: w}
	fmt.Fprintln(table, "FOLDER\tSTATE\tACCOUNTED\tANCHOR\tNEWEST ROW\tNEWEST EVENT\tCOMMITTED\tCHANGES\tWRITER\tREASON")
	for _, r := range rows {
		fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%d\t%s\t%s\t%d\t%s\t%s\n", r.Folder, r.State, r.Accounted,
			dash(r.Anchor), r.Newest, dash(r.NewestEvent), dash(r.Committed), r.Changes, cmp.Or(r.Writer, "-"), cmp.Or(r.Reason, "-"))
	}
	return table.Flush()
}

// dash is a time in a table, "-" for none.
func dash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

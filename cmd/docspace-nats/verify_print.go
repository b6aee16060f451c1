package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"docspace-nats/poller"
)

// verified is what verify prints of a folder.
type verified struct {
	poller.Verdict
	Equal bool   `json:"equal"`
	Error string `json:"error,omitzero"` // why it could not be compared
}

// print shows what was found, on standard error what could not be compared, and says
// by its error whether all is equal.
func (o verifyOptions) print(w, stderr io.Writer, all []verified) error {
	for i := range all {
		all[i].Findings = all[i].Findings[:min(len(all[i].Findings), o.details)]
	}
	var err error
	if o.json {
		err = printJSON(w, all)
	} else {
		err = printVerified(w, all)
	}
	if err != nil {
		return err
	}
	tellUncompared(stderr, all)
	tell := teller("verify", stderr)
	if o.job == "" {
		tellSince(tell, all)
	}
	for _, v := range all {
		if v.Extra+v.Twice+v.Disorder+v.Different > 0 {
			tell("a stream only grows: what is extra, twice, out of order or different stays in it; to have it right, read the folder into a stream of its own with docspace-nats backfill")
			break
		}
	}
	if slices.ContainsFunc(all, func(v verified) bool { return !v.Equal }) {
		return errReported
	}
	return nil
}

// tellSince says of which folders not all was compared.
func tellSince(tell func(string, ...any), all []verified) {
	told := 0
	for _, v := range all {
		if v.Since.IsZero() {
			continue
		}
		if told++; told <= fewFolders {
			tell("folder %d: rows dated before %s, where its mark begins, and their events were not compared", v.Folder, v.Since.UTC().Format(time.RFC3339))
		}
	}
	if more := told - fewFolders; more > 0 {
		tell("nor were all of %s more", counted(more, "folder"))
	}
}

// tellUncompared says why folders could not be compared. What is wrong with all of
// them is said of some.
func tellUncompared(stderr io.Writer, all []verified) {
	told := 0
	for _, v := range all {
		if v.Error == "" {
			continue
		}
		if told++; told <= fewFolders {
			fmt.Fprintln(stderr, v.Error)
		}
	}
	if more := told - fewFolders; more > 0 {
		fmt.Fprintf(stderr, "and %s more could not be compared; --json tells why of each\n", counted(more, "folder"))
	}
}

func printVerified(w io.Writer, all []verified) error {
	table := &table{w: w, right: true}
	fmt.Fprintln(table, "FOLDER\tROWS\tEVENTS\tMISSING\tEXTRA\tTWICE\tOUT OF ORDER\tDIFFERENT\tFILTERED\tHIDDEN\tDROPPED\tSKIPPED\tUNREAD\tREPAIRED\t")
	for _, v := range all {
		if v.Error != "" {
			fmt.Fprintf(table, "%d\t%s\n", v.Folder, strings.Repeat("-\t", 13))
			continue
		}
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", v.Folder, v.Rows, v.Events,
			v.Missing, v.Extra, v.Twice, v.Disorder, v.Different, v.Filtered, v.Hidden, v.Dropped, v.Skipped, v.Unread, v.Repaired)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, v := range all {
		for _, f := range v.Findings {
			fmt.Fprintf(w, "folder %d: %s\n", v.Folder, findingText(f))
		}
		if total := v.Missing + v.Extra + v.Twice + v.Disorder + v.Different; total > len(v.Findings) {
			fmt.Fprintf(w, "folder %d: and %d more\n", v.Folder, total-len(v.Findings))
		}
	}
	return nil
}

// findingText is a finding in a line.
func findingText(f poller.Finding) string {
	text := f.Kind + ":"
	switch {
	case f.Row > 0:
		text += fmt.Sprintf(" row %d", f.Row)
	case f.Event != "":
		text += " event " + f.Event
	}
	if !f.Time.IsZero() {
		text += " of " + f.Time.UTC().Format(time.RFC3339)
	}
	if f.Sequence > 0 {
		text += fmt.Sprintf(" at sequence %d", f.Sequence)
	}
	text += ": " + f.Detail
	if f.Repaired {
		text += "; stored now, as late"
	}
	return text
}

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// printTable prints rows under a header, columns separated by tabs in both, or
// as a JSON array.
func printTable[R any](w io.Writer, asJSON bool, rows []R, header string, line func(R) string) error {
	if asJSON {
		return printJSON(w, rows)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, header)
	for _, r := range rows {
		fmt.Fprintln(table, line(r))
	}
	return table.Flush()
}

func printJSON(w io.Writer, rows any) error {
	text, err := json.Marshal(rows, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"docspace-nats/schema/line"
)

// A table prints lines whose columns end with tabs, each column as wide as its widest
// cell. It is text/tabwriter for people whose rooms have Chinese names: that counts
// characters, where a terminal shows some in two columns.
type table struct {
	w     io.Writer
	right bool // cells are aligned to the right
	text  strings.Builder
}

// between is what stands between two columns.
const between = "  "

// Write takes lines.
func (t *table) Write(text []byte) (int, error) { return t.text.Write(text) }

// Flush prints what was written.
func (t *table) Flush() error {
	var lines [][]string
	var widths []int
	for text := range strings.Lines(t.text.String()) {
		cells := strings.Split(strings.TrimSuffix(text, "\n"), "\t")
		widths = append(widths, make([]int, max(0, len(cells)-len(widths)))...)
		for i, cell := range cells[:len(cells)-1] {
			widths[i] = max(widths[i], line.Width(cell))
		}
		lines = append(lines, cells)
	}
	var b strings.Builder
	for _, cells := range lines {
		last := len(cells) - 1
		for i, cell := range cells[:last] {
			pad := strings.Repeat(" ", widths[i]-line.Width(cell))
			if t.right {
				b.WriteString(between + pad + cell)
			} else {
				b.WriteString(cell + pad + between)
			}
		}
		b.WriteString(cells[last] + "\n")
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// printTable prints rows under a header, columns separated by tabs in both, or
// as a JSON array.
func printTable[R any](w io.Writer, asJSON bool, rows []R, header string, line func(R) string) error {
	if asJSON {
		return printJSON(w, rows)
	}
	table := &table{w: w}
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

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/schema"
)

// What schema prints beside the JSON Schemas.
const (
	printFamilies = "families"
	printAsyncAPI = "asyncapi"
	printActions  = "actions"
)

func schemaCommand() *cobra.Command {
	var o schemaOptions
	names := append(schema.SchemaNames(), printFamilies, printAsyncAPI, printActions)
	cmd := &cobra.Command{
		Use:   "schema [name]",
		Short: "Print the contract of the events: JSON Schemas, AsyncAPI, the catalogue of actions",
		Long: `schema prints what consumers of the events can build on, version ` + schema.Version + `. It needs
no settings, no portal and no NATS.

  event      JSON Schema 2020-12 of the whole event (the default)
` + familyLines() + `  families   which schema describes the data of which events
  asyncapi   AsyncAPI 3.0.0: subjects, headers and messages
  actions    the catalogue: every action, its subject, severity and SIEM hints

SHOWN in the table of actions says whether a folder's log can show the action:
yes, no, "as 5015" (it does, under the code of that other action), or "itself"
for what the connector says about its own work.

The schemas of families describe the data of their events, and refer to that of
the event by its file name: keep them in one place.`,
		Example: `  docspace-nats schema > event.schema.json
  docspace-nats schema room
  docspace-nats schema actions --csv
  docspace-nats schema --all public --base https://schemas.example.com   # then publish public/`,
		ValidArgs: names,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("schema takes one name, got %q; see %s --help", args, cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.name = args[0]
			}
			if err := o.check(names); err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&o.base, "base", "", "address the schemas are published under; they lie at <base>/v1/ (default https://schemas.example.org/docspace-activity)")
	cmd.Flags().StringVar(&o.all, "all", "", "write all files to the directory v1 in this one, instead of printing")
	cmd.Flags().BoolVar(&o.json, "json", false, "print families or actions as one JSON array")
	cmd.Flags().BoolVar(&o.csv, "csv", false, "print actions as CSV, with the columns that are reviewed")
	return cmd
}

func familyLines() string {
	var b strings.Builder
	for _, family := range schema.Families() {
		fmt.Fprintf(&b, "  %-10s JSON Schema of the data of events about %s\n", family.Name, family.About)
	}
	return b.String()
}

type schemaOptions struct {
	name, base, all string
	json, csv       bool
}

func (o *schemaOptions) check(names []string) error {
	if o.all != "" && (o.name != "" || o.json || o.csv) {
		return usagef("--all writes everything: leave out the name, --json and --csv")
	}
	if what := config.WrongBase(o.base); what != "" {
		return usagef("--base: %s", what)
	}
	if o.name == "" {
		o.name = schema.EventSchema
	}
	table := o.name == printFamilies || o.name == printActions
	switch {
	case !slices.Contains(names, o.name):
		return usagef("there is no schema %q, only %s", o.name, strings.Join(names, ", "))
	case o.json && !table:
		return usagef("--json is for families and actions; %s is printed as it is", o.name)
	case o.csv && o.name != printActions:
		return usagef("--csv is for actions")
	case o.json && o.csv:
		return usagef("--json and --csv exclude each other")
	}
	return nil
}

func (o *schemaOptions) print(w io.Writer) error {
	switch {
	case o.all != "":
		return o.writeAll(w)
	case o.name == printFamilies:
		return printFamilyTable(w, o.json)
	case o.name == printActions && o.csv:
		_, err := w.Write(schema.CatalogueCSV())
		return err
	case o.name == printActions:
		return printActionTable(w, o.json)
	case o.name == printAsyncAPI:
		_, err := w.Write(schema.AsyncAPI(o.base))
		return err
	}
	text, err := schema.JSONSchema(o.name, o.base)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// writeAll writes every file where its address under the base says, and tells
// which.
func (o *schemaOptions) writeAll(w io.Writer) error {
	dir := filepath.Join(o.all, "v1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("directory for the schemas: %w", err)
	}
	for name, text := range schema.Files(o.base) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write the contract: %w", err)
		}
		if _, err := fmt.Fprintln(w, path); err != nil {
			return err
		}
	}
	return nil
}

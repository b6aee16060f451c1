package main

import (
	"fmt"
	"io"

	"docspace-nats/schema"
)

// A familyRow says which schema describes the data of which events.
type familyRow struct {
	Family     string   `json:"family"`
	About      string   `json:"about"`
	Schema     string   `json:"schema"`
	Categories []string `json:"categories"`
}

// An actionRow is an action of the catalogue, as its events show it.
type actionRow struct {
	Code       int         `json:"code"` // 0: the connector's own
	Key        string      `json:"key"`
	Family     string      `json:"family"`
	Category   string      `json:"category"`
	Name       string      `json:"name"`
	Type       string      `json:"type"`
	Outcome    string      `json:"outcome"`
	Severity   int         `json:"severity"`
	Tracked    bool        `json:"tracked"` // a folder's log can show it
	ReportedAs int         `json:"reported_as,omitzero"`
	Since      string      `json:"since,omitzero"`
	ECS        schema.ECS  `json:"ecs"`
	OCSF       schema.OCSF `json:"ocsf"`
	Notes      string      `json:"notes,omitzero"`
}

func familyRows() []familyRow {
	var rows []familyRow
	at := make(map[string]int)
	for i, f := range schema.Families() {
		rows = append(rows, familyRow{Family: f.Name, About: f.About, Schema: f.Name + ".schema.json"})
		at[f.Name] = i
	}
	met := make(map[string]bool)
	for action := range schema.Catalogue() {
		if category := action.Category; !met[category] {
			met[category] = true
			row := &rows[at[schema.FamilyOf(category)]]
			row.Categories = append(row.Categories, category)
		}
	}
	return rows
}

func actionRows() []actionRow {
	var rows []actionRow
	for a := range schema.Catalogue() {
		rows = append(rows, actionRow{
			Code: a.Code, Key: a.Key, Family: schema.FamilyOf(a.Category), Category: a.Category, Name: a.Name, Type: a.Type(),
			Outcome: a.Outcome, Severity: a.Severity, Tracked: a.Tracked, ReportedAs: a.ReportedAs, Since: a.Since,
			ECS: a.ECS, OCSF: a.OCSF, Notes: a.Notes,
		})
	}
	return rows
}

func printFamilyTable(w io.Writer, asJSON bool) error {
	return printTable(w, asJSON, familyRows(), "FAMILY\tSCHEMA OF THE DATA\tEVENTS ABOUT", func(r familyRow) string {
		return fmt.Sprintf("%s\t%s\t%s", r.Family, r.Schema, r.About)
	})
}

// printActionTable prints in SHOWN whether a folder's log shows the action, or
// under which code it does; the connector's own need no log.
func printActionTable(w io.Writer, asJSON bool) error {
	return printTable(w, asJSON, actionRows(), "CODE\tKEY\tSUBJECT ENDS IN\tSHOWN\tSEVERITY\tECS ACTION\tOCSF TYPE", func(r actionRow) string {
		shown := "no"
		switch {
		case r.ReportedAs != 0:
			shown = fmt.Sprintf("as %d", r.ReportedAs)
		case r.Tracked:
			shown = "yes"
		case r.Code == 0:
			shown = "itself"
		}
		return fmt.Sprintf("%d\t%s\t%s.%s\t%s\t%d\t%s\t%d",
			r.Code, r.Key, r.Category, r.Name, shown, r.Severity, r.ECS.Action, r.OCSF.TypeUID)
	})
}

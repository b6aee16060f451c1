package main

import (
	"slices"

	"docspace-nats/schema"
)

// A family is what its schema says beyond that of the event.
type family struct {
	schema.Family
	blocks []string // optional blocks its events can have
	rules  []rule
}

// A rule says what is always there for some actions: as far as the portal
// tells it in every version, and in every privacy mode. So it asks for no
// names and no titles. It holds for actions the catalogue knows and whose row
// was well-formed.
type rule struct {
	actions  []string // names; nil: all that a folder's log can show
	except   []string
	requires []string
	where    object // what the required blocks hold
}

// optional are the blocks that only some families have. Whatever else an event
// has, all have.
var optional = []string{
	"target", "parent", "from", "to", "link", "member", "access_label", "previous_access_label",
	"owner", "previous_owner", "lifetime", "tags", "version", "index", "connector",
}

func families() []family {
	details := map[string]family{
		"file": {
			blocks: []string{"target", "parent", "from", "to", "version", "index"},
			rules: []rule{
				{requires: []string{"target"}, where: kind("target", "file")},
				{actions: []string{"copied", "moved"}, requires: []string{"to"}},
				{actions: []string{"index_changed"}, requires: []string{"index"}},
				{actions: []string{"version_removed"}, requires: []string{"version"}},
			},
		},
		"folder": {
			blocks: []string{"target", "parent", "from", "to", "index"},
			rules: []rule{
				{requires: []string{"target"}, where: kind("target", "folder")},
				{actions: []string{"copied", "moved"}, requires: []string{"to"}},
				{actions: []string{"index_changed"}, requires: []string{"index"}},
			},
		},
		"room": {
			blocks: []string{"target", "link", "member", "access_label", "previous_access_label", "owner", "previous_owner", "lifetime", "tags"},
			rules: []rule{
				// A link of a file is renamed under the same code, and the row does not tell.
				{except: []string{"external_link_renamed"}, requires: []string{"target"}, where: kind("target", "room")},
				{
					actions:  []string{"create_user", "update_access_for_user", "remove_user", "invite_resend"},
					requires: []string{"member"}, where: kind("member", "user"),
				},
				{
					actions:  []string{"group_added", "update_access_for_group", "group_remove"},
					requires: []string{"member"}, where: kind("member", "group"),
				},
				{
					actions:  []string{"external_link_created", "external_link_renamed"},
					requires: []string{"link"}, where: has("link", "id"),
				},
				{actions: []string{"external_link_revoked"}, requires: []string{"link"}},
				{actions: []string{"change_owner"}, requires: []string{"owner", "previous_owner"}},
				{actions: []string{"life_time_set"}, requires: []string{"lifetime"}},
			},
		},
		"form": {
			blocks: []string{"target", "parent"},
			rules:  []rule{{requires: []string{"target"}, where: kind("target", "file")}},
		},
		"agent": {
			blocks: []string{"target"},
			rules:  []rule{{requires: []string{"target"}, where: kind("target", "room")}},
		},
		"connector": {
			blocks: []string{"target", "connector"},
			rules: []rule{
				{requires: []string{"target", "connector"}, where: has("connector", "accounted")},
				{actions: []string{schema.Gap}, where: has("connector", "reason", "first_index", "rows")},
				{actions: []string{schema.Blind}, where: has("connector", "reason", "detail", "status")},
				{actions: []string{schema.Reset}, where: has("connector", "reason", "detail")},
				{actions: []string{schema.Rewound}, where: has("connector", "detail")},
				{actions: []string{schema.Unreconciled, schema.Shrunk}, where: has("connector", "detail", "rows")},
				{actions: []string{schema.MarkChanged}, where: has("connector", "reason", "accounted_before", "again", "skipped", "changes", "writer")},
			},
		},
		schema.Other: {blocks: slices.DeleteFunc(slices.Clone(optional), func(b string) bool { return b == "connector" })},
	}
	var all []family
	for _, f := range schema.Families() {
		detail := details[f.Name]
		detail.Family = f
		all = append(all, detail)
	}
	return all
}

// kind is a block of that kind.
func kind(block, kind string) object {
	return object{{block, object{
		{"required", []string{"kind"}},
		{"properties", object{{"kind", object{{"const", kind}}}}},
	}}}
}

// has is a block with these fields.
func has(block string, fields ...string) object {
	return object{{block, object{{"required", fields}}}}
}

// actions of a family that the catalogue knows, in its order.
func (f family) actions(only func(schema.Action) bool) []string {
	var names []string
	for action := range schema.Catalogue() {
		if schema.FamilyOf(action.Category) == f.Name && only(action) && !slices.Contains(names, action.Name) {
			names = append(names, action.Name)
		}
	}
	return names
}

// shown reports whether a folder's log shows an action under its own name.
func shown(a schema.Action) bool {
	return a.InLog() || a.Code == 0
}

func known(schema.Action) bool { return true }

// names are the actions a rule is about.
func (r rule) names(f family) []string {
	names := r.actions
	if names == nil {
		names = f.actions(shown)
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(r.except, name) })
}

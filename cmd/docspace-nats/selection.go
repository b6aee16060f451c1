package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"docspace-nats/schema"
)

// A selection says which folders and actions a command works on; by itself all
// of them.
type selection struct {
	folders, events []string
	patterns        schema.Patterns // of events
}

func (s *selection) register(flags *pflag.FlagSet) {
	folderFlag(flags, &s.folders, "only this folder id; may be repeated")
	flags.StringSliceVar(&s.events, "event", nil, "only actions that match <category>.<action>, with * for any characters, such as 'file.*'; may be repeated")
}

func (s *selection) check() error {
	var errs []error
	_, err := folderIDs(s.folders)
	if err != nil {
		errs = append(errs, err)
	}
	slices.Sort(s.folders)
	s.folders = slices.Compact(s.folders)
	if s.patterns, err = schema.ParsePatterns(strings.Join(s.events, ",")); err != nil {
		errs = append(errs, fmt.Errorf("--event: %w", err))
	}
	for _, m := range s.patterns.Mismatches() {
		if !m.Possible {
			errs = append(errs, fmt.Errorf("--event: %q matches no action; did you mean %s?", m.Pattern.String(), cmp.Or(strings.Join(m.Nearest, ", "), "file.* or room.*")))
		}
	}
	return errors.Join(errs...)
}

// selects reports whether the event is of a folder and a kind that was asked for.
func (s *selection) selects(e *schema.Event) bool {
	return (len(s.folders) == 0 || slices.Contains(s.folders, e.PartitionKey)) &&
		(len(s.patterns) == 0 || s.patterns.Match(e.Data.Action.Category, e.Data.Action.Name))
}

// mostSubjects is how many filters a consumer gets; with more, the server sends
// what any of them could match, and the rest is left out here.
const mostSubjects = 64

// subjects are the filters the server applies: as narrow as it can, and never
// two that match the same message, which it would refuse.
func (s selection) subjects(prefix string) []string {
	folders := s.folders
	if len(folders) == 0 {
		folders = []string{"*"}
	}
	kinds := kindsOf(s.patterns)
	if len(folders)*len(kinds) > mostSubjects {
		folders = []string{"*"}
	}
	if len(folders)*len(kinds) > mostSubjects {
		kinds = []kind{{"*", "*"}}
	}
	if kinds[0] == (kind{"*", "*"}) && folders[0] == "*" {
		return []string{prefix + ".folder.>"}
	}
	var all []string
	for _, folder := range folders {
		for _, k := range kinds {
			all = append(all, prefix+".folder."+folder+"."+k.category+"."+k.action)
		}
	}
	return all
}

// A kind is the last two tokens of a filter.
type kind struct{ category, action string }

// kindsOf are filters that together match at least what the patterns match. Two
// that overlap become one.
func kindsOf(patterns schema.Patterns) []kind {
	if len(patterns) == 0 {
		return []kind{{"*", "*"}}
	}
	var all []kind
	for _, p := range patterns {
		category, action, _ := strings.Cut(p.String(), ".")
		next := kind{wholeToken(category), wholeToken(action)}
		for i := 0; i < len(all); {
			if !all[i].overlaps(next) {
				i++
				continue
			}
			next = all[i].joined(next)
			all = slices.Delete(all, i, i+1)
			i = 0
		}
		all = append(all, next)
	}
	return all
}

func wholeToken(pattern string) string {
	if strings.Contains(pattern, "*") {
		return "*"
	}
	return pattern
}

func (k kind) overlaps(other kind) bool {
	meet := func(a, b string) bool { return a == b || a == "*" || b == "*" }
	return meet(k.category, other.category) && meet(k.action, other.action)
}

func (k kind) joined(other kind) kind {
	either := func(a, b string) string {
		if a == b {
			return a
		}
		return "*"
	}
	return kind{either(k.category, other.category), either(k.action, other.action)}
}

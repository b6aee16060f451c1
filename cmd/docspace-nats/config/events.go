package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"docspace-nats/schema"
)

// maxSchemaBase bounds an address that every event carries, in bytes.
const maxSchemaBase = 256

// Events says which actions are stored, and where their schemas lie.
type Events struct {
	Include    schema.Patterns `envconfig:"EVENTS_INCLUDE" desc:"Actions to store, as patterns on <category>.<action> separated by commas, such as file.*,room.external_link_*; empty: all. See Fewer events."`
	Exclude    schema.Patterns `envconfig:"EVENTS_EXCLUDE" desc:"Actions to leave out of these, in the same way. What the connector says about its own work (connector.*) is always stored."`
	SchemaBase string          `envconfig:"EVENTS_SCHEMA_BASE" desc:"Address the JSON Schemas are published under, as docspace-nats schema --all writes them; events then name the schema of their data. Empty: they name none."`
}

// Filter is what the two make together.
func (c Events) Filter() schema.Filter {
	return schema.Filter{Include: c.Include, Exclude: c.Exclude}
}

// problems judges what patterns match: one that matches nothing is misspelled,
// and then rows are missing, or there, against the operator's will.
func (c Events) problems() problems {
	var found problems
	if what := WrongBase(c.SchemaBase); what != "" {
		found.add("EVENTS_SCHEMA_BASE", "%s", what)
	}
	judge := func(variable string, patterns schema.Patterns) {
		for _, m := range patterns.Mismatches() {
			if !m.Possible {
				found.add(variable, "%s", m)
			}
		}
		for _, p := range patterns {
			if p.OwnOnly() {
				found.add(variable, "%s: what the connector says about its own work is always stored; remove the pattern", p)
			}
		}
	}
	judge("EVENTS_INCLUDE", c.Include)
	judge("EVENTS_EXCLUDE", c.Exclude)
	// Also where a newer portal may have an action that passes: until it does,
	// all of every log would be accounted for without being stored.
	if passed, _ := c.Filter().InLog(); len(passed) > 0 || len(found) > 0 {
		return found
	}
	variable := "EVENTS_EXCLUDE"
	if passed, _ := (schema.Filter{Include: c.Include}).InLog(); len(passed) == 0 {
		variable = "EVENTS_INCLUDE"
	}
	found.add(variable, "leaves nothing of what a folder's log can show; docspace-nats schema actions lists what it can show")
	return found
}

// WrongBase says what is wrong with an address schemas are published under, ""
// when nothing, or when there is none.
func WrongBase(address string) string {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return ""
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return "must be an http or https address, such as https://schemas.example.com, got " + Shown(address)
	case u.User != nil:
		return "must not carry a user or password: every event would tell them"
	case strings.ContainsAny(address, "?# "):
		return "must end with a path, without a query, got " + Shown(address)
	case len(address) > maxSchemaBase:
		return fmt.Sprintf("must be at most %d characters long: it is part of every event", maxSchemaBase)
	}
	return ""
}

// grave is the least severity of an action that is not left out unsaid.
const grave = 3

// warnings names patterns that are without effect today, and what of weight is
// left out.
func (c Events) warnings() []string {
	var all []string
	warn := func(variable string, patterns schema.Patterns) {
		for _, m := range patterns.Mismatches() {
			all = append(all, fmt.Sprintf("%s: %s", variable, m))
		}
		for _, p := range patterns {
			actions := p.Actions()
			shown := slices.ContainsFunc(actions, func(a schema.Action) bool { return a.InLog() })
			if len(actions) > 0 && !shown {
				all = append(all, fmt.Sprintf("%s: no folder's log shows the actions %s matches", variable, p))
			}
		}
	}
	warn("EVENTS_INCLUDE", c.Include)
	warn("EVENTS_EXCLUDE", c.Exclude)
	_, left := c.Filter().InLog()
	left = slices.DeleteFunc(left, func(a schema.Action) bool { return a.Severity < grave })
	if len(left) > 0 {
		all = append(all, named(fmt.Sprintf("of severity %d and above, the filter of events leaves out %d", grave, len(left)), ": ", left))
	}
	return all
}

// Bounds of a line that check and the start of a run print, in characters.
const (
	longestSummary = 138 // with what check writes before it, 160
	longestFilter  = 64
)

// Describe says what of a folder's log is stored, "" when all of it is.
func (c Events) Describe() string {
	filter := c.Filter()
	if filter.IsZero() {
		return ""
	}
	shown := filter.String()
	if len(shown) > longestFilter {
		shown = shown[:longestFilter] + "…"
	}
	passed, left := filter.InLog()
	text := fmt.Sprintf("stored: %s; that is %d of %d known actions", shown, len(passed), len(passed)+len(left))
	switch {
	case len(left) == 0:
		return text
	case len(passed) <= len(left):
		return named(text, ": ", passed)
	}
	return named(text, ", all but ", left)
}

// named adds to a text as many actions as a line holds, and the number of the
// others, after a separator.
func named(text, separator string, actions []schema.Action) string {
	for i, a := range actions {
		next := text + separator + a.Category + "." + a.Name
		others := len(actions) - i - 1
		more := fmt.Sprintf(" and %d more", others+1)
		if len(next) > longestSummary || others > 0 && len(next)+len(more) > longestSummary {
			if i == 0 {
				return text
			}
			return text + more
		}
		text, separator = next, ", "
	}
	return text
}

// Tell logs once, at the start, that some actions are left out.
func (c Events) Tell(log zerolog.Logger) {
	if text := c.Describe(); text != "" {
		log.Info().Stringer("include", c.Include).Stringer("exclude", c.Exclude).Msg(text)
	}
}

package schema

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// A Filter decides which actions are published. What this program says about
// its own work always is: a consumer that does not hear of a gap is blind
// without knowing. The zero Filter lets everything through.
type Filter struct {
	Include Patterns // none includes everything
	Exclude Patterns // of what is included; it wins
}

// IsZero reports whether nothing is left out, whatever happens.
func (f Filter) IsZero() bool { return len(f.Include)+len(f.Exclude) == 0 }

// Passes reports whether the action is published.
func (f Filter) Passes(category, action string) bool {
	if category == connectorCategory {
		return true
	}
	included := len(f.Include) == 0 || f.Include.Match(category, action)
	return included && !f.Exclude.Match(category, action)
}

// InLog divides the actions a folder's log can show into those that are
// published and those left out.
func (f Filter) InLog() (passed, left []Action) {
	for action := range Catalogue() {
		switch {
		case !action.InLog():
		case f.Passes(action.Category, action.Name):
			passed = append(passed, action)
		default:
			left = append(left, action)
		}
	}
	return passed, left
}

// OwnOnly reports whether the pattern matches nothing but what this program says
// about its own work, on which no filter has an effect.
func (p Pattern) OwnOnly() bool {
	actions := p.Actions()
	others := func(a Action) bool { return a.Category != connectorCategory }
	return len(actions) > 0 && !p.byRule() && !slices.ContainsFunc(actions, others)
}

// ID tells filters apart, "" being the zero Filter. The order of patterns makes
// no difference.
func (f Filter) ID() string {
	if f.IsZero() {
		return ""
	}
	h := fnv.New64a()
	for _, patterns := range []Patterns{f.Include, f.Exclude} {
		var words []string
		for _, p := range patterns {
			words = append(words, p.String())
		}
		slices.Sort(words)
		_, _ = h.Write([]byte(strings.Join(words, ",") + ";"))
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// String is the filter in words, for a log.
func (f Filter) String() string {
	switch {
	case f.IsZero():
		return "everything"
	case len(f.Exclude) == 0:
		return "only " + f.Include.String()
	case len(f.Include) == 0:
		return "everything but " + f.Exclude.String()
	}
	return "only " + f.Include.String() + ", but not " + f.Exclude.String()
}

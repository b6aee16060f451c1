package schema

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of a list of patterns.
const (
	maxPatterns     = 256
	maxPatternBytes = 2 * maxToken
)

// mostNearest is how many actions are offered in place of a misspelled one.
const mostNearest = 3

// A Pattern matches actions by their <category>.<action>, the last two tokens
// of the subject. In each of the two, * stands for any characters, also none:
// "file.*", "room.external_link_*", "*.deleted". The zero Pattern matches
// nothing.
type Pattern struct{ category, action string }

// Patterns matches an action when one of them does. None matches nothing.
type Patterns []Pattern

// ParsePatterns reads patterns separated by commas; "" is none. "*" alone is
// short for "*.*". It checks how patterns are written; whether they match
// anything is said by Mismatches. An error names all that is wrong: also, where
// one is badly written, others that match nothing.
func ParsePatterns(s string) (Patterns, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	if n := strings.Count(s, ",") + 1; n > maxPatterns {
		return nil, fmt.Errorf("%d patterns, at most %d are allowed: use * to say more with fewer", n, maxPatterns)
	}
	var patterns Patterns
	var wrong []string
	for item := range strings.SplitSeq(s, ",") {
		pattern, err := parsePattern(strings.TrimSpace(item))
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		if !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	if len(wrong) > 0 {
		// Whoever has to correct the list corrects it once.
		for _, m := range patterns.Mismatches() {
			if !m.Possible {
				wrong = append(wrong, m.String())
			}
		}
		return nil, errors.New(strings.Join(wrong, "; "))
	}
	return patterns, nil
}

// UnmarshalText is ParsePatterns, for settings and flags.
func (p *Patterns) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePatterns(string(text))
	return err
}

func parsePattern(s string) (Pattern, error) {
	if s == "" {
		return Pattern{}, errors.New("a pattern is empty: remove the comma too many")
	}
	if len(s) > maxPatternBytes {
		return Pattern{}, fmt.Errorf("%.20q… is longer than %d characters", s, maxPatternBytes)
	}
	if s == "*" {
		return Pattern{"*", "*"}, nil
	}
	category, action, _ := strings.Cut(s, ".")
	if !patternToken(category) || !patternToken(action) {
		return Pattern{}, fmt.Errorf(`%q is no pattern: write <category>.<action> in lower-case letters, digits and _, `+
			`with * for any characters, as in "file.*" or "room.external_link_*"`, s)
	}
	return Pattern{category, action}, nil
}

func patternToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !lower(c) && !digit(c) && c != '_' && c != '*' {
			return false
		}
	}
	return s != ""
}

// Match reports whether the pattern matches the action.
func (p Pattern) Match(category, action string) bool {
	return glob(p.category, category) && glob(p.action, action)
}

// String is the pattern as ParsePatterns reads it.
func (p Pattern) String() string { return p.category + "." + p.action }

// Match reports whether one of the patterns matches the action.
func (p Patterns) Match(category, action string) bool {
	return slices.ContainsFunc(p, func(one Pattern) bool { return one.Match(category, action) })
}

// String is the list as ParsePatterns reads it.
func (p Patterns) String() string {
	var b strings.Builder
	for i, one := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(one.String())
	}
	return b.String()
}

// glob leaves matching to package path: of what has a meaning there, a token
// of a pattern can hold * only, and a token of an action holds no slash.
func glob(pattern, token string) bool {
	matched, err := path.Match(pattern, token)
	return matched && err == nil
}

// Actions returns the actions of the catalogue that the pattern matches.
func (p Pattern) Actions() []Action {
	var matched []Action
	for action := range Catalogue() {
		if p.Match(action.Category, action.Name) {
			matched = append(matched, action)
		}
	}
	return matched
}

// A Mismatch is a pattern that matches no action of the catalogue.
type Mismatch struct {
	Pattern Pattern
	// Possible: a newer portal may have an action, to be named by Name, that
	// the pattern matches. Not so when the pattern is most likely misspelled, or
	// is the beginning of an action's name, such as file.upload.
	Possible bool
	// Nearest are at most three actions that read most like it, the best first,
	// of those that events can have.
	Nearest []string
}

// String tells whoever wrote the pattern what to do about it.
func (m Mismatch) String() string {
	if m.Possible {
		return m.Pattern.String() + " matches no action this version knows; it takes effect when the portal has one of that name"
	}
	advice := "remove it"
	if len(m.Nearest) > 0 {
		advice = "did you mean " + strings.Join(m.Nearest, ", ") + "?"
	}
	return m.Pattern.String() + " matches no action; " + advice
}

// Mismatches are the patterns that match no action of the catalogue.
func (p Patterns) Mismatches() []Mismatch {
	var none []Mismatch
	for _, pattern := range p {
		if len(pattern.Actions()) == 0 {
			none = append(none, pattern.mismatch())
		}
	}
	return none
}

func (p Pattern) mismatch() Mismatch {
	type candidate struct {
		Action
		distance int
	}
	var candidates []candidate
	pattern := p.String()
	for action := range Catalogue() {
		name := action.Category + "." + action.Name
		if strings.HasPrefix(name, pattern) {
			candidates = append(candidates, candidate{action, 0}) // its beginning
			continue
		}
		candidates = append(candidates, candidate{action, distance(pattern, name)})
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	m := Mismatch{Pattern: p, Possible: p.byRule() && candidates[0].distance > p.slips()}
	for _, c := range candidates {
		if c.distance > len(pattern)/2 || len(m.Nearest) == mostNearest {
			break
		}
		if c.InLog() || c.Category == connectorCategory {
			m.Nearest = append(m.Nearest, c.Category+"."+c.Name)
		}
	}
	return m
}

// byRule reports whether Name can give an action the pattern's category.
func (p Pattern) byRule() bool {
	return glob(p.category, "other") ||
		slices.ContainsFunc(categories, func(category string) bool { return glob(p.category, category) })
}

// slips is how many letters of the action may be wrong for the pattern to be
// taken for a misspelled one: one in three, two at most, which two that changed
// places are.
func (p Pattern) slips() int {
	letters := len(p.action) - strings.Count(p.action, "*")
	return min(letters/3, 2)
}

// distance is how many letters must be inserted, removed or replaced for the
// pattern to match s.
func distance(pattern, s string) int {
	row := make([]int, len(s)+1) // row[i]: of what was read of the pattern, to s[:i]
	for i := range row {
		row[i] = i
	}
	for _, c := range []byte(pattern) {
		diagonal := row[0]
		if c != '*' {
			row[0]++
		}
		for i := range s {
			above := row[i+1]
			switch c {
			case '*':
				row[i+1] = min(above, row[i])
			case s[i]:
				row[i+1] = diagonal
			default:
				row[i+1] = 1 + min(diagonal, above, row[i])
			}
			diagonal = above
		}
	}
	return row[len(s)]
}

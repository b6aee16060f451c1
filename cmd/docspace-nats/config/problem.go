package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Problem is a variable whose value cannot be used, and what to write
// instead. It never shows a secret.
type Problem struct {
	Variable string
	What     string
}

func (p *Problem) Error() string { return p.Variable + ": " + p.What }

// problems collects what is wrong, so that an operator hears of it at once.
type problems []*Problem

func (p *problems) add(variable, format string, args ...any) {
	*p = append(*p, &Problem{variable, fmt.Sprintf(format, args...)})
}

// and adds more, except about variables that already have a problem: a value
// that could not be read is zero, and judging that zero would only confuse.
func (p problems) and(more problems) problems {
	had := make(map[string]bool, len(p))
	for _, known := range p {
		had[known.Variable] = true
	}
	all := slices.Clone(p)
	for _, one := range more {
		if !had[one.Variable] {
			all = append(all, one)
		}
	}
	return all
}

// err joins the problems in the order of the README table, unknown variables
// first. It is nil when there are none.
func (p problems) err() error {
	place := make(map[string]int)
	for i, s := range settings(new(Config)) {
		place[s.name] = i + 1
	}
	sorted := slices.SortedStableFunc(slices.Values(p), func(a, b *Problem) int {
		return cmp.Compare(place[a.Variable], place[b.Variable])
	})
	all := make([]error, len(sorted))
	for i, one := range sorted {
		all[i] = one
	}
	return errors.Join(all...)
}

// Shown renders a value for a message: numbers and durations bare, the rest
// quoted, bounded, and not at all when it may hold a password or key.
func Shown(value string) string {
	const longest = 100
	switch {
	case strings.ContainsAny(value, "@?") || strings.Contains(value, "sk-"):
		return Hidden
	case len(value) > longest:
		return strconv.Quote(value[:longest] + "…")
	case value != "" && strings.Trim(value, "0123456789.-+hmsµun") == "" && value[0] < 'a':
		return value
	}
	return strconv.Quote(value)
}

// Package sigmatest evaluates Sigma rules over events, so that tests can hold
// what the rules beside it find and what they leave alone. It follows version 2
// of the Sigma specification and knows nothing of what the events are about.
//
// It is strict where a converter is lenient: a key, modifier or construct that
// it does not implement makes the rule unreadable, and so does a selection that
// no condition names. No rule passes because a part of it was ignored.
package sigmatest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// A Rule is one document of a rule file: a detection, which looks at single
// events, or a correlation, which counts or orders what other rules find.
type Rule struct {
	Title          string    `yaml:"title"`
	ID             string    `yaml:"id"`
	Name           string    `yaml:"name"`
	Status         string    `yaml:"status"`
	Description    string    `yaml:"description"`
	References     []string  `yaml:"references"`
	Author         string    `yaml:"author"`
	Date           string    `yaml:"date"`
	Tags           []string  `yaml:"tags"`
	LogSource      LogSource `yaml:"logsource"`
	FalsePositives []string  `yaml:"falsepositives"`
	Level          string    `yaml:"level"`
	Fields         []string  `yaml:"fields"`

	Detection   yaml.Node    `yaml:"detection"`
	Correlation *Correlation `yaml:"correlation"`

	match matcher // of a detection
}

// A LogSource says which events a rule is for. It takes no part in matching.
type LogSource struct {
	Category string `yaml:"category"`
	Product  string `yaml:"product"`
	Service  string `yaml:"service"`
}

// A Set is the documents of a rule file, in their order.
type Set []*Rule

// Parse reads a rule file. Documents may name each other by id or name, within
// the file only.
func Parse(text []byte) (Set, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var set Set
	for {
		rule := new(Rule)
		err := decoder.Decode(rule)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(set)+1, err)
		}
		if err := rule.compile(); err != nil {
			return nil, fmt.Errorf("%q: %w", rule.Title, err)
		}
		set = append(set, rule)
	}
	for _, rule := range set {
		if err := set.resolve(rule); err != nil {
			return nil, fmt.Errorf("%q: %w", rule.Title, err)
		}
	}
	return set, nil
}

func (r *Rule) compile() (err error) {
	detects := !r.Detection.IsZero()
	switch {
	case detects == (r.Correlation != nil):
		return errors.New("a rule has either a detection or a correlation")
	case detects:
		r.match, err = compileDetection(&r.Detection)
		return err
	}
	return r.Correlation.compile()
}

// resolve finds the rules a correlation names. They have to come before it, so
// none can lead back to itself.
func (s Set) resolve(r *Rule) error {
	if r.Correlation == nil {
		return nil
	}
	before := s[:slices.Index(s, r)]
	for _, name := range r.Correlation.Rules {
		at := slices.IndexFunc(before, func(other *Rule) bool { return name != "" && (other.ID == name || other.Name == name) })
		if at < 0 {
			return fmt.Errorf("no rule %q before this one", name)
		}
		r.Correlation.rules = append(r.Correlation.rules, before[at])
	}
	return nil
}

// Outermost returns the rules no other rule of the set builds on: those that
// alert.
func (s Set) Outermost() []*Rule {
	built := make(map[*Rule]bool)
	for _, r := range s {
		if r.Correlation != nil {
			for _, inner := range r.Correlation.rules {
				built[inner] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(s), func(r *Rule) bool { return built[r] })
}

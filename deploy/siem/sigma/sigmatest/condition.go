package sigmatest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var word = regexp.MustCompile(`[()]|[^\s()]+`)

// A condition is being read, one word at a time. What binds tighter is read
// further down: or, and, not, "1 of", brackets.
type condition struct {
	words    []string
	searches map[string]matcher
	used     map[string]bool // search identifiers it names
}

func compileCondition(text string, searches map[string]matcher, used map[string]bool) (matcher, error) {
	c := &condition{words: word.FindAllString(text, -1), searches: searches, used: used}
	m, err := c.or()
	if err != nil {
		return nil, err
	}
	if len(c.words) > 0 {
		return nil, fmt.Errorf("unexpected %q", c.words[0])
	}
	return m, nil
}

// take removes the next word if it is this one.
func (c *condition) take(word string) bool {
	if len(c.words) == 0 || c.words[0] != word {
		return false
	}
	c.words = c.words[1:]
	return true
}

func (c *condition) next() (string, error) {
	if len(c.words) == 0 {
		return "", errors.New("it ends too early")
	}
	word := c.words[0]
	c.words = c.words[1:]
	return word, nil
}

func (c *condition) or() (matcher, error) { return c.joined("or", c.and, anyOf) }

func (c *condition) and() (matcher, error) { return c.joined("and", c.not, allOf) }

func (c *condition) joined(operator string, operand func() (matcher, error), join func([]matcher) matcher) (matcher, error) {
	var parts []matcher
	for {
		m, err := operand()
		if err != nil {
			return nil, err
		}
		parts = append(parts, m)
		if !c.take(operator) {
			return join(parts), nil
		}
	}
}

func (c *condition) not() (matcher, error) {
	if !c.take("not") {
		return c.operand()
	}
	m, err := c.not()
	if err != nil {
		return nil, err
	}
	return func(e Event) bool { return !m(e) }, nil
}

func (c *condition) operand() (matcher, error) {
	name, err := c.next()
	if err != nil {
		return nil, err
	}
	switch {
	case name == "(":
		m, err := c.or()
		if err == nil && !c.take(")") {
			err = errors.New("a bracket is not closed")
		}
		return m, err
	case name == "1" && c.take("of"):
		return c.several(anyOf)
	case name == "all" && c.take("of"):
		return c.several(allOf)
	}
	m, known := c.searches[name]
	if !known {
		return nil, fmt.Errorf("no search identifier %q", name)
	}
	c.used[name] = true
	return m, nil
}

// several joins the search identifiers a pattern names. "them" are all whose
// names do not begin with an underscore.
func (c *condition) several(join func([]matcher) matcher) (matcher, error) {
	pattern, err := c.next()
	if err != nil {
		return nil, err
	}
	named := func(name string) bool { return !strings.HasPrefix(name, "_") }
	if pattern != "them" {
		whole := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		named = whole.MatchString
	}
	var parts []matcher
	for name, m := range c.searches {
		if named(name) {
			c.used[name] = true
			parts = append(parts, m)
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("no search identifier is like %q", pattern)
	}
	return join(slices.Clip(parts)), nil
}

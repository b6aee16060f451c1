package sigmatest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// modifiers are what follows the name of a field.
type modifiers struct {
	all, cased bool
	kind       string // what else is done with the value; "" compares it whole
	flags      string // of a regular expression
}

// parseModifiers refuses whatever is not implemented here, base64 and cidr for
// instance, and what makes no sense together.
func parseModifiers(text string) (modifiers, error) {
	var m modifiers
	if text == "" {
		return m, nil
	}
	for name := range strings.SplitSeq(text, "|") {
		switch name {
		case "all":
			m.all = true
		case "cased":
			m.cased = true
		case "contains", "startswith", "endswith", "re", "exists", "lt", "lte", "gt", "gte":
			if m.kind != "" {
				return m, fmt.Errorf("modifier %s after %s", name, m.kind)
			}
			m.kind = name
		case "i", "m", "s":
			if m.kind != "re" {
				return m, fmt.Errorf("modifier %s without re", name)
			}
			m.flags += name
		default:
			return m, fmt.Errorf("modifier %q is not implemented", name)
		}
	}
	if m.cased && !slices.Contains([]string{"", "contains", "startswith", "endswith"}, m.kind) {
		return m, fmt.Errorf("modifier cased with %s", m.kind)
	}
	return m, nil
}

// compile makes the test of one value.
func (m modifiers) compile(field string, value *yaml.Node) (matcher, error) {
	switch m.kind {
	case "exists":
		if value.Tag != "!!bool" {
			return nil, errors.New("exists takes true or false")
		}
		want := value.Value == "true"
		return func(e Event) bool { _, there := e.field(field); return there == want }, nil
	case "lt", "lte", "gt", "gte":
		return m.compare(field, value)
	case "re":
		return m.expression(field, value)
	}
	if value.Tag == "!!null" {
		if m.kind != "" {
			return nil, fmt.Errorf("null with %s", m.kind)
		}
		return func(e Event) bool { found, _ := e.field(field); return found == nil }, nil
	}
	before, after := "", ""
	if m.kind == "contains" || m.kind == "endswith" {
		before = ".*"
	}
	if m.kind == "contains" || m.kind == "startswith" {
		after = ".*"
	}
	flags := "(?is)"
	if m.cased {
		flags = "(?s)"
	}
	pattern := regexp.MustCompile(flags + "^" + before + quote(value.Value) + after + "$")
	return func(e Event) bool { return slices.ContainsFunc(e.texts(field), pattern.MatchString) }, nil
}

// quote turns a Sigma string into a regular expression: * and ? are wildcards
// unless a backslash comes before, which otherwise stands for itself.
func quote(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\' && i+1 < len(runes) && strings.ContainsRune(`*?\`, runes[i+1]):
			i++
			b.WriteString(regexp.QuoteMeta(string(runes[i])))
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return b.String()
}

// expression tests with a regular expression, which may match anywhere.
func (m modifiers) expression(field string, value *yaml.Node) (matcher, error) {
	text := value.Value
	if m.flags != "" {
		text = "(?" + m.flags + ")" + text
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return func(e Event) bool { return slices.ContainsFunc(e.texts(field), pattern.MatchString) }, nil
}

// compare tests numbers; what is no number is neither less nor more.
func (m modifiers) compare(field string, value *yaml.Node) (matcher, error) {
	limit, err := strconv.ParseFloat(value.Value, 64)
	if err != nil || value.Tag != "!!int" && value.Tag != "!!float" {
		return nil, fmt.Errorf("%s takes a number", m.kind)
	}
	return func(e Event) bool {
		found, _ := e.field(field)
		n, isNumber := found.(float64)
		return isNumber && compares(m.kind, n, limit)
	}, nil
}

func compares(operator string, n, limit float64) bool {
	switch operator {
	case "lt":
		return n < limit
	case "lte":
		return n <= limit
	case "gt":
		return n > limit
	case "gte":
		return n >= limit
	}
	return n == limit
}

package sigmatest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A matcher says whether an event is one it looks for.
type matcher func(Event) bool

func allOf(parts []matcher) matcher {
	return func(e Event) bool { return !slices.ContainsFunc(parts, func(m matcher) bool { return !m(e) }) }
}

func anyOf(parts []matcher) matcher {
	return func(e Event) bool { return slices.ContainsFunc(parts, func(m matcher) bool { return m(e) }) }
}

// compileDetection reads search identifiers and the condition over them.
// Several conditions are alternatives.
func compileDetection(node *yaml.Node) (matcher, error) {
	if node.Kind != yaml.MappingNode {
		return nil, errors.New("detection: not a map")
	}
	searches := make(map[string]matcher)
	var conditions []string
	for name, content := range pairs(node) {
		if name == "condition" {
			texts, err := scalars(content)
			if err != nil {
				return nil, fmt.Errorf("condition: %w", err)
			}
			for _, text := range texts {
				conditions = append(conditions, text.Value)
			}
			continue
		}
		search, err := compileSearch(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		searches[name] = search
	}
	if len(conditions) == 0 {
		return nil, errors.New("detection: no condition")
	}
	used := make(map[string]bool)
	var alternatives []matcher
	for _, text := range conditions {
		m, err := compileCondition(text, searches, used)
		if err != nil {
			return nil, fmt.Errorf("condition %q: %w", text, err)
		}
		alternatives = append(alternatives, m)
	}
	for name := range searches {
		if !used[name] {
			return nil, fmt.Errorf("%s: no condition names it", name)
		}
	}
	return anyOf(alternatives), nil
}

// compileSearch reads a map, whose items all have to match, or a list of maps,
// one of which has to. Keywords, lists of bare strings, are not implemented.
func compileSearch(node *yaml.Node) (matcher, error) {
	switch {
	case node.Kind == yaml.MappingNode && len(node.Content) > 0:
		var items []matcher
		for key, content := range pairs(node) {
			item, err := compileItem(key, content)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			items = append(items, item)
		}
		return allOf(items), nil
	case node.Kind == yaml.SequenceNode && len(node.Content) > 0:
		var maps []matcher
		for _, element := range node.Content {
			if element.Kind != yaml.MappingNode {
				return nil, errors.New("a list holds maps: keywords are not implemented")
			}
			m, err := compileSearch(element)
			if err != nil {
				return nil, err
			}
			maps = append(maps, m)
		}
		return anyOf(maps), nil
	}
	return nil, errors.New("neither a map nor a list of maps, or empty")
}

// compileItem reads "field|modifier|…: value or values". One of the values has
// to match, with the modifier all every one of them.
func compileItem(key string, node *yaml.Node) (matcher, error) {
	field, rest, _ := strings.Cut(key, "|")
	if field == "" {
		return nil, errors.New("no field: keywords are not implemented")
	}
	mods, err := parseModifiers(rest)
	if err != nil {
		return nil, err
	}
	values, err := scalars(node)
	if err != nil {
		return nil, err
	}
	if mods.all && len(values) < 2 {
		return nil, errors.New("all needs several values")
	}
	var tests []matcher
	for _, value := range values {
		test, err := mods.compile(field, value)
		if err != nil {
			return nil, fmt.Errorf("value %q: %w", value.Value, err)
		}
		tests = append(tests, test)
	}
	if mods.all {
		return allOf(tests), nil
	}
	return anyOf(tests), nil
}

// scalars returns the value, or the values of a list.
func scalars(node *yaml.Node) ([]*yaml.Node, error) {
	nodes := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		nodes = node.Content
	}
	if len(nodes) == 0 {
		return nil, errors.New("an empty list")
	}
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			return nil, errors.New("neither a value nor a list of values")
		}
	}
	return nodes, nil
}

// pairs yields the keys and contents of a map, in their order.
func pairs(node *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i].Value, node.Content[i+1]) {
				return
			}
		}
	}
}

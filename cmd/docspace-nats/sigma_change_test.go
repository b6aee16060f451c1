package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"go.yaml.in/yaml/v3"
)

// changesOf returns the texts of a rule file with one thing changed each, by
// what was changed: every value and field of a selection, and every part of a
// correlation.
func changesOf(t *testing.T, text string) map[string]string {
	t.Helper()
	c := &changes{t: t, found: make(map[string]string)}
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		document := new(yaml.Node)
		err := decoder.Decode(document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.documents = append(c.documents, document)
	}
	for _, document := range c.documents {
		title := child(document.Content[0], "title").Value
		if detection := child(document.Content[0], "detection"); detection != nil {
			c.detection(title, detection)
		}
		if correlation := child(document.Content[0], "correlation"); correlation != nil {
			c.correlation(title, correlation)
		}
	}
	if len(c.found) == 0 {
		t.Fatal("nothing was changed")
	}
	return c.found
}

type changes struct {
	t         *testing.T
	documents []*yaml.Node
	found     map[string]string
}

// keep writes the file as it is now.
func (c *changes) keep(what string, args ...any) {
	c.t.Helper()
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	for _, document := range c.documents {
		if err := encoder.Encode(document); err != nil {
			c.t.Fatal(err)
		}
	}
	c.found[fmt.Sprintf(what, args...)] = b.String()
}

func (c *changes) detection(title string, detection *yaml.Node) {
	for i := 0; i < len(detection.Content); i += 2 {
		if detection.Content[i].Value == "condition" {
			continue
		}
		search := detection.Content[i+1]
		where := title + ", " + detection.Content[i].Value
		c.without(where, search, 2)
		for j := 0; j < len(search.Content); j += 2 {
			field := where + ", " + search.Content[j].Value
			values := search.Content[j+1]
			if values.Kind == yaml.SequenceNode {
				c.without(field, values, 1)
				continue
			}
			c.otherwise(field, values)
		}
	}
}

// without leaves out each item of a map or list that has several.
func (c *changes) without(where string, node *yaml.Node, step int) {
	all := node.Content
	for i := 0; len(all) > step && i < len(all); i += step {
		node.Content = append(append([]*yaml.Node{}, all[:i]...), all[i+step:]...)
		c.keep("%s is without %s", where, all[i].Value)
	}
	node.Content = all
}

// otherwise changes a value into one of its kind that is not meant.
func (c *changes) otherwise(where string, value *yaml.Node) {
	was := value.Value
	switch value.Tag {
	case "!!bool":
		value.Value = strconv.FormatBool(was != "true")
	case "!!int":
		value.Value += "1"
	default:
		value.Value += " or not"
	}
	c.keep("%s is %s", where, value.Value)
	value.Value = was
}

func (c *changes) correlation(title string, correlation *yaml.Node) {
	c.without(title+", rules", child(correlation, "rules"), 1)
	c.without(title+", group-by", child(correlation, "group-by"), 1)
	c.timespan(title, child(correlation, "timespan"))
	condition := child(correlation, "condition")
	if field := child(condition, "field"); field != nil {
		was := field.Value
		field.Value = "id"
		c.keep("%s counts events", title)
		field.Value = was
	}
	gte := child(condition, "gte")
	n, err := strconv.Atoi(gte.Value)
	if err != nil {
		c.t.Fatal(err)
	}
	kind := child(correlation, "type")
	if kind.Value == "temporal_ordered" {
		kind.Value = "temporal"
		c.keep("%s is in any order", title)
		kind.Value = "temporal_ordered"
		return
	}
	for _, other := range []int{n - 1, n + 1} {
		gte.Value = strconv.Itoa(other)
		c.keep("%s takes %d", title, other)
	}
	gte.Value = strconv.Itoa(n)
}

// timespan makes it half and twice as long.
func (c *changes) timespan(title string, span *yaml.Node) {
	was := span.Value
	n, err := strconv.Atoi(was[:len(was)-1])
	if err != nil || was[len(was)-1] != 'm' {
		c.t.Fatalf("timespan %q", was)
	}
	for _, length := range []int{n * 30, n * 120} {
		span.Value = strconv.Itoa(length) + "s"
		c.keep("%s looks at %s", title, span.Value)
	}
	span.Value = was
}

// child is the content of a key; nil when there is none.
func child(node *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A document is what Elasticsearch indexes, at its start an event.
type document map[string]any

// get walks to a field; nil when there is nothing.
func (d document) get(path string) any {
	var node any = map[string]any(d)
	for name := range strings.SplitSeq(path, ".") {
		object, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = object[name]
	}
	return node
}

// set makes the objects above a field as needed.
func (d document) set(path string, value any) error {
	names := strings.Split(path, ".")
	object := map[string]any(d)
	for _, name := range names[:len(names)-1] {
		if object[name] == nil {
			object[name] = make(map[string]any)
		}
		below, ok := object[name].(map[string]any)
		if !ok {
			return fmt.Errorf("field %s: %s is no object", path, name)
		}
		object = below
	}
	object[names[len(names)-1]] = value
	return nil
}

func (d document) remove(path string) {
	above, name := "", path
	if dot := strings.LastIndex(path, "."); dot >= 0 {
		above, name = path[:dot], path[dot+1:]
	}
	object := map[string]any(d)
	if above != "" {
		object, _ = d.get(above).(map[string]any)
	}
	delete(object, name)
}

// leaves lists the fields that hold something, with what they hold.
func (d document) leaves() map[string]any {
	found := make(map[string]any)
	var walk func(path string, node any)
	walk = func(path string, node any) {
		object, ok := node.(map[string]any)
		if !ok {
			found[path] = node
			return
		}
		for name, below := range object {
			walk(strings.TrimPrefix(path+"."+name, "."), below)
		}
	}
	walk("", map[string]any(d))
	return found
}

// An ingestPipeline is as Elasticsearch and OpenSearch read it. Of the
// processors they have it knows those that the pipelines here use, which hold
// no script.
type ingestPipeline struct {
	Description string                    `json:"description"`
	Processors  []map[string]ingestAction `json:"processors"`
	OnFailure   []map[string]ingestAction `json:"on_failure"`
}

// An ingestAction holds the settings of all kinds of processors.
type ingestAction struct {
	Field            fieldNames `json:"field"`
	If               string     `json:"if"`
	Value            any        `json:"value"`
	CopyFrom         string     `json:"copy_from"`
	Override         *bool      `json:"override"`
	IgnoreEmptyValue bool       `json:"ignore_empty_value"`
	IgnoreMissing    bool       `json:"ignore_missing"`
	TargetField      string     `json:"target_field"`
	Type             string     `json:"type"`
	Pattern          string     `json:"pattern"`
	Replacement      string     `json:"replacement"`
	AllowDuplicates  *bool      `json:"allow_duplicates"`
	SourceField      string     `json:"source_field"`    // of copy, OpenSearch
	OverrideTarget   bool       `json:"override_target"` // of copy, OpenSearch
}

// fieldNames is one name or a list of names.
type fieldNames []string

func (f *fieldNames) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*f = fieldNames{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(f))
}

func readPipeline(t *testing.T, tool string) ingestPipeline {
	t.Helper()
	var p ingestPipeline
	decodeStrictly(t, filepath.Join(siemDir, tool, "ingest-pipeline.json"), &p)
	return p
}

func decodeStrictly(t *testing.T, file string, into any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(readFile(t, file)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// run does to a document what the server would.
func (p ingestPipeline) run(d document) error {
	for i, processor := range p.Processors {
		for kind, action := range processor {
			if err := action.run(kind, d); err != nil {
				return fmt.Errorf("processor %d, %s %s: %w", i+1, kind, action.Field, err)
			}
		}
	}
	return nil
}

func (a ingestAction) run(kind string, d document) error {
	if holds, err := condition(a.If, d); err != nil || !holds {
		return err
	}
	if kind == "remove" {
		for _, field := range a.Field {
			if d.get(field) == nil && !a.IgnoreMissing {
				return fmt.Errorf("%s is missing", field)
			}
			d.remove(field)
		}
		return nil
	}
	if kind == "copy" {
		return a.copy(d, a.SourceField, a.TargetField, a.OverrideTarget, a.IgnoreMissing)
	}
	field := a.Field[0]
	switch kind {
	case "set":
		override := a.Override == nil || *a.Override
		if a.CopyFrom != "" {
			return a.copy(d, a.CopyFrom, field, override, a.IgnoreEmptyValue)
		}
		if !override && d.get(field) != nil {
			return nil
		}
		return d.set(field, filled(a.Value, d))
	case "append":
		return a.append(d, field)
	}
	value := d.get(field)
	if value == nil {
		if a.IgnoreMissing {
			return nil
		}
		return fmt.Errorf("%s is missing", field)
	}
	switch kind {
	case "rename":
		if d.get(a.TargetField) != nil {
			return fmt.Errorf("%s is there already", a.TargetField)
		}
		d.remove(field)
		return d.set(a.TargetField, value)
	case "convert":
		return a.convert(d, field, value)
	case "gsub":
		target := field
		if a.TargetField != "" {
			target = a.TargetField
		}
		pattern, err := regexp.Compile(a.Pattern)
		if err != nil {
			return err
		}
		return d.set(target, pattern.ReplaceAllString(value.(string), a.Replacement))
	}
	return fmt.Errorf("processor %s is not known here", kind)
}

func (a ingestAction) copy(d document, from, to string, override, ignoreMissing bool) error {
	value := d.get(from)
	switch {
	case value == nil && ignoreMissing, !override && d.get(to) != nil:
		return nil
	case value == nil:
		return fmt.Errorf("%s is missing", from)
	}
	return d.set(to, value)
}

func (a ingestAction) append(d document, field string) error {
	value := filled(a.Value, d)
	list, _ := d.get(field).([]any)
	if a.AllowDuplicates != nil && !*a.AllowDuplicates && slices.Contains(list, value) {
		return nil
	}
	return d.set(field, append(list, value))
}

func (a ingestAction) convert(d document, field string, value any) error {
	switch a.Type {
	case "string":
		return d.set(field, fmt.Sprint(value))
	case "long":
		n, err := strconv.ParseInt(fmt.Sprint(value), 10, 64)
		if err != nil {
			return err
		}
		return d.set(field, n)
	}
	return fmt.Errorf("type %s is not known here", a.Type)
}

var (
	templateField   = regexp.MustCompile(`\{\{\{([^{}]+)\}\}\}`)
	fieldComparison = regexp.MustCompile(`^ctx((?:\??\.\w+)+) (==|!=) (null|'[^']*')$`)
	fieldMembership = regexp.MustCompile(`^\[('\w+'(?:, '\w+')*)\]\.contains\(ctx((?:\??\.\w+)+)\)$`)
)

func filled(value any, d document) any {
	text, ok := value.(string)
	if !ok {
		return value
	}
	return templateField.ReplaceAllStringFunc(text, func(field string) string {
		if found := d.get(strings.Trim(field, "{}")); found != nil {
			return fmt.Sprint(found)
		}
		return ""
	})
}

// condition evaluates the two forms of conditions the pipelines use. Both are
// Painless that cannot fail, whatever is missing.
func condition(text string, d document) (bool, error) {
	if text == "" {
		return true, nil
	}
	field := func(path string) any { return d.get(strings.TrimPrefix(strings.ReplaceAll(path, "?", ""), ".")) }
	if m := fieldMembership.FindStringSubmatch(text); m != nil {
		value, ok := field(m[2]).(string)
		return ok && slices.Contains(strings.Split(m[1], ", "), "'"+value+"'"), nil
	}
	m := fieldComparison.FindStringSubmatch(text)
	if m == nil {
		return false, fmt.Errorf("condition %q is not known here", text)
	}
	var equal bool
	if value := field(m[1]); m[3] == "null" {
		equal = value == nil
	} else {
		equal = value == any(strings.Trim(m[3], "'"))
	}
	return equal == (m[2] == "=="), nil
}

// ingested is what becomes of an event.
func ingested(t *testing.T, pipeline ingestPipeline, event []byte) document {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(event)))
	decoder.UseNumber()
	var d document
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if err := pipeline.run(d); err != nil {
		t.Fatal(err)
	}
	return d
}

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"docspace-nats/schema"
)

// An object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSONTo(encoder *jsontext.Encoder) error {
	if err := encoder.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, m := range o {
		if err := encoder.WriteToken(jsontext.String(m.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(encoder, m.value); err != nil {
			return err
		}
	}
	return encoder.WriteToken(jsontext.EndObject)
}

// An eventSchema is the part of event.schema.json that the families share.
type eventSchema struct {
	address    string
	required   jsontext.Value
	properties []property
}

type property struct {
	name string
	text jsontext.Value
}

func parse(text []byte) (eventSchema, error) {
	var document struct {
		ID   string `json:"$id"`
		Defs struct {
			Data struct{ Required, Properties jsontext.Value }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &document, json.MatchCaseInsensitiveNames(true)); err != nil {
		return eventSchema{}, err
	}
	data := document.Defs.Data
	properties, err := members(data.Properties)
	if err != nil {
		return eventSchema{}, fmt.Errorf("$defs.data.properties: %w", err)
	}
	for _, block := range optional {
		if !slices.ContainsFunc(properties, func(p property) bool { return p.name == block }) {
			return eventSchema{}, fmt.Errorf("data has no %s", block)
		}
	}
	return eventSchema{document.ID, data.Required, properties}, nil
}

// members reads an object in its order. References to definitions become
// references into the file beside.
func members(text jsontext.Value) ([]property, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	var all []property
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		p := property{name: name.String()}
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		p.text = bytes.ReplaceAll(value, []byte(`"#/`), []byte(`"event.schema.json#/`))
		all = append(all, p)
	}
	return all, nil
}

// data is the schema for the data of a family's events.
func (e eventSchema) data(f family) ([]byte, error) {
	var properties object
	for _, p := range e.properties {
		switch {
		case p.name == "action":
			properties = append(properties, member{p.name, f.action()})
		case !slices.Contains(optional, p.name) || slices.Contains(f.blocks, p.name):
			properties = append(properties, member{p.name, p.text})
		}
	}
	document := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", strings.Replace(e.address, schema.EventSchema, f.Name, 1)},
		{"title", strings.ToUpper(f.Name[:1]) + f.Name[1:] + " data"},
		{"description", "The data of events about " + f.About + ". Generated from event.schema.json and the catalogue of actions."},
		{"type", "object"},
		{"required", e.required},
		{"properties", properties},
	}
	if len(f.rules) > 0 {
		var rules []object
		for _, r := range f.rules {
			rules = append(rules, r.object(f))
		}
		document = append(document, member{"allOf", rules})
	}
	text, err := json.Marshal(document, jsontext.WithIndent("  "))
	return append(text, '\n'), err
}

// action is the block of that name, narrowed to the family. The names of known
// actions are examples and no enumeration: newer servers have others.
func (f family) action() object {
	category, name := object{{"const", f.Name}}, object{{"examples", f.actions(known)}}
	narrowed := object{{"category", category}, {"name", name}}
	if f.Name == schema.Other {
		var taken []string
		for _, other := range schema.Families() {
			if other.Name != schema.Other {
				taken = append(taken, other.Name)
			}
		}
		narrowed = object{{"category", object{{"not", object{{"enum", taken}}}}}, {"name", name}}
	}
	return object{
		{"allOf", []object{{{"$ref", "event.schema.json#/$defs/action"}}}},
		{"properties", narrowed},
	}
}

// object is the rule as a schema.
func (r rule) object(f family) object {
	when := object{
		{"properties", object{{"action", object{{"properties", object{
			{"name", object{{"enum", r.names(f)}}},
			{"known", object{{"const", true}}},
		}}}}}},
		{"not", object{{"required", []string{"malformed"}}}},
	}
	var then object
	if len(r.requires) > 0 {
		then = append(then, member{"required", r.requires})
	}
	if len(r.where) > 0 {
		then = append(then, member{"properties", r.where})
	}
	return object{{"if", when}, {"then", then}}
}

package main

import (
	"bytes"
	_ "embed"
	"slices"
	"strings"
	"text/template"

	"docspace-nats/schema"
)

//go:embed asyncapi.yaml.tmpl
var asyncAPIText string

// A channel is a family as the AsyncAPI description names it.
type channel struct {
	family
	Token      string   // the category as it stands in the address
	Categories []string // where the token is a parameter
	Actions    []string
	Note       string
}

// Title is the family's name as the beginning of a sentence.
func (c channel) Title() string { return strings.ToUpper(c.Name[:1]) + c.Name[1:] }

var notes = map[string]string{
	"connector": `A connector.gap event stands for all rows of one commit that the portal
        counts and does not show: data.connector.rows is how many,
        data.connector.first_index the index of the lowest, counted from the
        oldest row, which is 0. The others lie above it, not always next to it.`,
}

func asyncAPI(families []family) ([]byte, error) {
	var channels []channel
	for _, f := range families {
		c := channel{family: f, Token: f.Name, Actions: f.actions(known), Note: notes[f.Name]}
		if f.Name == schema.Other {
			c.Token, c.Categories = "{category}", otherCategories()
		}
		slices.Sort(c.Actions)
		channels = append(channels, c)
	}
	document, err := template.New("asyncapi.yaml").Parse(asyncAPIText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = document.Execute(&out, struct {
		Version, ContentType string
		Families             []channel
	}{schema.Version, schema.ContentType, channels})
	return out.Bytes(), err
}

// otherCategories are those without a family of their own.
func otherCategories() []string {
	var categories []string
	for action := range schema.Catalogue() {
		if schema.FamilyOf(action.Category) == schema.Other {
			categories = append(categories, action.Category)
		}
	}
	slices.Sort(categories)
	return slices.Compact(categories)
}

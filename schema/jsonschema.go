package schema

import (
	"bytes"
	"embed"
	"fmt"
	"iter"
	"strings"
)

//go:generate go run ./internal/schemagen

//go:embed *.schema.json asyncapi.yaml actions.csv
var documents embed.FS

const (
	// schemaBase is the base the schemas are written with.
	schemaBase = "https://schemas.example.org/docspace-activity"
	// EventSchema is the name of the JSON Schema of the whole event. The others
	// have the names of the families, and describe the data of their events.
	EventSchema = "event"
)

// SchemaURL is where a JSON Schema of version 1 lies under a base address of
// the operator's choice. Without a base there is no address and events name no
// schema.
func SchemaURL(base, name string) string {
	if base == "" {
		return ""
	}
	return strings.TrimRight(base, "/") + "/v1/" + schemaFile(name)
}

// JSONSchema returns the JSON Schema 2020-12 of the whole event or of the data
// of a family, with the address SchemaURL gives it; "" leaves the one of the
// examples. The schemas of families refer to that of the event, which lies
// beside them.
func JSONSchema(name, base string) ([]byte, error) {
	document, err := documents.ReadFile(schemaFile(name))
	if err != nil {
		return nil, fmt.Errorf("there is no schema %q", name)
	}
	return at(document, base, SchemaURL(schemaBase, name), SchemaURL(base, name)), nil
}

// AsyncAPI returns the AsyncAPI 3.0 description of the stream, which points to
// the JSON Schemas at their addresses under base; "" leaves the files beside it.
func AsyncAPI(base string) []byte {
	document := document("asyncapi.yaml")
	for _, name := range SchemaNames() {
		document = at(document, base, "$ref: "+schemaFile(name), "$ref: "+SchemaURL(base, name))
	}
	return document
}

// CatalogueCSV returns the catalogue of actions as it is reviewed.
func CatalogueCSV() []byte { return document("actions.csv") }

// SchemaNames returns the names of all JSON Schemas: that of the event, then
// those of the families.
func SchemaNames() []string {
	names := []string{EventSchema}
	for _, family := range families {
		names = append(names, family.Name)
	}
	return names
}

// Files yields the whole contract, by file name: what lies at SchemaURL and
// beside it.
func Files(base string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, name := range SchemaNames() {
			document, err := JSONSchema(name, base)
			if err != nil {
				panic("schema: " + err.Error()) // a mistake in this program
			}
			if !yield(schemaFile(name), document) {
				return
			}
		}
		_ = yield("asyncapi.yaml", AsyncAPI(base)) && yield("actions.csv", CatalogueCSV())
	}
}

func schemaFile(name string) string { return name + ".schema.json" }

func document(file string) []byte {
	text, err := documents.ReadFile(file)
	if err != nil {
		panic("schema: " + err.Error()) // it is part of this program
	}
	return text
}

func at(document []byte, base, written, there string) []byte {
	if base == "" {
		return document
	}
	return bytes.ReplaceAll(document, []byte(written), []byte(there))
}

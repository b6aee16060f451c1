package schema

import (
	"bytes"
	_ "embed"
	"strings"
)

var (
	//go:embed event.schema.json
	eventSchema []byte
	//go:embed asyncapi.yaml
	asyncAPI []byte
)

// schemaBase is the base event.schema.json is written with.
const schemaBase = "https://schemas.example.org/docspace-activity"

// SchemaURL is where the JSON Schema of version 1 lies under a base address of
// the operator's choice. Without a base there is no address and events name no
// schema.
func SchemaURL(base string) string {
	if base == "" {
		return ""
	}
	return strings.TrimRight(base, "/") + "/v1/event.schema.json"
}

// JSONSchema returns the JSON Schema 2020-12 of the whole event, with the
// address SchemaURL gives it; "" leaves the one of the examples.
func JSONSchema(base string) []byte {
	return at(eventSchema, base)
}

// AsyncAPI returns the AsyncAPI 3.0 description of the stream, which points to
// the JSON Schema at its address under base.
func AsyncAPI(base string) []byte {
	return at(asyncAPI, base)
}

func at(document []byte, base string) []byte {
	if base == "" {
		return bytes.Clone(document)
	}
	return bytes.Replace(document, []byte(SchemaURL(schemaBase)), []byte(SchemaURL(base)), 1)
}

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

const (
	// schemaBase is the base event.schema.json is written with.
	schemaBase = "https://schemas.example.org/docspace-activity"
	// besideSchema is how asyncapi.yaml refers to event.schema.json, which lies
	// beside it.
	besideSchema = "$ref: event.schema.json"
)

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
	return at(eventSchema, base, SchemaURL(schemaBase), SchemaURL(base))
}

// AsyncAPI returns the AsyncAPI 3.0 description of the stream, which points to
// the JSON Schema at its address under base; "" leaves the file beside it.
func AsyncAPI(base string) []byte {
	return at(asyncAPI, base, besideSchema, "$ref: "+SchemaURL(base))
}

func at(document []byte, base, written, there string) []byte {
	if base == "" {
		return bytes.Clone(document)
	}
	return bytes.Replace(document, []byte(written), []byte(there), 1)
}

// Package schematest is the event contract for the tests of other packages:
// its schemas, ready to judge an event, and its golden events.
package schematest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"docspace-nats/schema"
)

// Contract is a set of compiled schemas. It may be used by several goroutines.
type Contract struct {
	schemas map[string]*jsonschema.Schema
}

// Compile compiles the contract of this program.
func Compile(t testing.TB) Contract {
	t.Helper()
	documents := make(map[string][]byte)
	for _, name := range schema.SchemaNames() {
		document, err := schema.JSONSchema(name, "")
		if err != nil {
			t.Fatal(err)
		}
		documents[name] = document
	}
	c, err := compile(documents)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compile(documents map[string][]byte) (Contract, error) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for name, text := range documents {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return Contract{}, fmt.Errorf("schema %s: %w", name, err)
		}
		if err := compiler.AddResource(address(name), document); err != nil {
			return Contract{}, err
		}
	}
	c := Contract{make(map[string]*jsonschema.Schema)}
	for name := range documents {
		compiled, err := compiler.Compile(address(name))
		if err != nil {
			return Contract{}, err
		}
		c.schemas[name] = compiled
	}
	return c, nil
}

func address(name string) string {
	return schema.SchemaURL("https://schemas.example.org/docspace-activity", name)
}

// Schema is the compiled schema of that name.
func (c Contract) Schema(name string) *jsonschema.Schema { return c.schemas[name] }

// Judge returns what of an encoded event breaks the contract: its schema, or
// that of the data of its family.
func (c Contract) Judge(event []byte) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(event))
	if err != nil {
		return err
	}
	if err := c.schemas[schema.EventSchema].Validate(document); err != nil {
		return err
	}
	var e struct {
		Data struct {
			Action struct{ Category string }
		}
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return err
	}
	family := schema.FamilyOf(e.Data.Action.Category)
	if err := c.schemas[family].Validate(document.(map[string]any)["data"]); err != nil {
		return fmt.Errorf("data of a %s event: %w", family, err)
	}
	return nil
}

// Dir is where the golden events of a version of the contract lie.
func Dir(t testing.TB, version string) string {
	t.Helper()
	return filepath.Join(testdata(t), "golden", "v"+version)
}

// Released reports whether a version of the contract has been released: then
// nothing of it changes any more.
func Released(t testing.TB, version string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(testdata(t), "released", "v"+version))
	return err == nil
}

// Goldens returns the golden events of the newest version, by name.
func Goldens(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Dir(t, schema.Version), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden events, %v", len(files), err)
	}
	goldens := make(map[string][]byte, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		goldens[strings.TrimSuffix(filepath.Base(file), ".json")] = text
	}
	return goldens
}

// testdata finds the files of the contract from any directory of the project.
func testdata(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		found := filepath.Join(dir, "schema", "testdata", "golden")
		if _, err := os.Stat(found); err == nil {
			return filepath.Dir(found)
		}
		above := filepath.Dir(dir)
		if above == dir {
			t.Fatal("the golden events are looked for in the folders above the working directory, and are in none")
		}
		dir = above
	}
}

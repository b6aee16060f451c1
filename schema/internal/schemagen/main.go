// Schemagen writes what follows from event.schema.json, the catalogue and the
// rules in this package: one JSON Schema for the data of each family of events,
// and the AsyncAPI description. It runs in the directory of package schema.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(dir+"/"+name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns all generated files by name.
func generate(dir string) (map[string][]byte, error) {
	text, err := os.ReadFile(dir + "/event.schema.json")
	if err != nil {
		return nil, err
	}
	event, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("event.schema.json: %w", err)
	}
	files := make(map[string][]byte)
	for _, family := range families() {
		if files[family.Name+".schema.json"], err = event.data(family); err != nil {
			return nil, fmt.Errorf("family %s: %w", family.Name, err)
		}
	}
	files["asyncapi.yaml"], err = asyncAPI(families())
	return files, err
}

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
	"time"

	"docspace-nats/schema"
	"docspace-nats/schema/line"
	"docspace-nats/schema/schematest"
)

// A cefRow is a line of the table of fields in the recipe for rsyslog.
type cefRow struct {
	label string
	paths []string // the first that is in the event counts; none: no field of it
}

var (
	cefTableLine = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:`(\\w+)`)? ?\\| (.*) \\|$")
	fieldPath    = regexp.MustCompile("`((?:data\\.)?[a-z_.]+)`")
)

func TestSIEMTheTableOfCEFFieldsIsWhatTailWrites(t *testing.T) {
	t.Parallel()
	table := make(map[string]cefRow)
	for _, row := range cefTableLine.FindAllStringSubmatch(readFile(t, filepath.Join(siemDir, "rsyslog", "README.md")), -1) {
		paths := []string(nil)
		for _, path := range fieldPath.FindAllStringSubmatch(row[3], -1) {
			paths = append(paths, path[1])
		}
		table[row[1]] = cefRow{row[2], paths}
	}
	written := make(map[string]bool)
	for name, text := range schematest.Goldens(t) {
		event, err := schema.Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cef, err := readCEF(string(line.CEF(nil, &event)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for key, value := range cef.extension {
			if labelled, ok := strings.CutSuffix(key, "Label"); ok {
				if table[labelled].label != value {
					t.Errorf("%s: the label of %s is %q, in the table %q", name, labelled, value, table[labelled].label)
				}
				continue
			}
			written[key] = true
			row, known := table[key]
			if want := row.value(t, text); !known || want != "" && want != value {
				t.Errorf("%s: %s is %q, by the table %q", name, key, value, want)
			}
			if _, labelled := cef.extension[key+"Label"]; labelled != (row.label != "") {
				t.Errorf("%s: %s has a label: %v, against the table", name, key, labelled)
			}
		}
	}
	for key := range table {
		if !written[key] {
			t.Errorf("no golden event is written with %s", key)
		}
	}
	if len(table) < len(written) || !slices.Contains(table["rt"].paths, "time") {
		t.Errorf("only %d fields are in the table", len(table))
	}
}

// value is what the field must be, "" where it is made of several.
func (r cefRow) value(t *testing.T, event []byte) string {
	t.Helper()
	var document any
	if err := json.Unmarshal(event, &document); err != nil {
		t.Fatal(err)
	}
	for _, path := range r.paths {
		value := document
		for name := range strings.SplitSeq(path, ".") {
			object, _ := value.(map[string]any)
			value = object[name]
		}
		switch {
		case value == nil:
			continue
		case path == "time":
			at, err := time.Parse(time.RFC3339, fmt.Sprint(value))
			if err != nil {
				t.Fatal(err)
			}
			return strconv.FormatInt(at.UnixMilli(), 10)
		}
		return fmt.Sprint(value)
	}
	return ""
}

package schema

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type asyncDocument struct {
	AsyncAPI    string `yaml:"asyncapi"`
	ContentType string `yaml:"defaultContentType"`
	Channels    map[string]struct {
		Address    string
		Parameters map[string]struct{ Enum []string }
	}
	Components struct {
		Messages map[string]struct {
			Headers struct {
				Properties map[string]struct {
					Const string
					Enum  []string
				}
			}
			Payload struct {
				Schema struct {
					Ref string `yaml:"$ref"`
				}
			}
		}
	}
}

func asyncAPIAt(t *testing.T, base string) asyncDocument {
	t.Helper()
	var document asyncDocument
	if err := yaml.Unmarshal(AsyncAPI(base), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

func TestTheAsyncAPIDocumentDescribesTheMessagesThatAreStored(t *testing.T) {
	t.Parallel()
	document := asyncAPIAt(t, "https://schemas.example.com")
	message := document.Components.Messages["event"]
	if !strings.HasPrefix(ContentType, document.ContentType) || message.Headers.Properties["Content-Type"].Const != ContentType {
		t.Errorf("content types %q and %q", document.ContentType, message.Headers.Properties["Content-Type"].Const)
	}
	if diff := cmp.Diff([]string{Live, Backfill}, message.Headers.Properties["Docspace-Ingest-Mode"].Enum); diff != "" {
		t.Errorf("ingest modes: %s", diff)
	}
	if got, want := message.Payload.Schema.Ref, SchemaURL("https://schemas.example.com"); got != want {
		t.Errorf("payload %s, want %s", got, want)
	}
	if document.AsyncAPI != "3.0.0" {
		t.Errorf("version %q", document.AsyncAPI)
	}
}

// Every action there is, the connector's own and unknown ones included, is
// published at the address of the one channel, with parameters it allows.
func TestTheAddressesOfTheAsyncAPIDocumentAreTheSubjects(t *testing.T) {
	t.Parallel()
	document := asyncAPIAt(t, "")
	if len(document.Channels) != 1 {
		t.Fatalf("%d channels, and subjects of one form", len(document.Channels))
	}
	channel := document.Channels["activity"]
	expression := regexp.MustCompile(`\{(\w+)\}`)
	var named []string
	for _, parameter := range expression.FindAllStringSubmatch(channel.Address, -1) {
		named = append(named, parameter[1])
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(channel.Parameters)), slices.Sorted(slices.Values(named))); diff != "" {
		t.Errorf("parameters described and in the address: %s", diff)
	}

	actions, used := slices.Collect(Catalogue()), make(map[string]bool)
	for i, key := range []string{"", "Opened", "RoomOfNoVersionSealed", "FileOfNoVersionSealed", "FolderOfNoVersionSealed", "FormOfNoVersionSealed", "AgentOfNoVersionSealed"} {
		action, known := Resolve(9000+i, key)
		if known {
			t.Fatalf("%q is in the catalogue", key)
		}
		actions = append(actions, action)
	}
	for _, action := range actions {
		used[action.Category] = true
		e := Origin{Folder: 1234}.Event(action, true, Live, sample().Time, sample().Time)
		parameters := map[string]string{"folderId": "1234", "category": action.Category, "action": action.Name}
		address := expression.ReplaceAllStringFunc(channel.Address, func(s string) string { return parameters[strings.Trim(s, "{}")] })
		if want := e.NATSSubject("docspace"); address != want {
			t.Errorf("%d %s: address %s, subject %s", action.Code, action.Key, address, want)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), channel.Parameters["category"].Enum); diff != "" {
		t.Errorf("categories: %s", diff)
	}
}

func TestEveryReferenceInTheAsyncAPIDocumentResolves(t *testing.T) {
	t.Parallel()
	var root any
	if err := yaml.Unmarshal(AsyncAPI(""), &root); err != nil {
		t.Fatal(err)
	}
	found := references(root)
	if len(found) < 3 {
		t.Errorf("only %d references: is this test looking in the right place?", len(found))
	}
	for _, reference := range found {
		if err := resolves(root, reference); err != nil {
			t.Errorf("$ref %s: %v", reference, err)
		}
	}
	for _, broken := range []string{"#/channels/other", "#/asyncapi/3", "other.json", "event.schema.json#/$defs/other", "https://schemas.example.org/v1/event.schema.json"} {
		if resolves(root, broken) == nil {
			t.Errorf("%s is said to resolve", broken)
		}
	}
}

// references returns every $ref in a document. What stands beside one in the
// same object is ignored by readers, so nothing may.
func references(node any) []string {
	var found []string
	switch node := node.(type) {
	case map[string]any:
		if reference, is := node["$ref"].(string); is {
			if len(node) > 1 {
				return []string{reference + " and something beside it"}
			}
			return []string{reference}
		}
		for _, name := range slices.Sorted(maps.Keys(node)) {
			found = append(found, references(node[name])...)
		}
	case []any:
		for _, item := range node {
			found = append(found, references(item)...)
		}
	}
	return found
}

// resolves follows a reference into the document, or into a file that lies
// beside it: no other place is there for everybody who has this one.
func resolves(root any, reference string) error {
	u, err := url.Parse(reference)
	if err != nil {
		return err
	}
	if u.Path != "" || u.IsAbs() {
		if u.IsAbs() || filepath.Base(u.Path) != u.Path {
			return fmt.Errorf("%s does not lie beside the document", u.Path)
		}
		text, err := os.ReadFile(u.Path)
		if err != nil {
			return err
		}
		root = nil
		if err := yaml.Unmarshal(text, &root); err != nil { // JSON is YAML
			return err
		}
	}
	return follow(root, u.Fragment)
}

// follow follows a JSON pointer.
func follow(node any, pointer string) error {
	if pointer == "" {
		return nil
	}
	for _, name := range strings.Split(pointer, "/")[1:] {
		object, _ := node.(map[string]any)
		if next, is := object[name]; is {
			node = next
		} else {
			return fmt.Errorf("there is no %s", name)
		}
	}
	return nil
}

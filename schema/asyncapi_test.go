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
	Info        struct{ Version string }
	Channels    map[string]asyncChannel
	Operations  map[string]struct {
		Action  string
		Channel struct {
			Ref string `yaml:"$ref"`
		}
	}
	Components struct {
		Messages map[string]struct {
			Payload struct {
				Schema struct {
					AllOf []yaml.Node `yaml:"allOf"`
				}
			}
		}
		MessageTraits struct {
			Structured struct {
				ContentType string `yaml:"contentType"`
				Headers     struct {
					Properties map[string]struct {
						Const string
						Enum  []string
					}
				}
			}
		} `yaml:"messageTraits"`
	}
}

type asyncChannel struct {
	Address    string
	Parameters map[string]struct{ Enum []string }
	Messages   map[string]struct {
		Ref string `yaml:"$ref"`
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
	trait := document.Components.MessageTraits.Structured
	headers := trait.Headers.Properties
	if !strings.HasPrefix(ContentType, document.ContentType) || trait.ContentType != document.ContentType || headers["Content-Type"].Const != ContentType {
		t.Errorf("content types %q, %q and %q", document.ContentType, trait.ContentType, headers["Content-Type"].Const)
	}
	if diff := cmp.Diff([]string{Live, Backfill}, headers["Docspace-Ingest-Mode"].Enum); diff != "" {
		t.Errorf("ingest modes: %s", diff)
	}
	if document.AsyncAPI != "3.0.0" || document.Info.Version != Version {
		t.Errorf("AsyncAPI %q of version %q", document.AsyncAPI, document.Info.Version)
	}
}

// A message of a family is an event whose data are the family's, and has a
// channel and an operation.
func TestEveryFamilyHasItsChannelMessageAndOperation(t *testing.T) {
	t.Parallel()
	const base = "https://schemas.example.com"
	document := asyncAPIAt(t, base)
	if n := len(Families()); len(document.Channels) != n || len(document.Operations) != n || len(document.Components.Messages) != n {
		t.Errorf("%d families, %d channels, %d operations, %d messages", n, len(document.Channels), len(document.Operations), len(document.Components.Messages))
	}
	sent := make(map[string]bool)
	for _, operation := range document.Operations {
		if operation.Action == "send" {
			sent[operation.Channel.Ref] = true
		}
	}
	for _, family := range Families() {
		if !sent["#/channels/"+family.Name] {
			t.Errorf("%s is never sent", family.Name)
		}
		if ref := document.Channels[family.Name].Messages[family.Name].Ref; ref != "#/components/messages/"+family.Name {
			t.Errorf("the channel %s has the message %q", family.Name, ref)
		}
		var payload struct {
			AllOf []map[string]any `yaml:"allOf"`
		}
		for _, node := range document.Components.Messages[family.Name].Payload.Schema.AllOf {
			var part map[string]any
			if err := node.Decode(&part); err != nil {
				t.Fatal(err)
			}
			payload.AllOf = append(payload.AllOf, part)
		}
		want := []map[string]any{
			{"$ref": SchemaURL(base, EventSchema)},
			{"type": "object", "properties": map[string]any{"data": map[string]any{"$ref": SchemaURL(base, family.Name)}}},
		}
		if diff := cmp.Diff(want, payload.AllOf); diff != "" {
			t.Errorf("payload of %s: %s", family.Name, diff)
		}
	}
}

// Every action of the catalogue is published at the address of its family's
// channel, with parameters that channel lists, and no other is listed.
func TestTheAddressesOfTheAsyncAPIDocumentAreTheSubjects(t *testing.T) {
	t.Parallel()
	document := asyncAPIAt(t, "")
	expression := regexp.MustCompile(`\{(\w+)\}`)
	for name, channel := range document.Channels {
		var named []string
		for _, parameter := range expression.FindAllStringSubmatch(channel.Address, -1) {
			named = append(named, parameter[1])
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(channel.Parameters)), slices.Sorted(slices.Values(named))); diff != "" {
			t.Errorf("parameters of %s, described and in the address: %s", name, diff)
		}
	}

	used := make(map[string]map[string]bool) // channel and parameter, values
	use := func(channel, parameter, value string) {
		key := channel + " " + parameter
		if used[key] == nil {
			used[key] = make(map[string]bool)
		}
		used[key][value] = true
	}
	for action := range Catalogue() {
		family := FamilyOf(action.Category)
		use(family, "action", action.Name)
		use(family, "category", action.Category)
		e := Origin{Folder: 1234}.Event(action, true, Live, sample().Time, sample().Time)
		parameters := map[string]string{"folderId": "1234", "category": action.Category, "action": action.Name}
		address := expression.ReplaceAllStringFunc(document.Channels[family].Address, func(s string) string { return parameters[strings.Trim(s, "{}")] })
		if want := e.NATSSubject("docspace"); address != want {
			t.Errorf("%d %s: address %s, subject %s", action.Code, action.Key, address, want)
		}
	}
	for name, channel := range document.Channels {
		for parameter, described := range channel.Parameters {
			if parameter == "folderId" {
				continue
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(used[name+" "+parameter])), described.Enum); diff != "" {
				t.Errorf("%s of %s, in the catalogue and described: %s", parameter, name, diff)
			}
		}
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
	for _, broken := range []string{"#/channels/none", "#/asyncapi/3", "other.json", "event.schema.json#/$defs/other", "https://schemas.example.org/v1/event.schema.json", "no.schema.json"} {
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

package schema

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestTheAsyncAPIDocumentDescribesTheSubjectsThatAreUsed(t *testing.T) {
	t.Parallel()
	var document struct {
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
	if err := yaml.Unmarshal(AsyncAPI("https://schemas.example.com"), &document); err != nil {
		t.Fatal(err)
	}
	channel, message := document.Channels["activity"], document.Components.Messages["event"]
	e := sample()
	address := strings.NewReplacer("{folderId}", e.PartitionKey, "{category}", e.Data.Action.Category, "{action}", e.Data.Action.Name).Replace(channel.Address)
	if want := e.NATSSubject("docspace"); address != want {
		t.Errorf("address %s, subject %s", address, want)
	}
	used := map[string]bool{}
	for action := range Catalogue() {
		used[action.Category] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), channel.Parameters["category"].Enum); diff != "" {
		t.Errorf("categories: %s", diff)
	}
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

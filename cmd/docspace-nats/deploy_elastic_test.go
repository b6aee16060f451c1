package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/schema/schematest"
)

// mappings lists the fields of an index template with their types.
func mappings(t *testing.T, tool string) map[string]string {
	t.Helper()
	var template struct {
		IndexPatterns []string       `json:"index_patterns"`
		Priority      int            `json:"priority"`
		Meta          map[string]any `json:"_meta"`
		Template      struct {
			Settings map[string]any `json:"settings"`
			Mappings struct {
				Dynamic    bool           `json:"dynamic"`
				Properties map[string]any `json:"properties"`
			} `json:"mappings"`
		} `json:"template"`
	}
	decodeStrictly(t, filepath.Join(siemDir, tool, "index-template.json"), &template)
	if template.Template.Mappings.Dynamic {
		t.Errorf("%s: fields of strangers can fill the mapping", tool)
	}
	types := make(map[string]string)
	var walk func(path string, properties map[string]any)
	walk = func(path string, properties map[string]any) {
		for name, node := range properties {
			field := node.(map[string]any)
			if below, ok := field["properties"].(map[string]any); ok {
				walk(path+name+".", below)
				continue
			}
			types[path+name] = field["type"].(string)
		}
	}
	walk("", template.Template.Mappings.Properties)
	return types
}

// searchTools hold an ingest pipeline and an index template each.
var searchTools = []string{"elastic", "opensearch"}

func TestEveryEventFitsTheIndexAfterTheIngestPipeline(t *testing.T) {
	t.Parallel()
	for _, tool := range searchTools {
		pipeline, types := readPipeline(t, tool), mappings(t, tool)
		for name, event := range schematest.Goldens(t) {
			for field, value := range ingested(t, pipeline, event).leaves() {
				if err := fits(types[field], value); err != nil {
					t.Errorf("%s, %s: field %s: %v", tool, name, field, err)
				}
			}
		}
	}
}

// fits reports why a value cannot be indexed as a type without loss.
func fits(kind string, value any) error {
	if list, ok := value.([]any); ok {
		for _, one := range list {
			if err := fits(kind, one); err != nil {
				return err
			}
		}
		return nil
	}
	var is []string
	switch value := value.(type) {
	case string:
		is = []string{"keyword", "text", "date"}
		if value == "" {
			return fmt.Errorf("is empty")
		}
	case bool:
		is = []string{"boolean"}
	case json.Number, int64:
		is = []string{"byte", "integer", "long"}
	}
	if !slices.Contains(is, kind) {
		return fmt.Errorf("%v (%T) is mapped as %q", value, value, kind)
	}
	return nil
}

func TestTheIngestPipelineWritesTheFieldsOfECS(t *testing.T) {
	t.Parallel()
	owner := schematest.Goldens(t)["5159-room-change-owner"]
	want := map[string]any{
		"@timestamp": "2026-03-02T12:04:05Z", "ecs.version": "9.4.0",
		"event.created": "2026-03-02T12:04:09.412Z", "event.id": "docs.example.com:90522", "event.sequence": int64(90522),
		"event.kind": "event", "event.category": []any{"iam"}, "event.type": []any{"user", "admin", "change"}, "event.action": "room-change-owner",
		"event.outcome": "success", "event.severity": json.Number("3"), "event.code": "5159",
		"event.module": "docspace", "event.dataset": "docspace.activity", "event.provider": "folder-history",
		"service.type": "docspace", "service.name": "docs.example.com",
		"user.id": "4c65a238-ca50-4374-b904-0d51d4c1822b", "user.full_name": "Mike Zanyatski",
		"user.target.id": "c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11", "user.target.full_name": "Zoë O'Neil",
		"file.name": "Sales room", "file.type": "dir",
		"related.user": []any{"4c65a238-ca50-4374-b904-0d51d4c1822b", "Mike Zanyatski", "c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11", "Zoë O'Neil"},
	}
	for _, tool := range searchTools {
		got := ingested(t, readPipeline(t, tool), owner).leaves()
		maps.DeleteFunc(got, func(field string, _ any) bool { return strings.HasPrefix(field, "docspace.") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tool, diff)
		}
	}
}

func TestTheIngestPipelineTellsPeopleGroupsFilesAndTheConnectorApart(t *testing.T) {
	t.Parallel()
	events := schematest.Goldens(t)
	cases := map[string]map[string]any{
		"5085-room-create-user": {"user.target.id": "c7e1b6f0-5a52-4b0e-9d43-2f6f0d9a7e11", "group.id": nil},
		"5094-room-group-added": {"user.target.id": nil, "group.name": "QA"},
		"5011-file-uploaded":    {"file.type": "file", "file.extension": "docx", "file.directory": "Contracts"},
		"5015-file-moved":       {"file.directory": "Done"},
		"privacy-full":          {"user.domain": "example.com"},
		"connector-gap-hidden":  {"user.full_name": nil, "event.id": "docs.example.com:1204-gap-70441-4eb04e6fee9a7398", "event.sequence": nil},
		"raw-always":            {"docspace.raw": nil},
	}
	for _, tool := range searchTools {
		pipeline := readPipeline(t, tool)
		for name, want := range cases {
			got := ingested(t, pipeline, events[name])
			for field, value := range want {
				if diff := cmp.Diff(value, got.get(field)); diff != "" {
					t.Errorf("%s, %s: %s (-want +got):\n%s", tool, name, field, diff)
				}
			}
		}
		if ingested(t, pipeline, events["raw-always"]).get("event.original") == nil {
			t.Errorf("%s: the row as received is lost", tool)
		}
	}
}

func TestTheIngestPipelinesOfElasticsearchAndOpenSearchDoTheSame(t *testing.T) {
	t.Parallel()
	elastic, opensearch := readPipeline(t, "elastic"), readPipeline(t, "opensearch")
	for name, event := range schematest.Goldens(t) {
		if diff := cmp.Diff(ingested(t, elastic, event), ingested(t, opensearch, event)); diff != "" {
			t.Errorf("%s (-elastic +opensearch):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(mappings(t, "elastic"), mappings(t, "opensearch")); diff != "" {
		t.Errorf("index templates (-elastic +opensearch):\n%s", diff)
	}
}

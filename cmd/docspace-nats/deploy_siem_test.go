package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

var siemDir = filepath.Join(deployDir, "siem")

// recipes are the files of deploy/siem that users copy or read.
func recipes(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(filesUnder(t, siemDir), func(file string) bool {
		return strings.Contains(file, string(filepath.Separator)+"testdata"+string(filepath.Separator))
	})
}

func TestEverySIEMRecipeSaysWhenToChooseItWhatToChangeAndWhatWasRun(t *testing.T) {
	t.Parallel()
	chooser := readFile(t, filepath.Join(siemDir, "README.md"))
	entries, err := os.ReadDir(siemDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.IsDir() || entry.Name() == "testdata" {
			continue
		}
		if !strings.Contains(chooser, "]("+entry.Name()+"/") {
			t.Errorf("deploy/siem/README.md does not link to %s", entry.Name())
		}
		if entry.Name() == "consumers" || entry.Name() == "sigma" {
			continue
		}
		readme := readFile(t, filepath.Join(siemDir, entry.Name(), "README.md"))
		for _, part := range []string{"**Choose this**", "\n## Change\n", "\n## Know that it works\n", "\n## What was run\n"} {
			if !strings.Contains(readme, part) {
				t.Errorf("deploy/siem/%s/README.md has no %q", entry.Name(), strings.TrimSpace(part))
			}
		}
	}
}

func TestTheFilesOfSIEMRecipesAreWellFormed(t *testing.T) {
	t.Parallel()
	parsed := 0
	for _, file := range recipes(t) {
		text, err := readFile(t, file), error(nil)
		switch filepath.Ext(file) {
		case ".yaml":
			err = yaml.Unmarshal([]byte(text), new(any))
		case ".json":
			err = json.Unmarshal([]byte(text), new(any))
		case ".xml":
			decoder := xml.NewDecoder(strings.NewReader(text))
			for err == nil {
				_, err = decoder.Token()
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
		default:
			continue
		}
		parsed++
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if parsed < 15 {
		t.Errorf("only %d files parsed: is this looking in the right place?", parsed)
	}
}

func TestSIEMRecipesNameFieldsThatEventsHave(t *testing.T) {
	t.Parallel()
	fields := eventFields(t)
	// data.…, $d.… of a mapping; the last name may be that of a function
	mention := regexp.MustCompile(`(?:\bdata|\$d)\.([a-z_]+(?:\.[a-z_]+)*?)(?:\.[a-z_]+\(|[^a-z_.]|\.?$|\.[^a-z_])`)
	found := 0
	for _, file := range recipes(t) {
		if strings.Contains(file, "sigma") || filepath.Base(file) == "package-lock.json" {
			continue
		}
		for _, m := range mention.FindAllStringSubmatch(readFile(t, file), -1) {
			found++
			if field := "data." + m[1]; !fields[field] {
				t.Errorf("%s names %s, which no event has", file, field)
			}
		}
	}
	if found < 80 {
		t.Errorf("only %d fields named: is this looking in the right place?", found)
	}
	for tool := range slices.Values(searchTools) {
		for field := range mappings(t, tool) {
			name, ours := strings.CutPrefix(field, "docspace.")
			if ours && !fields["data."+name] && !slices.Contains([]string{"event_id", "log", "type", "subject", "ingest_mode"}, name) {
				t.Errorf("the index template of %s maps %s, which no event has", tool, field)
			}
		}
	}
}

// eventFields lists the paths the JSON Schema knows.
func eventFields(t *testing.T) map[string]bool {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(repositoryDir, "schema", "event.schema.json"))), &root); err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]bool)
	var walk func(path string, node map[string]any)
	walk = func(path string, node map[string]any) {
		if ref, ok := node["$ref"].(string); ok {
			target, _ := document(root).get(strings.ReplaceAll(strings.TrimPrefix(ref, "#/"), "/", ".")).(map[string]any)
			walk(path, target)
		}
		properties, _ := node["properties"].(map[string]any)
		for name, below := range properties {
			fields[path+name] = true
			if below, ok := below.(map[string]any); ok {
				walk(path+name+".", below)
			}
		}
	}
	walk("", root)
	if !fields["data.action.code"] {
		t.Fatal("the schema has no data.action.code: is this looking in the right place?")
	}
	return fields
}

func TestTheIndexUsesFieldsOfECSWithTheirTypes(t *testing.T) {
	t.Parallel()
	allowed := make(map[string]string)
	text := readFile(t, filepath.Join(repositoryDir, "schema", "testdata", "ecs-fields.csv"))
	reader := csv.NewReader(strings.NewReader(text))
	reader.Comment = '#'
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		allowed[row[0]] = strings.TrimPrefix(row[1], "match_only_") // a smaller kind of text, which OpenSearch got late
	}
	for _, tool := range searchTools {
		for field, kind := range mappings(t, tool) {
			if !strings.HasPrefix(field, "docspace.") && allowed[field] != kind {
				t.Errorf("%s: %s is mapped as %s, in ECS it is %q", tool, field, kind, allowed[field])
			}
		}
	}
}

func TestTheSplunkLookupKnowsEveryActionOfTheLog(t *testing.T) {
	t.Parallel()
	rows, err := csv.NewReader(strings.NewReader(readFile(t, filepath.Join(siemDir, "splunk", "lookups", "docspace_actions.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"code", "action", "object_category"}, rows[0]); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	actions := []string{"created", "modified", "deleted", "copied", "read", "shared", "granted", "revoked", "enabled", "disabled"}
	known := make(map[string]bool)
	for _, row := range rows[1:] {
		known[row[0]] = true
		if !slices.Contains(actions, row[1]) || !slices.Contains([]string{"file", "folder"}, row[2]) {
			t.Errorf("%v: not a value of the Common Information Model", row)
		}
	}
	tracked := 0
	for action := range schema.Catalogue() {
		if action.Tracked {
			tracked++
			if !known[strconv.Itoa(action.Code)] {
				t.Errorf("%d %s is missing", action.Code, action.Key)
			}
		}
	}
	if tracked != len(known) {
		t.Errorf("%d actions in the lookup, %d in the log", len(known), tracked)
	}
}

func TestTheTableAndTheRuleOfSentinelHaveTheSameColumns(t *testing.T) {
	t.Parallel()
	table := sentinelColumns(t, "table.json")
	if diff := cmp.Diff(table, sentinelColumns(t, "dcr.json")); diff != "" {
		t.Errorf("(-table +rule):\n%s", diff)
	}
	mapping := readFile(t, filepath.Join(siemDir, "bento", "sentinel.yaml"))
	written := make(map[string]bool)
	for _, m := range regexp.MustCompile(`root\.(\w+) =`).FindAllStringSubmatch(mapping, -1) {
		written[m[1]] = true
		if table[m[1]] == "" {
			t.Errorf("sentinel.yaml writes %s, for which there is no column", m[1])
		}
	}
	for column := range table {
		if !written[column] {
			t.Errorf("sentinel.yaml does not write %s", column)
		}
	}
}

// sentinelColumns reads the columns of the table or of the rule, with types.
func sentinelColumns(t *testing.T, file string) map[string]string {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(siemDir, "sentinel", file))), &d); err != nil {
		t.Fatal(err)
	}
	columns, _ := d.get("properties.schema.columns").([]any)
	if columns == nil {
		columns, _ = d.get("properties.streamDeclarations.Custom-DocSpaceActivity_CL.columns").([]any)
	}
	types := make(map[string]string)
	for _, column := range columns {
		c := document(column.(map[string]any))
		types[fmt.Sprint(c.get("name"))] = fmt.Sprint(c.get("type"))
	}
	return types
}

// The files are sent to a server as "nats consumer add --config" does: what
// they say goes in as it is.
func TestTheConsumersAreMadeAsTheirFilesSay(t *testing.T) {
	t.Parallel()
	url := natsServer(t)
	if _, err := publisher.Open(t.Context(), natsUser(t, url, "connector"), publisher.Options{Inbox: inbox(t)}); err != nil {
		t.Fatal(err)
	}
	operator := natsUser(t, url, "operator")
	for _, file := range []string{"pull.json", "push.json"} {
		config := readFile(t, filepath.Join(siemDir, "consumers", file))
		want := consumerFile(t, file)
		answer, err := operator.Request("$JS.API.CONSUMER.DURABLE.CREATE.DOCSPACE."+want.Durable, fmt.Appendf(nil, `{"stream_name":"DOCSPACE","config":%s}`, config), natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Config jetstream.ConsumerConfig `json:"config"`
			Error  any                      `json:"error"`
		}
		if err := json.Unmarshal(answer.Data, &got); err != nil || got.Error != nil {
			t.Fatalf("%s: %v: %s", file, err, answer.Data)
		}
		have := got.Config
		have.Name, have.MaxWaiting, have.Metadata = "", 0, nil // the server's own words
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-file +server):\n%s", file, diff)
		}
		if have.MaxDeliver != -1 || have.AckPolicy != jetstream.AckExplicitPolicy {
			t.Errorf("%s loses events while the SIEM is down: delivers %d times, acknowledged %s", file, have.MaxDeliver, have.AckPolicy)
		}
	}
}

func consumerFile(t *testing.T, file string) (config jetstream.ConsumerConfig) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(readFile(t, filepath.Join(siemDir, "consumers", file))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return config
}

func TestSIEMLogrotateTakesItsFile(t *testing.T) {
	t.Parallel()
	logrotate, err := exec.LookPath("logrotate")
	if err != nil && *siemRows == 0 {
		t.Skip("logrotate is not installed; make siem installs it")
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "logrotate.conf")
	text := strings.ReplaceAll(readFile(t, filepath.Join(siemDir, "rsyslog", "logrotate.conf")), "/var/log/docspace", dir)
	for name, content := range map[string]string{config: text, filepath.Join(dir, "events.cef"): "one\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(logrotate, "--debug", "--force", "--state", filepath.Join(dir, "state"), config).CombinedOutput()
	if err != nil || strings.Contains(string(out), "error:") || !strings.Contains(string(out), "rsyslog-rotate") {
		t.Errorf("%v\n%s", err, out)
	}
}

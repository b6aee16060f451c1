// Package contract holds the event contract against what its consumers use:
// ajv and the AsyncAPI parser for the schemas, the CloudEvents SDKs for Go and
// JavaScript for messages that the connector stored in a real NATS server. It
// is a module of its own, so that none of this is a dependency of the program.
package contract

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

const schemas = "../.." // where the files of the contract lie

func TestAjvAcceptsEveryGoldenEventAndRefusesBrokenOnes(t *testing.T) {
	t.Parallel()
	goldens, err := filepath.Glob("../golden/v*")
	if err != nil {
		t.Fatal(err)
	}
	out, err := node(t, nil, append([]string{"ajv.mjs", schemas}, goldens...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
}

// The parser takes seconds to start, so it reads all documents in one process:
// the one of the contract, and others with one mistake each.
func TestTheAsyncAPIParserTakesTheDocumentAndNoBrokenOne(t *testing.T) {
	t.Parallel()
	mistakes := []struct{ name, right, wrong string }{
		{"no title", "  title: DocSpace activity\n", ""},
		{"no such channel", `"#/channels/file"`, `"#/channels/files"`},
		{"no such action", "action: send", "action: shout"},
		{"no such schema", "$ref: file.schema.json", "$ref: files.schema.json"},
		{"a parameter too many", "{folderId}.file.{action}", "{folderId}.file"},
	}
	paths := []string{writeContract(t, "", "")}
	for _, m := range mistakes {
		paths = append(paths, writeContract(t, m.right, m.wrong))
	}
	out, err := node(t, nil, append([]string{"asyncapi.mjs"}, paths...)...)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	var found struct{ Diagnostics, Messages []string }
	if err := decoder.Decode(&found); err != nil {
		t.Fatal(err)
	}
	t.Logf("diagnostics: %s", strings.Join(found.Diagnostics, "\n"))
	var want []string
	for _, family := range schema.Families() {
		title := strings.ToUpper(family.Name[:1]) + family.Name[1:]
		want = append(want, family.Name+" as application/cloudevents+json with "+title+" data")
	}
	if diff := cmp.Diff(want, found.Messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if slices.ContainsFunc(found.Diagnostics, isError) {
		t.Error("the document of the contract is refused")
	}
	for _, m := range mistakes {
		found.Diagnostics = nil
		if err := decoder.Decode(&found); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(found.Diagnostics, isError) {
			t.Errorf("a document with %s is accepted: %q", m.name, found.Diagnostics)
		}
	}
}

func isError(diagnostic string) bool { return strings.HasPrefix(diagnostic, "error ") }

// writeContract writes the files of the contract, with something of the
// AsyncAPI document replaced, and returns the path of that.
func writeContract(t *testing.T, right, wrong string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "asyncapi.yaml")
	for file, text := range schema.Files("") {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := string(schema.AsyncAPI(""))
	if !strings.Contains(text, right) {
		t.Fatalf("nothing to replace: %q", right)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text, right, wrong, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// However an event was committed, a reader of either language gets the same
// attributes and the same bytes of data as the golden has.
func TestBothSDKsReadWhatIsStoredAsTheGoldenEvents(t *testing.T) {
	t.Parallel()
	for _, mode := range []publisher.Mode{publisher.Atomic, publisher.Dedup} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			names, stored := storeGoldens(t, mode)
			byNode := parseByNode(t, stored)
			for i, msg := range stored {
				var golden parsed
				golden.read(t, schematest.Goldens(t)[names[i]])
				if diff := cmp.Diff(golden, parseByGo(t, msg)); diff != "" {
					t.Errorf("%s, golden and the Go SDK (-want +got):\n%s", names[i], diff)
				}
				if diff := cmp.Diff(golden, byNode[i]); diff != "" {
					t.Errorf("%s, golden and the JavaScript SDK (-want +got):\n%s", names[i], diff)
				}
			}
			t.Logf("%d messages, headers %v", len(stored), stored[0].Header)
		})
	}
}

// What the README warns of: the same message means two things once somebody
// adds ce- headers to it.
func TestAddedHeadersMakeTheSDKsDisagree(t *testing.T) {
	t.Parallel()
	_, stored := storeGoldens(t, publisher.Atomic)
	msg := stored[0]
	for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/bridge", "ce-type": "bridged"} {
		msg.Header.Set(name, value)
	}
	if got := parseByGo(t, msg); got.Attributes["type"] != "bridged" || !strings.Contains(got.Data, `"specversion":"1.0"`) {
		t.Errorf("the Go SDK no longer takes the message as binary: %+v", got)
	}
	if got := parseByNode(t, []*nats.Msg{msg})[0]; got.Attributes["type"] == "bridged" {
		t.Errorf("the JavaScript SDK no longer takes the message as structured: %+v", got)
	}
}

// parsed is an event as an SDK reads it.
type parsed struct {
	Attributes map[string]string
	Data       string
}

// read reads a CloudEvent as JSON: its attributes, with times as instants, and
// the bytes of its data without space.
func (p *parsed) read(t *testing.T, event []byte) {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(event, &fields); err != nil {
		t.Fatal(err)
	}
	p.Attributes = make(map[string]string)
	for name, raw := range fields {
		if name == "data" {
			var compact bytes.Buffer
			if err := json.Compact(&compact, raw); err != nil {
				t.Fatal(err)
			}
			p.Data = compact.String()
			continue
		}
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.Attributes[name] = value
	}
	p.normalise(t)
}

func (p *parsed) normalise(t *testing.T) {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, p.Attributes["time"])
	if err != nil {
		t.Fatal(err)
	}
	p.Attributes["time"] = at.UTC().Format(time.RFC3339Nano)
}

// storeGoldens publishes the golden events as the connector does and returns
// the messages as a reader gets them.
func storeGoldens(t *testing.T, mode publisher.Mode) (names []string, stored []*nats.Msg) {
	t.Helper()
	ctx, nc := t.Context(), natstest.Run(t).Conn(t)
	js, err := publisher.Open(ctx, nc, publisher.Options{Commit: mode})
	if err != nil {
		t.Fatal(err)
	}
	goldens := schematest.Goldens(t)
	var events []schema.Event
	var ids []int64
	for i, name := range slices.Sorted(maps.Keys(goldens)) {
		event, err := schema.Decode(goldens[name])
		if err != nil {
			t.Fatal(err)
		}
		names, events, ids = append(names, name), append(events, event), append(ids, int64(i+1))
	}
	next := checkpoint.Mark{Folder: 1204, State: checkpoint.Watching, Accounted: len(events)}.Remember(ids...)
	if _, err := js.Commit(ctx, 1204, events, checkpoint.Mark{Folder: 1204}, next); err != nil {
		t.Fatal(err)
	}
	return names, read(t, nc, js, len(events))
}

func read(t *testing.T, nc *nats.Conn, from *publisher.JetStream, n int) []*nats.Msg {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(t.Context(), from.Stream(), jetstream.OrderedConsumerConfig{FilterSubjects: []string{from.EventSubjects()}})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(n, jetstream.FetchMaxWait(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var all []*nats.Msg
	for msg := range batch.Messages() {
		all = append(all, &nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()})
	}
	if batch.Error() != nil || len(all) != n {
		t.Fatalf("%d messages of %d, %v", len(all), n, batch.Error())
	}
	return all
}

func parseByGo(t *testing.T, msg *nats.Msg) parsed {
	t.Helper()
	event, err := binding.ToEvent(t.Context(), nats_jetstream.NewMessage(msg))
	if err != nil {
		t.Fatal(err)
	}
	if err := event.Validate(); err != nil {
		t.Fatal(err)
	}
	p := parsed{map[string]string{
		"specversion": event.SpecVersion(), "id": event.ID(), "source": event.Source(), "type": event.Type(),
		"time": event.Time().Format(time.RFC3339Nano), "datacontenttype": event.DataContentType(),
	}, string(event.Data())}
	for name, value := range map[string]string{"subject": event.Subject(), "dataschema": event.DataSchema()} {
		if value != "" {
			p.Attributes[name] = value
		}
	}
	for name, value := range event.Extensions() {
		p.Attributes[name] = fmt.Sprint(value)
	}
	p.normalise(t)
	return p
}

func parseByNode(t *testing.T, messages []*nats.Msg) []parsed {
	t.Helper()
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, msg := range messages {
		headers := make(map[string]string)
		for name := range msg.Header {
			headers[name] = msg.Header.Get(name)
		}
		if err := encoder.Encode(map[string]any{"headers": headers, "body": string(msg.Data)}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := node(t, &lines, "cloudevents.mjs")
	if err != nil {
		t.Fatal(err)
	}
	var all []parsed
	for found := bufio.NewScanner(bytes.NewReader(out)); found.Scan(); {
		var p parsed
		if err := json.Unmarshal(found.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		p.normalise(t)
		all = append(all, p)
	}
	if len(all) != len(messages) {
		t.Fatalf("%d of %d messages parsed", len(all), len(messages))
	}
	return all
}

// node runs a script of this directory and returns what it printed.
func node(t *testing.T, in *bytes.Buffer, args ...string) ([]byte, error) {
	t.Helper()
	if _, err := os.Stat("node_modules"); err != nil {
		t.Fatal("the npm packages are not installed: run make contract")
	}
	cmd := exec.CommandContext(t.Context(), "node", args...)
	if in != nil {
		cmd.Stdin = in
	}
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("node %s: %w\n%s", strings.Join(args, " "), err, errors.String())
	}
	return out, err
}

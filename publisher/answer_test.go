package publisher

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
)

func TestEveryAnswerInTheTableIsOneTheServerKnows(t *testing.T) {
	t.Parallel()
	known := make(map[int]bool)
	for _, e := range server.ApiErrors {
		known[int(e.ErrCode)] = true
	}
	for code := range answers {
		if !known[code] {
			t.Errorf("the server has no error %d", code)
		}
	}
}

// Where the server's source answers a batch, a message of its own, or a read of
// a message; by file.
var answering = map[string][]string{
	"stream.go":             {"processJetStreamAtomicBatchMsg", "processJetStreamMsgWithBatch", "queueInbound", "processInboundJetStreamMsg"},
	"jetstream_batching.go": {"checkMsgHeadersPreClusteredProposal"},
	"jetstream_cluster.go":  {"processClusteredInboundMsg"},
	"jetstream_api.go":      {"jsMsgGetRequest"},
	"jetstream.go":          {"wouldExceedLimits"},
}

func TestEveryAnswerInTheServersSourceIsInTheTable(t *testing.T) {
	t.Parallel()
	dir := serverSource(t)
	codes := errorCodes(t, dir)
	seen := make(map[string]bool)
	for name, functions := range answering {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !slices.Contains(functions, f.Name.Name) {
				continue
			}
			seen[f.Name.Name] = true
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.Ident)
				if !ok || !strings.HasPrefix(call.Name, "NewJS") {
					return true
				}
				code := codes[strings.TrimSuffix(strings.TrimPrefix(call.Name, "New"), "Error")]
				if _, listed := answers[code]; !listed && code != int(jetstream.JSErrCodeMessageNotFound) {
					t.Errorf("%s answers with error %d (%s), which is not in the table", f.Name.Name, code, call.Name)
				}
				return true
			})
		}
		for _, f := range functions {
			if !seen[f] {
				t.Errorf("the server has no %s in %s any more: find out who answers now", f, name)
			}
		}
	}
	for name, code := range codes {
		if _, listed := answers[code]; !listed && strings.HasPrefix(name, "JSAtomicPublish") {
			t.Errorf("error %d (%s) is not in the table", code, name)
		}
	}
}

// serverSource is where the source of the server lies that the tests run.
func serverSource(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "server")
}

// errorCodes are the server's errors by name, without what the names end on.
func errorCodes(t *testing.T, dir string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var errs []struct {
		Constant string `json:"constant"`
		Code     int    `json:"error_code"`
	}
	if err := json.Unmarshal(text, &errs); err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]int)
	for _, e := range errs {
		codes[strings.TrimSuffix(strings.TrimSuffix(e.Constant, "F"), "Err")] = e.Code
	}
	return codes
}

func TestEveryAnswerOfTheServerHasAVerdict(t *testing.T) {
	t.Parallel()
	j := &JetStream{o: Options{}.withDefaults()}
	for _, c := range []struct {
		status, code int
		want         verdict
	}{
		{400, 10071, again}, {400, 10164, again}, {400, 10176, again}, {429, 10210, again}, {429, 10167, again},
		{503, 10008, again}, {503, 10077, later}, {400, 10002, later}, {404, 10059, later}, {400, 10201, later},
		{400, 10174, never}, {400, 10109, never}, {400, 10199, never},
		{500, 19999, again}, {429, 19999, again}, {400, 19999, never},
	} {
		got, err := j.classify(apiError{Status: c.status, Code: c.code, Description: "what the server says"})
		var refused *StoreError
		if got != c.want || !errors.As(err, &refused) || refused.Temporary() != (c.want != never) {
			t.Errorf("error %d with status %d: verdict %d, %v; want %d", c.code, c.status, got, err, c.want)
		}
		if !strings.Contains(err.Error(), "stream DOCSPACE: what the server says") || !strings.Contains(err.Error(), fmt.Sprint(c.code)) {
			t.Errorf("error %d reads %q", c.code, err)
		}
	}
}

func TestAnAnswerThatIsNotThatOfAStoredBatchIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `{}`, `null`, `[]`, `{"stream":"S","seq":5}`, `{"stream":"S","seq":5,"batch":"other","count":3}`,
		`{"stream":"S","seq":5,"batch":"mine","count":2}`, `{"stream":"S","batch":"mine","count":3}`,
	} {
		if a, err := parseAck([]byte(text), "mine", 3); err == nil {
			t.Errorf("parseAck(%s) = %+v", text, a)
		}
	}
	if _, err := parseAck([]byte(`{"stream":"S","seq":5,"batch":"mine","count":3}`), "mine", 3); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerThatIsNotThatOfAStoredMessageIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	j := &JetStream{o: Options{Stream: "S"}}
	for _, text := range []string{``, `{}`, `null`, `[]`, `{"stream":"S"}`, `{"stream":"other","seq":5}`, `{"seq":5}`} {
		if a, err := j.parseStored([]byte(text)); err == nil {
			t.Errorf("parseStored(%s) = %+v", text, a)
		}
	}
	for _, text := range []string{`{"stream":"S","seq":5}`, `{"stream":"S","seq":5,"domain":"hub","duplicate":true}`, `{"error":{"code":503,"err_code":10077}}`} {
		if _, err := j.parseStored([]byte(text)); err != nil {
			t.Error(err)
		}
	}
}

func TestACommitToASilentServerEndsWithATemporaryError(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		o.RetryFor = 200 * time.Millisecond
		s := natstest.Run(t)
		j := open(t, s.Conn(t), o)
		s.Shutdown()
		mark := checkpoint.Mark{Folder: 7}
		events := following(mark, 3)
		_, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events))
		var refused *StoreError
		if !errors.As(err, &refused) || !refused.Temporary() || refused.Code != 0 {
			t.Errorf("Commit = %v, want a temporary StoreError without code", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := j.Mark(ctx, 7); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Mark = %v, want the end of the context", err)
		}
	})
}

func TestACommitToADeletedStreamSaysSo(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		o.RetryFor = 200 * time.Millisecond
		j := open(t, natstest.Run(t).Conn(t), o)
		if err := j.js.DeleteStream(t.Context(), j.o.Stream); err != nil {
			t.Fatal(err)
		}
		mark := checkpoint.Mark{Folder: 7}
		_, err := j.Commit(t.Context(), 7, nil, mark, mark)
		var refused *StoreError
		if !errors.As(err, &refused) || !refused.Temporary() || !strings.Contains(err.Error(), "deleted") {
			t.Fatalf("Commit = %v", err)
		}
	})
}

func TestProbeStoresNothing(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		j := open(t, natstest.Run(t).Conn(t), o)
		if err := j.Probe(t.Context()); err != nil {
			t.Errorf("Probe = %v", err)
		}
		if n := stream(t, j).CachedInfo().State.LastSeq; n != 0 {
			t.Errorf("%d messages stored", n)
		}
	})
}

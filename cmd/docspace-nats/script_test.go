package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"docspace-nats/poller/docspace/docspacetest"
	"docspace-nats/publisher/natstest"
)

// Scripts drive the real program as a user would. In $SCHEMA lie the files of
// the contract. Beside testscript's own commands they have:
//
//	portal ROWS [VERSION [CLAIM]]
//	                        a simulated portal with a room of so many rows, of
//	                        some version and claiming another: sets $PORTAL,
//	                        $KEY, $TOKEN, $NAME, $PASSWORD, $ROOM and $ROOT
//	website                 a server that answers HTML: sets $WEBSITE
//	taken                   an address that is in use: sets $TAKEN
//	nats                    a NATS server: sets $NATS
//	accounts                a NATS server with the users of deploy/nats: sets
//	                        $ACCOUNTS and $CONNECTOR, $READER and $MONITOR,
//	                        their passwords
//	stream NAME SUBJECT...  a stream of the operator's in $NATS, plain
//	stored N                $NATS holds so many events
//	beside JOB N            a backfill job in $NATS holds so many
//	forget [COPY]           all marks are removed from $NATS, with their copy or
//	                        once there is one
//	answered                a connector answers status, and has polled every folder
//	exits CODE COMMAND...   the command ends with that code; with --json it prints
//	                        one JSON value or nothing
//	json COMMAND...         the command succeeds, and prints one JSON value
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HTTP_ADDR", "127.0.0.1:0") // the default may be taken
			env.Vars = append(env.Vars, raceSettings())
			contract, err := filepath.Abs(filepath.Join(repositoryDir, "schema"))
			env.Setenv("SCHEMA", contract)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"portal":   portalScript(t),
			"website":  websiteScript,
			"taken":    takenScript,
			"nats":     natsScript(t),
			"accounts": accountsScript(t),
			"stream":   streamScript(t),
			"stored":   storedScript(t),
			"beside":   besideScript(t),
			"forget":   forgetScript(t),
			"answered": answeredScript(t),
			"exits":    exitsScript,
			"json":     jsonScript,
		},
	})
}

func portalScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		rows, err := strconv.Atoi(args[0])
		ts.Check(err)
		options := docspacetest.Options{Seed: 1}
		if len(args) > 1 {
			options.Version = args[1]
		}
		if len(args) > 2 {
			options.Build = args[2]
		}
		portal := docspacetest.New(options)
		room := portal.CreateRoom(nil, "Deal room A")
		portal.Fill(room, rows-1, 1)
		server := httptest.NewServer(portal)
		ts.Defer(server.Close)
		ts.Setenv("PORTAL", server.URL)
		ts.Setenv("KEY", portal.APIKey())
		ts.Setenv("TOKEN", portal.AddToken(nil, "files:read", "rooms:read"))
		ts.Setenv("NAME", portal.Username())
		ts.Setenv("PASSWORD", portal.Password())
		ts.Setenv("ROOM", strconv.Itoa(room))
		ts.Setenv("ROOT", strconv.Itoa(portal.RoomsRoot()))
		ts.Setenv("NARROW_KEY", portal.AddKey(nil, "files:read"))
		ts.Setenv("BLIND_KEY", portal.AddKey(nil, "rooms:read"))
	}
}

func websiteScript(ts *testscript.TestScript, _ bool, _ []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Welcome</title>"))
	}))
	ts.Defer(server.Close)
	ts.Setenv("WEBSITE", server.URL)
}

func takenScript(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	ts.Setenv("TAKEN", listener.Addr().String())
}

func natsScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		ts.Setenv("NATS", natstest.Run(t).URL())
	}
}

func accountsScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		ts.Setenv("ACCOUNTS", natsServer(t))
		ts.Setenv("CONNECTOR", natsPasswords["connector"])
		ts.Setenv("READER", natsPasswords["reader"])
		ts.Setenv("MONITOR", natsPasswords["monitor"])
	}
}

func streamScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		js := scriptJetStream(t, ts)
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: args[0], Subjects: args[1:]})
		ts.Check(err)
	}
}

func storedScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		want, err := strconv.Atoi(args[0])
		ts.Check(err)
		js := scriptJetStream(t, ts)
		if got := storedEvents(t, js.Conn()); got != want {
			ts.Fatalf("%d events stored, want %d", got, want)
		}
	}
}

func besideScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		want, err := strconv.Atoi(args[1])
		ts.Check(err)
		stream, err := scriptJetStream(t, ts).Stream(t.Context(), "DOCSPACE_BACKFILL_"+args[0])
		ts.Check(err)
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("docspace.backfill."+args[0]+".folder.*.*.*"))
		ts.Check(err)
		got := 0
		for _, n := range info.State.Subjects {
			got += int(n)
		}
		if got != want {
			ts.Fatalf("job %s holds %d events, want %d", args[0], got, want)
		}
	}
}

func forgetScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		js := scriptJetStream(t, ts)
		if len(args) > 0 {
			ts.Check(js.DeleteStream(t.Context(), args[0]))
		} else {
			waitCopied(t, js)
		}
		stream, err := js.Stream(t.Context(), "DOCSPACE")
		ts.Check(err)
		ts.Check(stream.Purge(t.Context(), jetstream.WithPurgeSubject("docspace.checkpoint.*")))
	}
}

// waitCopied polls: the server copies in its own time.
func waitCopied(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	newest := func(stream string) ([]byte, error) {
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			return nil, err
		}
		msg, err := s.GetLastMsgForSubject(t.Context(), "docspace.checkpoint.*")
		if err != nil {
			return nil, err
		}
		return msg.Data, nil
	}
	mark, err := newest("DOCSPACE")
	if err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the newest mark is copied", func() bool {
		copied, err := newest("DOCSPACE_MARKS")
		return err == nil && bytes.Equal(copied, mark)
	})
}

func scriptJetStream(t *testing.T, ts *testscript.TestScript) jetstream.JetStream {
	nc, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	ts.Defer(nc.Close)
	js, err := jetstream.New(nc)
	ts.Check(err)
	return js
}

func answeredScript(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		natstest.Eventually(t, "a connector answers and has polled every folder", func() bool {
			err := ts.Exec("docspace-nats", "status", "--attention", "--json")
			return err == nil && strings.Contains(ts.ReadFile("stdout"), `"unknown": 0`)
		})
	}
}

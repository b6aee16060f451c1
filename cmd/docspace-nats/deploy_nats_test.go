package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// Passwords of the users in deploy/nats/accounts.conf, which takes them from
// the environment of the server.
var natsPasswords = map[string]string{"connector": "hunter2c", "reader": "hunter2r", "monitor": "hunter2m", "operator": "hunter2o"}

func TestTheNATSConfigurationIsUnderstood(t *testing.T) {
	t.Parallel()
	opts := natsOptions(t)
	if opts.Port != 4222 || opts.HTTPHost != "127.0.0.1" || opts.StoreDir != "/data" || opts.SyncInterval != 2*time.Minute {
		t.Errorf("port %d, monitoring on %s, files in %s, synced every %s", opts.Port, opts.HTTPHost, opts.StoreDir, opts.SyncInterval)
	}
	for _, volume := range at(compose(t), "services", "nats", "volumes").([]any) {
		if name, dir, _ := strings.Cut(volume.(string), ":"); name == "nats-data" && dir != opts.StoreDir {
			t.Errorf("Compose keeps %s, NATS writes to %s", dir, opts.StoreDir)
		}
	}
	if publisher.DefaultURL != "nats://127.0.0.1:4222" {
		t.Errorf("the port of %s is not what readers expect", publisher.DefaultURL)
	}
}

func TestTheConnectorsPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	url := natsServer(t)
	violations := make(chan error, 16)
	nc, err := publisher.Connect(t.Context(), publisher.ConnectOptions{
		URL: url, User: "connector", Password: func() (string, error) { return natsPasswords["connector"], nil }, Inbox: inbox(t),
		Changed: func(_ bool, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				violations <- err
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)

	if _, err := publisher.Open(t.Context(), nc, publisher.Options{Inbox: inbox(t)}); err != nil {
		t.Fatalf("create the stream: %v", err)
	}
	stream, err := publisher.Open(t.Context(), nc, publisher.Options{Inbox: inbox(t)})
	if err != nil {
		t.Fatalf("find the stream: %v", err)
	}
	if found := stream.Findings(); len(found) > 0 {
		t.Errorf("findings: %v", found)
	}
	mark := checkpoint.Mark{Folder: 42}
	event := schema.Event{ID: "42-1", PartitionKey: "42", Type: "com.onlyoffice.docspace.file.uploaded.v1"}
	event.Data.Feed.FolderID = "42"
	event.Data.Action.Category, event.Data.Action.Name = "file", "uploaded"
	if mark, err = stream.Commit(t.Context(), 42, []schema.Event{event}, mark, checkpoint.Mark{Folder: 42, Accounted: 1, Recent: []int64{1}}); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if again, err := stream.Mark(t.Context(), 42); err != nil || again.Revision != mark.Revision {
		t.Errorf("mark: got revision %d, %v; want %d", again.Revision, err, mark.Revision)
	}
	singly, err := publisher.Open(t.Context(), nc, publisher.Options{Inbox: inbox(t), Commit: publisher.Dedup})
	if err != nil {
		t.Fatalf("find the stream for dedup commits: %v", err)
	}
	event.ID = "42-2"
	if mark, err = singly.Commit(t.Context(), 42, []schema.Event{event}, mark, checkpoint.Mark{Folder: 42, Accounted: 2, Recent: []int64{1, 2}}); err != nil {
		t.Fatalf("dedup commit: %v", err)
	}
	if marks, err := stream.Marks(t.Context()); err != nil || len(marks) != 1 {
		t.Errorf("all marks: got %v, %v", marks, err)
	}
	if so, err := stream.Published(t.Context(), mark, checkpoint.Published{}); err != nil || so.UpTo != mark.Revision {
		t.Errorf("rows that are stored: got %+v, %v", so, err)
	}
	// What was refused without anybody waiting for an answer is told before
	// the connection is closed.
	if err := nc.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	nc.SetClosedHandler(func(*nats.Conn) { close(violations) })
	nc.Close()
	for err := range violations {
		t.Errorf("the server refused the connector: %v", err)
	}
}

// What the connector needs is one table; a test of the publisher holds that to
// what the connector sends.
func TestTheConnectorHasThePermissionsItNeedsAndNoOther(t *testing.T) {
	t.Parallel()
	live := publisher.Options{Inbox: inbox(t)}
	holdPermissions(t, "connector", slices.Concat(publisher.Permissions(live), publisher.Permissions(live.Job(usualJob, nil)), live.JobPermissions(usualJob)))
}

func TestTheMonitorHasThePermissionsItNeedsAndNoOther(t *testing.T) {
	t.Parallel()
	holdPermissions(t, "monitor", publisher.ViewPermissions(publisher.Options{Inbox: monitorInbox}))
}

// holdPermissions compares those of a user in deploy/nats with a table.
func holdPermissions(t *testing.T, name string, table []publisher.Permission) {
	t.Helper()
	want, got := make(map[publisher.Operation][]string), make(map[publisher.Operation][]string)
	for _, p := range table {
		if !slices.Contains(want[p.Operation], p.Subject) {
			want[p.Operation] = append(want[p.Operation], p.Subject)
		}
	}
	for _, user := range natsOptions(t).Users {
		if user.Username == name {
			got[publisher.Publish], got[publisher.Subscribe] = user.Permissions.Publish.Allow, user.Permissions.Subscribe.Allow
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("%s in deploy/nats/accounts.conf (-want +got):\n%s", name, diff)
	}
}

// inbox is the prefix every way to run gives the connector.
func inbox(t *testing.T) string {
	t.Helper()
	pod, container := podEnv(t)["NATS_INBOX_PREFIX"], at(compose(t), "services", "connector", "environment", "NATS_INBOX_PREFIX")
	if pod == "" || pod != container {
		t.Fatalf("NATS_INBOX_PREFIX is %q in the pod and %q in Compose", pod, container)
	}
	return pod
}

func TestNoReaderSeesTheConnectorsAnswers(t *testing.T) {
	t.Parallel()
	url := natsServer(t)
	for user, may := range map[string]bool{"connector": true, "reader": false, "monitor": false} {
		nc := natsUser(t, url, user)
		if _, err := nc.SubscribeSync(inbox(t) + ".>"); err != nil {
			t.Fatal(err)
		}
		if err := nc.FlushTimeout(natstest.Patience); err != nil {
			t.Fatal(err)
		}
		if refused := errors.Is(nc.LastError(), nats.ErrPermissionViolation); refused == may {
			t.Errorf("%s: %v", user, nc.LastError())
		}
	}
}

func TestEachUserMayDoItsPartAndNoMore(t *testing.T) {
	t.Parallel()
	url := natsServer(t)
	operator := natsUser(t, url, "operator")
	js, err := jetstream.New(operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "DOCSPACE", Subjects: []string{"docspace.folder.>", "docspace.checkpoint.*"}, AllowDirect: true, AllowRollup: true,
	}); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"docspace.folder.42.file.uploaded", "docspace.checkpoint.42"} {
		if _, err := js.Publish(t.Context(), subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	consumer := func(name, filter string) string {
		// It is there for as long as it takes to get to the requests that need it.
		return fmt.Sprintf(`{"stream_name":"DOCSPACE","action":"create","config":{"name":%q,"filter_subject":%q,"ack_policy":"none","mem_storage":true,"num_replicas":1,"inactive_threshold":%d}}`, name, filter, natstest.Patience)
	}
	const api = "$JS.API."
	type request struct{ subject, body string }
	allowed := map[string][]request{
		"connector": {
			{api + "INFO", ""},
			{api + "STREAM.INFO.DOCSPACE", ""},
			{api + "STREAM.MSG.GET.DOCSPACE", `{"last_by_subj":"docspace.checkpoint.42"}`},
			{api + "STREAM.CREATE.DOCSPACE_MARKS", `{"name":"DOCSPACE_MARKS","storage":"memory","sources":[{"name":"DOCSPACE","filter_subject":"docspace.checkpoint.*"}]}`},
			{api + "STREAM.INFO.DOCSPACE_MARKS", ""},
			{api + "CONSUMER.CREATE.DOCSPACE.c.docspace.checkpoint.*", consumer("c", "docspace.checkpoint.*")},
			{api + "CONSUMER.CREATE.DOCSPACE.f.docspace.folder.42.>", consumer("f", "docspace.folder.42.>")},
			{api + "CONSUMER.MSG.NEXT.DOCSPACE.c", `{"batch":1,"no_wait":true}`},
			{api + "CONSUMER.DELETE.DOCSPACE.c", ""},
			{"docspace.folder.42.file.renamed", "{}"},
			{"docspace.checkpoint.42", "{}"},
		},
		"reader": {
			{api + "INFO", ""},
			{api + "STREAM.INFO.DOCSPACE", ""},
			{api + "CONSUMER.CREATE.DOCSPACE.r.docspace.folder.*.file.>", consumer("r", "docspace.folder.*.file.>")},
			{api + "CONSUMER.INFO.DOCSPACE.r", ""},
			{api + "CONSUMER.MSG.NEXT.DOCSPACE.r", `{"batch":1,"no_wait":true}`},
			{api + "CONSUMER.RESET.DOCSPACE.r", ""},
		},
		"monitor": {
			{api + "CONSUMER.CREATE.DOCSPACE.m.docspace.checkpoint.*", consumer("m", "docspace.checkpoint.*")},
			{api + "CONSUMER.MSG.NEXT.DOCSPACE.m", `{"batch":1,"no_wait":true}`},
			{api + "DIRECT.GET.DOCSPACE.docspace.folder.42.>", ""},
		},
	}
	refused := map[string][]request{
		"connector": {
			{api + "STREAM.UPDATE.DOCSPACE", `{"name":"DOCSPACE"}`},
			{api + "STREAM.DELETE.DOCSPACE", ""},
			{api + "STREAM.PURGE.DOCSPACE", ""},
			{api + "STREAM.MSG.DELETE.DOCSPACE", `{"seq":1}`},
			{api + "STREAM.CREATE.OTHER", `{"name":"OTHER"}`},
			{api + "STREAM.DELETE.DOCSPACE_MARKS", ""},
			{api + "STREAM.PURGE.DOCSPACE_MARKS", ""},
			{api + "STREAM.NAMES", ""},
			{api + "CONSUMER.INFO.DOCSPACE.c", ""},
			{api + "CONSUMER.CREATE.DOCSPACE.c", consumer("c", "")},
			{api + "CONSUMER.DURABLE.CREATE.DOCSPACE.c", consumer("c", "")},
			{api + "DIRECT.GET.DOCSPACE.docspace.folder.42.file.uploaded", ""},
			{"docspace.elsewhere", "{}"},
			{"orders.new", "{}"},
		},
		"reader": {
			{"docspace.folder.42.file.uploaded", "{}"},
			{"docspace.checkpoint.42", "{}"},
			{api + "STREAM.MSG.GET.DOCSPACE", `{"last_by_subj":"docspace.checkpoint.42"}`},
			{api + "DIRECT.GET.DOCSPACE.docspace.checkpoint.42", ""},
			{api + "CONSUMER.CREATE.DOCSPACE.c", consumer("c", "")},
			{api + "CONSUMER.CREATE.DOCSPACE.c.docspace.checkpoint.*", consumer("c", "docspace.checkpoint.*")},
			{api + "CONSUMER.CREATE.DOCSPACE.c.>", consumer("c", ">")},
			{api + "CONSUMER.DELETE.DOCSPACE.c", ""},
			{api + "STREAM.UPDATE.DOCSPACE", `{"name":"DOCSPACE"}`},
			{api + "STREAM.DELETE.DOCSPACE", ""},
			{api + "STREAM.PURGE.DOCSPACE", ""},
			{"DOCSPACE_STATUS", ""},
		},
		"monitor": {
			{"docspace.folder.42.file.uploaded", "{}"},
			{"docspace.checkpoint.42", "{}"},
			{"DOCSPACE_STATUS.x", "{}"},
			{"DOCSPACE_REPLICAS", "{}"},
			{"DOCSPACE_READERS.siem.x", "{}"},
			{"DOCSPACE_POLL.quiet.42", "{}"},
			{api + "CONSUMER.CREATE.DOCSPACE.m.docspace.folder.42.>", consumer("m", "docspace.folder.42.>")},
			{api + "CONSUMER.CREATE.DOCSPACE_POLL.m.DOCSPACE_POLL.*.*", ""},
			{api + "CONSUMER.DELETE.DOCSPACE.m", ""},
			{api + "STREAM.CREATE.DOCSPACE", `{"name":"DOCSPACE"}`},
			{api + "STREAM.MSG.GET.DOCSPACE", `{"seq":1}`},
			{api + "STREAM.PURGE.DOCSPACE", ""},
		},
	}
	for user, requests := range allowed {
		for _, r := range requests {
			if err := ask(t, natsUser(t, url, user), r.subject, r.body); err != nil {
				t.Errorf("%s may not use %s: %v", user, r.subject, err)
			}
		}
	}
	for user, requests := range refused {
		for _, r := range requests {
			if err := ask(t, natsUser(t, url, user), r.subject, r.body); !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s may use %s: %v", user, r.subject, err)
			}
		}
	}
}

func TestNobodyConnectsWithoutAPassword(t *testing.T) {
	t.Parallel()
	url := natsServer(t)
	for _, user := range []nats.Option{
		nats.Name("nobody"), nats.UserInfo("connector", ""), nats.UserInfo("connector", natsPasswords["reader"]), nats.UserInfo("admin", "admin"),
	} {
		if nc, err := nats.Connect(url, user); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("connected: %v", err)
			if nc != nil {
				nc.Close()
			}
		}
	}
}

func TestTheServerRefusesToStartWithoutPasswords(t *testing.T) {
	t.Parallel()
	if _, err := server.ProcessConfigFile(filepath.Join(deployDir, "nats", "nats.conf")); err == nil || !strings.Contains(err.Error(), "_PASSWORD") {
		t.Errorf("got %v", err)
	}
}

// ask sends a request and returns the violation the server reports, or what
// kept the answer away. An answer that is a JetStream error is a failure too.
func ask(t *testing.T, nc *nats.Conn, subject, body string) error {
	t.Helper()
	violation := make(chan error, 1)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case violation <- err:
		default:
		}
	})
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = inbox.Unsubscribe() }()
	if err := nc.PublishRequest(subject, inbox.Subject, []byte(body)); err != nil {
		return err
	}
	answer := make(chan error, 1)
	go func() {
		msg, err := inbox.NextMsg(natstest.Patience)
		if err == nil && strings.Contains(string(msg.Data), `"error"`) {
			err = errors.New(string(msg.Data))
		}
		answer <- err
	}()
	select {
	case err := <-violation:
		return err
	case err := <-answer:
		return err
	}
}

// natsUser connects as one of the users of accounts.conf.
func natsUser(t *testing.T, url, name string) *nats.Conn {
	t.Helper()
	prefix := "_INBOX"
	switch name {
	case "connector":
		prefix = inbox(t)
	case "monitor":
		prefix = monitorInbox
	}
	nc, err := nats.Connect(url, nats.UserInfo(name, natsPasswords[name]), nats.NoReconnect(), nats.NoEcho(), nats.CustomInboxPrefix(prefix),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatalf("connect as %s: %v", name, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// monitorInbox is the prefix that deploy/nats gives the monitor.
const monitorInbox = "_INBOX_monitor"

// natsServer runs a server as deploy/nats configures it, except for where it
// listens and stores.
func natsServer(t *testing.T) (url string) {
	t.Helper()
	return natsServerWith(t, natsOptions(t))
}

func natsServerWith(t *testing.T, opts *server.Options) (url string) {
	t.Helper()
	opts.Host, opts.Port, opts.HTTPPort, opts.StoreDir = "127.0.0.1", server.RANDOM_PORT, 0, t.TempDir()
	opts.NoLog, opts.NoSigs = true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(natstest.Patience) {
		t.Fatal("the server does not accept connections")
	}
	return srv.ClientURL()
}

// natsOptions reads a copy of deploy/nats in which the passwords are filled in,
// since tests that run side by side share one environment.
func natsOptions(t *testing.T) *server.Options {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"nats.conf", "accounts.conf"} {
		text := readFile(t, filepath.Join(deployDir, "nats", file))
		for user, password := range natsPasswords {
			text = strings.ReplaceAll(text, "$"+strings.ToUpper(user)+"_PASSWORD", password)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for _, user := range opts.Users {
		users = append(users, user.Username)
	}
	if diff := cmp.Diff([]string{"connector", "reader", "monitor", "operator"}, users); diff != "" {
		t.Fatalf("users (-want +got):\n%s", diff)
	}
	return opts
}

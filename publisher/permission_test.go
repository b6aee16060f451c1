package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/poller/queue"
	"docspace-nats/publisher/natstest"
)

// What the connector sends is seen by the server.
func TestTheTableOfPermissionsIsWhatTheConnectorUsesNoMoreAndNoLess(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"defaults":   {},
		"all is set": {Stream: "AUDIT", Prefix: "acme.docspace", Domain: "hub", Inbox: "_INBOX_connector"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := natstest.Run(t, func(opts *server.Options) { opts.JetStreamDomain = o.Domain })
			seen := new(wiretap)
			s.Embedded().SetLoggerV2(seen, false, true, false)
			nc, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), Inbox: o.Inbox})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			useEverything(t, nc, o)
			table := Permissions(o)
			used := make([]bool, len(table))
			for _, call := range seen.calls() {
				i := slices.IndexFunc(table, func(p Permission) bool { return p.Operation == call.Operation && covers(p.Subject, call.Subject) })
				if i < 0 {
					t.Errorf("not in the table: %s %s", call.Operation, call.Subject)
					continue
				}
				used[i] = true
			}
			for i, p := range table {
				if !used[i] {
					t.Errorf("in the table and never used: %s %s", p.Operation, p.Subject)
				}
			}
		})
	}
}

// useEverything is Open without its attempts, and then all that a JetStream does.
func useEverything(t *testing.T, nc *nats.Conn, o Options) {
	t.Helper()
	for _, mode := range []Mode{Atomic, Dedup} {
		o.Commit = mode
		j, err := newJetStream(nc, o)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := j.prepareStream(t.Context()); err != nil || found.Err() != nil {
			t.Fatal(err, found)
		}
		if found := j.prepareCopy(t.Context()); len(found) > 0 {
			t.Fatal(found)
		}
		if found, err := j.prepareQueue(t.Context()); err != nil || len(found) > 0 {
			t.Fatal(err, found)
		}
		mark, err := j.Mark(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		mark = push(t, j, mark, 3)
		if marks, err := j.Marks(t.Context()); err != nil || len(marks) != 1 {
			t.Fatal(marks, err)
		}
		if so, err := j.Published(t.Context(), mark, checkpoint.Published{}); err != nil || so.UpTo != mark.Revision {
			t.Fatal(so, err)
		}
		if err := j.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		useQueue(t, j)
		useReplicas(t, j)
		useAnswers(t, j)
	}
}

func useQueue(t *testing.T, j *JetStream) {
	t.Helper()
	q := j.Queue(crowded)
	defer q.Close()
	if err := q.Put(t.Context(), 7, queue.History); err != nil {
		t.Fatal(err)
	}
	taken, err := q.Take(t.Context(), queue.History)
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Return(t.Context(), queue.Quiet, time.Hour); err != nil {
		t.Fatal(err)
	}
	if folders, err := q.Folders(t.Context()); err != nil || !folders[7] {
		t.Fatal(folders, err)
	}
}

func useReplicas(t *testing.T, j *JetStream) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if err := j.Replicas("", func(int) { cancel() }).Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func useAnswers(t *testing.T, j *JetStream) {
	t.Helper()
	replying(t, j, func([]byte, int) []byte { return []byte("so it stands") })
	if err := (&View{j: j}).Ask(t.Context(), nil, func([]byte) bool { return true }); err != nil {
		t.Fatal(err)
	}
}

// A wiretap keeps the operations of clients that a server writes to its trace.
type wiretap struct {
	mu    sync.Mutex
	lines []string
}

func (w *wiretap) Noticef(string, ...any) {}
func (w *wiretap) Warnf(string, ...any)   {}
func (w *wiretap) Errorf(string, ...any)  {}
func (w *wiretap) Fatalf(string, ...any)  {}
func (w *wiretap) Debugf(string, ...any)  {}
func (w *wiretap) Tracef(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *wiretap) calls() []Permission {
	w.mu.Lock()
	defer w.mu.Unlock()
	var calls []Permission
	for _, line := range w.lines {
		_, operation, _ := strings.Cut(line, "<<- [")
		fields := strings.Fields(operation)
		if len(fields) < 2 || !strings.Contains(line, " - cid:") { // no client, but the server itself
			continue
		}
		switch fields[0] {
		case "PUB", "HPUB":
			calls = append(calls, Permission{Operation: Publish, Subject: fields[1]})
		case "SUB":
			calls = append(calls, Permission{Operation: Subscribe, Subject: fields[1]})
		}
	}
	return calls
}

func TestEveryMissingPermissionIsNamedBySubject(t *testing.T) {
	t.Parallel()
	table := Permissions(Options{})
	s := natstest.Run(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "full", Password: password}, {Username: "none", Password: password, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{">"}}, Subscribe: &server.SubjectPermission{Deny: []string{">"}},
		}}}
		for _, p := range table {
			denied := &server.Permissions{}
			if p.Operation == Publish {
				denied.Publish = &server.SubjectPermission{Deny: []string{p.Subject}}
			} else {
				denied.Subscribe = &server.SubjectPermission{Deny: []string{p.Subject}}
			}
			o.Users = append(o.Users, &server.User{Username: userWithout(p), Password: password, Permissions: denied})
		}
	})
	inspect := func(user string) []string {
		is, err := Inspect(t.Context(), s.Conn(t, nats.UserInfo(user, password)), Options{}, false)
		if err != nil {
			t.Errorf("without %s: %v", user, err)
		}
		var named []string
		for _, f := range is.Findings {
			if strings.HasPrefix(f.Setting, "permission") {
				named = append(named, f.String())
			}
		}
		return named
	}
	for _, there := range []bool{false, true} {
		for _, p := range table {
			named := inspect(userWithout(p))
			if p.creates != "" && there {
				if len(named) > 0 {
					t.Errorf("the stream is there, and yet: %v", named)
				}
				continue
			}
			want := "permission to " + string(p.Operation) + " " + p.Subject + " is missing, needs to be granted to this NATS user: " + p.Why
			if len(named) != 1 || named[0] != want {
				t.Errorf("got %q\nwant %q", named, want)
			}
			if p.severity != Broken || p.creates != "" {
				continue
			}
			if _, err := Open(t.Context(), s.Conn(t, nats.UserInfo(userWithout(p), password)), Options{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Open without %s: %v", p.Subject, err)
			}
		}
		if named := inspect("none"); len(named) != len(table)-3 { // the three that create matter only once it is known what there is
			t.Errorf("%d of %d are named: %v", len(named), len(table), named)
		}
		if js, err := jetstream.New(s.Conn(t, nats.UserInfo("full", password))); err != nil {
			t.Fatal(err)
		} else if _, err := js.Stream(t.Context(), "DOCSPACE"); !there && !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Fatalf("trying the permissions made the stream: %v", err)
		}
		j := open(t, s.Conn(t, nats.UserInfo("full", password)), Options{})
		if n := stream(t, j).CachedInfo().State.LastSeq; n != 0 {
			t.Errorf("trying the permissions stored %d messages", n)
		}
	}
}

// userWithout is the name of a user who lacks one permission.
func userWithout(p Permission) string { return string(p.Operation) + " " + p.Subject }

func TestAConnectorWithoutTheRightToDeleteConsumersWorks(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "connector", Password: password, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.DELETE.>", "$JS.API.STREAM.*.DOCSPACE_MARKS"}},
		}}}
	})
	j := open(t, s.Conn(t, nats.UserInfo("connector", password)), Options{})
	if found := j.Findings().Of(Warning); len(found) != 2 {
		t.Errorf("findings: %v", found)
	}
	push(t, j, checkpoint.Mark{Folder: 7}, 10)
	checkInvariants(t, j, 7)
}

func TestAnAccountOrServerWithoutJetStreamIsNamedSo(t *testing.T) {
	t.Parallel()
	without := natstest.Run(t, func(o *server.Options) { o.JetStream = false })
	elsewhere := natstest.Run(t, func(o *server.Options) {
		account := server.NewAccount("PLAIN")
		o.Accounts, o.Users = []*server.Account{account}, []*server.User{{Username: "connector", Password: password, Account: account}}
	})
	for url, want := range map[string]string{
		without.URL():   "JetStream is not enabled on the server",
		elsewhere.URL(): "JetStream is not enabled for this account",
	} {
		nc, err := Connect(t.Context(), ConnectOptions{URL: url, User: "connector", Password: given(password)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		began := time.Now()
		if _, err := Open(t.Context(), nc, Options{RetryFor: 2 * natstest.Patience}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want %q", err, want)
		}
		if took := time.Since(began); took > natstest.Patience {
			t.Errorf("it took %s to find that %s", took, want)
		}
	}
}

// A hub forwards to a leaf node that has the stream.
func TestAStreamBehindALeafNodeIsReachedByItsDomain(t *testing.T) {
	t.Parallel()
	hub, leaf := natstest.HubAndLeaf(t)
	nc := hub.Conn(t)
	j := open(t, nc, Options{Domain: "leaf"})
	push(t, j, checkpoint.Mark{Folder: 7}, 100)
	checkInvariants(t, j, 7)
	if n := stream(t, open(t, leaf.Conn(t), Options{})).CachedInfo().State.Msgs; n != 101 {
		t.Errorf("the leaf node's stream has %d messages", n)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), "DOCSPACE"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the hub has a stream of its own: %v", err)
	}
}

func TestPermissionsOfAnUnusualPrefixAreTried(t *testing.T) {
	t.Parallel()
	o := Options{Stream: "AUDIT", Prefix: "acme.docspace", Inbox: "_INBOX_connector"}
	allowed := &server.Permissions{Publish: &server.SubjectPermission{}, Subscribe: &server.SubjectPermission{}}
	for _, p := range Permissions(o) {
		if p.Operation == Publish {
			allowed.Publish.Allow = append(allowed.Publish.Allow, p.Subject)
		} else {
			allowed.Subscribe.Allow = append(allowed.Subscribe.Allow, p.Subject)
		}
	}
	s := natstest.Run(t, func(opts *server.Options) {
		opts.Users = []*server.User{{Username: "connector", Password: password, Permissions: allowed}}
	})
	violations := make(chan error, 64)
	nc, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), User: "connector", Password: given(password), Inbox: o.Inbox, Changed: func(_ bool, err error) { violations <- err }})
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, nc, o)
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 10)
	events := following(mark, 1)
	if _, err := j.Commit(t.Context(), 7, events, mark, checkpointtest.After(mark, events)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Marks(t.Context()); err != nil {
		t.Fatal(err)
	}
	nc.SetClosedHandler(func(*nats.Conn) { close(violations) })
	nc.Close()
	for err := range violations {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	}
}

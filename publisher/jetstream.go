// Package publisher stores events in NATS JetStream, together with the mark
// that says they are stored.
//
// A commit is one atomic batch: the events of a chunk, then the folder's new
// mark, all in one stream. The mark names the sequence of the mark it replaces,
// and the server refuses the batch when that is no longer the folder's newest.
// So events and mark exist together or not at all, and of two writers one
// wins. Nothing of it rests on a clock, a lease or a window of remembered ids.
// Where batches are impossible, dedup.go does the next best.
//
// The batch needs nats-server 2.12 or later. Its wire protocol is spoken here
// because the client library has no call for it, and because what matters most
// to this program is what happens when the answer is lost.
//
// Where things are: jetstream.go opens and inspects, commit.go, batch.go, dedup.go
// and mode.go commit, answer.go says what the server's answers mean. stream.go asks for
// what rules.go, streamrules.go and copyrules.go judge, permission.go tries what this
// user may do. marks.go reads marks, markcopy.go keeps a copy of them, recover.go and
// stored.go go on without one, published.go, events.go and scan.go read events back. queue.go, lane.go,
// lease.go and queuestream.go are the queue of folders, replicas.go counts who shares
// it. job.go is about streams beside, into which history is read again. view.go and
// question.go show how the work stands, without taking part in it. connect.go,
// identity.go and refusal.go connect; localnats.go, locallog.go and localrepair.go
// are the server inside the program, localaddress.go says where it is.
// The files of reader.go read the stream for others, with or without a durable consumer;
// republish.go stores what was read a second time, elsewhere.
//
// The package does not know where events come from, nor when to poll.
package publisher

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"
)

// Limits of one commit.
const (
	// MaxEvents is how many events one commit takes: the server stores at
	// most 1,000 messages together, and one of them is the mark.
	MaxEvents = 999

	// MaxBytes is how many bytes of events one commit takes. The server holds
	// at most 128 MiB of messages it has received and not yet stored for a
	// stream, for all its writers, and drops what comes on top; the commits of
	// one process together stay below half of that. Events average 1 KiB, so a
	// full commit is far from this bound.
	MaxBytes = 16 << 20

	// maxOpen is how many batches one process has open. The server allows 50
	// per stream, for all processes, and more than a few make no stream faster.
	// Sixteen processes with hundreds of folders were not refused once, since a
	// batch that is not held up is open for some milliseconds.
	maxOpen = 4
)

// Options name the stream and say how to create it. The zero value means the
// documented defaults.
type Options struct {
	Stream string // name of the stream; "DOCSPACE" when empty
	Prefix string // first tokens of every subject; "docspace" when empty
	Domain string // JetStream domain, for a stream behind a leaf node
	Inbox  string // ConnectOptions.Inbox of the connection; "_INBOX" when empty

	// The rest is used when the stream is created, and compared when it exists.
	Replicas int           // copies the cluster keeps; 1 when zero
	MaxAge   time.Duration // how long events stay; zero means for ever
	MaxBytes int64         // how much disk the stream may take; zero means no limit

	// Metadata is put on the stream when it is created, for people and tools.
	Metadata map[string]string

	// Commit is how events and marks are stored; Auto when empty.
	Commit Mode

	// MessageIDs puts a Nats-Msg-Id on every event, for those who bridge
	// onwards. Atomic commits do not need it, and it costs the server memory.
	MessageIDs bool

	// RetryFor is how long one call goes on when the server does not answer or
	// has no leader; 45 seconds when zero, which outlasts an election.
	RetryFor time.Duration
}

func (o Options) withDefaults() Options {
	if o.Stream == "" {
		o.Stream = "DOCSPACE"
	}
	if o.Prefix == "" {
		o.Prefix = "docspace"
	}
	if o.Commit == "" {
		o.Commit = Auto
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.RetryFor == 0 {
		o.RetryFor = 45 * time.Second
	}
	return o
}

// apiPrefix is how the subjects of the JetStream API begin.
func (o Options) apiPrefix() string {
	if o.Domain == "" {
		return jetstream.DefaultAPIPrefix
	}
	return "$JS." + o.Domain + ".API."
}

func (o Options) inbox() string { return cmp.Or(o.Inbox, defaultInbox) }

// check refuses names that cannot work, before a server sees them.
func (o Options) check() error {
	if strings.ContainsAny(o.Stream, " \t\r\n.*>/\\") {
		return fmt.Errorf("stream name %q: must not contain spaces, dots, slashes or wildcards", o.Stream)
	}
	for token := range strings.SplitSeq(o.Prefix, ".") {
		if token == "" || strings.ContainsAny(token, " \t\r\n*>") || token[0] == '$' {
			return fmt.Errorf("subject prefix %q: must be tokens separated by dots, without spaces, wildcards and $", o.Prefix)
		}
	}
	if strings.ContainsAny(o.Domain, " \t\r\n.*>") {
		return fmt.Errorf("JetStream domain %q: must not contain spaces, dots or wildcards", o.Domain)
	}
	return o.Commit.check()
}

// A JetStream keeps events and marks in one stream. Its methods may be called
// by several goroutines.
type JetStream struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	o        Options
	api      string // prefix of the JetStream API subjects
	open     *semaphore.Weighted
	fit      atomic.Int64 // events one commit takes: MaxEvents, or what the server said
	portion  int          // events one scan reads
	findings Findings
	created  names        // of streams
	absent   bool         // the stream is
	refused  []Permission // that this user lacks
	sets     storedSets   // by folder, while a mark is unsettled

	mode   Mode          // Atomic or Dedup
	level  int           // API level of the server
	opened uint64        // last sequence of the stream when the mode was chosen
	window time.Duration // in which the stream knows message ids again
	rollup bool          // whether a mark may remove the one before
	ttl    bool          // whether a mark may outlive max_age
}

// names are added to and read by several goroutines.
type names struct {
	mu   sync.Mutex
	list []string
}

func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, name)
}

func (n *names) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

// Open returns the stream for use. It creates the stream when it is absent, and
// a second, small one that keeps a copy of the marks, named <stream>_MARKS. An
// existing stream is never changed: when a setting breaks the promise, Open
// fails and names the setting and the value it needs. Findings tells the rest,
// and Created what was created.
//
// A cluster that has no leader at this moment is waited for, for as long as
// Options.RetryFor.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*JetStream, error) {
	j, err := newJetStream(nc, o)
	if err != nil {
		return nil, err
	}
	if err := j.Create(ctx); err != nil {
		return nil, err
	}
	return j, nil
}

// Attach is Open for a stream that is there, for commands beside the connector: it
// creates nothing, and leaves what is absent beside the stream to a connector.
func Attach(ctx context.Context, nc *nats.Conn, o Options) (*JetStream, error) {
	j, err := AttachOrAbsent(ctx, nc, o)
	if err == nil && j.absent {
		return nil, fmt.Errorf("stream %s: %w", j.o.Stream, noStream(jetstream.ErrStreamNotFound))
	}
	return j, err
}

// AttachOrAbsent is Attach for a stream that may be absent. Until Create has made it,
// no folder has a mark.
func AttachOrAbsent(ctx context.Context, nc *nats.Conn, o Options) (*JetStream, error) {
	j, err := newJetStream(nc, o)
	if err != nil {
		return nil, err
	}
	err = j.untilLed(ctx, func() error { return j.look(ctx) })
	switch {
	case j.findings.Err() != nil:
		return nil, fmt.Errorf("stream %s: %w", j.o.Stream, j.findings.Err())
	case err != nil:
		return nil, err
	}
	return j, nil
}

// Create creates what is absent, as Open does. No other method may be called meanwhile.
func (j *JetStream) Create(ctx context.Context) error {
	if err := j.untilLed(ctx, func() error { return j.prepare(ctx) }); err != nil {
		return err
	}
	j.absent = false
	return nil
}

// Absent reports whether the stream was absent and has not been created.
func (j *JetStream) Absent() bool { return j.absent }

// prepare is the one place where streams are created. It goes on to the next
// when the one before is there and sound.
func (j *JetStream) prepare(ctx context.Context) (err error) {
	if j.refused, err = j.refusedOf(ctx, Permissions(j.o)); err != nil {
		return err
	}
	if j.findings, err = j.prepareStream(ctx); err != nil {
		return err
	}
	if err := j.findings.Err(); err != nil {
		return fmt.Errorf("stream %s: %w", j.o.Stream, err)
	}
	j.findings = append(j.findings, j.prepareCopy(ctx)...)
	found, err := j.prepareQueue(ctx)
	j.findings = append(j.findings, found...)
	return cmp.Or(err, found.Err())
}

// An Inspection is what Inspect found out.
type Inspection struct {
	Mode     Mode // that Open would choose
	Findings Findings
	Created  []string // streams that were absent
}

// Inspect judges the server, our permissions and the streams as Open does. Where a
// sound stream exists it also proves that this connection may commit to it, see
// Probe. It creates nothing, unless it is to fix what is absent, and changes
// nothing.
func Inspect(ctx context.Context, nc *nats.Conn, o Options, fix bool) (Inspection, error) {
	j, err := newJetStream(nc, o)
	if err != nil {
		return Inspection{}, err
	}
	if fix {
		err = j.prepare(ctx)
	} else {
		err = j.look(ctx)
	}
	is := Inspection{Mode: j.mode, Findings: j.findings, Created: j.created.all()}
	switch {
	case is.Findings.Err() != nil:
		return is, nil
	case err != nil || j.absent:
		return is, err
	}
	return is, j.Probe(ctx)
}

// look is prepare without creating anything.
func (j *JetStream) look(ctx context.Context) (err error) {
	if j.refused, err = j.refusedOf(ctx, Permissions(j.o)); err != nil {
		return err
	}
	f, findings, err := j.survey(ctx)
	if err != nil {
		return err
	}
	if j.findings = findings; findings.Err() != nil {
		return nil
	}
	if j.absent = f.stream == nil; j.absent {
		f.taken = j.takenBy(ctx, f.want.Subjects)
		j.findings = j.judge(f)
	}
	if j.findings.Err() == nil {
		j.findings = append(j.findings, j.judgeCopy(j.copyFacts(ctx))...)
		j.findings = append(j.findings, j.judgeQueue(j.queueConfig(ctx))...)
	}
	return nil
}

func newJetStream(nc *nats.Conn, o Options) (*JetStream, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	js, err := jetstream.NewWithAPIPrefix(nc, strings.TrimSuffix(o.apiPrefix(), "."))
	if err != nil {
		return nil, fmt.Errorf("JetStream client: %w", err)
	}
	j := &JetStream{nc: nc, js: js, o: o, api: o.apiPrefix(), open: semaphore.NewWeighted(maxOpen), portion: scanPortion}
	j.fit.Store(MaxEvents)
	return j, nil
}

// Findings returns what Open noticed and could live with.
func (j *JetStream) Findings() Findings { return j.findings }

// Created returns the streams Open has created.
func (j *JetStream) Created() []string { return j.created.all() }

// Mode returns how commits are stored, Atomic or Dedup.
func (j *JetStream) Mode() Mode { return j.mode }

// Stream returns the name of the stream.
func (j *JetStream) Stream() string { return j.o.Stream }

// EventSubjects is the filter of a consumer that wants every event and no
// mark: <prefix>.folder.>
func (j *JetStream) EventSubjects() string { return j.o.Prefix + ".folder.>" }

// eventsOf is how the subjects of a folder's events begin.
func (j *JetStream) eventsOf(folder int) string {
	return fmt.Sprintf("%s.folder.%d.", j.o.Prefix, folder)
}

// markSubjects matches the marks of all folders.
func (j *JetStream) markSubjects() string { return j.o.Prefix + ".checkpoint.*" }

func (j *JetStream) markSubject(folder int) string {
	return fmt.Sprintf("%s.checkpoint.%d", j.o.Prefix, folder)
}

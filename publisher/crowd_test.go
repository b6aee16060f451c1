package publisher

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"docspace-nats/checkpoint"
	"docspace-nats/publisher/natstest"
)

// serverBatches is how many open batches a server allows a stream, unless it is
// told otherwise.
const serverBatches = 50

// A crowd is processes that publish folders to one stream at the same moment.
type crowd struct {
	server  *natstest.Server
	members []*JetStream
	begun   atomic.Int64 // attempts of commits
	sent    atomic.Int64 // messages of events, whatever became of them
}

func gather(t *testing.T, processes int, o Options, options ...natstest.Option) *crowd {
	c := &crowd{server: natstest.Run(t, options...)}
	watcher := c.server.Conn(t)
	for range processes {
		c.members = append(c.members, open(t, c.server.Conn(t), o))
	}
	if _, err := watcher.Subscribe(c.members[0].EventSubjects(), func(m *nats.Msg) {
		c.sent.Add(1)
		if m.Header.Get(headerBatchSeq) == "1" {
			c.begun.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := watcher.FlushTimeout(natstest.Patience); err != nil {
		t.Fatal(err)
	}
	return c
}

// publish lets every member publish its folders, all at once.
func (c *crowd) publish(t *testing.T, folders, commits, events int) {
	var all sync.WaitGroup
	for folder := 1; folder <= folders; folder++ {
		j := c.members[folder%len(c.members)]
		all.Go(func() {
			mark := checkpoint.Mark{Folder: folder}
			for range commits {
				mark = push(t, j, mark, events)
			}
		})
	}
	all.Wait()
	for folder := 1; folder <= folders; folder++ {
		if now := checkInvariants(t, c.members[0], folder); now.Accounted != commits*events {
			t.Fatalf("folder %d: %d rows are accounted for, want %d", folder, now.Accounted, commits*events)
		}
	}
}

func TestManyProcessesCommitManyFoldersAtOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		const processes, folders, commits, events = 16, 96, 3, 20
		o.RetryFor = natstest.Patience
		c := gather(t, processes, o)
		c.publish(t, folders, commits, events)
		if o.Commit == Atomic {
			t.Logf("%d attempts of %d commits, %d messages of %d events", c.begun.Load(), folders*commits, c.sent.Load(), folders*commits*events)
		}
		if sent := c.sent.Load(); sent > 2*folders*commits*events {
			t.Errorf("%d messages were sent to store %d events", sent, folders*commits*events)
		}
	})
}

// Writers that hang keep all batches open until the server drops theirs.
func TestCommitsWaitQuietlyWhileOthersHoldAllBatchesOpen(t *testing.T) {
	t.Parallel()
	const processes, folders, events = 12, 72, 40
	const hang = 8 * time.Second
	c := gather(t, processes, Options{RetryFor: natstest.Patience}, func(o *server.Options) { o.JetStreamLimits.MaxBatchTimeout = hang })
	hanging := c.server.Conn(t)
	begin := func(id string) string {
		msg := nats.NewMsg("docspace.folder.999.file.created")
		msg.Header.Set(headerBatchID, id)
		msg.Header.Set(headerBatchSeq, "1")
		reply, err := hanging.RequestMsg(msg, answerWait)
		if err != nil {
			t.Fatal(err)
		}
		return string(reply.Data)
	}
	for n := range serverBatches {
		if refused := begin(fmt.Sprint("hanging-", n)); refused != "" {
			t.Fatalf("batch %d: %s", n, refused)
		}
	}
	if refused := begin("one too many"); !strings.Contains(refused, "10210") {
		t.Fatalf("the server takes more than %d batches: %q", serverBatches, refused)
	}
	began := time.Now()
	c.publish(t, folders, 1, events)
	took := time.Since(began)
	// Sent in vain: the events of the first attempt, and later one message to ask.
	sent, begun := c.sent.Load()-serverBatches-1, c.begun.Load()-serverBatches-1
	t.Logf("%d attempts of %d commits, %d messages of %d events, in %v", begun, folders, sent, folders*events, took)
	if most := int64(2*folders*events) + begun; sent > most {
		t.Errorf("%d messages were sent to store %d events", sent, folders*events)
	}
	if begun > folders*(10+int64(took/time.Second)) {
		t.Errorf("%d attempts of %d commits within %v", begun, folders, took)
	}
}

func TestABatchWhoseWriterIdledIsForgottenAndRepeatedOnce(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t, func(o *server.Options) { o.JetStreamLimits.MaxBatchTimeout = 50 * time.Millisecond })
	j := open(t, s.Conn(t), Options{})
	forgotten, err := j.nc.SubscribeSync("$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.>")
	if err != nil {
		t.Fatal(err)
	}
	mark := push(t, j, checkpoint.Mark{Folder: 7}, 3)
	c := begin(t, j, mark, 20)
	sent, err := c.b.sendEvents(t.Context(), j.nc, "idle", nil)
	if err != nil {
		t.Fatal(err)
	}
	for idle := false; !idle; { // others may have idled before, on a busy machine
		told, err := forgotten.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatalf("the server does not forget the batch: %v", err)
		}
		idle = strings.Contains(string(told.Data), `"batch":"idle"`)
	}
	reply, err := j.nc.RequestMsg(c.b.commitMessage("idle", sent+1), natstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAck(reply.Data, "idle", sent+1)
	if err != nil || a.Error == nil || a.Error.Code != codeIncompleteBatch {
		t.Fatalf("answer %s, %v, want error %d", reply.Data, err, codeIncompleteBatch)
	}
	natstest.Eventually(t, "an attempt does not idle", func() bool { return c.attempt(t.Context()) == nil })
	if now := checkInvariants(t, j, 7); now.Accounted != 23 {
		t.Fatalf("%d rows are accounted for, want 23", now.Accounted)
	}
}

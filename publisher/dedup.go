package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"docspace-nats/schema"
)

// A dedup commit stores the events one by one and then the mark, which is
// fenced as in an atomic commit. It differs in what a crash before the mark
// leaves: events that no mark accounts for. Whoever publishes the folder next
// looks for them first and does not repeat them.
//
// Each event waits for the answer to the one before. Events that are under way
// together are faster, but when one of them is refused, or its connection or
// its leader is lost, those after it may be stored, and its repetition comes
// after them. One at a time they are in order whatever happens; the portal's
// limits leave a folder fewer rows a second than this takes.
//
// From nats-server 2.11 on every event is fenced like the mark: once somebody else
// has moved the mark, the server refuses it, whenever it arrives.
//
// What somebody else stores after the look, without having moved the mark, is
// found by the Nats-Msg-Id: the server refuses an id it has seen within the
// duplicate_window of the stream. So no event is sent on a look that is older
// than half of that. What is left is the one event whose message is on its way,
// or whose process is paused just before it is sent, for longer than the other
// half, while another process has stored the same event and stopped before the
// mark. Older servers know no such fence: there it is enough that the other has
// stored it.
//
// The mark lies in the same stream as the events, here too, so that a stream
// that loses its newest messages loses both and the rows are published again.

const (
	// leastWindow is the shortest duplicate_window that is of use: half of it
	// must outlast the wait for an answer, and some delay on the way.
	leastWindow = 30 * time.Second

	// headerCommitID tells one attempt to store a mark from another. It stands
	// in for the id of a batch, which servers take for the beginning of one.
	headerCommitID = "Docspace-Commit-Id"
)

// sendSingly sends what is not stored of the commit, in order, and waits for
// every answer.
func (c *commit) sendSingly(ctx context.Context) (verdict, error) {
	c.connection = c.j.nc.Stats().Reconnects
	if err := c.look(ctx); err != nil {
		return verdictOf(err), err
	}
	for i := range c.b.events {
		if what, err := c.sendEvent(ctx, i); err != nil {
			return what, err
		}
	}
	return c.sendMark(ctx)
}

// sendEvent sends one event, unless it is stored.
func (c *commit) sendEvent(ctx context.Context, i int) (verdict, error) {
	for elapsed(c.looked) > c.j.window/2 { // a look that took long is old itself
		if err := c.look(ctx); err != nil {
			return verdictOf(err), err
		}
	}
	if c.b.skips(i) {
		return again, nil
	}
	stored, what, err := c.j.store(ctx, c.b.eventMessage(i))
	if err != nil || !stored.Duplicate {
		return what, err
	}
	return c.j.confirm(ctx, stored.Seq)
}

// confirm makes sure that what the server takes for a duplicate is there. It
// remembers the ids of messages that somebody has removed, too.
func (j *JetStream) confirm(ctx context.Context, seq uint64) (verdict, error) {
	msg, err := j.get(ctx, j.o.Stream, messageQuery{Seq: seq})
	switch {
	case err != nil:
		return verdictOf(err), err
	case msg != nil:
		return again, nil
	}
	return later, &StoreError{
		Stream: j.o.Stream,
		Reason: "an event that was stored a moment ago was removed and is refused as a duplicate",
		Hint:   "it is forgotten after the stream's duplicate_window",
		Later:  true,
	}
}

// look finds the events that were stored since the last look, by whomever, and
// whether somebody else has moved the mark.
func (c *commit) look(ctx context.Context) error {
	c.looked = time.Now()
	if err := c.j.stillNewest(ctx, c.prev); err != nil {
		return err
	}
	return c.search(ctx)
}

// elapsed is how long ago t was. The monotonic clock stands still while the
// machine sleeps, and the other one can be set back: the longer time counts.
func elapsed(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// sendMark sends the mark. But a server that came back may have lost what it
// had said was stored: then the next attempt has to look at everything anew.
func (c *commit) sendMark(ctx context.Context) (verdict, error) {
	if c.connection != c.j.nc.Stats().Reconnects {
		return c.j.unanswered(errDisconnected)
	}
	id := nuid.Next()
	c.ids = append(c.ids, id)
	stored, what, err := c.j.store(ctx, c.j.markMessage(c.b, id))
	c.revision = stored.Seq
	return what, err
}

// store stores one message, unless the server knows its id.
func (j *JetStream) store(ctx context.Context, msg *nats.Msg) (ack, verdict, error) {
	ctx, cancel := j.whileConnected(ctx, answerWait)
	defer cancel()
	reply, err := j.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		what, err := j.unanswered(cause(ctx, err))
		return ack{}, what, err
	}
	a, err := j.parseStored(reply.Data)
	if err != nil {
		what, err := j.unanswered(err)
		return ack{}, what, err
	}
	if a.Error != nil {
		what, err := j.classify(*a.Error)
		return ack{}, what, err
	}
	return a, again, nil
}

// parseStored refuses an answer that is neither that of our stream to a message
// nor an error.
func (j *JetStream) parseStored(data []byte) (ack, error) {
	var a ack
	if err := json.Unmarshal(data, &a); err != nil {
		return ack{}, fmt.Errorf("answer to a message: %w", err)
	}
	if a.Error == nil && (a.Stream != j.o.Stream || a.Seq == 0) {
		return ack{}, fmt.Errorf("answer to a message: names stream %q and sequence %d", a.Stream, a.Seq)
	}
	return a, nil
}

// eventMessage is event number i as a message of its own.
func (b *batch) eventMessage(i int) *nats.Msg {
	start := 0
	if i > 0 {
		start = b.ends[i-1]
	}
	header := nats.Header{
		headerMsgID:       {b.msgIDs[i]},
		headerStream:      {b.stream},
		headerContentType: {schema.ContentType},
		headerIngestMode:  {b.events[i].IngestMode},
	}
	if b.fenced {
		header[headerFence], header[headerFenceOf] = []string{b.fence}, []string{b.markSubject}
	}
	return &nats.Msg{Subject: b.subjects[i], Data: b.body[start:b.ends[i]], Header: header}
}

// markMessage is the mark as a message of its own. What the stream does not
// allow is left out: without roll-up the old marks stay, and without TTL the
// mark goes with max_age.
func (j *JetStream) markMessage(b *batch, id string) *nats.Msg {
	header := nats.Header{
		headerCommitID:    {id},
		headerFence:       {b.fence},
		headerStream:      {b.stream},
		headerContentType: {"application/json"},
	}
	if j.rollup {
		header[headerRollup] = []string{"sub"}
	}
	if j.ttl {
		header[headerTTL] = []string{"never"}
	}
	return &nats.Msg{Subject: b.markSubject, Data: b.mark, Header: header}
}

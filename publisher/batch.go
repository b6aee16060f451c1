package publisher

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// Headers of the batch protocol, as nats-server 2.12 and later read them.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
	headerFence       = "Nats-Expected-Last-Subject-Sequence"
	headerFenceOf     = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerStream      = "Nats-Expected-Stream"
	headerRollup      = "Nats-Rollup"
	headerTTL         = "Nats-TTL"
	headerMsgID       = "Nats-Msg-Id"

	headerContentType = "Content-Type"
	headerIngestMode  = "Docspace-Ingest-Mode"
)

// A TooLargeError is a commit that the server does not take as a whole. Nothing
// of it was stored.
type TooLargeError struct {
	Events int // how many were given
	Fit    int // how many of them, from the first, can be committed
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d events are more than one commit takes: the first %d fit", e.Events, e.Fit)
}

// Fits returns Fit, for callers that know no more of this error.
func (e *TooLargeError) Fits() int { return e.Fit }

// A batch is one commit, encoded once and sent as often as needed.
type batch struct {
	events   []schema.Event // the caller's
	subjects []string
	ends     []int    // end of each event in body
	msgIDs   []string // empty unless asked for
	body     []byte
	skip     []bool // events that lie in the stream already and are left out; empty: none

	markSubject string
	mark        []byte
	fence       string
	fenced      bool // events sent singly name the mark, too
	stream      string
}

// batches keeps the memory of batches for the next ones.
var batches = sync.Pool{New: func() any { return new(batch) }}

// keepBytes is the largest body worth keeping: about three full commits of
// average events.
const keepBytes = 4 << 20

// release gives the memory back. The batch must not be used afterwards.
func (b *batch) release() {
	if cap(b.body) > keepBytes {
		return
	}
	clear(b.subjects)
	clear(b.msgIDs)
	*b = batch{subjects: b.subjects[:0], ends: b.ends[:0], msgIDs: b.msgIDs[:0], body: b.body[:0], skip: b.skip[:0]}
	batches.Put(b)
}

// encode prepares a commit, and refuses one that is too large.
func (j *JetStream) encode(folder int, events []schema.Event, prev, next checkpoint.Mark) (*batch, error) {
	if folder <= 0 || prev.Folder != folder || next.Folder != folder {
		return nil, fmt.Errorf("commit of folder %d: the marks are of folders %d and %d", folder, prev.Folder, next.Folder)
	}
	if most := int(j.fit.Load()); len(events) > most {
		return nil, &TooLargeError{Events: len(events), Fit: most}
	}
	mark, err := next.Encode()
	if err != nil {
		return nil, err
	}
	b := batches.Get().(*batch)
	b.events, b.mark, b.markSubject = events, mark, j.markSubject(folder)
	b.fenced = j.level >= apiLevelTTL
	b.fence, b.stream = strconv.FormatUint(prev.Revision, 10), j.o.Stream
	owner := strconv.Itoa(folder)
	for i := range events {
		e := &events[i]
		if e.PartitionKey != owner {
			b.release()
			return nil, fmt.Errorf("commit of folder %d: event %s is of folder %s", folder, e.ID, e.PartitionKey)
		}
		b.body = e.AppendJSON(b.body)
		if len(b.body) > MaxBytes {
			b.release()
			return nil, &TooLargeError{Events: len(events), Fit: i}
		}
		b.ends = append(b.ends, len(b.body))
		b.subjects = append(b.subjects, e.NATSSubject(j.o.Prefix))
		if j.o.MessageIDs || j.mode == Dedup {
			b.msgIDs = append(b.msgIDs, msgID(e, next))
		}
	}
	return b, nil
}

// msgID is the id of an event's message. After a change of the mark the server
// must not take what is published again for what it has just stored.
func msgID(e *schema.Event, mark checkpoint.Mark) string {
	if mark.Changes == 0 {
		return e.MsgID()
	}
	return e.MsgID() + ":" + strconv.Itoa(mark.Changes)
}

// leaveOut leaves out the events that are stored, and lets those say that they
// are late which rows that follow them have overtaken.
func (b *batch) leaveOut(stored *storedSet) {
	if stored.empty() {
		b.skip = b.skip[:0]
		return
	}
	late := false
	b.skip = slices.Grow(b.skip[:0], len(b.events))[:len(b.events)]
	for i := range b.events {
		e := &b.events[i]
		b.skip[i] = stored.has(e)
		late = late || !b.skip[i] && stored.overtook(e)
	}
	if late {
		b.encodeLate(stored)
	}
}

// encodeLate encodes the events anew.
func (b *batch) encodeLate(stored *storedSet) {
	b.body = b.body[:0]
	for i, e := range b.events {
		e.Data.Late = e.Data.Late || !b.skip[i] && stored.overtook(&e)
		b.body = e.AppendJSON(b.body)
		b.ends[i] = len(b.body)
	}
}

// skips reports whether an event is left out.
func (b *batch) skips(i int) bool { return len(b.skip) > 0 && b.skip[i] }

// sendEvents publishes the events without waiting: the server holds them back
// until the mark arrives, and says nothing about them before. All messages of
// a batch must take one connection, in order; when a reconnect comes in
// between, the server misses some, and refuses the mark. It returns how many
// were sent. The first is given to first instead, if there is such a function.
func (b *batch) sendEvents(ctx context.Context, nc *nats.Conn, id string, first func(*nats.Msg) error) (sent int, err error) {
	// One message for all: PublishMsg has copied it when it returns.
	seq, mode, msgID := []string{""}, []string{""}, []string{""}
	msg := nats.Msg{Header: nats.Header{
		headerBatchID:     {id},
		headerBatchSeq:    seq,
		headerContentType: {schema.ContentType},
		headerIngestMode:  mode,
	}}
	if len(b.msgIDs) > 0 {
		msg.Header[headerMsgID] = msgID
	}
	start := 0
	for i, end := range b.ends {
		data := b.body[start:end]
		start = end
		if b.skips(i) {
			continue
		}
		if sent%64 == 0 && ctx.Err() != nil {
			return sent, ctx.Err() // the server drops what it has after 10 s
		}
		seq[0], mode[0] = strconv.Itoa(sent+1), b.events[i].IngestMode
		if len(b.msgIDs) > 0 {
			msgID[0] = b.msgIDs[i]
		}
		msg.Subject, msg.Data = b.subjects[i], data
		send := nc.PublishMsg
		if sent == 0 && first != nil {
			send = first
		}
		if err := send(&msg); err != nil {
			return sent, err
		}
		sent++
	}
	return sent, nil
}

// commitMessage is the mark: message number last, the one that is answered.
func (b *batch) commitMessage(id string, last int) *nats.Msg {
	return &nats.Msg{
		Subject: b.markSubject,
		Data:    b.mark,
		Header: nats.Header{
			headerBatchID:     {id},
			headerBatchSeq:    {strconv.Itoa(last)},
			headerBatchCommit: {"1"},
			headerFence:       {b.fence},
			headerStream:      {b.stream},
			headerRollup:      {"sub"},
			headerTTL:         {"never"},
			headerContentType: {"application/json"},
		},
	}
}

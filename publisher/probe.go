package publisher

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// Probe proves that this connection may commit, without storing anything: it
// sends an event and a mark with a fence that no stream can meet, and reads the
// mark. The server refuses the batch for the fence, which it looks at only
// after it has taken all messages; in mode Dedup it refuses each of the two.
func (j *JetStream) Probe(ctx context.Context) error {
	if _, err := j.lastMark(ctx, math.MaxInt32); err != nil {
		return fmt.Errorf("read a mark: %w", err)
	}
	mark := checkpoint.Mark{Folder: math.MaxInt32, Revision: math.MaxUint64}
	event := schema.Event{ID: "probe", PartitionKey: fmt.Sprint(mark.Folder), IngestMode: schema.Live}
	b, err := j.encode(mark.Folder, []schema.Event{event}, mark, mark)
	if err != nil {
		return err
	}
	defer b.release()
	if j.mode == Dedup {
		return j.probeSingly(ctx, b)
	}
	ctx, cancel := j.whileConnected(ctx, answerWait)
	defer cancel()
	id := nuid.Next()
	sent, err := b.sendEvents(ctx, j.nc, id, nil)
	if err != nil {
		_, err = j.unanswered(cause(ctx, err))
		return err
	}
	reply, err := j.nc.RequestMsgWithContext(ctx, b.commitMessage(id, sent+1))
	if err != nil {
		_, err = j.unanswered(cause(ctx, err))
		return err
	}
	a, err := parseAck(reply.Data, id, sent+1)
	switch {
	case err != nil:
		return err
	case a.Error == nil:
		return fmt.Errorf("stream %s: it stored a batch that it had to refuse", j.o.Stream)
	case a.Error.Code == codeWrongLastSequence:
		return nil
	}
	_, err = j.classify(*a.Error)
	return err
}

func (j *JetStream) probeSingly(ctx context.Context, b *batch) error {
	message := b.eventMessage(0)
	message.Header.Del(headerMsgID)
	message.Header.Set(headerFence, b.fence)
	for _, msg := range []*nats.Msg{message, j.markMessage(b, "probe")} {
		_, _, err := j.store(ctx, msg)
		var refused *StoreError
		switch {
		case err == nil:
			return fmt.Errorf("stream %s: it stored a message that it had to refuse", j.o.Stream)
		case !errors.As(err, &refused) || refused.Code != codeWrongLastSequence:
			return fmt.Errorf("publish %s: %w", msg.Subject, err)
		}
	}
	return nil
}

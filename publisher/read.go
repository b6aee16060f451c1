package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// A message is one message of a stream.
type message struct {
	seq    uint64
	at     time.Time // when it was stored
	header nats.Header
	data   []byte
}

// A messageQuery names one message: the newest of LastOf, or the first of
// NextOf at Seq or above. NextOf may have wildcards.
type messageQuery struct {
	LastOf string `json:"last_by_subj,omitzero"`
	NextOf string `json:"next_by_subj,omitzero"`
	Seq    uint64 `json:"seq,omitzero"`
}

// get reads one message, nil when there is none. It asks the leader: the faster
// direct read may be answered by a replica that has not heard of the last
// commit.
func (j *JetStream) get(ctx context.Context, stream string, q messageQuery) (*message, error) {
	request, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := j.whileConnected(ctx, answerWait)
	defer cancel()
	reply, err := j.nc.RequestWithContext(ctx, j.api+"STREAM.MSG.GET."+stream, request)
	if err != nil {
		_, refused := j.unanswered(cause(ctx, err))
		return nil, refused
	}
	return j.parseMessage(reply.Data)
}

func (j *JetStream) parseMessage(reply []byte) (*message, error) {
	var answer struct {
		Error   *apiError `json:"error"`
		Message struct {
			Seq    uint64    `json:"seq"`
			At     time.Time `json:"time"`
			Header []byte    `json:"hdrs"`
			Data   []byte    `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply, &answer); err != nil {
		return nil, fmt.Errorf("message of stream %s: %w", j.o.Stream, err)
	}
	if answer.Error != nil && answer.Error.Code == int(jetstream.JSErrCodeMessageNotFound) {
		return nil, nil
	}
	if answer.Error != nil {
		_, refused := j.classify(*answer.Error)
		return nil, refused
	}
	msg := &message{seq: answer.Message.Seq, at: answer.Message.At, data: answer.Message.Data}
	if len(answer.Message.Header) == 0 {
		return msg, nil
	}
	var err error
	if msg.header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
		return nil, fmt.Errorf("headers of message %d of stream %s: %w", msg.seq, j.o.Stream, err)
	}
	return msg, nil
}

// maxStrays bounds the events that lie above a mark: those of one commit, and
// what another one that was cut off too found beside them.
const maxStrays = 2 * MaxEvents

// strays returns the ids of the folder's events above a mark, from behind a
// sequence on, and the sequence of the last: a dedup commit that was cut off
// leaves its events without their mark, and a server at its storage limit can
// leave the first events of an atomic one. Almost always there are none, and
// that costs one request. It returns checkpoint.ErrConflict when they have
// their mark.
//
// The answer can be outdated when it is used, and that is harmless: while the
// mark is the folder's newest, no event of a finished commit lies above it;
// and when it is not, the fence refuses the commit made shorter by mistake.
func (j *JetStream) strays(ctx context.Context, mark checkpoint.Mark, behind uint64) (ids map[string]bool, last uint64, err error) {
	next := messageQuery{NextOf: fmt.Sprintf("%s.folder.%d.>", j.o.Prefix, mark.Folder), Seq: behind + 1}
	msg, err := j.get(ctx, j.o.Stream, next)
	if err != nil || msg == nil {
		return nil, 0, err
	}
	now, err := j.lastMark(ctx, mark.Folder)
	if err != nil {
		return nil, 0, err
	}
	if now.Revision != mark.Revision {
		return nil, 0, conflict(mark, now.Mark)
	}
	ids = make(map[string]bool)
	for msg != nil {
		e, err := schema.Decode(msg.data)
		if err != nil {
			return nil, 0, fmt.Errorf("event at sequence %d, above the mark of folder %d: %w", msg.seq, mark.Folder, err)
		}
		if ids[e.ID] = true; len(ids) > maxStrays {
			return nil, 0, fmt.Errorf("folder %d: %w", mark.Folder, ErrMarkLost)
		}
		last, next.Seq = msg.seq, msg.seq+1
		if msg, err = j.get(ctx, j.o.Stream, next); err != nil {
			return nil, 0, err
		}
	}
	return ids, last, nil
}

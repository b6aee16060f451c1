package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A message is one message of a stream.
type message struct {
	seq     uint64
	subject string
	at      time.Time // when it was stored
	header  nats.Header
	data    []byte
}

// A messageQuery names one message: the newest of LastOf, the first of NextOf
// at Seq or above, or since a time, or the one at Seq. LastOf and NextOf may have
// wildcards. Servers before 2.11 know no Since, and return the first.
type messageQuery struct {
	LastOf string    `json:"last_by_subj,omitzero"`
	NextOf string    `json:"next_by_subj,omitzero"`
	Seq    uint64    `json:"seq,omitzero"`
	Since  time.Time `json:"start_time,omitzero"`
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
			Seq     uint64    `json:"seq"`
			Subject string    `json:"subject"`
			At      time.Time `json:"time"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
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
	msg := &message{seq: answer.Message.Seq, subject: answer.Message.Subject, at: answer.Message.At, data: answer.Message.Data}
	if len(answer.Message.Header) == 0 {
		return msg, nil
	}
	var err error
	if msg.header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
		return nil, fmt.Errorf("headers of message %d of stream %s: %w", msg.seq, j.o.Stream, err)
	}
	return msg, nil
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Who looks at the stream can ask the replicas what only they know. A question
// goes to all of them, by a plain message nobody stores; each answers on a
// subject of its own below that of the question, never on one that somebody else
// chose, so that nobody can make a connector publish anywhere.
const (
	// statusSuffix makes the subject of questions of the name of the stream.
	statusSuffix = "_STATUS"

	longestQuestion = 32 << 10 // bytes; what is longer is not answered
	longestAnswer   = 1 << 20  // and no more than the server takes
	answerRoom      = 4 << 10  // for what the server adds
)

func (j *JetStream) questions() string { return j.o.Stream + statusSuffix }

// Answer answers questions until ctx ends, one after the other. answer returns
// at most so many bytes, nil to leave the question to others.
func (j *JetStream) Answer(ctx context.Context, answer func(question []byte, most int) []byte) error {
	asked := make(chan *nats.Msg, 16)
	sub, err := j.nc.ChanSubscribe(j.questions(), asked)
	if err != nil {
		return fmt.Errorf("listen to questions on %s: %w", j.questions(), err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-asked:
			if len(msg.Data) > longestQuestion || !answersGoTo(j.questions(), msg.Reply) {
				continue
			}
			most := int(min(longestAnswer, j.nc.MaxPayload())) - answerRoom
			if text := answer(msg.Data, most); text != nil && len(text) <= most {
				_ = j.nc.Publish(msg.Reply, text) // fails only without a connection, and then nobody waits
			}
		}
	}
}

// answersGoTo reports whether answers to the questions on a subject may be
// published there.
func answersGoTo(questions, reply string) bool {
	token, below := strings.CutPrefix(reply, questions+".")
	return below && token != "" && !strings.ContainsAny(token, ".*> \t\r\n")
}

// ErrNobodyAnswers is returned by Ask when no connector runs, or none may answer.
var ErrNobodyAnswers = errors.New("no connector answers")

// Ask puts a question to the replicas and hands on each answer, until take has
// heard enough or ctx ends. Its error is ErrNobodyAnswers when there was none.
func (v *View) Ask(ctx context.Context, question []byte, take func(answer []byte) (enough bool)) error {
	j := v.j
	for _, p := range []string{j.questions(), j.questions() + ".*"} {
		if !j.may(p) {
			return fmt.Errorf("%w: this NATS user lacks the permission for %s", ErrNobodyAnswers, p)
		}
	}
	reply := j.questions() + "." + nuid.Next()
	answers, err := j.nc.SubscribeSync(reply)
	if err != nil {
		return fmt.Errorf("ask the connectors on %s: %w", j.questions(), err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := j.nc.PublishRequest(j.questions(), reply, question); err != nil {
		return fmt.Errorf("ask the connectors on %s: %w", j.questions(), err)
	}
	for heard := false; ; heard = true {
		msg, err := answers.NextMsgWithContext(ctx)
		switch {
		case err != nil && heard:
			return nil
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			return ErrNobodyAnswers
		case err != nil:
			return fmt.Errorf("ask the connectors on %s: %w", j.questions(), err)
		case take(msg.Data):
			return nil
		}
	}
}

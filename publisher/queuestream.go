package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller/queue"
)

// queueSuffix makes the name of the queue of the name of the stream.
const queueSuffix = "_POLL"

func (j *JetStream) queueName() string { return j.o.Stream + queueSuffix }

// queueSubject begins with the name of the queue: under the prefix it could not be
// where the stream takes everything below.
func (j *JetStream) queueSubject(lane queue.Lane, folder string) string {
	return fmt.Sprintf("%s.%s.%s", j.queueName(), lane, folder)
}

func (j *JetStream) wantedQueue() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              j.queueName(),
		Description:       "The folders that docspace-nats polls for stream " + j.o.Stream + ", shared by its replicas.",
		Subjects:          []string{j.queueSubject("*", "*")},
		Retention:         jetstream.WorkQueuePolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        4 << 10,
		Storage:           jetstream.FileStorage,
		Replicas:          j.o.Replicas,
	}
}

// wantedLane keeps its state in memory: a poll that finds nothing writes
// nothing. When all servers restart, every folder is due at once.
func (q *Queue) wantedLane(name queue.Lane) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       string(name),
		FilterSubject: q.j.queueSubject(name, "*"),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       q.lasts,
		MaxDeliver:    -1, // each poll is a delivery
		MaxAckPending: -1, // each folder that waits counts
		MemoryStorage: true,
	}
}

// prepare creates the queue's stream when it is absent.
func (q *Queue) prepare(ctx context.Context) error {
	found, err := q.j.prepareQueue(ctx)
	return cmp.Or(err, found.Err())
}

// prepareQueue creates the stream when it is absent. An existing one is never
// changed.
func (j *JetStream) prepareQueue(ctx context.Context) (Findings, error) {
	have, err := j.queueConfig(ctx)
	if err == nil && have == nil && j.mayCall("STREAM.CREATE", j.queueName()) {
		if err = j.create(ctx, j.wantedQueue()); err == nil {
			have, err = j.queueConfig(ctx)
		}
	}
	return j.judgeQueue(have, err), err
}

// queueConfig returns the settings of the queue's stream, nil when it is absent.
func (j *JetStream) queueConfig(ctx context.Context) (*jetstream.StreamConfig, error) {
	stream, err := j.js.Stream(ctx, j.queueName())
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("settings of stream %s: %w", j.queueName(), err)
	}
	return &stream.CachedInfo().Config, nil
}

// judgeQueue says what is wrong with the queue's stream. It holds nothing that
// cannot be made anew, so the way out is always the same.
func (j *JetStream) judgeQueue(have *jetstream.StreamConfig, err error) Findings {
	want := j.wantedQueue()
	broken := func(setting, have, need string) Findings {
		return Findings{{
			Severity: Broken, Setting: "stream " + want.Name + ": " + setting, Have: have, Need: need,
			Why: "it is the queue of folders that replicas share; delete it, and it is made anew",
		}}
	}
	switch {
	case err != nil:
		return nil
	case have == nil:
		return append(lackingToCreate(j.refused, want.Name), absent(want.Name))
	case have.Retention != want.Retention:
		return broken("retention", strings.ToLower(have.Retention.String()), "workqueue")
	case have.MaxMsgsPerSubject != want.MaxMsgsPerSubject:
		return broken("max_msgs_per_subject", fmt.Sprint(have.MaxMsgsPerSubject), fmt.Sprint(want.MaxMsgsPerSubject))
	case !slices.ContainsFunc(have.Subjects, func(s string) bool { return covers(s, want.Subjects[0]) }):
		return broken("subjects", fmt.Sprintf("%q", have.Subjects), want.Subjects[0])
	case have.MaxMsgs > 0 || have.MaxBytes > 0 || have.MaxAge > 0:
		return broken("limits", fmt.Sprintf("%d messages, %s bytes, %s", have.MaxMsgs, bytesText(have.MaxBytes), ageText(have.MaxAge)), "none")
	case have.Sealed || have.Mirror != nil || have.SubjectTransform != nil || have.NoAck:
		return broken("sealed, mirror, subject_transform or no_ack", "set", "none of them")
	}
	return nil
}

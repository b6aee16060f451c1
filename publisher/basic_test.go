package publisher

import (
	"cmp"
	"context"
	"fmt"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

func TestJetStreamIsAStore(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		exercise(t, natstest.Run(t).Conn(t), o, nil)
	})
}

func TestJetStreamOnThreeServersIsAStore(t *testing.T) {
	inBothModes(t, func(t *testing.T, o Options) {
		o.Replicas = 3
		exercise(t, natstest.Cluster(t, 3).Conn(t), o, nil)
	})
}

// inBothModes runs a test once for each way to commit.
func inBothModes(t *testing.T, test func(t *testing.T, o Options)) {
	t.Parallel()
	for _, mode := range []Mode{Atomic, Dedup} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			test(t, Options{Commit: mode})
		})
	}
}

// exercise gives every case of the suite a stream of its own, made by somebody
// else if create is given.
func exercise(t *testing.T, nc *nats.Conn, o Options, create func(t *testing.T, o Options)) {
	streams := make(chan int, 1)
	streams <- 0
	checkpointtest.Exercise(t, func(t *testing.T) checkpointtest.Bench {
		o, n := o, <-streams+1
		streams <- n
		o.Stream, o.Prefix = fmt.Sprintf("S%d", n), fmt.Sprintf("case%d", n)
		if create != nil {
			create(t, o)
		}
		j := open(t, nc, o)
		return checkpointtest.Bench{Store: j, Stored: func(ctx context.Context, folder int) ([]string, error) {
			return storedIDs(ctx, j, folder)
		}}
	})
}

// open waits longer for servers than real programs do, unless it is told how long.
func open(t testing.TB, nc *nats.Conn, o Options) *JetStream {
	t.Helper()
	o.RetryFor = cmp.Or(o.RetryFor, natstest.Patience)
	j, err := Open(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// push commits n more events of a folder, of consecutive ids, on top of prev.
func push(t testing.TB, j *JetStream, prev checkpoint.Mark, n int) checkpoint.Mark {
	t.Helper()
	events := following(prev, n)
	next, err := j.Commit(t.Context(), prev.Folder, events, prev, checkpointtest.After(prev, events))
	if err != nil {
		t.Fatalf("commit %d events: %v", n, err)
	}
	return next
}

// following are the n events after those that a mark accounts for.
func following(prev checkpoint.Mark, n int) []schema.Event {
	return checkpointtest.Events(prev.Folder, int64(prev.Accounted)+1, n)
}

// storedIDs returns the ids of the events of a folder as they lie in the
// stream. Where there are replicas it asks the leader for one after the other:
// a consumer may live on one that lags.
func storedIDs(ctx context.Context, j *JetStream, folder int) (ids []string, err error) {
	var stream jetstream.Stream
	if err := j.untilLed(ctx, func() (err error) {
		stream, err = j.js.Stream(ctx, j.o.Stream)
		return err
	}); err != nil {
		return nil, err
	}
	take := func(data []byte) error {
		var e struct {
			ID string `json:"id"`
		}
		err := json.Unmarshal(data, &e)
		ids = append(ids, e.ID)
		return err
	}
	if stream.CachedInfo().Config.Replicas == 1 {
		err := eachMessage(ctx, j, j.eventsOf(folder)+">", func(msg jetstream.Msg) error { return take(msg.Data()) })
		return ids, err
	}
	next := messageQuery{NextOf: j.eventsOf(folder) + ">", Seq: 1}
	for {
		msg, err := getUntilLed(ctx, j, next)
		if err != nil || msg == nil {
			return ids, err
		}
		if err := take(msg.data); err != nil {
			return nil, err
		}
		next.Seq = msg.seq + 1
	}
}

// getUntilLed asks again while there is no leader.
func getUntilLed(ctx context.Context, j *JetStream, q messageQuery) (msg *message, err error) {
	err = backoff.Retry(func() error {
		msg, err = j.get(ctx, j.o.Stream, q)
		if err != nil && verdictOf(err) == never {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(jittered(j.o.RetryFor), ctx))
	return msg, err
}

// eachMessage calls f with every message there is.
func eachMessage(ctx context.Context, j *JetStream, filter string, f func(jetstream.Msg) error) error {
	ctx, cancel := context.WithTimeout(ctx, natstest.Patience)
	defer cancel()
	consumer, err := j.js.OrderedConsumer(ctx, j.o.Stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	if err != nil {
		return err
	}
	defer j.forget(consumer)
	return natstest.Drain(ctx, consumer, f)
}

// checkInvariants holds the stream to the promise: the mark accounts for
// exactly the events that are there, each once, in order. It looks again when
// a commit comes in between.
func checkInvariants(t testing.TB, j *JetStream, folder int) checkpoint.Mark {
	t.Helper()
	for {
		mark, err := j.Mark(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		got, err := storedIDs(t.Context(), j, folder)
		if err != nil {
			t.Fatal(err)
		}
		now, err := j.Mark(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		if now.Revision != mark.Revision {
			continue
		}
		for i, id := range got {
			if id != schema.EventID(folder, int64(i+1)) {
				t.Fatalf("folder %d: event %s is number %d", folder, id, i+1)
			}
		}
		if len(got) != mark.Accounted {
			t.Fatalf("folder %d: the mark accounts for %d events, the stream holds %d", folder, mark.Accounted, len(got))
		}
		return mark
	}
}

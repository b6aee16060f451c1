package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
)

// A mark outlives max_age, but not max_bytes or max_msgs, and not a purge of
// the whole stream: with the oldest events go the marks of folders in which
// nothing happened since. So a small second stream sources the marks and keeps
// the newest of each folder. It is written by the server only, it fences
// nothing, and it is read only for a folder that has no mark.

// headerSource is put on sourced messages by the server: the stream the message
// comes from, its sequence there, and more.
const headerSource = "Nats-Stream-Source"

func (j *JetStream) copyName() string { return j.o.Stream + "_MARKS" }

func (j *JetStream) wantedCopy() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              j.copyName(),
		Description:       "Copy of the marks in stream " + j.o.Stream + ", for those its limits remove. Written by the server.",
		Sources:           []*jetstream.StreamSource{{Name: j.o.Stream, FilterSubject: j.markSubjects()}},
		Storage:           jetstream.FileStorage,
		Replicas:          j.o.Replicas,
		MaxMsgsPerSubject: 1,
		AllowDirect:       true,
		AllowRollup:       true, // servers before 2.12 otherwise refuse to copy a mark that replaces another
	}
}

// prepareCopy creates the copy when it is absent. Without it the promise holds
// until a limit takes a mark, so trouble with it is a warning.
func (j *JetStream) prepareCopy(ctx context.Context) Findings {
	warn := func(have, need string) Findings {
		return Findings{{
			Severity: Warning, Setting: "stream " + j.copyName(), Have: have, Need: need,
			Why: "folders whose mark is removed by a limit or a purge of the stream would stop or be published again",
		}}
	}
	stream, err := j.js.Stream(ctx, j.copyName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = j.js.CreateStream(ctx, j.wantedCopy())
	}
	if err != nil {
		return warn("not usable ("+err.Error()+")", "a stream that sources "+j.markSubjects())
	}
	sourced := slices.ContainsFunc(stream.CachedInfo().Config.Sources, func(s *jetstream.StreamSource) bool {
		return s.Name == j.o.Stream && (s.FilterSubject == "" || covers(s.FilterSubject, j.markSubjects()))
	})
	if !sourced {
		return warn("not a copy", "a source of "+j.markSubjects()+" from stream "+j.o.Stream)
	}
	return nil
}

// A copiedMark is a mark as the copy holds it.
type copiedMark struct {
	checkpoint.Mark           // Revision is its sequence in the stream; 0: there is no copy
	at              time.Time // when it was copied
}

// copiedMark reads the copy.
func (j *JetStream) copiedMark(ctx context.Context, folder int) (copiedMark, error) {
	msg, err := j.get(ctx, j.copyName(), messageQuery{LastOf: j.markSubject(folder)})
	var refused *StoreError
	if errors.As(err, &refused) && refused.Code == int(jetstream.JSErrCodeStreamNotFound) {
		return copiedMark{}, nil
	}
	if err != nil || msg == nil {
		return copiedMark{}, err
	}
	fields := strings.Fields(msg.header.Get(headerSource))
	if len(fields) < 2 || fields[0] != j.o.Stream && !strings.HasPrefix(fields[0], j.o.Stream+":") {
		return copiedMark{}, fmt.Errorf("mark of folder %d in stream %s: it does not come from stream %s", folder, j.copyName(), j.o.Stream)
	}
	seq, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return copiedMark{}, fmt.Errorf("mark of folder %d in stream %s: %w", folder, j.copyName(), err)
	}
	mark, err := decodeMark(msg.data, folder, seq)
	return copiedMark{Mark: mark, at: msg.at}, err
}

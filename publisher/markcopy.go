package publisher

import (
	"context"
	"errors"
	"fmt"
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

// copySuffix makes the name of the copy of the name of the stream.
const copySuffix = "_MARKS"

func (j *JetStream) copyName() string { return j.o.Stream + copySuffix }

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

// prepareCopy creates the copy when it is absent. Trouble with it is a warning,
// whatever it is.
func (j *JetStream) prepareCopy(ctx context.Context) Findings {
	var f facts
	err := j.untilLed(ctx, func() (err error) {
		f, err = j.copyFacts(ctx)
		if err != nil || f.copy != nil || !j.mayCall("STREAM.CREATE", j.copyName()) {
			return err
		}
		if err := j.create(ctx, f.wantCopy); err != nil {
			return err
		}
		f, err = j.copyFacts(ctx)
		return err
	})
	return j.judgeCopy(f, err)
}

// errUntold is for what may not be asked for, which was said already.
var errUntold = errors.New("it may not be asked for")

// copyFacts asks for everything that the rules of the copy look at.
func (j *JetStream) copyFacts(ctx context.Context) (facts, error) {
	f, err := j.facts(ctx)
	if err != nil {
		return facts{}, err
	}
	f.wantCopy = j.wantedCopy()
	if !j.mayCall("STREAM.INFO", j.copyName()) {
		return f, errUntold
	}
	stream, err := j.js.Stream(ctx, j.copyName())
	switch {
	case err == nil:
		f.copy = stream.CachedInfo()
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return facts{}, err
	}
	return f, nil
}

// judgeCopy applies the rules, and names the stream they are about.
func (j *JetStream) judgeCopy(f facts, err error) Findings {
	name := "stream " + j.copyName()
	switch {
	case errors.Is(err, errUntold):
		return nil
	case err != nil:
		return Findings{{
			Severity: Warning, Setting: name, Have: "not usable (" + err.Error() + ")", Need: "a stream that sources " + j.markSubjects(),
			Why: "a folder whose mark is removed by a limit or a purge has to be read again from its first row",
		}}
	case f.copy == nil:
		return append(lackingToCreate(j.refused, j.copyName()), absent(j.copyName()))
	}
	findings := apply(copyRules, f)
	for i := range findings {
		findings[i].Setting = name + ": " + findings[i].Setting
	}
	return findings
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

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
	var stream jetstream.Stream
	open := func() (err error) {
		stream, err = j.js.Stream(ctx, j.copyName())
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			stream, err = j.js.CreateStream(ctx, j.wantedCopy())
		}
		return err
	}
	if err := j.untilLed(ctx, open); err != nil {
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

// restoreMark puts the mark of a folder back if it was removed by a limit or by
// a purge of everything, and returns it. It returns a mark without revision
// for a folder that never had one, or whose mark was lost together with its
// events, and ErrMarkLost when the mark alone was removed.
func (j *JetStream) restoreMark(ctx context.Context, folder int) (storedMark, error) {
	none := storedMark{Mark: checkpoint.Mark{Folder: folder}}
	mark, seq, at, err := j.copiedMark(ctx, folder)
	if err != nil || seq == 0 {
		return none, err
	}
	stream, err := j.js.Stream(ctx, j.o.Stream)
	if err != nil {
		return none, fmt.Errorf("state of stream %s: %w", j.o.Stream, err)
	}
	info := stream.CachedInfo()
	switch {
	case info.Created.After(at):
		return none, nil // the stream was deleted and made anew: so is its content
	case seq > info.State.LastSeq:
		return none, nil // the stream lost its newest messages: the events of this mark too
	case seq >= info.State.FirstSeq:
		// Another process may just have made the folder's first commit.
		now, err := j.lastMark(ctx, folder)
		if err == nil && now.Revision == 0 {
			err = fmt.Errorf("folder %d: %w", folder, ErrMarkLost)
		}
		return now, err
	}
	// A crash before this commit leaves everything for the next try; of two
	// processes that do it at once the fence lets one.
	mark, err = j.Commit(ctx, folder, nil, none.Mark, mark)
	if errors.Is(err, checkpoint.ErrConflict) {
		return j.lastMark(ctx, folder)
	}
	return storedMark{Mark: mark}, err
}

// copiedMark reads the copy: the mark, its sequence in the stream, and when it
// was copied. The sequence is 0 when there is no copy.
func (j *JetStream) copiedMark(ctx context.Context, folder int) (checkpoint.Mark, uint64, time.Time, error) {
	msg, err := j.get(ctx, j.copyName(), messageQuery{LastOf: j.markSubject(folder)})
	var refused *StoreError
	if errors.As(err, &refused) && refused.Code == int(jetstream.JSErrCodeStreamNotFound) {
		return checkpoint.Mark{}, 0, time.Time{}, nil
	}
	if err != nil || msg == nil {
		return checkpoint.Mark{}, 0, time.Time{}, err
	}
	fields := strings.Fields(msg.header.Get(headerSource))
	if len(fields) < 2 || fields[0] != j.o.Stream && !strings.HasPrefix(fields[0], j.o.Stream+":") {
		return checkpoint.Mark{}, 0, time.Time{}, fmt.Errorf("mark of folder %d in stream %s: it does not come from stream %s", folder, j.copyName(), j.o.Stream)
	}
	seq, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return checkpoint.Mark{}, 0, time.Time{}, fmt.Errorf("mark of folder %d in stream %s: %w", folder, j.copyName(), err)
	}
	mark, err := decodeMark(msg.data, folder, seq)
	return mark, seq, msg.at, err
}

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
// nothing happened since. Nor does it outlive a restart of the server that
// leads the stream, which drops all that is older than max_age. So a small second
// stream sources the marks and keeps the newest of each folder. It is written by the
// server only, it fences nothing, and it is read only for a folder that has no
// mark.
//
// It keeps some older ones, too: after a power failure the copy may be of a mark
// that the stream has lost, with its events. Then one before is right.

// headerSource is put on sourced messages by the server: the stream the message
// comes from, its sequence there, and more.
const headerSource = "Nats-Stream-Source"

// copySuffix makes the name of the copy of the name of the stream.
const copySuffix = "_MARKS"

// copiedMarks is how many marks of each folder the copy keeps. An idle folder in
// which something happens again has few commits before the disk has the first of
// them; folders with many at once have events that tell what is stored.
const copiedMarks = 16

func (j *JetStream) copyName() string { return j.o.Stream + copySuffix }

func (j *JetStream) wantedCopy() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              j.copyName(),
		Description:       "Copy of the marks in stream " + j.o.Stream + ", for those its limits remove. Written by the server.",
		Sources:           []*jetstream.StreamSource{{Name: j.o.Stream, FilterSubject: j.markSubjects()}},
		Storage:           jetstream.FileStorage,
		Replicas:          j.o.Replicas,
		MaxMsgsPerSubject: copiedMarks,
		AllowDirect:       true,
		AllowRollup:       j.copyRollsUp(),
	}
}

// copyRollsUp reports whether the copy must allow a mark to remove those before:
// servers before 2.12 otherwise refuse to copy it. Later ones then keep them.
func (j *JetStream) copyRollsUp() bool { return j.level < apiLevel }

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
			Why: "a folder whose mark is removed by a limit, a purge or a restart of a server with max_age has to be read again from its first row, and is published again where its events are gone, too",
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
	seq             uint64    // its sequence in the copy
}

// addCopied adds the marks of folders of which only the copy has one. Those of a
// stream that was deleted are left out.
func (j *JetStream) addCopied(ctx context.Context, marks map[int]checkpoint.Mark) error {
	folders, err := j.copiedFolders(ctx)
	if err != nil {
		return err
	}
	folders = slices.DeleteFunc(folders, func(folder int) bool { return marks[folder].Revision > 0 })
	if len(folders) == 0 {
		return nil
	}
	stream, err := j.js.Stream(ctx, j.o.Stream)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	for _, folder := range folders {
		mark, err := j.copiedMark(ctx, folder)
		switch {
		case err != nil:
			return err
		case mark.Revision == 0, info.Created.After(mark.at) && !continued(info):
		case len(marks) == maxMarks:
			return fmt.Errorf("more than %d folders", maxMarks)
		default:
			marks[folder] = mark.Mark
		}
	}
	return nil
}

// copiedFolders returns the folders of which the copy has a mark, as far as there
// is a copy and it may be asked for.
func (j *JetStream) copiedFolders(ctx context.Context) ([]int, error) {
	if !j.mayCall("STREAM.INFO", j.copyName()) || !j.mayCall("STREAM.MSG.GET", j.copyName()) {
		return nil, nil
	}
	stream, err := j.js.Stream(ctx, j.copyName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(j.markSubjects()))
	if err != nil {
		return nil, err
	}
	var folders []int
	for subject := range info.State.Subjects {
		folder, err := j.folderOf(subject)
		if err != nil {
			return nil, err
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

// copiedMark reads the newest mark of a folder in the copy.
func (j *JetStream) copiedMark(ctx context.Context, folder int) (copiedMark, error) {
	return j.copied(ctx, folder, messageQuery{LastOf: j.markSubject(folder)})
}

// olderCopies returns the marks that the copy holds of a folder, oldest first,
// and of more than it should hold the newest.
func (j *JetStream) olderCopies(ctx context.Context, folder int) ([]copiedMark, error) {
	var marks []copiedMark
	for at := uint64(0); ; {
		mark, err := j.copied(ctx, folder, messageQuery{NextOf: j.markSubject(folder), Seq: at + 1})
		if err != nil || mark.Revision == 0 {
			return marks, err
		}
		if len(marks) == copiedMarks {
			marks = slices.Delete(marks, 0, 1)
		}
		marks, at = append(marks, mark), mark.seq
	}
}

// copied reads one mark of a folder, one without revision when there is none.
func (j *JetStream) copied(ctx context.Context, folder int, q messageQuery) (copiedMark, error) {
	msg, err := j.get(ctx, j.copyName(), q)
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
	source, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return copiedMark{}, fmt.Errorf("mark of folder %d in stream %s: %w", folder, j.copyName(), err)
	}
	mark, err := decodeMark(msg.data, folder, source)
	return copiedMark{Mark: mark, at: msg.at, seq: msg.seq}, err
}

package publisher

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
)

const (
	// maxMarks bounds what Marks holds in memory.
	maxMarks = 100_000
	// marksWait bounds how long Marks takes.
	marksWait = time.Minute
	// marksForgotten is when the server removes the consumer that has read them.
	marksForgotten = 5 * time.Second
)

// A storedMark is a mark as the stream holds it.
type storedMark struct {
	checkpoint.Mark
	commit string // id of the attempt that stored it
	atomic bool   // it was stored together with its events
}

// Mark returns how far a folder has been published, a mark with nothing but
// the folder when it never was. It asks the leader of the stream. The answer
// can still be overtaken at any moment; Commit notices. A mark that is gone is
// put back or made anew, see recover.go.
func (j *JetStream) Mark(ctx context.Context, folder int) (checkpoint.Mark, error) {
	if j.absent {
		return checkpoint.Mark{Folder: folder}, nil
	}
	var stored storedMark
	read := func() (err error) {
		stored, err = j.lastMark(ctx, folder)
		if err == nil && stored.Revision == 0 {
			stored, err = j.recoverMark(ctx, folder)
		}
		if err == nil {
			err = j.mixes(stored)
		}
		if err != nil && verdictOf(err) == never {
			return backoff.Permanent(err)
		}
		return err
	}
	if err := backoff.Retry(read, backoff.WithContext(jittered(j.o.RetryFor), ctx)); err != nil {
		return checkpoint.Mark{}, err
	}
	return stored.Mark, nil
}

// mixes returns an error in mode Dedup once another process has committed
// atomically: the stream allows it by now, or this process alone was told not
// to. Of both at the same moment, each would store the same events.
func (j *JetStream) mixes(stored storedMark) error {
	if j.mode != Dedup || !stored.atomic || stored.Revision <= j.opened {
		return nil
	}
	return &StoreError{
		Stream: j.o.Stream,
		Reason: fmt.Sprintf("another process (%q) commits events and marks together (atomic), and this one singly (dedup)", stored.Writer),
		Hint:   "give all the same NATS_COMMIT, and restart this one",
	}
}

// lastMark reads the mark once.
func (j *JetStream) lastMark(ctx context.Context, folder int) (storedMark, error) {
	msg, err := j.get(ctx, j.o.Stream, messageQuery{LastOf: j.markSubject(folder)})
	if err != nil {
		return storedMark{}, err
	}
	if msg == nil {
		return storedMark{Mark: checkpoint.Mark{Folder: folder}}, nil
	}
	mark, err := decodeMark(msg.data, folder, msg.seq)
	if err != nil {
		return storedMark{}, err
	}
	batch := msg.header.Get(headerBatchID)
	return storedMark{Mark: mark, commit: cmp.Or(batch, msg.header.Get(headerCommitID)), atomic: batch != ""}, nil
}

// decodeMark reads the mark that lies at a sequence, and refuses one of
// another folder.
func decodeMark(data []byte, folder int, seq uint64) (checkpoint.Mark, error) {
	mark, err := checkpoint.Decode(data)
	if err != nil {
		return checkpoint.Mark{}, fmt.Errorf("mark of folder %d at sequence %d: %w", folder, seq, err)
	}
	if mark.Folder != folder {
		return checkpoint.Mark{}, fmt.Errorf("mark of folder %d at sequence %d: is of folder %d", folder, seq, mark.Folder)
	}
	mark.Revision = seq
	return mark, nil
}

// Marks returns the marks of all folders, by folder, for people: they are read
// one after the other while commits go on, and perhaps from a replica that has
// not heard of the last ones. Of a folder whose mark is gone it is the copy, as
// long as Mark has not put it back.
func (j *JetStream) Marks(ctx context.Context) ([]checkpoint.Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, marksWait)
	defer cancel()
	newest := make(map[int]checkpoint.Mark)
	err := j.eachMark(ctx, 0, func(m checkpoint.Mark) error {
		if newest[m.Folder] = m; len(newest) > maxMarks {
			return fmt.Errorf("more than %d folders", maxMarks)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("marks in stream %s: %w", j.o.Stream, err)
	}
	if err := j.addCopied(ctx, newest); err != nil {
		return nil, fmt.Errorf("marks in stream %s: %w", j.copyName(), err)
	}
	marks := make([]checkpoint.Mark, 0, len(newest))
	for _, m := range newest {
		marks = append(marks, m)
	}
	slices.SortFunc(marks, func(a, b checkpoint.Mark) int { return a.Folder - b.Folder })
	return marks, nil
}

// eachMark calls f with the newest mark of every folder, and again when a
// newer one comes while it is reading; after a sequence, if one is given, with
// those stored since.
func (j *JetStream) eachMark(ctx context.Context, after uint64, f func(checkpoint.Mark) error) error {
	config := jetstream.OrderedConsumerConfig{
		FilterSubjects:    []string{j.markSubjects()},
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		InactiveThreshold: marksForgotten,
	}
	if after > 0 {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after+1
	}
	consumer, err := j.js.OrderedConsumer(ctx, j.o.Stream, config)
	if err != nil {
		return err
	}
	if consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		at, err := msg.Metadata()
		if err != nil {
			return err
		}
		folder, err := j.folderOf(msg.Subject())
		if err != nil {
			return err
		}
		mark, err := decodeMark(msg.Data(), folder, at.Sequence.Stream)
		if err != nil {
			return err
		}
		if err := f(mark); err != nil {
			return err
		}
		if at.NumPending == 0 {
			return nil
		}
	}
}

// folderOf reads the folder out of a mark's subject.
func (j *JetStream) folderOf(subject string) (int, error) {
	var folder int
	if _, err := fmt.Sscanf(subject, j.o.Prefix+".checkpoint.%d", &folder); err != nil || j.markSubject(folder) != subject {
		return 0, fmt.Errorf("subject %q is not that of a mark", subject)
	}
	return folder, nil
}

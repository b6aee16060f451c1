package publisher

import (
	"context"
	"fmt"
)

// Stored hands on the events of a folder above a sequence, in the order they are
// stored, at most so many, and returns the sequence up to which there are no
// others and whether it was the last one. Kind is what follows the folder in the
// subject, <category>.<action>. Data must not be kept.
func (j *JetStream) Stored(ctx context.Context, folder int, after uint64, most int, each func(seq uint64, kind string, data []byte) error) (upTo uint64, last bool, err error) {
	s := scan{j: j, folder: folder, read: after, end: toTheEnd, left: most, each: func(e event) error { return each(e.seq, e.kind, e.data) }}
	if err := s.portion(ctx); err != nil {
		return after, false, fmt.Errorf("events of folder %d in stream %s: %w", folder, j.o.Stream, err)
	}
	return s.read, s.left > 0, nil
}

// Drops reports whether old events may be gone from the stream because it has
// limits and has reached one.
func (j *JetStream) Drops(ctx context.Context) (bool, error) {
	stream, err := j.js.Stream(ctx, j.o.Stream)
	if err != nil {
		return false, fmt.Errorf("state of stream %s: %w", j.o.Stream, err)
	}
	is := stream.CachedInfo()
	limits := is.Config
	// No mark ages: the one of an idle folder stays the first message of a stream
	// whose events are gone by their age. And what is gone from the bottom before a
	// limit can have been reached was removed by somebody.
	aged := limits.MaxAge > 0 && is.TimeStamp.Sub(is.Created) >= limits.MaxAge
	full := limits.MaxBytes > 0 || limits.MaxMsgsPerSubject > 0 || limits.MaxMsgs > 0 && is.State.LastSeq > uint64(limits.MaxMsgs)
	return aged || full && is.State.FirstSeq > 1, nil
}

package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"docspace-nats/checkpoint"
)

// A mark can be gone: evicted by max_bytes or max_msgs, purged, deleted by hand,
// or with a stream that lost its newest messages or was made anew. What is left
// tells how to go on, and is asked in this order:
//
//   - its copy, if that is of this stream as it is: the mark is put back. Events
//     that lie above it, because the copy lagged, are left out of the commits
//     that come.
//   - the folder's events: it is read again from its first row, and what is
//     stored is left out (stored.go), until a mark accounts for all of it.
//   - nothing: the folder is new. Only a copy of another stream, or of messages
//     this one has lost, tells that it was not, and that is said.

// recoverMark returns the mark of a folder that has none. Without revision it is
// not stored yet: a folder that is new, or one whose Reason says why it is read
// again from its first row.
func (j *JetStream) recoverMark(ctx context.Context, folder int) (storedMark, error) {
	mark, err := j.copiedMark(ctx, folder)
	if err != nil {
		return storedMark{}, err
	}
	oldest, err := j.get(ctx, j.o.Stream, messageQuery{NextOf: j.eventsOf(folder) + ">", Seq: 1})
	if err != nil {
		return storedMark{}, err
	}
	found := checkpoint.Mark{Folder: folder}
	if mark.Revision == 0 && oldest == nil {
		return storedMark{Mark: found}, nil
	}
	age, err := j.ageOf(ctx, mark)
	switch {
	case err != nil:
		return storedMark{}, err
	case age == current:
		return j.putBack(ctx, mark.Mark)
	case oldest != nil:
		found = checkpoint.Mark{Folder: folder, Since: oldest.at, Unsettled: 1}
		found.Reason = "the mark was lost; the folder is read again, and what is in the stream is not stored again"
		if j.mode == Dedup && age == noCopy {
			found.Reason = "" // a first commit that was cut off looks the same
		}
	case age == formerStream:
		found.Reason = "the stream was made anew, without events and marks; the folder is published again"
	default:
		found = checkpoint.Mark{Folder: folder, Anchor: mark.Anchor, Since: mark.Since, Unsettled: 1}
		found.Reason = "the stream lost its newest messages, with the mark; the folder is published again"
	}
	// Another process may just have made the folder's first commit.
	now, err := j.lastMark(ctx, folder)
	if err != nil || now.Revision != 0 {
		return now, err
	}
	return storedMark{Mark: found}, nil
}

// putBack stores a mark from its copy. A crash before this commit leaves
// everything for the next try; of two processes that do it at once the fence
// lets one.
func (j *JetStream) putBack(ctx context.Context, mark checkpoint.Mark) (storedMark, error) {
	none := checkpoint.Mark{Folder: mark.Folder, Unsettled: cmp.Or(mark.Unsettled, mark.Revision+1)}
	stored, err := j.Commit(ctx, mark.Folder, nil, none, mark)
	if errors.Is(err, checkpoint.ErrConflict) {
		return j.lastMark(ctx, mark.Folder)
	}
	return storedMark{Mark: stored}, err
}

// A copyAge tells what a copy is a copy of.
type copyAge int

const (
	noCopy       copyAge = iota
	current              // the stream as it is
	formerStream         // one of this name that was deleted
	formerTail           // messages the stream has lost since, as after a power failure or from a backup
)

// ageOf finds out what the copy of a mark is a copy of. A stream that lost its
// newest messages may have got as many others meanwhile. Then the place of the
// mark is taken, or the one below, where the last event of its commit was, by
// somebody else's message that came after the copy was made.
func (j *JetStream) ageOf(ctx context.Context, mark copiedMark) (copyAge, error) {
	if mark.Revision == 0 {
		return noCopy, nil
	}
	stream, err := j.js.Stream(ctx, j.o.Stream)
	if err != nil {
		return 0, fmt.Errorf("state of stream %s: %w", j.o.Stream, err)
	}
	info := stream.CachedInfo()
	switch {
	case info.Created.After(mark.at):
		return formerStream, nil
	case mark.Revision > info.State.LastSeq:
		return formerTail, nil
	}
	for seq := max(1, mark.Revision-1); seq <= mark.Revision; seq++ {
		msg, err := j.get(ctx, j.o.Stream, messageQuery{Seq: seq})
		if err != nil {
			return 0, err
		}
		if msg != nil && msg.at.After(mark.at) && !strings.HasPrefix(msg.subject, j.eventsOf(mark.Folder)) {
			return formerTail, nil
		}
	}
	return current, nil
}

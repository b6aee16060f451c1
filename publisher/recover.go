package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// A mark can be gone: evicted by max_bytes or max_msgs, purged, deleted by hand,
// dropped by a server that started, or with a stream that lost its newest messages
// or was made anew. What is left tells how to go on, and is asked in this order:
//
//   - its copy, if that is of this stream as it is, or the newest one before of
//     which that is true: the mark is put back. Events that lie above it, because
//     the copy lagged, are left out of the commits that come. What the stream has
//     lost after it is published again.
//   - the folder's events: it is read again from its first row, and what is
//     stored is left out (stored.go), until a mark accounts for all of it.
//     After an operator had the folder read again, that is what is stored since.
//   - nothing: the folder is new. Only a copy of another stream, or of messages
//     this one has lost, tells that it was not, and that is said.

// recoverMark returns the mark of a folder that has none. Without revision it is
// not stored yet: a folder that is new, or one whose Reason says why it is read
// again from its first row.
func (j *JetStream) recoverMark(ctx context.Context, folder int) (storedMark, error) {
	mark, age, err := j.usableCopy(ctx, folder)
	if err != nil {
		return storedMark{}, err
	}
	reset, err := j.lastReset(ctx, folder)
	if err != nil {
		return storedMark{}, err
	}
	if age == current && mark.Revision > reset.Revision {
		return j.putBack(ctx, mark.Mark)
	}
	oldest, err := j.get(ctx, j.o.Stream, messageQuery{NextOf: j.eventsOf(folder) + ">", Seq: 1})
	if err != nil {
		return storedMark{}, err
	}
	found := checkpoint.Mark{Folder: folder}
	switch {
	case age == noCopy && oldest == nil:
		return storedMark{Mark: found}, nil
	case reset.Revision > 0:
		found = reset
		found.Unsettled, found.Revision = reset.Revision+1, 0
		found.Reason = "the mark was lost; the folder is read again, as an operator wanted it to be, and what was stored since is not stored again"
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

// lastReset returns the mark that an operator put a folder back to, as far as the
// event that says so tells, with its sequence as revision; without one, when the
// last change was none of that kind.
func (j *JetStream) lastReset(ctx context.Context, folder int) (checkpoint.Mark, error) {
	none := checkpoint.Mark{Folder: folder}
	msg, err := j.get(ctx, j.o.Stream, messageQuery{LastOf: j.eventsOf(folder) + changeEvents})
	if err != nil || msg == nil {
		return none, err
	}
	var e struct {
		Data struct {
			Connector schema.Connector `json:"connector"`
		} `json:"data"`
	}
	if err := json.Unmarshal(msg.data, &e); err != nil {
		return none, fmt.Errorf("event %d of stream %s: %w", msg.seq, j.o.Stream, err)
	}
	c := e.Data.Connector
	if c.Accounted == nil || *c.Accounted > 0 {
		return none, nil
	}
	return checkpoint.Mark{Folder: folder, Anchor: c.Anchor, Since: msg.at, Changes: int(c.Changes), Again: msg.at, Revision: msg.seq}, nil
}

// putBack stores a mark from its copy. A crash before this commit leaves
// everything for the next try; of two processes that do it at once the fence
// lets one.
func (j *JetStream) putBack(ctx context.Context, mark checkpoint.Mark) (storedMark, error) {
	none := checkpoint.Mark{Folder: mark.Folder, Unsettled: cmp.Or(mark.Unsettled, mark.Revision+1), Overtaken: mark.Overtaken}
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

// usableCopy returns the newest copy of a folder's mark that is of the stream as
// it is. Where none is, it returns the newest and what that is of.
func (j *JetStream) usableCopy(ctx context.Context, folder int) (copiedMark, copyAge, error) {
	newest, err := j.copiedMark(ctx, folder)
	if err != nil {
		return copiedMark{}, noCopy, err
	}
	age, err := j.ageOf(ctx, newest)
	if err != nil || age != formerTail {
		return newest, age, err
	}
	older, err := j.olderCopies(ctx, folder)
	if err != nil {
		return copiedMark{}, noCopy, err
	}
	for _, mark := range slices.Backward(older) {
		switch is, err := j.ageOf(ctx, mark); {
		case err != nil:
			return copiedMark{}, noCopy, err
		case is == current:
			return mark, current, nil
		}
	}
	return newest, age, nil
}

// clockSkew is how far the clocks of two servers of a cluster may be apart: the
// stream and its copy can have different leaders.
const clockSkew = 5 * time.Second

// ageOf finds out what the copy of a mark is a copy of. A stream that lost its
// newest messages may have got as many others meanwhile. A server that cannot read
// the settings of a stream after a power failure leaves it out, and Open makes it
// anew over the same messages.
func (j *JetStream) ageOf(ctx context.Context, mark copiedMark) (copyAge, error) {
	if mark.Revision == 0 {
		return noCopy, nil
	}
	stream, err := j.js.Stream(ctx, j.o.Stream)
	if err != nil {
		return 0, fmt.Errorf("state of stream %s: %w", j.o.Stream, err)
	}
	info := stream.CachedInfo()
	lost := mark.Revision > info.State.LastSeq
	if !lost {
		lost, err = j.overwritten(ctx, mark, info)
	}
	switch {
	case err != nil:
		return 0, err
	case !lost:
		return current, nil
	case info.Created.After(mark.at) && !continued(info):
		return formerStream, nil
	}
	return formerTail, nil
}

// continued reports whether a stream was made over messages that were there
// before. Another begins at 1.
func continued(info *jetstream.StreamInfo) bool {
	return info.State.FirstSeq > 1 || info.State.Msgs > 0 && info.State.FirstTime.Before(info.Created)
}

// overwritten reports whether messages that came after the copy was made have
// taken the place of the mark or of messages before it.
func (j *JetStream) overwritten(ctx context.Context, mark copiedMark, info *jetstream.StreamInfo) (bool, error) {
	since := mark.at
	switch {
	case info.Created.After(since):
		since = info.Created
	case info.Cluster != nil && info.Cluster.Name != "":
		since = since.Add(clockSkew)
	}
	after, err := j.get(ctx, j.o.Stream, messageQuery{NextOf: ">", Since: since})
	switch {
	case err != nil:
		return false, err
	case after != nil && after.seq <= mark.Revision && !after.at.Before(since):
		return true, nil
	}
	// The place of the mark, or the one below, where the last event of its commit
	// was, can tell of less time.
	for seq := max(1, mark.Revision-1); seq <= mark.Revision; seq++ {
		msg, err := j.get(ctx, j.o.Stream, messageQuery{Seq: seq})
		if err != nil {
			return false, err
		}
		if msg != nil && msg.at.After(mark.at) && !strings.HasPrefix(msg.subject, j.eventsOf(mark.Folder)) {
			return true, nil
		}
	}
	return false, nil
}

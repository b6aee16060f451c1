package publisher

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// Published goes on reading which rows of a folder are stored, where so ends, up
// to the mark. It reads some hundred thousand events a call; nothing is left
// when UpTo of what it returns is the mark's revision. Events above the mark,
// which no mark accounts for, are left out.
func (j *JetStream) Published(ctx context.Context, mark checkpoint.Mark, so checkpoint.Published) (checkpoint.Published, error) {
	if so.UpTo >= mark.Revision {
		return so, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, scanWait, errLagging)
	defer cancel()
	s := scan{j: j, folder: mark.Folder, read: so.UpTo, end: mark.Revision, left: j.portion}
	s.each = func(e event) error { return addPublished(&so, e) }
	err := s.run(ctx)
	if err == nil {
		err = j.bound(ctx, &so, s.read)
	}
	if err != nil {
		return checkpoint.Published{}, fmt.Errorf("events of folder %d in stream %s: %w", mark.Folder, j.o.Stream, cause(ctx, err))
	}
	return so, nil
}

var errLagging = fmt.Errorf("they could not be read within %v: the stream is slow, or a replica of it lags", scanWait)

// bound says what is told for certain: limits of the stream drop the oldest
// messages, also while they are read.
func (j *JetStream) bound(ctx context.Context, so *checkpoint.Published, upTo uint64) error {
	stream, err := j.js.Stream(ctx, j.o.Stream)
	if err != nil {
		return err
	}
	so.ReadTo(upTo, stream.CachedInfo().State.FirstSeq)
	return nil
}

// Kinds of events that account for rows without being about one, or say that
// what was stored before does not count.
const (
	gapEvents    = "connector." + schema.Gap
	shrunkEvents = "connector." + schema.Shrunk
	changeEvents = "connector." + schema.MarkChanged
)

// addPublished takes from an event what it says about rows that are stored.
func addPublished(so *checkpoint.Published, stored event) error {
	var e struct {
		Sequence string `json:"sequence"`
		Data     struct {
			Late      bool `json:"late"`
			Connector struct {
				Rows int `json:"rows"`
			} `json:"connector"`
		} `json:"data"`
	}
	if err := json.Unmarshal(stored.data, &e); err != nil {
		return err
	}
	switch stored.kind {
	case gapEvents:
		so.Gaps += max(0, e.Data.Connector.Rows)
	case shrunkEvents:
		so.Removed += max(0, e.Data.Connector.Rows)
	case changeEvents:
		so.Changed()
	}
	if e.Sequence == "" {
		return nil // not about a row
	}
	id, err := strconv.ParseInt(e.Sequence, 10, 64)
	if err != nil || id <= 0 {
		return fmt.Errorf("sequence %q is not the id of a row", e.Sequence)
	}
	return so.Row(stored.seq, id, e.Data.Late)
}

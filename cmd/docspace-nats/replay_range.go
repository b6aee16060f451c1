package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)

// A replaySpan is what of the stream is replayed, once the position it begins
// at is reached. A job keeps it, so that it stays what it was when it began.
type replaySpan struct {
	last                  uint64    // sequence
	until                 time.Time // of storing; not included; zero: no limit
	eventFrom, eventUntil time.Time // of the action, the second not included
}

// beyond reports whether a message comes after the last one that is replayed.
func (s replaySpan) beyond(d publisher.Delivery) bool {
	return d.Seq > s.last || !s.until.IsZero() && !d.Stored.Before(s.until)
}

// holds reports whether the action of an event happened when it should.
func (s replaySpan) holds(e *schema.Event) bool {
	return !e.Time.Before(s.eventFrom) && (s.eventUntil.IsZero() || e.Time.Before(s.eventUntil))
}

func (o *replayOptions) checkRange(now time.Time) error {
	var errs []error
	when := func(flag, text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		at, err := parseWhen(text, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: must be a duration back such as 2h or 7d, or a time such as 2026-01-31T00:00:00Z, got %s", flag, config.Shown(text)))
		}
		return at
	}
	first, last, err := parseSequences(o.seq)
	if err != nil {
		errs = append(errs, err)
	}
	o.position = publisher.Position{Seq: first, Time: when("--from", o.from)}
	o.span = replaySpan{last: last, until: when("--until", o.until), eventFrom: when("--event-from", o.eventFrom), eventUntil: when("--event-until", o.eventUntil)}
	empty := func(from, until time.Time) bool { return !until.IsZero() && !from.Before(until) }
	if empty(o.position.Time, o.span.until) || empty(o.span.eventFrom, o.span.eventUntil) {
		errs = append(errs, errors.New("--until and --event-until: must be later than where the range begins"))
	}
	return errors.Join(errs...)
}

// parseSequences reads A..B, of which either may be left out.
func parseSequences(text string) (first, last uint64, err error) {
	if text == "" {
		return 0, math.MaxUint64, nil
	}
	from, to, found := strings.Cut(text, "..")
	first, last = 1, math.MaxUint64
	if from != "" {
		first, err = strconv.ParseUint(from, 10, 63)
	}
	if to != "" && err == nil {
		last, err = strconv.ParseUint(to, 10, 63)
	}
	if !found || from == "" && to == "" || err != nil || first < 1 || last < first {
		return 0, 0, fmt.Errorf("--seq: must be sequences of the stream such as 100..200, 100.. or ..200, got %s", config.Shown(text))
	}
	return first, last, nil
}

// What a job keeps in its consumer.
const (
	keptOptions    = "docspace-nats.replay.options"
	keptLast       = "docspace-nats.replay.last"
	keptUntil      = "docspace-nats.replay.until"
	keptEventFrom  = "docspace-nats.replay.event-from"
	keptEventUntil = "docspace-nats.replay.event-until"
)

// digest tells command lines apart that replay something else, or to somewhere
// else. How fast may change.
func (o *replayOptions) digest(prefix string) string {
	hash := sha256.New()
	for _, part := range []string{prefix, o.seq, o.from, o.until, o.eventFrom, o.eventUntil, strings.Join(o.folders, ","), strings.Join(o.events, ","), o.toPrefix, o.to, o.file} {
		fmt.Fprintf(hash, "%q\n", part)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// kept is what a job keeps that begins when the stream ends there.
func (o *replayOptions) kept(prefix string, end uint64) map[string]string {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	return map[string]string{
		keptOptions:    o.digest(prefix),
		keptLast:       strconv.FormatUint(min(o.span.last, end), 10),
		keptUntil:      at(o.span.until),
		keptEventFrom:  at(o.span.eventFrom),
		keptEventUntil: at(o.span.eventUntil),
	}
}

var errOtherJob = errors.New("it was begun with another range or target")

// spanOf is the span that a job keeps.
func (o *replayOptions) spanOf(kept map[string]string, prefix string) (replaySpan, error) {
	if kept[keptOptions] != o.digest(prefix) {
		return replaySpan{}, errOtherJob
	}
	last, err := strconv.ParseUint(kept[keptLast], 10, 64)
	at := func(key string) time.Time {
		t, wrong := time.Parse(time.RFC3339Nano, kept[key])
		err = cmp.Or(err, wrong)
		return t
	}
	span := replaySpan{last: last, until: at(keptUntil), eventFrom: at(keptEventFrom), eventUntil: at(keptEventUntil)}
	if err != nil {
		return replaySpan{}, fmt.Errorf("what it keeps cannot be read: %w", err)
	}
	return span, nil
}

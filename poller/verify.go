package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// A verification compares all rows of a folder with all its events. Both come in
// ascending order, so it joins the two streams (join.go), and what is not where it
// should be is suspected: of being missing, extra, stored twice, out of order or
// different (print.go). The portal and the stream go on meanwhile, and a row may
// have become visible after its page was read, so a suspicion is no finding. A
// second reading from the oldest suspect on judges each: its events, then its row,
// then its events again (suspect.go). Only what holds there is told, and what is
// missing may be stored (mend.go).
//
// What is kept of a folder are some pages and the prints of what is out of place,
// at most maxApart, however long the log is.
//
// What cannot be told: an event removed from the bottom of a stream that drops old
// events anyway; whether a row that an earlier filter may have left out is missing;
// the order of rows without ids.

// An Archive is a Ledger whose events can be read back.
type Archive interface {
	Ledger
	// Stored hands on the events of a folder above a sequence, in the order they
	// are stored, at most so many, and returns the sequence up to which there are
	// no others and whether it was the last one. Kind is <category>.<action>, as
	// the subject says. Data must not be kept.
	Stored(ctx context.Context, folder int, after uint64, most int, each func(seq uint64, kind string, data []byte) error) (upTo uint64, last bool, err error)
	// Drops reports whether old events may be gone because the stream has reached
	// a limit.
	Drops(ctx context.Context) (bool, error)
}

const (
	// maxApart is how many rows and events may be out of place at a time: some 32 MiB.
	maxApart = 1 << 17
	// verifyChunk is how many rows are compared at once, and verifyPortion how many
	// events are read at once: 2 MiB of their prints.
	verifyChunk   = 990
	verifyPortion = 20_000
	// verifyMargin is how much further than asked for is read: dates may be off by
	// an hour.
	verifyMargin = 2 * time.Hour
	// verifyTries is how often a folder is verified again whose log changed under
	// the reading in a way that spoils it.
	verifyTries = 3
)

// ErrApart is returned for a folder of which too much is out of place to tell it
// row by row.
var ErrApart = fmt.Errorf("more than %d rows and events are out of place; verify shorter ranges of time one after the other", maxApart)

// VerifyOptions say what of a folder is verified. The zero value is all.
type VerifyOptions struct {
	From, Until time.Time      // rows dated between, both seconds included; zero: no bound
	Mend        bool           // store what is missing
	Reason      string         // why, for the event that tells of it
	Begins      func()         // is called when the rows are read, from the first on; again when they are read again
	Compared    func(rows int) // is told of each that is read

	apart int             // default maxApart
	after checkpoint.Mark // rows it accounts for were verified; without revision: none were
}

// ErrUnpublished is returned for a folder without a mark: there is nothing to
// compare.
var ErrUnpublished = errors.New("nothing of it was published")

// Verify compares the rows of a folder with its events, and stores what is missing
// if it is to. It compares up to the newest committed row and may run beside any
// number of connectors. The poller's ledger must be an Archive.
func (p *Poller) Verify(ctx context.Context, folder int, o VerifyOptions) (Verdict, error) {
	archive, able := p.ledger.(Archive)
	if !able {
		return Verdict{}, errors.New("events cannot be read back from this ledger")
	}
	v, err := p.verify(ctx, archive, folder, o)
	if err != nil || v.verdict.Equal() || !v.mark.Unnumbered.Current() {
		return v.verdict, err
	}
	// Rows without ids cannot be looked up one by one: what two readings tell is so.
	again, err := p.verify(ctx, archive, folder, o)
	if err != nil {
		return v.verdict, err
	}
	return again.verdict.confirming(v.verdict), nil
}

// Verifiable returns how many rows Verify will compare of a folder with this mark, as
// far as that can be told before: those the mark accounts for or, between two times,
// as many as the portal counts there.
func (p *Poller) Verifiable(ctx context.Context, mark checkpoint.Mark, o VerifyOptions) (int, error) {
	if o.From.IsZero() && o.Until.IsZero() {
		return mark.Accounted, nil
	}
	v := &verification{p: p, o: o, mark: mark}
	page, err := p.portal.History(docspace.Patient(ctx), mark.Folder, docspace.Query{Start: beyond, Count: 1, From: v.from(verifyMargin), To: v.until(verifyMargin)})
	return min(page.Total, mark.Accounted), err
}

// verify tries it until the log does not spoil it.
func (p *Poller) verify(ctx context.Context, archive Archive, folder int, o VerifyOptions) (v *verification, err error) {
	o.apart = cmp.Or(o.apart, maxApart)
	for range verifyTries {
		v = &verification{p: p, archive: archive, o: o, verdict: Verdict{Folder: folder}}
		if err = v.run(ctx, folder); err == nil {
			return v, nil
		}
		lost := new(lostLinkError)
		if !errors.As(err, &lost) && !errors.Is(err, errMoved) && !errors.Is(err, errRestless) {
			break
		}
	}
	v.verdict = Verdict{Folder: folder}
	return v, fmt.Errorf("verify folder %d: %w", folder, err)
}

// A verification is one try to verify one folder.
type verification struct {
	p       *Poller
	archive Archive
	o       VerifyOptions
	mark    checkpoint.Mark // what is committed is compared, up to its newest row
	filter  checkpoint.Filtered
	drops   bool
	total   int       // rows the portal counted when they were read last
	since   uint64    // what was stored up to here was published again
	skips   []skipped // rows an operator has left out
	unsure  bool      // what is missing is not stored, since some of it may only be unread
	verdict Verdict
}

func (v *verification) run(ctx context.Context, folder int) (err error) {
	if v.mark, err = v.p.mark(ctx, folder); err != nil {
		return err
	}
	if v.mark.Revision == 0 {
		return ErrUnpublished
	}
	v.verdict.Since = v.mark.Anchor
	if f, err := v.p.portal.Folder(ctx, folder); err == nil {
		v.p.Describe(f)
	}
	v.verdict.mark = v.mark
	if after := v.o.after; after.Revision > 0 && (after.Changes != v.mark.Changes || after.Revision > v.mark.Revision || v.mark.Newest() == 0) {
		v.o.after, v.o.From = checkpoint.Mark{}, time.Time{} // all is to be compared again
	}
	v.since, v.verdict.whole = v.o.after.Revision, v.o.after.Revision == 0
	v.filter = v.p.inForce(v.mark)
	if v.drops, err = v.archive.Drops(ctx); err != nil {
		return err
	}
	if err := v.changes(ctx); err != nil {
		return err
	}
	if err := v.countUnread(ctx); err != nil {
		return err
	}
	j := newJoin(v)
	if err := j.begin(ctx); err != nil {
		return err
	}
	begins, compared := v.o.Begins, v.o.Compared
	if begins != nil {
		begins()
	}
	if err := v.rows(ctx, v.from(verifyMargin), v.until(verifyMargin), v.mark.Newest(), func(rows []docspace.Entry, unseen []unseenRow) error {
		if compared != nil {
			compared(len(rows) + len(unseen))
		}
		v.verdict.Hidden += len(unseen)
		return j.take(ctx, rows)
	}); err != nil {
		return err
	}
	suspects, err := j.end(ctx)
	if err != nil || len(suspects) == 0 {
		return err
	}
	return v.judge(ctx, suspects)
}

// from and until are the bounds of what is verified, so much wider.
func (v *verification) from(margin time.Duration) time.Time {
	from := v.o.From
	if from.Before(v.mark.Anchor) {
		from = v.mark.Anchor
	}
	if from.IsZero() {
		return from
	}
	return maxTime(from.Add(-margin), v.mark.Anchor)
}

func (v *verification) until(margin time.Duration) time.Time {
	until, to := v.o.Until, v.p.opts.To
	if until.IsZero() || !to.IsZero() && to.Before(until) {
		until = to
	}
	if until.IsZero() {
		return until
	}
	return until.Add(margin)
}

// within reports whether what happened at a time, in seconds, is verified. What
// happened nobody knows when always is.
func (v *verification) within(at int64, margin time.Duration) bool {
	from, until := v.from(0), v.until(0)
	m := int64(margin / time.Second)
	return at == 0 || (from.IsZero() || at >= from.Unix()-m) && (until.IsZero() || at <= until.Unix()+m)
}

// countUnread asks for the rows beyond those the mark accounts for.
func (v *verification) countUnread(ctx context.Context) error {
	page, err := v.p.portal.History(docspace.Patient(ctx), v.mark.Folder, docspace.Query{Start: beyond, Count: 1, From: v.mark.Anchor, To: v.p.opts.To})
	v.verdict.Unread = max(0, page.Total-v.mark.Accounted)
	return err
}

// event is what a row becomes, as far as its print goes.
func (v *verification) event(row docspace.Entry, ordinal int) schema.Event {
	return v.p.feed(v.mark.Folder).Event(row, ordinal, schema.Backfill, true, time.Now().UTC())
}

// print is that of a row.
func (v *verification) print(row docspace.Entry) print {
	e := v.event(row, 0)
	return printOf(&e, e.Data.Action.Category+"."+e.Data.Action.Name)
}

// left reports whether a row without event may be one that the filter left out.
func (v *verification) left(row docspace.Entry) bool {
	return !v.p.passes(row) || row.ID <= v.filter.Unsure
}

// rows reads the log from the bottom: the rows dated between two times, up to the
// one with an id, in chunks, ascending, with the unseen ones among them.
func (v *verification) rows(ctx context.Context, from, until time.Time, highest int64, f func([]docspace.Entry, []unseenRow) error) error {
	fresh := checkpoint.Mark{Folder: v.mark.Folder, Anchor: from}
	w := v.p.newWalk(ctx, fresh)
	defer w.close()
	w.until, w.ailment, w.given = until, ailment{}, vain{}
	w.told.Store(v.mark.Newest() != 0)
	if _, err := w.top(ctx, fresh); err != nil {
		return err
	}
	switch {
	case w.withoutIDs():
		return v.keyedRows(ctx, w, f)
	case v.mark.Unnumbered.Current():
		return errors.New("the portal began to tell row ids; let a connector poll the folder first")
	}
	w.seek(fresh)
	for {
		r, err := w.take(docspace.Patient(ctx), verifyChunk)
		if err != nil || len(r.rows)+len(r.unseen) == 0 {
			return err
		}
		rows, above := upTo(r.rows, highest)
		if err := f(rows, r.unseen); err != nil || len(above) > 0 {
			return err
		}
	}
}

// keyedRows is rows where they have no ids: all there are.
func (v *verification) keyedRows(ctx context.Context, w *walk, f func([]docspace.Entry, []unseenRow) error) error {
	ctx = docspace.Patient(ctx)
	for low, tries := 0, 0; low < w.total; {
		s, err := w.window(ctx, low, min(low+docspace.MaxPage, w.total), sheet{})
		moved := errors.Is(err, errMoved) || err == nil && s.low != low
		if moved && tries < patience {
			tries++
			continue
		}
		if moved || err != nil {
			return cmp.Or(err, errMoved)
		}
		low, tries = s.high, 0
		v.total = w.total
		if err := f(s.rows, s.unseen); err != nil {
			return err
		}
	}
	return nil
}

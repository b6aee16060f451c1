package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"docspace-nats/poller"
)

// mostAnnounced is how many changes are told one by one, of an import of many.
const mostAnnounced = 50

// A markTalk says what is done to marks, and asks whether it shall be. With --json
// all it says to people goes to stderr.
type markTalk struct {
	in       io.Reader
	out, err io.Writer
	o        *changeOptions

	lines     *bufio.Reader
	announced int
	rows      []changeRow
}

// A changeRow is a change as scripts see it.
type changeRow struct {
	Folder          int       `json:"folder"`
	Command         string    `json:"command"`
	Done            bool      `json:"done"`
	Sentence        string    `json:"sentence"`
	Accounted       int       `json:"accounted"`
	AccountedBefore int       `json:"accounted_before"`
	Anchor          time.Time `json:"anchor,omitzero"`
	AnchorBefore    time.Time `json:"anchor_before,omitzero"`
	Again           int       `json:"again"`
	Kept            int       `json:"kept"`
	Older           int       `json:"older"`
	Skipped         int       `json:"skipped"`
	AtMost          bool      `json:"at_most"`
	Changes         int       `json:"changes"`
	Revision        uint64    `json:"revision,omitzero"`
}

// say writes a line for people.
func (t *markTalk) say(format string, args ...any) {
	w := t.out
	if t.o.asJSON {
		w = t.err
	}
	fmt.Fprintf(w, format+"\n", args...)
}

// announce tells what a change will do.
func (t *markTalk) announce(c poller.Change) {
	if t.announced++; t.announced <= mostAnnounced {
		t.say("%v", c)
	}
	if t.o.dryRun {
		t.note(c, false)
	}
}

func (t *markTalk) note(c poller.Change, done bool) {
	t.rows = append(t.rows, changeRow{
		Folder: c.Prev.Folder, Command: c.Command, Done: done, Sentence: c.String(),
		Accounted: c.Next.Accounted, AccountedBefore: c.Prev.Accounted, Anchor: c.Next.Anchor, AnchorBefore: c.Prev.Anchor,
		Again: c.Again, Kept: c.Kept, Older: c.Older, Skipped: c.Skipped, AtMost: c.AtMost, Changes: c.Next.Changes, Revision: c.Next.Revision,
	})
}

// agree asks whether so many changes shall be made.
func (t *markTalk) agree(ctx context.Context, changes int) error {
	if more := t.announced - mostAnnounced; more > 0 {
		t.say("and %d more folders", more)
	}
	if changes == 1 {
		return t.ask(ctx, "Change this mark?")
	}
	return t.ask(ctx, fmt.Sprintf("Change these %d marks?", changes))
}

// anew asks again about a change that has become another while it was made.
func (t *markTalk) anew(ctx context.Context, c poller.Change) error {
	t.say("the folder was published meanwhile: %v", c)
	return t.ask(ctx, "Change this mark?")
}

func (t *markTalk) ask(ctx context.Context, question string) error {
	if t.o.yes {
		return nil
	}
	if t.lines == nil {
		t.lines = readAnswers(t.in)
	}
	if !agreed(ctx, t.lines, t.err, question) {
		return errDeclined
	}
	return nil
}

// done tells that a change was made, which was told before. Scripts read it in the rows.
func (t *markTalk) done(c poller.Change) {
	t.note(c, true)
	if !t.o.asJSON && len(t.rows) <= mostAnnounced {
		t.say("done: folder %d", c.Prev.Folder)
	}
}

// finish prints what scripts read.
func (t *markTalk) finish() error {
	if !t.o.asJSON {
		return nil
	}
	if t.rows == nil {
		t.rows = []changeRow{}
	}
	return printJSON(t.out, t.rows)
}

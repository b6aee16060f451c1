package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"docspace-nats/checkpoint"
	"docspace-nats/schema/line"
)

// A screen is what a report is shown on; zeros are without bounds.
type screen struct{ width, height int }

// sizeOf is the size of a terminal.
func sizeOf(w io.Writer) screen {
	f, ok := w.(*os.File)
	if !ok {
		return screen{}
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return screen{}
	}
	return screen{width, height}
}

func widthOf(w io.Writer) int { return sizeOf(w).width }

// Widths of columns that hold other people's words.
const (
	titleWidth = 28
	ownerWidth = 24
)

// text is the report for people: the replicas, the folders, what needs attention
// in whole sentences, and the totals.
func (r *statusReport) text(on screen) string {
	var b strings.Builder
	r.writeReplicas(&b)
	r.writeFolders(&b)
	table := cutLines(strings.TrimRight(b.String(), "\n")+"\n", on.width)
	b.Reset()
	for _, f := range r.Folders {
		if f.Attention != nil {
			fmt.Fprintln(&b, line.Cell(*f.Attention, 0))
		}
	}
	for _, s := range r.Replicas {
		if s.Trouble != "" {
			fmt.Fprintf(&b, "%s: %s\n", line.Cell(s.Name, 0), line.Cell(s.Trouble, 0))
		}
	}
	if b.Len() > 0 {
		table += "\n" + b.String()
	}
	return table + "\n" + r.summary() + "\n"
}

// frame is the report in the place of the one before: from the top of the screen,
// each line up to its end, and nothing below. It leaves out folders until it fits.
func (r *statusReport) frame(on screen) string {
	text := r.text(on)
	for fits := *r; on.height > 0 && len(fits.Folders) > 1 && strings.Count(text, "\n") >= on.height; text = fits.text(on) {
		fits.Folders = fits.Folders[:len(fits.Folders)-1]
		fits.More++
	}
	return "\x1b[H" + strings.ReplaceAll(cutLines(text, on.width), "\n", "\x1b[K\n") + "\x1b[J"
}

func (r *statusReport) writeReplicas(w io.Writer) {
	if !r.Answered {
		fmt.Fprintf(w, "stream %s, portal %s: no connector answers\n\n", r.Stream, orDash(line.Cell(r.Portal, 0)))
		return
	}
	fmt.Fprintf(w, "stream %s (%s), portal %s\n", r.Stream, r.Mode, orDash(line.Cell(r.Portal, 0)))
	table := &table{w: w}
	fmt.Fprintln(table, "REPLICA\tVERSION\tRUNS FOR\tWATCHES\tREQUESTS/MIN\t")
	for _, s := range r.Replicas {
		budget := "no limit"
		if s.Budget > 0 {
			budget = strconv.Itoa(s.Budget)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d of %s\t\n", line.Cell(s.Name, 0), line.Cell(s.Version, ownerWidth), lasting(r.At.Sub(s.Started)), s.Watched, s.Requests, budget)
	}
	_ = table.Flush()
	fmt.Fprintln(w)
}

func (r *statusReport) writeFolders(w io.Writer) {
	if len(r.Folders) == 0 {
		return
	}
	table := &table{w: w}
	fmt.Fprintln(table, "FOLDER\tTITLE\tSTATE\tUNREAD\tACCOUNTED\tNEWEST EVENT\tLAST POLL\tNEXT POLL\tOWNER\t")
	for _, f := range r.Folders {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t\n", f.Folder, orDash(line.Cell(f.Title, titleWidth)), orDash(line.Cell(string(f.State), 0)),
			unreadText(f.Unread), f.Accounted, r.ago(f.NewestEvent), r.ago(f.LastPoll), r.next(f), orDash(line.Cell(deref(f.Owner), ownerWidth)))
	}
	_ = table.Flush()
	if r.More > 0 {
		fmt.Fprintf(w, "and %d more\n", r.More)
	}
}

// summary is the totals in one line.
func (r *statusReport) summary() string {
	t := r.Totals
	states := make([]string, 0, len(t.States))
	for _, state := range checkpoint.States() {
		if n := t.States[state]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, state))
		}
	}
	s := counted(t.Folders, "folder")
	if len(states) > 0 {
		s += " (" + strings.Join(states, ", ") + ")"
	}
	s += fmt.Sprintf(", %s accounted for, %s unread", counted(t.Accounted, "row"), unreadText(t.Unread))
	if t.Unread != nil && t.Unknown > 0 {
		s += fmt.Sprintf(", not known of %d", t.Unknown)
	}
	return s + fmt.Sprintf("; %d need attention", t.Attention)
}

func unreadText(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// ago is how long ago something was.
func (r *statusReport) ago(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return lasting(r.At.Sub(*at)) + " ago"
}

// next is when the next poll begins.
func (r *statusReport) next(f folderStatus) string {
	switch {
	case deref(f.Polling):
		return "now"
	case f.NextPoll == nil:
		return "-"
	case !f.NextPoll.After(r.At):
		return "due"
	}
	return "in " + lasting(f.NextPoll.Sub(r.At))
}

// lasting is a time in one unit, as people say it.
func lasting(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < 100*time.Second:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 100*time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d/day))
}

// cutLines cuts each line to a width, if there is one, and shows that it did. Only
// spaces are lost at ends of lines.
func cutLines(text string, width int) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		l = strings.TrimRight(l, " ")
		if width > 1 {
			l = line.Fit(l, width)
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n")
}

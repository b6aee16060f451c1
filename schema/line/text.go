package line

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"docspace-nats/schema"
)

// A Style says how Text shows an event.
type Style struct {
	Color bool           // with ANSI colours
	Zone  *time.Location // of the time; UTC when nil
}

// ANSI sequences.
const (
	reset  = "\x1b[0m"
	faint  = "\x1b[2m"
	bold   = "\x1b[1m"
	cyan   = "\x1b[36m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
)

// colours are those of the action, by severity.
var colours = [...]string{1: cyan, 2: bold + cyan, 3: yellow, 4: red}

// Widths of the columns; an id or an action that is longer pushes
// the rest. The actor's holds a pseudonym.
const (
	folderWidth = 8
	actionWidth = 30
	actorWidth  = 26
)

// Text appends the event for people: when it happened, the folder, the action,
// who did it, and what it was about. A name that was cut is followed, in the end, by
// the id it belongs to. The texts of strangers hold nothing a
// terminal could take for a command, and all but the name are quoted.
func Text(dst []byte, e *schema.Event, s Style) []byte {
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	dst = s.column(dst, faint, e.Time.In(zone).Format(time.DateTime), 0)
	dst = s.column(dst, "", e.Data.Feed.FolderID, folderWidth)
	dst = s.column(dst, colours[ranked(e)], nameOf(e), actionWidth)
	actor := unquoted(schema.Text(actorOf(e)))
	short := Fit(actor, actorWidth)
	dst = s.column(dst, "", short, actorWidth)
	before := len(dst)
	dst = appendDetails(dst, e)
	if short != actor {
		p := phrase{b: dst, begun: len(dst) > before}
		p.say("by ", e.Data.Actor.ID, actor)
		dst = p.b
	}
	for len(dst) > 0 && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// Cell returns a stranger's text for a column of a table: one line, which holds
// nothing a terminal could take for a command, and is no wider than so many
// columns of a terminal, if any number is given.
func Cell(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, schema.Text(text))
	if width > 0 {
		text = Fit(text, width)
	}
	return text
}

// column appends a text and the space to the next column, two at least.
func (s Style) column(dst []byte, colour, text string, width int) []byte {
	if s.Color && colour != "" {
		dst = append(dst, colour...)
	}
	text = Cell(text, 0)
	dst = append(dst, text...)
	if s.Color && colour != "" {
		dst = append(dst, reset...)
	}
	for range max(width-Width(text), 0) + 2 {
		dst = append(dst, ' ')
	}
	return dst
}

// unquoted is a text that cannot be taken for the columns after it.
func unquoted(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), `"`, "'")
}

// actorOf is the name to show, or what is known instead.
func actorOf(e *schema.Event) string {
	a := &e.Data.Actor
	switch {
	case a.Name != "":
		return a.Name
	case a.Email != "":
		return a.Email
	case a.ID != "":
		return a.ID
	case a.Kind != "":
		return a.Kind
	}
	return "-"
}

// appendDetails appends what the action was about, in the words of the fields,
// as far as they are there.
func appendDetails(dst []byte, e *schema.Event) []byte {
	d := &e.Data
	p := phrase{b: dst}
	if t := d.Target; t != nil {
		p.say("", t.Name, t.ID)
		p.say("was ", t.PreviousName, "")
	}
	p.say("from ", placeTitle(d.From), "")
	p.say("to ", placeTitle(d.To), "")
	p.say("link ", linkTitle(d.Link), "")
	if m := d.Member; m != nil {
		p.say("member ", m.Name, m.ID)
	}
	if o := d.Owner; o != nil {
		p.say("owner ", o.Name, o.ID)
	}
	p.say("access ", accessLabel(d), "")
	for _, tag := range d.Tags {
		p.say("tag ", tag, "")
	}
	if l := d.Lifetime; l != nil {
		p.word(strconv.Itoa(l.Value))
		p.say("", l.Period, "")
	}
	if c := d.Connector; c != nil && c.Again != nil && c.Skipped != nil {
		p.word(fmt.Sprintf("%s: %d again, %d skipped", command(c.Reason), *c.Again, *c.Skipped))
		p.say("", c.Detail, "")
	} else if c != nil {
		p.say("", c.Detail, c.Reason)
	}
	if d.Outcome == schema.Failure {
		p.word("(failed)")
	}
	if e.IngestMode == schema.Backfill {
		p.word("(history)")
	}
	if d.Late {
		p.word("(late)")
	}
	return p.b
}

// A phrase appends words and quoted texts with a space between.
type phrase struct {
	b     []byte
	begun bool
}

// word appends one of our own words.
func (p *phrase) word(text string) {
	if p.begun {
		p.b = append(p.b, ' ')
	}
	p.begun = true
	p.b = append(p.b, text...)
}

// say appends a text, or what stands for it, in quotes; nothing when both are
// empty.
func (p *phrase) say(what, text, instead string) {
	if text == "" {
		text = instead
	}
	if text == "" {
		return
	}
	p.word(what)
	p.b = strconv.AppendQuote(p.b, schema.Text(text))
}

// command is what changed a mark, if it is one we know: it stands outside quotes.
func command(reason string) string {
	switch reason {
	case "reset", "set", "import":
		return reason
	}
	return "changed"
}

func linkTitle(l *schema.Link) string {
	if l == nil {
		return ""
	}
	if l.Title == "" {
		return l.ID
	}
	return l.Title
}

// accessLabel is the label of whatever was given access.
func accessLabel(d *schema.Data) string {
	if d.AccessLabel == "" && d.Link != nil {
		return d.Link.AccessLabel
	}
	return d.AccessLabel
}

func placeTitle(p *schema.Place) string {
	switch {
	case p == nil:
		return ""
	case p.Name == "":
		return p.FolderID
	}
	return p.Name
}

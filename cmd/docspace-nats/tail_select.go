package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"docspace-nats/schema"
	"docspace-nats/schema/line"
)

// wants reports whether the event is one that was asked for.
func (o tailOptions) wants(e *schema.Event) bool {
	d := &e.Data
	switch {
	case d.Severity < o.severity && o.severity > 1:
		return false
	case !o.selects(e):
		return false
	case o.actor != "" && !strings.EqualFold(d.Actor.ID, o.actor) && !contains(d.Actor.Name, o.actor) && !contains(d.Actor.Email, o.actor):
		return false
	case o.text != "" && !slices.ContainsFunc(textsOf(d), func(text string) bool { return contains(text, o.text) }):
		return false
	}
	return true
}

// contains ignores case, accents, and whether a letter is written as one
// character or two.
func contains(text, part string) bool { return strings.Contains(folded(text), folded(part)) }

func folded(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, cases.Fold().String(norm.NFKD.String(text)))
}

// textsOf are the texts of an event that people wrote.
func textsOf(d *schema.Data) []string {
	texts := append([]string{d.Feed.Title, d.Actor.Name, d.Actor.Email, d.AccessLabel, d.PreviousAccessLabel}, d.Tags...)
	if t := d.Target; t != nil {
		texts = append(texts, t.Name, t.PreviousName)
	}
	for _, p := range []*schema.Place{d.Parent, d.From, d.To} {
		if p != nil {
			texts = append(texts, p.Name)
		}
	}
	if l := d.Link; l != nil {
		texts = append(texts, l.Title, l.PreviousTitle, l.AccessLabel, l.ReplacementTitle)
	}
	if m := d.Member; m != nil {
		texts = append(texts, m.Name, m.Email)
	}
	for _, p := range []*schema.Person{d.Owner, d.PreviousOwner} {
		if p != nil {
			texts = append(texts, p.Name, p.Email)
		}
	}
	if c := d.Connector; c != nil {
		texts = append(texts, c.Detail)
	}
	return texts
}

// renderer returns what makes a line of an event and of the bytes it was stored
// as.
func (o tailOptions) renderer(stdout io.Writer) func(e *schema.Event, stored []byte) ([]byte, error) {
	terminal := o.to == "" && o.file == "" && isTerminal(stdout)
	style := line.Style{Color: o.color(stdout), Zone: time.Local}
	header := o.header()
	return func(e *schema.Event, stored []byte) ([]byte, error) {
		switch o.output {
		case "text":
			return line.Text(nil, e, style), nil
		case "cef":
			return line.CEF(nil, e), nil
		}
		if o.output == "syslog" && o.payload == "cef" {
			return line.Syslog(nil, e, header, line.CEF(nil, e)), nil
		}
		text, err := oneLine(stored)
		if err != nil {
			return nil, err
		}
		if o.output == "syslog" {
			return line.Syslog(nil, e, header, text), nil
		}
		if terminal {
			text = visible(text)
		}
		return text, nil
	}
}

// oneLine returns JSON as it is, or compact where another program stored it
// with line ends in it.
func oneLine(stored []byte) ([]byte, error) {
	if !bytes.ContainsAny(stored, "\n\r") {
		return stored, nil
	}
	value := jsontext.Value(bytes.Clone(stored))
	if err := value.Compact(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return value, nil
}

// visible writes characters of JSON that a terminal would obey, and that stand
// in its strings only, as JSON writes them.
func visible(text []byte) []byte {
	var b []byte
	for _, r := range string(text) {
		if r >= 0x7f && !unicode.IsPrint(r) && r <= 0xffff {
			b = fmt.Appendf(b, `\u%04x`, r)
			continue
		}
		b = append(b, string(r)...)
	}
	return b
}

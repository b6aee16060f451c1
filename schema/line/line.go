// Package line writes an event as one line for people and for tools that do
// not read JSON: text, CEF and syslog. Every function appends to a slice, and
// whatever a title, a name or an id contains, what it appends is one line of
// valid UTF-8 without control characters: titles and names come from strangers.
package line

import (
	"strings"

	"docspace-nats/schema"
)

// CEF severities and syslog severities of the severities of an event.
var (
	cefSeverity    = [...]int{1: 2, 2: 4, 3: 6, 4: 8}
	syslogSeverity = [...]int{1: 6, 2: 5, 3: 4, 4: 3}
)

// ranked is the event's severity within what the tables know; what other
// programs write may have any.
func ranked(e *schema.Event) int { return min(max(e.Data.Severity, 1), 4) }

// keyOf is what happened as the portal calls it.
func keyOf(e *schema.Event) string {
	if e.Data.Action.Key != "" {
		return e.Data.Action.Key
	}
	return nameOf(e)
}

// nameOf is <category>.<action>.
func nameOf(e *schema.Event) string { return e.Data.Action.Category + "." + e.Data.Action.Name }

// appendASCII appends s as a field of a syslog header: printable ASCII without
// space, at most so many bytes, "-" when nothing is left.
func appendASCII(dst []byte, s string, most int) []byte {
	start := len(dst)
	for i := 0; i < len(s) && len(dst)-start < most; i++ {
		if '!' <= s[i] && s[i] <= '~' {
			dst = append(dst, s[i])
		}
	}
	if len(dst) == start {
		dst = append(dst, '-')
	}
	return dst
}

// value is a text as it may stand in a line, at most so many characters long.
func value(s string, most int) string {
	return strings.TrimSpace(schema.Cut(schema.Text(s), most))
}

package line

import (
	"strconv"
	"strings"
	"time"

	"docspace-nats/schema"
)

// Bounds of a syslog header, in bytes.
const (
	maxHostname  = 255
	maxAppName   = 48
	maxMessageID = 32
	maxSDID      = 32
)

// Local0 is the facility of programs that are no part of a system.
const Local0 = 16

// A Header says what Syslog writes before the message.
type Header struct {
	Facility int    // 0 to 23
	App      string // APP-NAME; "docspace" when empty
	SDID     string // id of the structured data, name@<enterprise number>; none is written when empty
}

// Syslog appends the event as an RFC 5424 message with the payload as its MSG.
// The payload must be one line of UTF-8; there is no byte order mark before it,
// since most receivers would take it for a part of it. The portal is the
// HOSTNAME and the portal's name of the action the MSGID.
func Syslog(dst []byte, e *schema.Event, h Header, payload []byte) []byte {
	if h.App == "" {
		h.App = "docspace"
	}
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(min(max(h.Facility, 0), 23)*8+syslogSeverity[ranked(e)]), 10)
	dst = append(dst, ">1 "...)
	dst = appendTime(dst, e.Time)
	dst = append(dst, ' ')
	dst = appendASCII(dst, e.Data.Portal, maxHostname)
	dst = append(dst, ' ')
	dst = appendASCII(dst, h.App, maxAppName)
	dst = append(dst, " - "...)
	dst = appendASCII(dst, keyOf(e), maxMessageID)
	dst = append(dst, ' ')
	dst = appendStructured(dst, e, h.SDID)
	dst = append(dst, ' ')
	return append(dst, payload...)
}

// appendTime appends a time in UTC with milliseconds, "-" when it is not known
// or has no place in RFC 3339.
func appendTime(dst []byte, at time.Time) []byte {
	at = at.UTC()
	if at.IsZero() || at.Year() < 0 || at.Year() > 9999 {
		return append(dst, '-')
	}
	return at.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}

// sdEscaper escapes what has a meaning in a value of structured data.
var sdEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// appendStructured appends one element of structured data.
func appendStructured(dst []byte, e *schema.Event, id string) []byte {
	if id == "" {
		return append(dst, '-')
	}
	dst = append(dst, '[')
	dst = appendSDName(dst, id)
	for _, p := range []struct{ name, value string }{
		{"id", e.ID},
		{"folder", e.Data.Feed.FolderID},
		{"audit", e.Data.AuditID},
		{"action", nameOf(e)},
		{"outcome", e.Data.Outcome},
		{"mode", e.IngestMode},
		{"actor", e.Data.Actor.ID},
	} {
		if p.value == "" {
			continue
		}
		dst = append(append(append(dst, ' '), p.name...), '=', '"')
		dst = append(dst, sdEscaper.Replace(value(p.value, cefName))...)
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

// appendSDName appends a name of structured data, which may not hold all of
// ASCII.
func appendSDName(dst []byte, name string) []byte {
	start := len(dst)
	for i := 0; i < len(name) && len(dst)-start < maxSDID; i++ {
		if c := name[i]; '!' <= c && c <= '~' && c != '=' && c != ']' && c != '"' {
			dst = append(dst, c)
		}
	}
	if len(dst) == start {
		dst = append(dst, "docspace"...)
	}
	return dst
}

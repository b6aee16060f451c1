package schema

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// A writer appends the members of JSON objects. Names are ASCII without
// anything to escape.
type writer struct{ b []byte }

func (w *writer) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) open(name string) {
	w.name(name)
	w.b = append(w.b, '{')
}

func (w *writer) close() { w.b = append(w.b, '}') }

func (w *writer) must(name, s string) {
	w.name(name)
	w.b = appendString(w.b, s)
}

func (w *writer) text(name, s string) {
	if s != "" {
		w.must(name, s)
	}
}

func (w *writer) int(name string, n int) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, int64(n), 10)
}

func (w *writer) maybe(name string, n *int) {
	if n != nil {
		w.int(name, *n)
	}
}

func (w *writer) maybe64(name string, n *int64) {
	if n != nil {
		w.name(name)
		w.b = strconv.AppendInt(w.b, *n, 10)
	}
}

func (w *writer) bool(name string, v bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *writer) flag(name string, v bool) {
	if v {
		w.bool(name, v)
	}
}

func (w *writer) list(name string, items []string) {
	w.name(name)
	w.b = append(w.b, '[')
	for i, item := range items {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendString(w.b, item)
	}
	w.b = append(w.b, ']')
}

func (w *writer) time(name string, t time.Time) {
	w.name(name)
	w.b = append(w.b, '"')
	w.b = stamp(t).AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
}

func (w *writer) maybeTime(name string, t time.Time) {
	if t = stamp(t); !t.IsZero() {
		w.time(name, t)
	}
}

// stamp is t in UTC, or the zero time when RFC 3339 has no way to write it.
func stamp(t time.Time) time.Time {
	t = t.UTC()
	if year := t.Year(); year < 1 || year > 9999 {
		return time.Time{}
	}
	return t
}

// plain are the bytes of a JSON string that stand for themselves.
var plain = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Characters of HTML stay as they
// are; invalid UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[done:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			if c < utf8.RuneSelf {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			} else {
				b = append(b, "\ufffd"...)
			}
		}
		i++
		done = i
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

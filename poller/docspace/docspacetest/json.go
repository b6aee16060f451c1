package docspacetest

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// A writer appends JSON the way the server's serializer writes it: no spaces,
// no null properties, only what must be escaped escaped, and characters beyond
// the basic plane as surrogate pairs.
type writer struct{ b []byte }

// comma separates the next key or element from the previous one, if any. No
// finished value ends in one of the three bytes it looks for.
func (w *writer) comma() {
	switch w.b[len(w.b)-1] {
	case '{', '[', ':':
	default:
		w.b = append(w.b, ',')
	}
}

func (w *writer) key(k string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, k...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) object(k string) { w.key(k); w.b = append(w.b, '{') }
func (w *writer) array(k string)  { w.key(k); w.b = append(w.b, '[') }
func (w *writer) item()           { w.comma(); w.b = append(w.b, '{') }
func (w *writer) endObject()      { w.b = append(w.b, '}') }
func (w *writer) endArray()       { w.b = append(w.b, ']') }

func (w *writer) raw(s string) { w.b = append(w.b, s...) }

func (w *writer) str(k, v string) { w.key(k); w.value(v) }

func (w *writer) num(k string, v int64) { w.key(k); w.b = strconv.AppendInt(w.b, v, 10) }

func (w *writer) flag(k string, v bool) { w.key(k); w.b = strconv.AppendBool(w.b, v) }

func (w *writer) value(s string) {
	w.b = append(w.b, '"')
	w.b = appendEscaped(w.b, s)
	w.b = append(w.b, '"')
}

const upperHex = "0123456789ABCDEF"

func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if c >= utf8.RuneSelf && (r != utf8.RuneError || n > 1) && !mustEscape(r) {
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		b = appendEscape(b, r)
		i += n
		from = i
	}
	return append(b, s[from:]...)
}

// mustEscape reports whether a valid character beyond ASCII is escaped: control
// characters, separators other than the space, private use, and all planes
// above the first.
func mustEscape(r rune) bool {
	switch {
	case r <= 0xa0, r == 0x1680, r >= 0x2000 && r <= 0x200a, r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000, r == 0xfeff:
		return true
	case r >= 0xe000 && r <= 0xf8ff:
		return true
	}
	return r > 0xffff
}

func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	if r > 0xffff {
		r -= 0x10000
		b = appendHex(b, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return appendHex(b, r)
}

func appendHex(b []byte, r rune) []byte {
	return append(b, '\\', 'u', upperHex[r>>12&15], upperHex[r>>8&15], upperHex[r>>4&15], upperHex[r&15])
}

// date writes a stored instant, in seconds since 1970, as the tenant's clocks
// show it, with seven fractional digits and the offset of that instant.
//
// Before it does, the server asks whether the numbers of the UTC clock would be
// a time that does not exist in the tenant's zone (the hour skipped in spring)
// and if so adds an hour: those rows are shown an hour late.
func (w *writer) date(k string, unix int64, zone *time.Location, asObject bool) {
	w.key(k)
	utc := time.Unix(unix, 0).UTC()
	if zone == time.UTC {
		w.stamp(utc, 0, asObject)
		return
	}
	y, mo, d := utc.Date()
	h, mi, s := utc.Clock()
	if asLocal := time.Date(y, mo, d, h, mi, s, 0, zone); asLocal.Hour() != h || asLocal.Minute() != mi {
		utc = utc.Add(time.Hour)
	}
	local := utc.In(zone)
	_, offset := local.Zone()
	w.stamp(local, offset, asObject)
}

func (w *writer) stamp(local time.Time, offset int, asObject bool) {
	if asObject {
		w.b = append(w.b, `{"utcTime":"`...)
		w.b = appendClock(w.b, local.UTC())
		w.b = append(w.b, `Z","timeZoneOffset":"`...)
		w.b = appendOffset(w.b, offset, false)
		w.b = append(w.b, `:00"}`...)
		return
	}
	w.b = append(w.b, '"')
	w.b = appendClock(w.b, local)
	if offset == 0 {
		w.b = append(w.b, 'Z')
	} else {
		w.b = appendOffset(w.b, offset, true)
	}
	w.b = append(w.b, '"')
}

func appendClock(b []byte, t time.Time) []byte {
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	b = appendTwo(b, y/100)
	b = appendTwo(b, y%100)
	b = append(b, '-')
	b = appendTwo(b, int(mo))
	b = append(b, '-')
	b = appendTwo(b, d)
	b = append(b, 'T')
	b = appendTwo(b, h)
	b = append(b, ':')
	b = appendTwo(b, mi)
	b = append(b, ':')
	b = appendTwo(b, s)
	return append(b, ".0000000"...)
}

func appendOffset(b []byte, seconds int, plus bool) []byte {
	switch {
	case seconds < 0:
		b = append(b, '-')
		seconds = -seconds
	case plus:
		b = append(b, '+')
	}
	b = appendTwo(b, seconds/3600)
	b = append(b, ':')
	return appendTwo(b, seconds/60%60)
}

func appendTwo(b []byte, n int) []byte {
	return append(b, byte('0'+n/10%10), byte('0'+n%10))
}

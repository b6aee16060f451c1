package docspace

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// parseDate reads a date as the portal writes it: local wall time of the
// tenant with its offset. A date without an offset could be any zone's and is
// refused, as is one whose year a calendar of four digits cannot show.
func parseDate(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, false
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}

// date reads a date in either shape: the string, or the object some versions
// project it to, {"utcTime":…,"timeZoneOffset":…}.
func (s *scanner) date(field []byte, dst *time.Time) {
	switch s.kind() {
	case jsontext.KindString:
		v := s.value()
		if s.err != nil {
			return
		}
		t, ok := parseDate(string(unquote(v)))
		if !ok {
			s.odd(field, "not a date")
			return
		}
		*dst = t
	case jsontext.KindBeginObject:
		s.object("", func(name []byte) {
			if string(name) == "utcTime" {
				s.utcTime(field, dst)
				return
			}
			s.skip()
		})
	default:
		s.unexpected(field, "date")
	}
}

// utcTime needs no offset: its name is one.
func (s *scanner) utcTime(field []byte, dst *time.Time) {
	if s.kind() != jsontext.KindString {
		s.unexpected(field, "date")
		return
	}
	v := s.value()
	if s.err != nil {
		return
	}
	text := string(unquote(v))
	t, ok := parseDate(text)
	if !ok {
		t, ok = parseDate(text + "Z")
	}
	if !ok {
		s.odd(field, "not a date")
		return
	}
	*dst = t
}

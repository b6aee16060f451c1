package docspace

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func TestDatesOfEveryVersionAreRead(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 2, 12, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2026-03-02T15:04:05.0000000+03:00"`:                                       noon,
		`"2026-03-02T12:04:05.0000000Z"`:                                            noon,
		`"2026-03-02T12:04:05Z"`:                                                    noon,
		`"2026-03-02T06:34:05.000-05:30"`:                                           noon,
		`"2026-03-02T12:04:05.1234567Z"`:                                            noon.Add(123456700),
		`{"utcTime":"2026-03-02T12:04:05.0000000Z","timeZoneOffset":"03:00:00"}`:    noon,
		`{"timeZoneOffset":{"ticks":108000000000},"utcTime":"2026-03-02T12:04:05"}`: noon,
		`"2026-03-02T12:04:05"`:                                                     {}, // whose noon?
		`"2026-03-02"`:                                                              {},
		`"0001-01-01T00:00:00+14:00"`:                                               {},
		`"9999-12-31T23:59:59-14:00"`:                                               {},
		`"2026-13-02T12:04:05Z"`:                                                    {},
		`""`:                                                                        {},
		`{}`:                                                                        {},
		`{"utcTime":5}`:                                                             {},
		`{"utcTime":"soon"}`:                                                        {},
		`1772453045`:                                                                {},
	} {
		page := readPage(t, envelope(1, `{"action":{"id":1},"date":`+text+`}`))
		e := page.Entries[0]
		if !e.Date.Equal(want) || e.Date.Location() != time.UTC {
			t.Errorf("%s reads %v, want %v", text, e.Date, want)
		}
		if (e.Malformed == "") == want.IsZero() || want.IsZero() && !strings.HasPrefix(e.Malformed, "date: ") {
			t.Errorf("%s: malformed %q", text, e.Malformed)
		}
	}
}

// FuzzDate holds that a date in any shape is read or said not to be one, and
// that what is read reads the same when it is written.
func FuzzDate(f *testing.F) {
	for _, text := range []string{
		`"2026-03-02T15:04:05.0000000+03:00"`, `"2026-03-02T12:04:05Z"`, `"0001-01-01T00:00:00+23:59"`, `"9999-12-31T23:59:59-23:59"`,
		`"2026-02-30T00:00:00Z"`, `""`, `null`, `12`, `{"utcTime":"2026-03-02T12:04:05.0000000Z","timeZoneOffset":"03:00:00"}`,
		`{"utcTime":"2026-03-02T12:04:05"}`, `{"utcTime":{}}`, `{"a":[{}],"utcTime":"x","utcTime":"2026-03-02T12:04:05"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v := jsontext.Value(text); !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			_, _ = parseDate(text)
			return
		}
		e := readPage(t, envelope(1, `{"action":{"id":1},"date":`+text+`}`)).Entries[0]
		if e.Date.IsZero() && e.Malformed == "" && text != "null" && !strings.HasPrefix(strings.TrimSpace(text), "{") && !strings.Contains(text, "0001-01-01T") {
			t.Errorf("%s is no date, and nothing says so", text)
		}
		again, ok := parseDate(e.Date.Format(time.RFC3339Nano))
		if !ok || !again.Equal(e.Date) || e.Date.Location() != time.UTC {
			t.Fatalf("%s reads %v, and that %v", text, e.Date, again)
		}
	})
}

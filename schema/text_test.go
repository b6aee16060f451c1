package schema

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestTextCannotForgeLinesOrReverseWhatFollows(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Budget 2026.xlsx":       "Budget 2026.xlsx",
		"Zoë Müller 🦊":           "Zoë Müller 🦊",
		"<b>&amp;\"\\":           "<b>&amp;\"\\",
		"a\r\nCEF:0|fake":        "a  CEF:0|fake",
		"nul\x00 del\x7f c1\x85": "nul  del  c1\ufffd",
		"c1\u0085x":              "c1 x",
		"line\u2028para\u2029":   "line para",
		"invoice\u202Egpj.exe":   "invoicegpj.exe",
		"\u2066isolated\u2069":   "isolated",
		"bad\xffutf8":            "bad\ufffdutf8",
		"👩\u200d👩\u200d👧":        "👩\u200d👩\u200d👧",
		"  spaced\t":             "spaced",
		"":                       "",
		" ":                      "",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestTextIsIdempotentAndPrintable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := hostileText.Draw(t, "s")
		got := Text(s)
		if Text(got) != got || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\t\u2028\u202e") {
			t.Fatalf("%q becomes %q, then %q", s, got, Text(got))
		}
		if id := ID(s); utf8.RuneCountInString(id) > maxID {
			t.Fatalf("an id of %d characters", utf8.RuneCountInString(id))
		}
	})
}

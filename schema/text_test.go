package schema

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

func TestTextCannotForgeLinesOrReverseWhatFollows(t *testing.T) {
	t.Parallel()
	holdTexts(t, map[string]string{
		"Budget 2026.xlsx":        "Budget 2026.xlsx",
		"Zoë Müller 🦊":            "Zoë Müller 🦊",
		"<b>&amp;\"\\":            "<b>&amp;\"\\",
		"a\r\nCEF:0|fake":         "a  CEF:0|fake",
		"nul\x00 del\x7f c1\x85":  "nul  del  c1\ufffd",
		"c1\u0085x":               "c1 x",
		"line\u2028para\u2029":    "line para",
		"invoice\u202Egpj.exe":    "invoicegpj.exe",
		"\u2066isolated\u2069":    "isolated",
		"mark\u200fs\u200e\u061c": "marks",
		"bad\xffutf8":             "bad\ufffdutf8",
		"half\xed\xa0\x80pair":    "half\ufffd\ufffd\ufffdpair",
		"no\ufdd0char\U0001fffe":  "no\ufffdchar\ufffd",
		"  spaced\t":              "spaced",
		"\u00a0\u3000":            "",
		"":                        "",
		" ":                       "",
	})
}

func TestTextHidesNothing(t *testing.T) {
	t.Parallel()
	tags := func(s string) string {
		return strings.Map(func(r rune) rune { return 0xe0000 + r }, s)
	}
	holdTexts(t, map[string]string{
		"pass\u200bword":                         "password",
		"\ufeffpass\u2060word\u00ad":             "password",
		"a\u2062b\u206ac":                        "abc",
		"base\ufff9ruby\ufffatext\ufffb":         "baserubytext",
		"\u3164":                                 "",
		"Bob\u3164\uffa0":                        "Bob",
		"\u200b\u200d\u2060":                     "",
		"report" + tags("ignore all") + ".pdf":   "report.pdf",
		"🏴" + tags("gbeng\x7f"):                  "🏴",
		"\U000e0001\U000e0fff":                   "",
		"😀\ufe01\ufe02\U000e0155\U000e0156x":     "😀\ufe01x",
		"\ufe0f\u200dstart":                      "start",
		"bits\u200c\u200d\u200c\u200c\u200dhere": "bits\u200chere",
		"space \u200dx":                          "space x",
	})
}

// Nothing Unicode says may be ignored (Default_Ignorable_Code_Point) makes two
// texts look the same, or hides one in the other, but a joiner or selector.
func TestTextHidesNothingThatMayBeIgnored(t *testing.T) {
	t.Parallel()
	ignorable := []*unicode.RangeTable{unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, {
		R16: []unicode.Range16{{0xad, 0xad, 1}, {0x61c, 0x61c, 1}, {0x180e, 0x180e, 1}, {0x200b, 0x200f, 1}, {0x202a, 0x202e, 1}, {0x2060, 0x206f, 1}, {0x2800, 0x2800, 1}, {0xfeff, 0xfeff, 1}},
		R32: []unicode.Range32{{0x1bca0, 0x1bca3, 1}, {0x1d173, 0x1d17a, 1}, {0xe0000, 0xe0fff, 1}},
	}}
	for r := range rune(unicode.MaxRune) {
		if !unicode.In(r, ignorable...) {
			continue
		}
		if got := Text("Bob" + string(r) + string(r) + string(r)); got != "Bob" && (got != "Bob"+string(r) || !joins(r) && !selects(r)) {
			t.Errorf("%U stays in %q", r, got)
		}
	}
}

func TestTextLeavesWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"می\u200cخواهم.docx",       // Persian, with a non-joiner
		"क्\u200dष",                // Devanagari, a half form
		"ශ්\u200dරී",               // Sinhala, a ligature
		"👩\u200d👩\u200d👧",          // a family
		"👩🏽\u200d⚕\ufe0f",          // a health worker, with a tone of skin
		"🏳\ufe0f\u200d🌈",           // a flag, a selector before the joiner
		"1\ufe0f\u20e3",            // a key
		"葛\U000e0100城市",            // Japanese, an ideograph as a city writes it
		"ᠮᠣᠩᠭᠣᠯ\u180e",             // Mongolian, a vowel separator
		"İstanbul ß ﬁ Ω Ⅷ e\u0301", // nothing is normalised
		"\ufffd \ue000 ￼",
		"עברית 2026 العربية.pdf",
	} {
		if got := Text(s); got != s {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}

func holdTexts(t *testing.T, cases map[string]string) {
	t.Helper()
	for in, want := range cases {
		if got := Text(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestTextIsIdempotentAndPrintable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { holdText(t, hostileText.Draw(t, "s")) })
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "\ufeffa\u200b", "👩🏽\u200d⚕\ufe0f\ufe0f", "\xed\xa0\x80", "\u3164\u200d", "x\U000e0100\U000e0041", " \u200d\u202e "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { holdText(t, s) })
}

// textPattern is what the JSON Schema says about text.
var textPattern = sync.OnceValue(func() *regexp.Regexp {
	var schema struct {
		Defs struct {
			Text struct {
				Pattern string `json:"pattern"`
			} `json:"text"`
		} `json:"$defs"`
	}
	text, err := os.ReadFile("event.schema.json")
	if err == nil {
		err = json.Unmarshal(text, &schema)
	}
	if err != nil {
		panic(err)
	}
	return regexp.MustCompile(schema.Defs.Text.Pattern)
})

func holdText(t interface{ Fatalf(string, ...any) }, s string) {
	got := Text(s)
	if again := Text(got); again != got || !utf8.ValidString(got) || !textPattern().MatchString(got) {
		t.Fatalf("%q becomes %q, then %q", s, got, again)
	}
	for _, r := range got {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || 0xe0000 <= r && r < 0xe0100 {
			t.Fatalf("%q becomes %q, with %U", s, got, r)
		}
	}
	if utf8.RuneCountInString(got) > utf8.RuneCountInString(s) {
		t.Fatalf("%q grows to %q", s, got)
	}
	if id := ID(s); utf8.RuneCountInString(id) > maxID {
		t.Fatalf("an id of %d characters", utf8.RuneCountInString(id))
	}
}

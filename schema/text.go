package schema

import (
	"strings"
	"unicode"
)

// Text is the one rule for text that people typed, such as titles and names.
// Whoever reads it, a person, a log or a rule, gets what it says and no more:
//
//   - Invalid UTF-8, half a surrogate pair and code points that are no characters
//     become U+FFFD.
//   - Control characters, line and paragraph separators become a space, since
//     they would forge lines in a log; so do the Hangul fillers U+3164 and
//     U+FFA0, which are letters that look like one. Space around the text is
//     removed.
//   - What changes the direction of the text around it is removed, since it makes
//     "exe.gpj" look like "jpg.exe": embeddings, overrides, isolates and marks.
//   - What shows nothing is removed, since it makes two texts look the same or
//     hides one in the other: zero-width spaces and U+FEFF, soft hyphens,
//     invisible operators, interlinear annotations, tags and whatever else Unicode
//     says may be ignored. Flags of parts of a country, which are made of tags,
//     become black.
//   - Of joiners (U+200C, U+200D) and variation selectors, with which Persian, Indic
//     and Mongolian words, Japanese names and emoji are written, one stays where it has
//     something to follow. Runs of them hide whatever one likes.
//
// Everything else stays as it was typed: letters that look like others are no
// matter of this rule, and no form is normalised.
func Text(s string) string {
	if clean(s) {
		return s
	}
	last := ' ' // what was kept
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch r = shown(r); {
		case r < 0,
			joins(r) && (unicode.IsSpace(last) || joins(last)),
			selects(r) && (unicode.IsSpace(last) || joins(last) || selects(last)):
			return -1
		}
		last = r
		return r // Map turned each invalid byte into U+FFFD
	}, s))
}

// clean reports whether s is printable ASCII without space around it.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s == "" || s[0] != ' ' && s[len(s)-1] != ' '
}

// shown returns what stands for a character on its own, -1 for nothing.
func shown(r rune) rune {
	switch {
	case r < ' ', 0x7f <= r && r < 0xa0, r == '\u2028', r == '\u2029',
		r == '\u115f', r == '\u1160', r == '\u3164', r == '\uffa0', r == '\u2800':
		return ' '
	case r < 0xa0:
		return r
	case r == '\u00ad', r == '\u034f', r == '\u061c', r == '\u17b4', r == '\u17b5', r == '\u200b', r == '\u200e', r == '\u200f',
		'\u202a' <= r && r <= '\u202e', '\u2060' <= r && r <= '\u206f', r == '\ufeff', '\ufff0' <= r && r <= '\ufffb',
		0x1bca0 <= r && r <= 0x1bca3, 0x1d173 <= r && r <= 0x1d17a,
		0xe0000 <= r && r <= 0xe0fff && !selects(r):
		return -1
	case '\ufdd0' <= r && r <= '\ufdef', r&0xfffe == 0xfffe:
		return unicode.ReplacementChar
	}
	return r
}

// joins reports whether it is a joiner or a non-joiner of zero width.
func joins(r rune) bool { return r == '\u200c' || r == '\u200d' }

// selects reports whether it is a variation selector or, Mongolian, separates a vowel.
func selects(r rune) bool {
	return '\u180b' <= r && r <= '\u180f' || '\ufe00' <= r && r <= '\ufe0f' || 0xe0100 <= r && r <= 0xe01ef
}

// Cut returns the first n characters of s.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// maxID bounds identifiers the portal sends as text: GUIDs and numbers.
const maxID = 128

// ID is the rule for identifiers the portal sends: that of Text, at most 128
// characters.
func ID(s string) string { return Cut(Text(s), maxID) }

// safeID reports whether an identifier may stand in the subject attribute.
func safeID(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !lower(c) && !upper(c) && !digit(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}

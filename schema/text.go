package schema

import (
	"strings"
	"unicode"
)

// Text is the one rule for text that people typed, such as titles and names:
// invalid UTF-8 becomes U+FFFD; control characters, line and paragraph
// separators become a space, since they would forge lines in a log; characters
// that reverse the direction of what follows are removed, since they make
// "exe.gpj" look like "jpg.exe"; space around the text is removed.
func Text(s string) string {
	if clean(s) {
		return s
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case reverses(r):
			return -1
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
			return ' '
		}
		return r // Map turns each invalid byte into U+FFFD
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

func reverses(r rune) bool {
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
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
func ID(s string) string { return cut(Text(s), maxID) }

// safeID reports whether an identifier may stand in the subject attribute.
func safeID(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !lower(c) && !upper(c) && !digit(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}

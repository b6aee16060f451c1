package schema

import (
	"slices"
	"strconv"
	"strings"
)

// maxToken bounds a token made from a key, in bytes.
const maxToken = 96

// The words of a key that say what it is about, for keys the log can show.
var categories = []string{"agent", "file", "folder", "form", "room"}

// Name is the rule that names an action the catalogue does not know: the
// category is the first word of the key that is agent, file, folder, form or
// room, else "other"; the name is the remaining words joined with "_". Without
// a usable key the name is code_<n>. Both are always valid tokens: lower-case
// ASCII letters, digits and "_" only, never empty.
//
// The rule must not change: a code that enters the catalogue later keeps the
// subject and the type it had before.
func Name(code int, key string) (category, name string) {
	words := words(key)
	if len(words) == 0 {
		return "other", codeToken(code)
	}
	if len(words) > 1 {
		for i, word := range words {
			if slices.Contains(categories, word) {
				return word, joined(slices.Delete(words, i, i+1), "_")
			}
		}
	}
	return "other", joined(words, "_")
}

// NATSSubject is where the event is published:
// <prefix>.folder.<folder>.<category>.<action>. No token needs escaping, not
// even for an event that somebody else has written.
func (e *Event) NATSSubject(prefix string) string {
	return prefix + ".folder." + token(e.PartitionKey) + "." +
		token(e.Data.Action.Category) + "." + token(e.Data.Action.Name)
}

// token returns s when it is a valid token, and the nearest one when not.
func token(s string) string {
	valid := s != "" && len(s) <= maxToken
	for i := 0; valid && i < len(s); i++ {
		valid = lower(s[i]) || digit(s[i]) || s[i] == '_' || s[i] == '-'
	}
	if valid {
		return s
	}
	if words := words(s); len(words) > 0 {
		return joined(words, "_")
	}
	return "unknown"
}

func codeToken(code int) string {
	if code < 0 {
		return "code_minus_" + strconv.FormatUint(uint64(-int64(code)), 10)
	}
	return "code_" + strconv.Itoa(code)
}

// kebab is the ECS action of a key: all its words joined with "-".
func kebab(key string) string { return joined(words(key), "-") }

func joined(words []string, by string) string {
	s := strings.Join(words, by)
	if len(s) > maxToken {
		s = strings.TrimRight(s[:maxToken], by)
	}
	return s
}

// words splits a PascalCase key into lower-case words. A run of capitals is an
// acronym that ends before its last capital when a lower-case letter follows
// ("SSOEnabled": sso, enabled); one capital alone is no acronym and stays with
// what follows ("OAuth"). Whatever is not an ASCII letter or digit separates.
func words(key string) []string {
	key = key[:min(len(key), 4*maxToken)]
	var words []string
	start := -1
	end := func(i int) {
		if start >= 0 {
			words = append(words, strings.ToLower(key[start:i]))
		}
		start = -1
	}
	for i := 0; i < len(key); i++ {
		c := key[i]
		if !lower(c) && !upper(c) && !digit(c) {
			end(i)
			continue
		}
		if start >= 0 && upper(c) {
			acronymEnds := i+1 < len(key) && lower(key[i+1]) && i-start >= 2
			if !upper(key[i-1]) || acronymEnds {
				end(i)
			}
		}
		if start < 0 {
			start = i
		}
	}
	end(len(key))
	return words
}

func lower(c byte) bool { return 'a' <= c && c <= 'z' }
func upper(c byte) bool { return 'A' <= c && c <= 'Z' }
func digit(c byte) bool { return '0' <= c && c <= '9' }

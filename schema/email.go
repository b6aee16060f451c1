package schema

import (
	"regexp"
	"strings"
)

// atSigns are the ways an at sign is written where one may be encoded.
var atSigns = strings.NewReplacer("%40", "@", "&#64;", "@", "＠", "@", "﹫", "@")

// hasEmail reports whether s holds an e-mail address, however it is encoded.
func hasEmail(s string) bool {
	if strings.ContainsAny(s, "%&＠﹫") {
		s = atSigns.Replace(s)
	}
	for {
		i := strings.IndexByte(s, '@')
		if i < 0 {
			return false
		}
		local, domain := s[:i], s[i+1:]
		if local != "" && local[len(local)-1] > ' ' && domain != "" && domain[0] > ' ' && domain[0] != '@' {
			return true
		}
		s = domain
	}
}

// address is what of a text may be an e-mail address, rather too much than too
// little of it.
var address = regexp.MustCompile("[^\\s<>()\\[\\]{},;:|/\\\\\"'`=]+@[^\\s<>()\\[\\]{},;:|/\\\\\"'`=]+")

// replaceEmails replaces every e-mail address in s. A text in which one is left
// after that is not published.
func replaceEmails(s string, with func(address string) string) string {
	if !hasEmail(s) {
		return s
	}
	s = address.ReplaceAllStringFunc(atSigns.Replace(s), with)
	if hasEmail(s) {
		return redacted
	}
	return s
}

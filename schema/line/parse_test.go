package line

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// oneLine is what every renderer promises.
func oneLine(b []byte) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("no valid UTF-8: %q", b)
	}
	for i, r := range string(b) {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069' {
			return fmt.Errorf("%U at byte %d of %q", r, i, b)
		}
	}
	return nil
}

// parseCEF reads CEF as strictly as can be: seven header fields, then keys of
// letters and digits with values in which only \ and = are escaped.
func parseCEF(s string) (header []string, fields map[string]string, err error) {
	rest, found := strings.CutPrefix(s, "CEF:0|")
	if !found {
		return nil, nil, fmt.Errorf("no CEF: %q", s)
	}
	for len(header) < 6 {
		field, after, err := unescaped(rest, '|', `\|`)
		if err != nil {
			return nil, nil, err
		}
		header, rest = append(header, field), after
	}
	fields = make(map[string]string)
	for rest != "" {
		at := strings.IndexByte(rest, '=')
		if at < 1 || strings.Trim(rest[:at], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return nil, nil, fmt.Errorf("no key at %q", rest)
		}
		key := rest[:at]
		text, after, next := "", "", rest[at+1:]
		if text, after, err = unescaped(next, '=', `\=`); err == nil {
			// The key after the value belongs to the next field.
			escaped := next[:len(next)-len(after)-1]
			space := strings.LastIndexByte(escaped, ' ')
			if space < 0 {
				return nil, nil, fmt.Errorf("no space before the key in %q", escaped)
			}
			after = escaped[space+1:] + "=" + after
			text = text[:len(text)-len(escaped)+space]
		} else if text, err = plain(next, `\=`); err != nil {
			return nil, nil, err
		}
		if _, twice := fields[key]; twice || text == "" {
			return nil, nil, fmt.Errorf("%s is twice there, or empty", key)
		}
		fields[key], rest = text, after
	}
	return header, fields, nil
}

// unescaped reads up to the first end that has no backslash before it.
func unescaped(s string, end byte, special string) (text, after string, err error) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case end:
			text, err = plain(s[:i], special)
			return text, s[i+1:], err
		}
	}
	return "", "", fmt.Errorf("no %q in %q", end, s)
}

// plain takes the backslashes away, which must stand before special characters
// only.
func plain(s, special string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) || !strings.ContainsRune(special, rune(s[i])) {
			return "", fmt.Errorf("a backslash too many in %q", s)
		}
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

// A message is an RFC 5424 message.
type message struct {
	priority                      int
	at                            time.Time
	host, app, process, messageID string
	sdID                          string
	params                        map[string]string
	text                          string
}

func parseSyslog(s string) (m message, err error) {
	priority, rest, found := strings.Cut(strings.TrimPrefix(s, "<"), ">1 ")
	if m.priority, err = strconv.Atoi(priority); err != nil || !found || s[0] != '<' || m.priority > 191 {
		return m, fmt.Errorf("no priority and version: %q", s)
	}
	var words [5]string
	for i, most := range []int{32, 255, 48, 128, 32} {
		if words[i], rest, found = strings.Cut(rest, " "); !found || words[i] == "" || len(words[i]) > most {
			return m, fmt.Errorf("field %d of the header: %q", i, words[i])
		}
		for _, c := range []byte(words[i]) {
			if c < 33 || c > 126 {
				return m, fmt.Errorf("field %d of the header: %q", i, words[i])
			}
		}
	}
	if words[0] != "-" {
		if m.at, err = time.Parse(time.RFC3339, words[0]); err != nil {
			return m, err
		}
	}
	m.host, m.app, m.process, m.messageID = words[1], words[2], words[3], words[4]
	if m.text, found = strings.CutPrefix(rest, "- "); found {
		return m, nil
	}
	return m, m.structured(rest)
}

func (m *message) structured(s string) error {
	if s == "" || s[0] != '[' {
		return fmt.Errorf("no structured data: %q", s)
	}
	end := strings.IndexAny(s, " ]")
	if end < 2 || strings.ContainsAny(s[1:end], `="`) {
		return fmt.Errorf("no id of structured data: %q", s)
	}
	m.sdID, s, m.params = s[1:end], s[end:], make(map[string]string)
	for s[0] == ' ' {
		name, rest, found := strings.Cut(s[1:], `="`)
		if !found || name == "" || strings.ContainsAny(name, ` "]`) {
			return fmt.Errorf("no name: %q", s)
		}
		var err error
		if m.params[name], s, err = unescaped(rest, '"', `\"]`); err != nil {
			return err
		}
		if s == "" {
			return fmt.Errorf("no end of structured data")
		}
	}
	rest, found := strings.CutPrefix(s, "] ")
	if !found {
		return fmt.Errorf("no end of structured data: %q", s)
	}
	m.text = rest
	return nil
}

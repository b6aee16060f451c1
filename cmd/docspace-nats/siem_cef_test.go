package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// A cefEvent is a line of CEF, read back.
type cefEvent struct {
	header    []string // vendor, product, version, signature, name, severity
	extension map[string]string
}

const cefHeaderFields = 7

var cefKey = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// readCEF reads what stands after a syslog header. It takes nothing that one
// reader could take for something else than another: every separator in a value
// must be escaped, every escape must be one of the format's, and no character
// may steer a terminal or the direction of text.
func readCEF(line string) (cefEvent, error) {
	for _, r := range line {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069' {
			return cefEvent{}, fmt.Errorf("holds %U", r)
		}
	}
	fields, rest, err := cefHeader(line)
	if err != nil {
		return cefEvent{}, err
	}
	if fields[0] != "CEF:0" {
		return cefEvent{}, fmt.Errorf("begins with %q", fields[0])
	}
	extension, err := cefExtension(rest)
	return cefEvent{fields[1:], extension}, err
}

func cefHeader(line string) (fields []string, rest string, err error) {
	var field strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '|':
			fields = append(fields, field.String())
			field.Reset()
			if len(fields) == cefHeaderFields {
				return fields, line[i+1:], nil
			}
		case c == '\\' && i+1 < len(line) && (line[i+1] == '\\' || line[i+1] == '|'):
			i++
			field.WriteByte(line[i])
		case c == '\\':
			return nil, "", fmt.Errorf("header field %d: a lone backslash", len(fields)+1)
		default:
			field.WriteByte(c)
		}
	}
	return nil, "", fmt.Errorf("%d header fields, want %d", len(fields), cefHeaderFields)
}

// cefExtension splits at the equals signs that are not escaped: the word before
// one is a key.
func cefExtension(text string) (map[string]string, error) {
	extension := make(map[string]string)
	key, value := "", new(strings.Builder)
	store := func(value string) error {
		if _, twice := extension[key]; twice {
			return fmt.Errorf("extension %s: twice", key)
		}
		extension[key] = value
		return nil
	}
	word := 0 // where the last word of value begins
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '=':
			next := value.String()[word:]
			if !cefKey.MatchString(next) || (key == "") != (word == 0) {
				return nil, fmt.Errorf("extension: %q is no key", next)
			}
			if key != "" {
				if err := store(strings.TrimSuffix(value.String()[:word], " ")); err != nil {
					return nil, err
				}
			}
			key, word = next, 0
			value.Reset()
		case c == '\\':
			if i++; i == len(text) {
				return nil, fmt.Errorf("extension %s: ends with a backslash", key)
			}
			plain, ok := map[byte]byte{'\\': '\\', '=': '=', 'n': '\n', 'r': '\r'}[text[i]]
			if !ok {
				return nil, fmt.Errorf("extension %s: escape \\%c", key, text[i])
			}
			value.WriteByte(plain)
		default:
			value.WriteByte(c)
			if c == ' ' {
				word = value.Len()
			}
		}
	}
	if key == "" {
		return nil, fmt.Errorf("no extension")
	}
	return extension, store(value.String())
}

func TestTheReaderOfCEFTakesNothingAmbiguous(t *testing.T) {
	t.Parallel()
	cases := map[string]bool{
		`CEF:0|V|P|1|5011|FileUploaded|2|suser=a b fname=c\=d\\ \n act=e`: true,
		`CEF:0|V|P\|Q|1|5011|File\\Uploaded|2|suser=a`:                    true,
		`CEF:0|V|P|1|5011|FileUploaded|2|suser=a=b`:                       false,
		`CEF:0|V|P|1|5011|FileUploaded|2|suser=a suser=b`:                 false,
		`CEF:0|V|P|1|5011|FileUploaded|2|suser=a\`:                        false,
		`CEF:0|V|P|1|5011|FileUploaded|2|suser=a\|`:                       false,
		`CEF:0|V|P|1|5011|File\Uploaded|2|suser=a`:                        false,
		`CEF:0|V|P|1|5011|FileUploaded`:                                   false,
		`CEF:0|V|P|1|5011|FileUploaded|2|`:                                false,
		"CEF:0|V|P|1|5011|FileUploaded|2|suser=a\x1b[2J":                  false,
		"CEF:0|V|P|1|5011|FileUploaded|2|suser=a\u202eb":                  false,
		`x CEF:0|V|P|1|5011|FileUploaded|2|suser=a`:                       false,
	}
	for line, fine := range cases {
		if got, err := readCEF(line); (err == nil) != fine {
			t.Errorf("%s: got %v, %v", line, got, err)
		}
	}
}

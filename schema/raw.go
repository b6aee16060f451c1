package schema

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

// RawMode says which events carry the row as received.
type RawMode uint8

const (
	// RawUnknown keeps the rows this program does not fully understand. It is
	// the default.
	RawUnknown RawMode = iota
	RawAlways
	RawNever
)

// ParseRawMode reads "unknown", "always" or "never"; "" is unknown.
func ParseRawMode(s string) (RawMode, error) {
	switch s {
	case "", "unknown":
		return RawUnknown, nil
	case "always":
		return RawAlways, nil
	case "never":
		return RawNever, nil
	}
	return 0, fmt.Errorf("raw mode %q is none of unknown, always, never", s)
}

// String returns what ParseRawMode reads.
func (m RawMode) String() string { return [...]string{"unknown", "always", "never"}[m%3] }

// UnmarshalText reads a configuration value as ParseRawMode does.
func (m *RawMode) UnmarshalText(text []byte) (err error) {
	*m, err = ParseRawMode(string(text))
	return err
}

const (
	maxRaw      = 4 * MaxEventBytes // a longer row cannot get small enough
	maxRawDepth = 32
	redacted    = "[redacted]"
)

// RedactRaw returns the row as received without what must not be published:
// of people only the id (in Full also the name) is kept; addresses on the web,
// tokens and, in Standard, e-mail addresses are taken out. The order of the
// members stays, and what Text may take out is written as escapes. It returns "" for a row that is too large, nested too deeply
// or no JSON: no row is published that was not understood.
//
// In Pseudonymous it is the other way round, since a row that is not understood
// may name people anywhere: of texts, only those where titles and labels are,
// as titles, and GUIDs, as pseudonyms of ids, are kept. In Minimal it returns "".
func (p Privacy) RedactRaw(raw []byte) string {
	if !p.ShowsRaw() || len(raw) == 0 || len(raw) > maxRaw {
		return ""
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(raw),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	root, err := readNode(decoder, 0)
	if err != nil {
		return ""
	}
	if _, err := decoder.ReadToken(); err == nil {
		return ""
	}
	return withEscapes(string(p.appendRedacted(make([]byte, 0, len(raw)), root, "", false)))
}

// withEscapes writes as escapes what Text may take out, so that a row as received
// shows what it holds.
func withEscapes(raw string) string {
	escaped := func(r rune) bool { return r >= 0x7f && (shown(r) != r || joins(r) || selects(r)) }
	if !strings.ContainsFunc(raw, escaped) {
		return raw
	}
	var b strings.Builder
	for _, r := range raw {
		if !escaped(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// A node is a JSON value that remembers the order of its members.
type node struct {
	kind  jsontext.Kind
	text  string // of a string, decoded; of a number or literal, as it is written
	names []string
	items []node
}

func readNode(decoder *jsontext.Decoder, depth int) (node, error) {
	if depth > maxRawDepth {
		return node{}, fmt.Errorf("nested deeper than %d", maxRawDepth)
	}
	token, err := decoder.ReadToken()
	if err != nil {
		return node{}, err
	}
	n := node{kind: token.Kind()}
	if n.kind != '{' && n.kind != '[' {
		n.text = token.String()
		return n, nil
	}
	for {
		switch decoder.PeekKind() {
		case '}', ']':
			_, err := decoder.ReadToken()
			return n, err
		}
		if n.kind == '{' {
			name, err := decoder.ReadToken()
			if err != nil {
				return node{}, err
			}
			n.names = append(n.names, name.String())
		}
		item, err := readNode(decoder, depth+1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
}

// appendRedacted appends n, which is at path: the names that lead to it.
func (p Privacy) appendRedacted(b []byte, n node, path string, person bool) []byte {
	switch n.kind {
	case '{':
		person = person || n.isPerson()
		b = append(b, '{')
		for i, name := range n.names {
			if p.hides(name, person) {
				continue
			}
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = append(appendString(b, name), ':')
			if item := n.items[i]; person && p.Hides() && (item.kind == '"' || item.kind == '0') {
				b = appendString(b, p.rawID(item.text))
				continue
			}
			b = p.appendRedacted(b, n.items[i], path+"."+name, person || personal[strings.ToLower(name)])
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.appendRedacted(b, item, path, person)
		}
		return append(b, ']')
	case '"':
		return appendString(b, p.rawText(n.text, path))
	}
	return append(b, n.text...)
}

// rawID is the pseudonym of an id, or the id where it is nobody's.
func (p Privacy) rawID(id string) string {
	if guid := canonicalID(id); guid == zeroID || isNobody(guid) {
		return guid
	}
	return p.pseudonym(ofID, ID(id))
}

// rawText is what is kept of a text.
func (p Privacy) rawText(text, path string) string {
	switch {
	case isURL(text), p.mode == standard && hasEmail(text):
		return redacted
	case !p.Hides():
		return text
	}
	if guid, ok := parseGUID(text); ok {
		return p.rawID(guid)
	}
	switch plain, kept := keptTexts[path]; {
	case kept && plain == nil:
		return p.Title(text)
	case kept && plain(text):
		return text
	}
	return redacted
}

// Where a row has texts that are kept although people have pseudonyms, and what
// they must look like; nil for those that people typed.
var keptTexts = map[string]func(string) bool{
	".action.key": isIdentifier, ".data.toFolderId": isNumber,
	".date": isDate, ".date.utcTime": isDate, ".date.timeZoneOffset": isDate,
	".data.title": nil, ".data.oldTitle": nil, ".data.newTitle": nil,
	".data.parentTitle": nil, ".data.fromParentTitle": nil,
	".data.access": nil, ".data.oldAccess": nil, ".data.tags": nil,
}

func isDate(s string) bool { return len(s) <= maxID && strings.Trim(s, "0123456789TZ:.+-") == "" }

// Members that hold a person, whatever the object looks like.
var personal = map[string]bool{
	"initiator": true, "user": true, "owner": true, "oldowner": true,
	"createdby": true, "updatedby": true, "sharedby": true,
}

// isPerson recognises an embedded profile by what only profiles have.
func (n node) isPerson() bool {
	for _, name := range n.names {
		switch name := strings.ToLower(name); {
		case name == "displayname", name == "profileurl", name == "hasavatar", name == "isanonim",
			name == "firstname", name == "lastname", name == "email", strings.HasPrefix(name, "avatar"):
			return true
		}
	}
	return false
}

// hides reports whether a member is left out together with its value.
func (p Privacy) hides(name string, person bool) bool {
	if isURL(name) || p.mode != full && hasEmail(name) || p.Hides() && !isIdentifier(name) {
		return true
	}
	name = strings.ToLower(name)
	if person {
		return name != "id" && (p.mode != full || name != "displayname") && !personal[name]
	}
	for _, secret := range [...]string{"password", "token", "secret", "url", "email", "phone", "avatar"} {
		if strings.Contains(name, secret) {
			return true
		}
	}
	return false
}

// isIdentifier reports whether a member has the name of a field, and not that
// or the id of a person in a table of people.
func isIdentifier(name string) bool {
	if _, guid := parseGUID(name); guid {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !lower(c) && !upper(c) && !digit(c) && c != '_' {
			return false
		}
	}
	_, guid := parseGUID(name)
	return name != "" && len(name) <= maxID && !guid
}

func isURL(s string) bool {
	scheme, _, found := strings.Cut(s, "://")
	return found && len(scheme) <= 10 && !strings.ContainsAny(scheme, " /")
}

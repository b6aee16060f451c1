package docspace

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A scanner walks one JSON document. It remembers the first thing that is not
// JSON and reads nothing after it; what is JSON but not what was expected is
// only noted, and left out.
type scanner struct {
	dec     *jsontext.Decoder
	src     []byte
	err     error  // what is not JSON
	member  int64  // where the current member began, with its comma
	in      string // the object we are in, for notes: "data"
	note    string // the first oddity since it was last cleared
	strings map[string]string
	users   map[string]knownUser
}

func newScanner(src []byte) *scanner {
	return &scanner{
		// A bytes.Buffer is read in place: values stay valid as long as src.
		dec:     jsontext.NewDecoder(bytes.NewBuffer(src), jsontext.AllowDuplicateNames(true)),
		src:     src,
		strings: map[string]string{},
		users:   map[string]knownUser{},
	}
}

// decode lets read walk body. A body that is JSON but for broken UTF-8 or half
// a surrogate pair is repaired first and walked again, so that everybody who
// meets its values later meets valid ones.
func decode(body []byte, read func(*scanner) error) error {
	err := scan(body, read)
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return err
	}
	repaired := jsontext.Value(bytes.Clone(bytes.TrimPrefix(body, []byte("\ufeff"))))
	if repaired.Format(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) != nil {
		return err
	}
	return scan(repaired, read)
}

func scan(body []byte, read func(*scanner) error) error {
	s := newScanner(body)
	shape := read(s)
	if s.err != nil {
		return s.err
	}
	switch _, err := s.dec.ReadToken(); {
	case err == nil:
		return errors.New("more than one JSON value")
	case err != io.EOF:
		return err
	}
	return shape
}

// odd notes that a field is not what it should be.
func (s *scanner) odd(field []byte, what string) {
	if s.note != "" || s.err != nil {
		return
	}
	s.note = string(field) + ": " + what
	if s.in != "" {
		s.note = s.in + "." + s.note
	}
}

// fail keeps the first error.
func (s *scanner) fail(err error) {
	if s.err == nil && err != nil {
		s.err = err
	}
}

func (s *scanner) kind() jsontext.Kind {
	if s.err != nil {
		return jsontext.KindInvalid
	}
	return s.dec.PeekKind()
}

// value returns the next value as it stands in the source, nil after an error.
func (s *scanner) value() jsontext.Value {
	if s.err != nil {
		return nil
	}
	v, err := s.dec.ReadValue()
	s.fail(err)
	return v
}

func (s *scanner) skip() {
	if s.err == nil {
		s.fail(s.dec.SkipValue())
	}
}

func (s *scanner) token() {
	if s.err == nil {
		_, err := s.dec.ReadToken()
		s.fail(err)
	}
}

// start is where the value begins that kind has just announced.
func (s *scanner) start() int64 {
	at := s.dec.InputOffset()
	for strings.IndexByte(" \t\r\n,:", s.src[at]) >= 0 {
		at++
	}
	return at
}

// object calls member for every name; member must consume the value. It
// reports false, and consumes the value, when there is no object.
func (s *scanner) object(field string, member func(name []byte)) bool {
	if s.kind() != jsontext.KindBeginObject {
		s.unexpected([]byte(field), "object")
		return false
	}
	outer := s.in
	s.in = field
	s.token()
	for k := s.kind(); k != jsontext.KindEndObject && s.err == nil; k = s.kind() {
		before := s.dec.InputOffset()
		name := s.value()
		if s.err != nil {
			break
		}
		s.member = before
		member(unquote(name))
	}
	s.in = outer
	s.token()
	return s.err == nil
}

// array calls element for every element; element must consume it.
func (s *scanner) array(field string, element func()) bool {
	if s.kind() != jsontext.KindBeginArray {
		s.unexpected([]byte(field), "array")
		return false
	}
	s.token()
	for k := s.kind(); k != jsontext.KindEndArray && s.err == nil; k = s.kind() {
		element()
	}
	s.token()
	return s.err == nil
}

// unexpected skips a value of the wrong kind. null is the same as absent.
func (s *scanner) unexpected(field []byte, want string) {
	if k := s.kind(); k != jsontext.KindNull && k != jsontext.KindInvalid {
		s.odd(field, kindName(k)+" where the "+want+" should be")
	}
	s.skip()
}

func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindBeginObject:
		return "object"
	case jsontext.KindBeginArray:
		return "array"
	}
	return k.String()
}

// text reads a string, or a number as its digits.
func (s *scanner) text(field []byte, dst *string) {
	switch s.kind() {
	case jsontext.KindString:
		if v := s.value(); s.err == nil {
			*dst = s.intern(unquote(v))
		}
	case jsontext.KindNumber:
		if v := s.value(); s.err == nil {
			*dst = string(v)
		}
	default:
		s.unexpected(field, "text")
	}
}

// integer reads a whole number, also out of a string, and reports whether
// there was one.
func (s *scanner) integer(field []byte) (int64, bool) {
	switch s.kind() {
	case jsontext.KindNumber, jsontext.KindString:
		v := s.value()
		if s.err != nil {
			return 0, false
		}
		text := []byte(v)
		if v.Kind() == jsontext.KindString {
			text = unquote(v)
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			s.odd(field, "not a whole number")
			return 0, false
		}
		return n, true
	}
	s.unexpected(field, "number")
	return 0, false
}

// number reads an integer of the wire, which is never larger than 32 bits.
func (s *scanner) number(field []byte, dst *int) bool {
	n, ok := s.integer(field)
	if !ok {
		return false
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		s.odd(field, "number out of range")
		return false
	}
	*dst = int(n)
	return true
}

// optional is number for fields whose absence means something.
func (s *scanner) optional(field []byte, dst **int) {
	var n int
	if s.number(field, &n) {
		*dst = &n
	}
}

func (s *scanner) flag(field []byte, dst *bool) bool {
	switch s.kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		v := s.value()
		if s.err == nil {
			*dst = v.Kind() == jsontext.KindTrue
		}
		return s.err == nil
	}
	s.unexpected(field, "yes or no")
	return false
}

// unquote returns what a JSON string says, in place when it can.
func unquote(v jsontext.Value) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, v) // the decoder has already accepted it
	return text
}

// intern makes one string of all that repeat on a page, as most do.
func (s *scanner) intern(b []byte) string {
	if text, ok := s.strings[string(b)]; ok {
		return text
	}
	text := string(b)
	if len(text) <= 128 {
		s.strings[text] = text
	}
	return text
}

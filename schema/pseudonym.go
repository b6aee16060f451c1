package schema

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
	"unicode"
)

// A PII block tells that an event names people by pseudonyms.
type PII struct {
	Mode  string `json:"mode"`   // "pseudonymous" or "minimal"
	KeyID string `json:"key_id"` // which key made them; those of one key can be compared
}

// A Key makes pseudonyms: the same for the same text, others with another key,
// and none that lead back to the text without the key. It is never printed.
type Key struct {
	id string

	mu   sync.Mutex // guards all below
	mac  hash.Hash
	made map[string]string // by kind and text: people come again and again
}

// What a Key remembers: so many pseudonyms, of texts of so many bytes.
const (
	mostMade    = 10_000
	longestMade = 256
)

// Format prints the id for every verb.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.id) }

const (
	// MinKeyBytes is how long the secret of a Key is at least.
	MinKeyBytes = 32
	maxKeyID    = 64
	// pseudonymChars of 5 bits are 100 bits: two of a billion people share a
	// pseudonym once in 10¹² portals.
	pseudonymChars = 20
)

// What a pseudonym is of; these are also its first characters. A name never has
// the pseudonym of an id or an address, even where they are the same text.
const (
	ofID    = "pid"
	ofName  = "pname"
	ofEmail = "pmail"
)

// ErrKeyID is returned by NewKey for an id that cannot be one.
var ErrKeyID = fmt.Errorf("must be 1 to %d letters, digits, dots, underscores and hyphens", maxKeyID)

// NewKey returns the key with a secret of at least MinKeyBytes random bytes.
// The id is public: letters, digits, ".", "_" and "-", at most 64.
//
// The portal is not mixed in, so that one that gets a new address keeps its
// people. Portals whose people must not be linked need keys of their own.
func NewKey(id string, secret []byte) (*Key, error) {
	if !safeID(id) || len(id) > maxKeyID {
		return nil, ErrKeyID
	}
	if len(secret) < MinKeyBytes {
		return nil, fmt.Errorf("must have at least %d random bytes, got %d bytes", MinKeyBytes, len(secret))
	}
	if repetitive(secret) {
		return nil, errors.New("must be random, and its bytes repeat")
	}
	return &Key{id: id, mac: hmac.New(sha256.New, secret), made: make(map[string]string)}, nil
}

// Print recognises the key: its id, and what only this secret makes. Nobody can
// make pseudonyms with it.
func (k *Key) Print() string {
	return k.id + "/" + k.pseudonym("print", k.id)[len("print-"):][:printChars]
}

// printChars of 5 bits tell one key from another that got its id by mistake.
const printChars = 8

// repetitive reports what chance makes of random bytes once in 10¹⁵ times: few
// different ones, or a beginning that comes again at the end.
func repetitive(secret []byte) bool {
	const fewest, comesAgain = 16, 8
	seen := make(map[byte]bool)
	for i, b := range secret {
		seen[b] = true
		if rest := secret[i+1:]; len(rest) >= comesAgain && bytes.HasPrefix(secret, rest) {
			return true
		}
	}
	return len(seen) < fewest
}

// ID is the public name of the key.
func (k *Key) ID() string { return k.id }

// lowercase, because some SIEMs ignore case.
var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// pseudonym returns "" for "". An id is the same however it is written.
func (k *Key) pseudonym(of, text string) string {
	if text == "" {
		return ""
	}
	if of == ofID {
		text = canonicalID(text)
	}
	what := of + "\x00" + text
	k.mu.Lock()
	defer k.mu.Unlock()
	if pseudonym, known := k.made[what]; known {
		return pseudonym
	}
	k.mac.Reset()
	_, _ = io.WriteString(k.mac, "docspace-nats 1\x00"+what)
	pseudonym := of + "-" + base32Lower.EncodeToString(k.mac.Sum(nil))[:pseudonymChars]
	if len(k.made) == mostMade {
		clear(k.made)
	}
	if len(what) <= longestMade {
		k.made[what] = pseudonym
	}
	return pseudonym
}

// email returns the pseudonym of an e-mail address, however it is written, and
// with what of a sentence is around it: no address ends with anything but a
// letter or digit, and few begin with what is no ASCII.
func (k *Key) email(address string) string {
	word := func(r rune) bool { return unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) }
	exact := strings.TrimRightFunc(Text(address), func(r rune) bool { return !word(r) })
	exact = strings.TrimLeftFunc(exact, func(r rune) bool { return r == '.' || r > unicode.MaxASCII && !word(r) })
	return k.pseudonym(ofEmail, strings.ToLower(exact))
}

// canonicalID writes a GUID in the usual form, anything else in lower case.
func canonicalID(id string) string {
	if guid, ok := parseGUID(id); ok {
		return guid
	}
	return strings.ToLower(id)
}

// parseGUID reads a GUID in any of the forms .NET writes and returns the usual
// one.
func parseGUID(s string) (string, bool) {
	if len(s) == 38 && (s[0] == '{' && s[37] == '}' || s[0] == '(' && s[37] == ')') {
		s = s[1:37]
	}
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(s) != 32 {
		return "", false
	}
	s = strings.ToLower(s)
	for i := range len(s) {
		if !digit(s[i]) && (s[i] < 'a' || s[i] > 'f') {
			return "", false
		}
	}
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:], true
}

package schema

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// A PII block tells that an event names people by pseudonyms.
type PII struct {
	Mode  string `json:"mode"`   // "pseudonymous" or "minimal"
	KeyID string `json:"key_id"` // which key made them; those of one key can be compared
}

// A Key makes pseudonyms: the same for the same text, others with another key,
// and none that lead back to the text without the key. It holds its secret so
// that nothing can print it.
type Key struct {
	id   string
	macs sync.Pool // of hash.Hash, keyed
}

const (
	// MinKeyBytes is how long the secret of a Key is at least.
	MinKeyBytes = 32
	maxKeyID    = 64
	// pseudonymChars of 5 bits are 100 bits: two of a billion people share a
	// pseudonym once in 10¹² portals.
	pseudonymChars = 20
)

// Kinds of pseudonyms, which are also their first characters. A name never has
// the pseudonym of an id or an address, even where they are the same text.
const (
	kindID    = "pid"
	kindName  = "pname"
	kindEmail = "pmail"
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
		return nil, fmt.Errorf("must have at least %d random bytes, got %d", MinKeyBytes, len(secret))
	}
	if repetitive(secret) {
		return nil, errors.New("must be random, and its bytes repeat")
	}
	secret = append([]byte(nil), secret...)
	k := &Key{id: id}
	k.macs.New = func() any { return hmac.New(sha256.New, secret) }
	return k, nil
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
func (k *Key) pseudonym(kind, text string) string {
	if text == "" {
		return ""
	}
	if kind == kindID {
		text = canonicalID(text)
	}
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	_, _ = mac.Write([]byte("docspace-nats 1\x00" + kind + "\x00" + text))
	var sum [sha256.Size]byte
	return kind + "-" + base32Lower.EncodeToString(mac.Sum(sum[:0]))[:pseudonymChars]
}

// email returns the pseudonym of an e-mail address, however it is written.
func (k *Key) email(address string) string {
	return k.pseudonym(kindEmail, strings.ToLower(strings.Trim(Text(address), ".")))
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

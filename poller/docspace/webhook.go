package docspace

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// SignatureHeader is the header in which a portal signs what it posts to a
// webhook.
const SignatureHeader = "X-Docspace-Signature-256"

// MaxWebhook is the longest delivery worth reading, in bytes. Real ones are a
// few kilobytes: a title is the only part of them without a fixed size.
const MaxWebhook = 256 << 10

// A Webhook is one delivery of a portal's webhook: something was done to a
// file, a folder or a room. It is no row of a log and carries no row's id. It
// usually comes before the row is visible, comes again when it is not answered
// well, in any order, or not at all.
type Webhook struct {
	Trigger  string // as the portal names it: "file.uploaded"
	Kind     Kind
	ID       int // 0: not a number, as in a third-party storage and for people
	ParentID int // folder the object lies in, after a move the new one; 0: unknown
}

// A Kind is what a webhook tells of. Files and folders are numbered apart, so
// an id means nothing without it.
type Kind int

const (
	KindOther  Kind = iota // people, groups, and what later versions add
	KindFile               // forms are files
	KindFolder             // but no room
	KindRoom               // AI agents are rooms
)

// A SignatureError is a delivery that nobody who knows the secret has signed.
type SignatureError struct {
	What string // never contains the secret, nor the right signature
}

func (e *SignatureError) Error() string { return "signature of the webhook: " + e.What }

var (
	errUnsigned = &SignatureError{"there is none: is a secret key set for the webhook in the portal?"}
	errGarbled  = &SignatureError{"it is not sha256= and 64 hexadecimal digits"}
	errMismatch = &SignatureError{"it does not match: is the secret the same here and in the portal, and the body unchanged on its way?"}
	errNoSecret = &SignatureError{"there is no secret to compare it with"}
)

// CheckSignature returns a SignatureError for a header that cannot be the
// signature of anything. It costs nothing, so it comes before the body is read.
func CheckSignature(header string) error {
	_, err := signature(header)
	return err
}

// ParseWebhook verifies and reads one delivery: its body as received, and its
// SignatureHeader. The error is a SignatureError unless the secret's owner
// signed what cannot be read.
func ParseWebhook(secret, header string, body []byte) (Webhook, error) {
	sum, err := signature(header)
	if err != nil {
		return Webhook{}, err
	}
	if secret == "" {
		return Webhook{}, errNoSecret // anybody could sign with it
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil), sum) {
		return Webhook{}, errMismatch
	}
	var w Webhook
	if err := decode(body, w.read); err != nil {
		return Webhook{}, fmt.Errorf("webhook: not what a portal posts: %s", wrong(err))
	}
	return w, nil
}

// signature takes the sum out of the header. Portals write it in upper case.
func signature(header string) ([]byte, error) {
	if header == "" {
		return nil, errUnsigned
	}
	digits, ok := strings.CutPrefix(header, "sha256=")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size {
		return nil, errGarbled
	}
	return sum, nil
}

var errNoPayload = errors.New(`no "payload" in it`)

// read takes out of a delivery only what says where it belongs. Names and
// titles are not looked at.
func (w *Webhook) read(s *scanner) error {
	*w = Webhook{}
	found := false
	s.object("webhook", func(name []byte) {
		switch string(name) {
		case "event":
			s.object("event", func(name []byte) { w.event(s, name) })
		case "payload":
			found = s.object("payload", func(name []byte) { w.payload(s, name) })
		default:
			s.skip()
		}
	})
	if !found {
		return errNoPayload
	}
	if !isTrigger(w.Trigger) {
		w.Trigger = "" // it is logged
	}
	w.Kind = kindOf(w.Trigger)
	return nil
}

func isTrigger(s string) bool {
	const most = 64
	return len(s) <= most && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.") == ""
}

func (w *Webhook) event(s *scanner, name []byte) {
	if string(name) != "trigger" {
		s.skip()
		return
	}
	s.text(name, &w.Trigger)
}

func (w *Webhook) payload(s *scanner, name []byte) {
	switch string(name) {
	case "id":
		s.entry(name, &w.ID)
	case "parentId":
		s.entry(name, &w.ParentID)
	default:
		s.skip()
	}
}

// entry reads the id of a file or folder. Those outside the portal have texts,
// which leave it at 0.
func (s *scanner) entry(field []byte, dst *int) {
	*dst = 0
	var n int
	if s.number(field, &n) && n > 0 {
		*dst = n
	}
}

func kindOf(trigger string) Kind {
	area, _, _ := strings.Cut(trigger, ".")
	switch area {
	case "file", "form":
		return KindFile
	case "folder":
		return KindFolder
	case "room", "agent":
		return KindRoom
	}
	return KindOther
}

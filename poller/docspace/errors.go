package docspace

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// What an error means for the caller, for errors.Is. An error of this package
// matches at most one of them, except that ErrScope always comes with
// ErrForbidden.
var (
	// ErrUnauthorized: the credentials are refused, or cannot be had. No folder
	// can be read until they are replaced; a rotated secret has already been
	// tried.
	ErrUnauthorized = errors.New("credentials refused")
	// ErrForbidden: the account may not read this object. Also what one row the
	// portal cannot render may look like, see [StatusError.Poison].
	ErrForbidden = errors.New("access denied")
	// ErrScope: the key or token lacks the scope for this kind of call.
	ErrScope = errors.New("scope missing")
	// ErrNotFound: the object does not exist, or no longer.
	ErrNotFound = errors.New("not found")
	// ErrRateLimited: the portal asks to be asked less often.
	ErrRateLimited = errors.New("rate limited")
	// ErrPayment: the portal is not paid for.
	ErrPayment = errors.New("payment required")
	// ErrPortal: the portal as a whole does not serve: suspended, being
	// restored, closed to this IP address, or not a portal at all. It says
	// nothing about the folder that was asked for.
	ErrPortal = errors.New("portal unavailable")
	// ErrTooLarge: the answer is longer than this client reads. Ask for fewer rows.
	ErrTooLarge = errors.New("answer too large")
	// ErrNotKey: the question only makes sense for an API key.
	ErrNotKey = errors.New("not an API key")
)

// A Body is the shape of a refusal's body, which tells who refused.
type Body int

const (
	BodyEmpty   Body = iota // the gateway of the portal: credentials, scope, rate
	BodyError               // the application, about the object asked for
	BodyProblem             // the framework: validation, or the portal as a whole
	BodyOther               // text or HTML: an IP rule, or a proxy on the way
)

// A StatusError is an answer from the portal that is not what was asked for.
type StatusError struct {
	Op         string        // "history of folder 42"
	Code       int           // HTTP status
	RetryAfter time.Duration // how long the server asks to wait; zero when it did not say, at most 5 min
	Capped     bool          // the server asked for more than RetryAfter
	Body       Body
	Message    string // what the server says, in its user's language; one short line
}

func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d", e.Op, e.Code)
	if text := http.StatusText(e.Code); text != "" {
		b.WriteString(" " + text)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %q", e.Message)
	}
	if hint := e.hint(); hint != "" {
		b.WriteString(": " + hint)
	}
	if e.Capped {
		fmt.Fprintf(&b, " (the server asks for a longer pause than %s)", e.RetryAfter)
	}
	return b.String()
}

// hint is what a status without words means here.
func (e *StatusError) hint() string {
	switch {
	case e.Code == http.StatusUnauthorized:
		return "the portal refuses the credentials: they are wrong, expired or disabled; replace them"
	case e.Is(ErrScope):
		return "the key or token lacks the scope for this call: it needs files:read, and rooms:read to list rooms"
	case e.Code == http.StatusNotFound && e.Body == BodyEmpty:
		return "the server has no such address: is this a DocSpace portal, 2.6 or newer?"
	case e.Body == BodyOther && e.Message == "":
		return "answered by a proxy in front of the portal?"
	case e.Is(ErrPayment):
		return "the portal is not paid for"
	case e.Is(ErrPortal):
		return "the portal as a whole is unavailable"
	}
	return ""
}

// Is reports whether the answer is of the kind named by one of the sentinels
// of this package.
func (e *StatusError) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.Code == http.StatusUnauthorized
	case ErrPayment:
		return e.Code == http.StatusPaymentRequired
	case ErrRateLimited:
		return e.Code == http.StatusTooManyRequests
	case ErrForbidden:
		return e.Code == http.StatusForbidden && (e.Body == BodyError || e.Body == BodyEmpty)
	case ErrScope:
		return e.Code == http.StatusForbidden && e.Body == BodyEmpty
	case ErrNotFound:
		return e.Code == http.StatusNotFound && e.Body == BodyError
	case ErrPortal:
		return e.portal()
	}
	return false
}

// portal reports whether somebody other than the application refused. An
// empty 404 is no missing folder: the route itself is unknown.
func (e *StatusError) portal() bool {
	switch e.Code {
	case http.StatusForbidden:
		return e.Body == BodyProblem || e.Body == BodyOther
	case http.StatusNotFound:
		return e.Body != BodyError
	}
	return e.Code < 400
}

// Temporary reports whether asking again later can help.
func (e *StatusError) Temporary() bool {
	return e.Code == http.StatusTooManyRequests || e.Code == http.StatusRequestTimeout || e.Code >= 500
}

// Poison reports whether a single row that the portal cannot render may be
// the reason: rendering fails with almost any status, and fails the whole
// page. A folder that can still be read while a page of it answers like this
// has such a row in that page.
func (e *StatusError) Poison() bool {
	if e.Body != BodyError {
		return false
	}
	switch e.Code {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusUnsupportedMediaType, http.StatusInternalServerError:
		return true
	}
	return false
}

// A NotJSONError is an answer that says success but is not the JSON the call
// is known to give.
type NotJSONError struct {
	Op   string
	URL  string // the portal's address as configured
	HTML bool
	Err  error // what was wrong; nil for HTML
}

func (e *NotJSONError) Error() string {
	if e.HTML {
		return fmt.Sprintf("%s: answered HTML: is %s the portal's address?", e.Op, e.URL)
	}
	return fmt.Sprintf("%s: not the JSON of a portal from %s: %s", e.Op, e.URL, wrong(e.Err))
}

// wrong is what is wrong with JSON, in one line. The names of members that lead
// there are left out: some portal may have tables of people.
func wrong(err error) string {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return line(fmt.Sprintf("%v after byte %d", syntax.Err, syntax.ByteOffset))
	}
	return line(err.Error())
}

func (e *NotJSONError) Unwrap() error { return e.Err }

// Is makes it the portal's fault, not the folder's.
func (e *NotJSONError) Is(target error) bool { return target == ErrPortal }

// Temporary reports whether asking again at once can help: a proxy may have
// cut JSON short, but a page for people stays one, and so do missing fields.
func (e *NotJSONError) Temporary() bool {
	var syntax *jsontext.SyntacticError
	return errors.As(e.Err, &syntax) || errors.Is(e.Err, io.EOF) || errors.Is(e.Err, io.ErrUnexpectedEOF)
}

// A RedirectError is a redirect to another address. It is not followed,
// because the credentials belong to the configured one only.
type RedirectError struct {
	Op   string
	From string // scheme and host
	To   string // scheme and host; "" when the address redirects to itself for ever
}

func (e *RedirectError) Error() string {
	if e.To == "" {
		return fmt.Sprintf("%s: %s redirects in circles", e.Op, e.From)
	}
	return fmt.Sprintf("%s: %s redirects to %s: if that is the portal, configure it as the address", e.Op, e.From, e.To)
}

// Is makes it the portal's fault, not the folder's.
func (e *RedirectError) Is(target error) bool { return target == ErrPortal }

// Temporary is false: the address has to be changed.
func (e *RedirectError) Temporary() bool { return false }

// A TransportError is a request that got no complete answer.
type TransportError struct {
	Op      string
	Err     error
	Timeout bool // the request's own time ran out
	final   bool // a repetition will fail alike
}

func (e *TransportError) Error() string { return e.Op + ": " + line(e.Err.Error()) }
func (e *TransportError) Unwrap() error { return e.Err }

// Temporary reports whether asking again later can help.
func (e *TransportError) Temporary() bool { return !e.final }

// temporary reports whether a call may be repeated after err.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// maxLine is how many bytes of another program's words an error repeats.
const maxLine = 300

// line makes foreign text fit for a log: one line, printable, short.
func line(s string) string {
	if len(s) > 4*maxLine {
		s = s[:4*maxLine]
	}
	s = strings.ToValidUTF8(s, "")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) <= maxLine {
		return s
	}
	s = s[:maxLine]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

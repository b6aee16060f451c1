package docspace

import (
	"bytes"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// refusalOf makes an error of an answer that does not say success. The status
// line decides: older servers claim 200 inside the body of a 400. Of what it
// says, words are repeated.
func refusalOf(op string, a answer, secrets []string, words func(string) string) *StatusError {
	e := &StatusError{Op: op, Code: a.code}
	e.RetryAfter, e.Capped = retryAfter(a.header, time.Now())
	var message string
	e.Body, message = a.refusal()
	for _, secret := range secrets {
		if secret != "" {
			message = strings.ReplaceAll(message, secret, "[secret]")
		}
	}
	e.Message = words(line(message))
	return e
}

// refusal tells who refused and what they say.
func (a answer) refusal() (Body, string) {
	if len(bytes.TrimSpace(a.body)) == 0 {
		return BodyEmpty, ""
	}
	if a.html() {
		return BodyOther, ""
	}
	var r refusalReader
	if err := decode(a.body, r.read); err != nil {
		return BodyOther, string(a.body)
	}
	switch {
	case r.app:
		return BodyError, r.message
	case r.problem:
		return BodyProblem, r.message
	}
	return BodyOther, r.message
}

// A refusalReader takes an error's body apart. Stack traces stay where they are.
type refusalReader struct {
	app, problem bool
	message      string
}

func (r *refusalReader) read(s *scanner) error {
	*r = refusalReader{}
	if s.kind() != jsontext.KindBeginObject {
		s.text(nil, &r.message)
		return nil
	}
	r.envelope(s)
	return nil
}

func (r *refusalReader) envelope(s *scanner) {
	s.object("answer", func(name []byte) {
		switch string(name) {
		case "error":
			r.app = s.object("error", func(name []byte) {
				if string(name) == "message" {
					s.text(name, &r.message)
					return
				}
				s.skip()
			})
		case "response":
			s.object("response", func(name []byte) { r.member(s, name) })
		default:
			r.member(s, name)
		}
	})
}

// member reads a field of a problem, which is sent as it is or as a response.
func (r *refusalReader) member(s *scanner, name []byte) {
	switch string(name) {
	case "title":
		r.problem = true
		if r.message == "" {
			s.text(name, &r.message)
			return
		}
		s.skip()
	case "errors":
		r.problem = true
		s.object("errors", func(name []byte) {
			field := string(name)
			s.array(field, func() {
				var text string
				s.text(name, &text)
				r.message = field + ": " + text
			})
		})
	case "type", "traceId", "status":
		r.problem = true
		s.skip()
	default:
		s.skip()
	}
}

package docspace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A Source returns a secret when it is needed, and again after the portal
// refused it, so that a rotated file is picked up without a restart.
type Source func() (string, error)

// Fixed is the Source of a secret that does not change.
func Fixed(secret string) Source {
	return func() (string, error) { return secret, nil }
}

// Credentials say who is asking: an API key, or a session token, or a user
// name and password. Printed in any way, they only tell which of these.
type Credentials struct {
	APIKey   Source // sk-…, or a personal access token
	Token    Source // a session token (asc_auth_key)
	Username Source // e-mail of an account without a second factor
	Password Source
}

// String names the kind of credentials.
func (c Credentials) String() string {
	var kinds []string
	if c.APIKey != nil {
		kinds = append(kinds, "API key")
	}
	if c.Token != nil {
		kinds = append(kinds, "token")
	}
	if c.Username != nil || c.Password != nil {
		kinds = append(kinds, "user name and password")
	}
	if len(kinds) == 0 {
		return "no credentials"
	}
	return strings.Join(kinds, ", ")
}

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// A sealed string is not printed by formatting whatever holds it: the fmt
// package follows pointers to structs, but not to strings.
type sealed struct{ text *string }

func seal(text string) sealed { return sealed{&text} }

func (s sealed) open() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// An authorizer gives the value of the Authorization header.
type authorizer interface {
	// authorization returns the value to send.
	authorization(ctx context.Context) (string, error)
	// renew returns another value after the portal refused one, or "" when
	// there is no other.
	renew(ctx context.Context, refused string) (string, error)
	// free reports whether renew asks nobody, so that a refusal which may have
	// other reasons is worth it too.
	free() bool
}

// login exchanges a user name and password for a session.
type login func(ctx context.Context, username, password string) (session, error)

func (c Credentials) authorizer(login login) (authorizer, error) {
	switch kinds := c.String(); {
	case kinds == "no credentials":
		return nil, errors.New("credentials: needs an API key, a token, or a user name and password")
	case strings.Contains(kinds, ","):
		return nil, fmt.Errorf("credentials: only one of these can be used: %s", kinds)
	}
	switch {
	case c.APIKey != nil:
		return &stored{kind: "API key", scheme: "Bearer ", source: c.APIKey}, nil
	case c.Token != nil:
		return &stored{kind: "token", source: c.Token}, nil
	case c.Username == nil || c.Password == nil:
		return nil, errors.New("credentials: a user name needs a password, and the other way round")
	}
	return &password{username: c.Username, secret: c.Password, login: login, turn: make(chan struct{}, 1)}, nil
}

// stored authorizes with a secret somebody else made.
type stored struct {
	kind   string
	scheme string // "Bearer " or none
	source Source

	mu    sync.Mutex
	value sealed // the header's value, empty before the first use
}

func (s *stored) authorization(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value := s.value.open(); value != "" {
		return value, nil
	}
	value, err := s.read()
	if err != nil {
		return "", err
	}
	s.value = seal(value)
	return value, nil
}

func (s *stored) renew(_ context.Context, refused string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if current := s.value.open(); current != refused {
		return current, nil // somebody else was here before
	}
	value, err := s.read()
	if err != nil || value == refused {
		return "", err
	}
	s.value = seal(value)
	return value, nil
}

func (s *stored) free() bool { return true }

func (s *stored) read() (string, error) {
	secret, err := read(s.kind, s.source)
	if err != nil {
		return "", err
	}
	return s.scheme + strings.TrimPrefix(secret, "Bearer "), nil
}

// read returns a secret fit for a header. Nothing of it is in the error.
func read(kind string, source Source) (string, error) {
	secret, err := source()
	if err != nil {
		return "", &SecretError{kind, err}
	}
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return "", &SecretError{kind, errEmpty}
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", &SecretError{kind, errors.New("contains a control character")}
	}
	return secret, nil
}

var errEmpty = errors.New("empty")

// A SecretError is a secret that its Source does not give, or not in a form
// that can be sent.
type SecretError struct {
	Kind string // "API key"
	Err  error
}

func (e *SecretError) Error() string { return e.Kind + ": " + e.Err.Error() }
func (e *SecretError) Unwrap() error { return e.Err }

// Is makes it the credentials' fault.
func (e *SecretError) Is(target error) bool { return target == ErrUnauthorized }

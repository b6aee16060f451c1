package docspace

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// renewBefore is how long before its end a session is replaced.
	renewBefore = 5 * time.Minute
	// loginPause is how long a refused login is not tried again, and how far
	// apart refused sessions are replaced: the portal locks accounts that are
	// tried too often.
	loginPause = time.Minute
)

// A session is what a login gives.
type session struct {
	token   sealed
	expires time.Time // zero: not told
}

// password authorizes with sessions it opens itself.
type password struct {
	username, secret Source
	login            login

	turn    chan struct{} // held while the fields below are used
	current session
	renewAt time.Time // zero: when refused
	renewed time.Time // when a session was last replaced because it was refused
	refused refusal
}

// A refusal remembers which login was in vain.
type refusal struct {
	username string
	password sealed
	until    time.Time
	err      error
}

func (p *password) authorization(ctx context.Context) (string, error) { return p.take(ctx, "") }

func (p *password) renew(ctx context.Context, refused string) (string, error) {
	return p.take(ctx, refused)
}

func (p *password) free() bool { return false }

// take returns the current session's token, or a new one's when it is the
// refused one or near its end.
func (p *password) take(ctx context.Context, refused string) (string, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	due := !p.renewAt.IsZero() && !time.Now().Before(p.renewAt)
	current := p.current.token.open()
	if current != "" && current != refused && !due {
		return current, nil
	}
	again := refused != "" && refused == current
	if again && !p.renewed.IsZero() && time.Since(p.renewed) < loginPause {
		return "", nil
	}
	token, err := p.open(ctx)
	if err == nil && again {
		p.renewed = time.Now()
	}
	return token, err
}

func (p *password) open(ctx context.Context) (string, error) {
	username, err := read("user name", p.username)
	if err != nil {
		return "", err
	}
	secret, err := p.secret()
	if err != nil {
		return "", &SecretError{"password", err}
	}
	// A file ends with a line break; a password may well end with a space.
	secret = strings.TrimRight(secret, "\r\n")
	if secret == "" {
		return "", &SecretError{"password", errEmpty}
	}
	r := p.refused
	if r.err != nil && r.username == username && r.password.open() == secret && time.Now().Before(r.until) {
		return "", r.err
	}
	s, err := p.login(ctx, username, secret)
	if errors.Is(err, ErrUnauthorized) {
		p.refused = refusal{username, seal(secret), time.Now().Add(loginPause), err}
	}
	if err != nil {
		return "", err
	}
	p.current, p.refused = s, refusal{}
	p.renewAt = renewAt(s.expires, time.Now())
	return s.token.open(), nil
}

// renewAt leaves short sessions half of their life, and never asks for a new
// one at once: by a clock that is wrong, every session has ended already.
func renewAt(expires, now time.Time) time.Time {
	if expires.IsZero() {
		return time.Time{}
	}
	left := expires.Sub(now)
	return now.Add(max(left-min(renewBefore, left/2), loginPause))
}

// A LoginError is a login the portal refused.
type LoginError struct {
	Code         int // HTTP status; 200 when it asks for more than a password
	SecondFactor bool
	Message      string // what the server says
}

func (e *LoginError) Error() string {
	if e.SecondFactor {
		return "log in: the account has a second factor, which a program cannot give: use an API key (portals since 3.1) or an account without one"
	}
	text := fmt.Sprintf("log in: %d %s", e.Code, http.StatusText(e.Code))
	if e.Message != "" {
		text += fmt.Sprintf(": %q", e.Message)
	}
	return text + ": the portal refuses the user name and password: check them, and that the account is active, not locked after many attempts, and needs no captcha"
}

// Is makes it the credentials' fault.
func (e *LoginError) Is(target error) bool { return target == ErrUnauthorized }

// login opens a session. It is not repeated here: the call that needs the
// session is.
func (c *Client) login(ctx context.Context, username, password string) (session, error) {
	body, err := json.Marshal(map[string]string{"userName": username, "password": password})
	if err != nil {
		return session{}, errors.New("log in: user name and password must be UTF-8")
	}
	var answer loginAnswer
	err = c.exchange(ctx, call{
		op: "log in", route: "authentication", path: "authentication",
		body: body, secrets: []string{password}, anonymous: true,
	}, "", answer.read)
	var status *StatusError
	if errors.As(err, &status) && !status.Temporary() && !status.Is(ErrPortal) && !status.Is(ErrPayment) {
		return session{}, &LoginError{Code: status.Code, Message: status.Message}
	}
	if err != nil {
		return session{}, err
	}
	if answer.token == "" {
		if answer.sms || answer.tfa {
			return session{}, &LoginError{Code: http.StatusOK, SecondFactor: true}
		}
		return session{}, &NotJSONError{Op: "log in", URL: c.base.String(), Err: errors.New("no token in it")}
	}
	token, err := read("session token", Fixed(answer.token))
	return session{seal(token), answer.expires}, err
}

// A loginAnswer is a session, or what is still missing for one.
type loginAnswer struct {
	token    string
	expires  time.Time
	sms, tfa bool
}

func (a *loginAnswer) read(s *scanner) error {
	*a = loginAnswer{}
	return s.response(func() {
		s.object("session", func(name []byte) {
			switch string(name) {
			case "token":
				s.text(name, &a.token)
			case "expires":
				s.date(name, &a.expires)
			case "sms":
				s.flag(name, &a.sms)
			case "tfa":
				s.flag(name, &a.tfa)
			default:
				s.skip()
			}
		})
	})
}

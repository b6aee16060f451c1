package publisher

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// A Secret gives a password or a token as it is now. Its error says where it
// looked, and never what it found.
type Secret func() (string, error)

// identity reads everything once, so that what is wrong is named before any
// server is asked. tell hears of a secret that cannot be read any more.
func (o ConnectOptions) identity(tell func(connected bool, err error)) ([]nats.Option, error) {
	var options []nats.Option
	if o.Password != nil {
		password, err := newest(o.Password, tell)
		if err != nil {
			return nil, fmt.Errorf("password of NATS user %s: %w", o.User, err)
		}
		options = append(options, nats.UserInfoHandler(func() (string, string) { return o.User, password() }))
	}
	if o.Token != nil {
		token, err := newest(o.Token, tell)
		if err != nil {
			return nil, fmt.Errorf("token for NATS: %w", err)
		}
		options = append(options, nats.TokenHandler(token))
	}
	if o.Credentials != "" {
		if err := readable(o.Credentials); err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	if o.NKeySeed != "" {
		option, err := nats.NkeyOptionFromSeed(o.NKeySeed)
		if err != nil {
			return nil, fmt.Errorf("nkey seed file %s: not a readable seed of a user", o.NKeySeed)
		}
		options = append(options, option)
	}
	if len(options) > 1 {
		return nil, errors.New("identity: more than one of password, token, credentials and nkey is given; keep one")
	}
	return options, nil
}

// newest returns what a secret is when asked. While it cannot be read, as in the
// moment its file is replaced, that is what it was before, and tell hears why.
func newest(secret Secret, tell func(connected bool, err error)) (func() string, error) {
	last, err := secret()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		now, err := secret()
		if err != nil {
			tell(false, fmt.Errorf("%w; going on with the secret as it was", err))
			return last
		}
		last = now
		return now
	}, nil
}

// expired returns the time at which the credentials in a file expired, if they
// did: the server does not say which of all reasons it has to refuse them.
func expired(credentials string) (at time.Time, is bool) {
	text, err := os.ReadFile(credentials)
	if err != nil {
		return at, false
	}
	token, err := nkeys.ParseDecoratedJWT(text)
	if err != nil {
		return at, false
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return at, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return at, false
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if json.Unmarshal(body, &claims) != nil || claims.Expires == 0 {
		return at, false
	}
	at = time.Unix(claims.Expires, 0).UTC()
	return at, at.Before(time.Now())
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

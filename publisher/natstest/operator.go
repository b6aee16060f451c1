package natstest

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"
)

// An Operator signs an account with JetStream, the system's account, and users,
// as in a NATS where users bring credentials files.
type Operator struct {
	t                         testing.TB
	operator, account, system nkeys.KeyPair
}

// NewOperator returns an operator whose users are in one account.
func NewOperator(t testing.TB) *Operator {
	t.Helper()
	o := &Operator{t: t}
	var err error
	if o.operator, err = nkeys.CreateOperator(); err != nil {
		t.Fatal(err)
	}
	if o.account, err = nkeys.CreateAccount(); err != nil {
		t.Fatal(err)
	}
	if o.system, err = nkeys.CreateAccount(); err != nil {
		t.Fatal(err)
	}
	return o
}

// Option makes a server trust the operator.
func (o *Operator) Option() Option {
	limits := map[string]any{"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1}
	system := o.sign(o.operator, public(o.t, o.system), time.Time{}, map[string]any{"type": "account", "version": 2, "limits": limits})
	for _, limit := range []string{"mem_storage", "disk_storage", "streams", "consumer"} {
		limits[limit] = -1
	}
	account := o.sign(o.operator, public(o.t, o.account), time.Time{}, map[string]any{"type": "account", "version": 2, "limits": limits})
	return func(opts *server.Options) {
		resolver := &server.MemAccResolver{}
		for pair, token := range map[nkeys.KeyPair]string{o.account: account, o.system: system} {
			if err := resolver.Store(public(o.t, pair), token); err != nil {
				o.t.Fatal(err)
			}
		}
		opts.TrustedKeys, opts.AccountResolver = []string{public(o.t, o.operator)}, resolver
		opts.SystemAccount = public(o.t, o.system)
	}
}

// Credentials returns the content of a credentials file of a new user, valid
// until a time; zero means for ever.
func (o *Operator) Credentials(until time.Time) []byte {
	o.t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		o.t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	token := o.sign(o.account, public(o.t, user), until, map[string]any{"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1})
	return fmt.Appendf(nil, "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"+
		"-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n", token, seed)
}

// sign makes the token in which issuer says what subject may do.
func (o *Operator) sign(issuer nkeys.KeyPair, subject string, until time.Time, nats map[string]any) string {
	o.t.Helper()
	claims := map[string]any{
		"jti": nuid.Next(), "iat": time.Now().Unix(), "iss": public(o.t, issuer), "name": "natstest", "sub": subject, "nats": nats,
	}
	if !until.IsZero() {
		claims["exp"] = until.Unix()
	}
	body, err := json.Marshal(claims)
	if err != nil {
		o.t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + encode(body)
	signature, err := issuer.Sign([]byte(text))
	if err != nil {
		o.t.Fatal(err)
	}
	return text + "." + encode(signature)
}

func public(t testing.TB, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

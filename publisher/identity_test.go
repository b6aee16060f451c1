package publisher

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"docspace-nats/publisher/natstest"
)

// given is a secret that stands in a setting.
func given(text string) Secret { return func() (string, error) { return text, nil } }

// inFile is a secret that stands in a file.
func inFile(path string) Secret {
	return func() (string, error) {
		text, err := os.ReadFile(path)
		return string(text), err
	}
}

// Every server here takes exactly one user, and nobody else.
func TestEveryWayToSayWhoWeAreIsAcceptedAndEveryOtherIsRefused(t *testing.T) {
	t.Parallel()
	operator, stranger := natstest.NewOperator(t), natstest.NewOperator(t)
	key, seed := user(t)
	_, otherSeed := user(t)
	for _, c := range []struct {
		way     string
		server  natstest.Option
		right   ConnectOptions
		wrong   map[string]ConnectOptions
		refusal error
	}{
		{"password", withPassword, ConnectOptions{User: "connector", Password: given(password)}, map[string]ConnectOptions{
			"another password": {User: "connector", Password: given("hunter3")},
			"another user":     {User: "somebody", Password: given(password)},
			"a token":          {Token: given(password)},
		}, nats.ErrAuthorization},
		{"token", func(o *server.Options) { o.Authorization = password }, ConnectOptions{Token: given(password)}, map[string]ConnectOptions{
			"another token": {Token: given("hunter3")},
			"a password":    {User: "connector", Password: given(password)},
		}, nats.ErrAuthorization},
		{"nkey", func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: key}} }, ConnectOptions{NKeySeed: write(t, seed)}, map[string]ConnectOptions{
			"another key": {NKeySeed: write(t, otherSeed)},
			"a token":     {Token: given(password)},
		}, nats.ErrAuthorization},
		{"credentials", operator.Option(), ConnectOptions{Credentials: write(t, operator.Credentials(time.Time{}))}, map[string]ConnectOptions{
			"credentials of another operator": {Credentials: write(t, stranger.Credentials(time.Time{}))},
			"a password":                      {User: "connector", Password: given(password)},
		}, nats.ErrAuthorization},
	} {
		t.Run(c.way, func(t *testing.T) {
			t.Parallel()
			s := natstest.Run(t, c.server)
			c.right.URL = "127.0.0.1:1," + s.URL() // the first is dead
			nc, err := Connect(t.Context(), c.right)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			open(t, nc, Options{})
			c.wrong["nothing"] = ConnectOptions{}
			for name, o := range c.wrong {
				o.URL, o.RetryFor = s.URL(), time.Minute // a refusal must not be repeated
				_, err := Connect(t.Context(), o)
				if !errors.Is(err, c.refusal) || !strings.Contains(err.Error(), "the server rejects these credentials; check") {
					t.Errorf("with %s: %v", name, err)
				}
				if err != nil && (strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), string(seed))) {
					t.Errorf("with %s: a secret is shown: %v", name, err)
				}
			}
		})
	}
}

func TestExpiredCredentialsAreNamedSo(t *testing.T) {
	t.Parallel()
	operator := natstest.NewOperator(t)
	s := natstest.Run(t, operator.Option())
	o := ConnectOptions{URL: s.URL(), Credentials: write(t, operator.Credentials(time.Now().Add(-time.Minute))), RetryFor: time.Minute}
	if _, err := Connect(t.Context(), o); err == nil || !strings.Contains(err.Error(), "which expired at 20") {
		t.Errorf("Connect = %v", err)
	}
}

func TestCredentialsThatExpireWhileConnectedGiveWayToTheNewOnes(t *testing.T) {
	t.Parallel()
	operator := natstest.NewOperator(t)
	s := natstest.Run(t, operator.Option())
	var file string
	changes := make(chan error, 64)
	lasts := time.Second
	natstest.Eventually(t, "a connection before the credentials expire", func() bool {
		lasts *= 2
		file = write(t, operator.Credentials(time.Now().Add(lasts)))
		nc, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), Credentials: file, Changed: func(_ bool, err error) { changes <- err }})
		if err != nil {
			return false
		}
		t.Cleanup(nc.Close)
		return true
	})
	if err := os.WriteFile(file, operator.Credentials(time.Time{}), 0o600); err != nil {
		t.Fatal(err)
	}
	said := false
	for err := range changes {
		if err == nil { // it is back
			break
		}
		said = said || errors.Is(err, nats.ErrAuthExpired)
	}
	if !said {
		t.Error("nobody heard that the credentials expired")
	}
}

func TestTwoIdentitiesAreRefused(t *testing.T) {
	t.Parallel()
	_, err := Connect(t.Context(), ConnectOptions{User: "connector", Password: given(password), Token: given(password)})
	if err == nil || !strings.Contains(err.Error(), "keep one") || strings.Contains(err.Error(), password) {
		t.Errorf("Connect = %v", err)
	}
}

// A secret is replaced on both sides while the program runs.
func TestAReplacedSecretIsUsedAtTheNextConnectWithoutARestart(t *testing.T) {
	t.Parallel()
	operator, successor := natstest.NewOperator(t), natstest.NewOperator(t)
	for _, c := range []struct {
		way         string
		before      natstest.Option
		after       natstest.Option
		old, new    []byte
		whoIs       func(file string) ConnectOptions
		missingFile bool // while it is replaced
	}{
		{
			"password", withPassword, func(o *server.Options) { o.Password = "hunter3" }, []byte(password), []byte("hunter3"),
			func(file string) ConnectOptions { return ConnectOptions{User: "connector", Password: inFile(file)} }, true,
		},
		{
			"token", func(o *server.Options) { o.Authorization = password }, func(o *server.Options) { o.Authorization = "hunter3" },
			[]byte(password), []byte("hunter3"), func(file string) ConnectOptions { return ConnectOptions{Token: inFile(file)} }, true,
		},
		{
			"credentials", operator.Option(), successor.Option(), operator.Credentials(time.Time{}), successor.Credentials(time.Time{}),
			func(file string) ConnectOptions { return ConnectOptions{Credentials: file} }, false,
		},
	} {
		t.Run(c.way, func(t *testing.T) {
			t.Parallel()
			s := natstest.Run(t, c.before)
			file := write(t, c.old)
			o := c.whoIs(file)
			back, said := make(chan struct{}, 1), make(chan error, 64)
			o.URL, o.Changed = s.URL(), func(connected bool, err error) {
				if err == nil {
					back <- struct{}{}
					return
				}
				select {
				case said <- err:
				default:
				}
			}
			nc, err := Connect(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			if c.missingFile {
				if err := os.Rename(file, file+".old"); err != nil {
					t.Fatal(err)
				}
			}
			s.Restart(c.after)
			// The old secret is refused, or its file is missing, before the new one comes.
			for err := range said {
				if strings.Contains(err.Error(), "hunter") {
					t.Fatalf("a secret is shown: %v", err)
				}
				if errors.Is(err, nats.ErrAuthorization) {
					break
				}
			}
			if err := os.WriteFile(file+".new", c.new, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
			select {
			case <-back:
			case <-time.After(natstest.Patience):
				t.Fatal("not connected again")
			}
		})
	}
}

func TestAMissingSecretIsNamedBeforeAnyServerIsAsked(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent")
	for _, o := range []ConnectOptions{{User: "connector", Password: inFile(absent)}, {Token: inFile(absent)}, {Credentials: absent}, {NKeySeed: absent}} {
		if _, err := Connect(t.Context(), o); err == nil || !strings.Contains(err.Error(), absent) {
			t.Errorf("Connect = %v, want the file", err)
		}
	}
}

func user(t *testing.T) (public string, seed []byte) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	if seed, err = pair.Seed(); err != nil {
		t.Fatal(err)
	}
	return public, seed
}

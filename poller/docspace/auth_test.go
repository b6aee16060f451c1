package docspace

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCredentialsAreOfOneKind(t *testing.T) {
	t.Parallel()
	x := Fixed("x")
	for want, creds := range map[string]Credentials{
		"credentials: needs an API key, a token, or a user name and password":            {},
		"credentials: only one of these can be used: API key, token":                     {APIKey: x, Token: x},
		"credentials: only one of these can be used: token, user name and password":      {Token: x, Username: x, Password: x},
		"credentials: a user name needs a password, and the other way round":             {Username: x},
		"credentials: a user name needs a password, and the other way round (no matter)": {Password: x},
	} {
		want, _, _ = strings.Cut(want, " (")
		if _, err := New("https://docs.example.com", creds, Options{}); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %s", creds, err, want)
		}
	}
}

func TestEveryKindOfCredentialsHasItsHeader(t *testing.T) {
	t.Parallel()
	for want, creds := range map[string]Credentials{
		"Bearer sk-1":  {APIKey: Fixed("sk-1\n")},
		"Bearer sk-2":  {APIKey: Fixed("Bearer sk-2")},
		"token":        {Token: Fixed(" token ")},
		"session of m": {Username: Fixed("m"), Password: Fixed(" p \n")},
	} {
		var got string
		c := client(t, "https://docs.example.com", creds, Options{MaxElapsed: -1, Transport: wire(func(r *http.Request) *http.Response {
			if r.Method == http.MethodPost {
				body, _ := io.ReadAll(r.Body)
				if r.URL.Path != "/api/2.0/authentication" || r.Header.Get("Authorization") != "" || string(body) != `{"password":" p ","userName":"m"}` && string(body) != `{"userName":"m","password":" p "}` {
					t.Errorf("log in: %s %s", r.URL.Path, body)
				}
				return respond(201, `{"response":{"token":"session of m","expires":"2030-01-01T00:00:00.0000000+03:00","sms":false}}`)
			}
			got = r.Header.Get("Authorization")
			return respond(200, envelope(0))
		})})
		if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil || got != want {
			t.Errorf("%q, want %q: %v", got, want, err)
		}
	}
}

func TestARotatedKeyFileIsPickedUpWithoutARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	valid, asked := "sk-old", 0
	c := client(t, "https://docs.example.com", Credentials{APIKey: func() (string, error) {
		b, err := os.ReadFile(file)
		return string(b), err
	}}, Options{Transport: wire(func(r *http.Request) *http.Response {
		asked++
		if r.Header.Get("Authorization") != "Bearer "+valid {
			return respond(401, "")
		}
		return respond(200, envelope(0))
	})})
	poll := func() error {
		asked = 0
		_, err := c.History(t.Context(), 1, Query{Count: 1})
		return err
	}
	if err := poll(); err == nil || !errors.Is(err, os.ErrNotExist) || asked != 0 {
		t.Errorf("without a file: %v", err)
	}
	write("sk-old")
	if err := poll(); err != nil {
		t.Fatal(err)
	}
	valid = "sk-new"
	if err := poll(); !errors.Is(err, ErrUnauthorized) || asked != 1 {
		t.Errorf("a revoked key, asked %d times: %v", asked, err)
	}
	write("sk-new")
	if err := poll(); err != nil || asked != 2 {
		t.Errorf("a rotated key, asked %d times: %v", asked, err)
	}
	if err := poll(); err != nil || asked != 1 {
		t.Errorf("the poll after, asked %d times: %v", asked, err)
	}
	valid = "sk-newer"
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := poll(); !errors.Is(err, ErrUnauthorized) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("revoked and gone: %v", err)
	}
}

// A door is a portal with passwords.
type door struct {
	mu       sync.Mutex
	lifetime time.Duration
	logins   []time.Duration // when
	start    time.Time
	token    string
	answer   func() *http.Response // in place of a session
}

func (d *door) serve(r *http.Request) *http.Response {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method == http.MethodPost {
		d.logins = append(d.logins, time.Since(d.start))
		if d.answer != nil {
			return d.answer()
		}
		d.token = fmt.Sprint("session ", len(d.logins))
		return respond(200, fmt.Sprintf(`{"response":{"token":%q,"expires":%q}}`, d.token, time.Now().Add(d.lifetime).UTC().Format(time.RFC3339)))
	}
	if r.Header.Get("Authorization") != d.token {
		return respond(401, "")
	}
	return respond(200, envelope(0))
}

func (d *door) client(t *testing.T, opts Options) *Client {
	t.Helper()
	d.start = time.Now()
	opts.Transport = wire(d.serve)
	c, err := New("https://docs.example.com", Credentials{Username: Fixed("m"), Password: Fixed("hunter2")}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestASessionIsSharedAndRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{lifetime: time.Hour}
		c := d.client(t, Options{})
		for range 13 { // two hours, in steps of ten minutes
			var group sync.WaitGroup
			for folder := range 20 {
				group.Go(func() {
					if _, err := c.History(t.Context(), folder+1, Query{Count: 1}); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			time.Sleep(10 * time.Minute)
		}
		if diff := cmp.Diff([]time.Duration{0, time.Hour, 2 * time.Hour}, d.logins); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASessionIsReplacedBeforeThePortalEndsIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for life, want := range map[time.Duration]time.Duration{
		24 * time.Hour: 24*time.Hour - renewBefore, 4 * time.Minute: 2 * time.Minute, -time.Hour: loginPause,
	} {
		if got := renewAt(now.Add(life), now).Sub(now); got != want {
			t.Errorf("a session of %s is renewed after %s, want %s", life, got, want)
		}
	}
	if !renewAt(time.Time{}, now).IsZero() {
		t.Error("a session without an end is renewed")
	}
}

func TestAnEndedSessionIsReplacedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{lifetime: 24 * time.Hour}
		c := d.client(t, Options{})
		if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		d.token = "" // the portal restarted
		var group sync.WaitGroup
		for folder := range 20 {
			group.Go(func() {
				if _, err := c.History(t.Context(), folder+1, Query{Count: 1}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if diff := cmp.Diff([]time.Duration{0, time.Hour}, d.logins); diff != "" {
			t.Error(diff)
		}
	})
}

func TestARefusedLoginIsNotHammered(t *testing.T) {
	t.Parallel()
	app := `{"error":{"message":"hunter2 is wrong"}}`
	for name, answer := range map[string]func() *http.Response{
		"wrong":  func() *http.Response { return respond(401, app) },
		"locked": func() *http.Response { return respond(403, app) },
		"second factor": func() *http.Response {
			return respond(200, `{"response":{"tfa":true,"confirmUrl":"https://x/?key=hunter2"}}`)
		},
		"by message": func() *http.Response { return respond(200, `{"response":{"sms":true,"token":null}}`) },
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &door{answer: answer}
			c := d.client(t, Options{})
			for range 90 {
				_, err := c.History(t.Context(), 1, Query{Count: 1})
				var login *LoginError
				if !errors.As(err, &login) || !errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrForbidden) || strings.Contains(err.Error(), "hunter2") {
					t.Fatalf("%s: %v", name, err)
				}
				if login.SecondFactor != (login.Code == 200) || login.SecondFactor && !strings.Contains(err.Error(), "use an API key") {
					t.Fatalf("%s: %v", name, err)
				}
				time.Sleep(time.Second)
			}
			if diff := cmp.Diff([]time.Duration{0, time.Minute}, d.logins); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		})
	}
}

func TestASessionThatIsNeverAcceptedDoesNotFloodTheDoor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{answer: func() *http.Response { return respond(200, `{"response":{"token":"useless"}}`) }}
		c := d.client(t, Options{})
		for range 90 {
			if _, err := c.History(t.Context(), 1, Query{Count: 1}); !errors.Is(err, ErrUnauthorized) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff([]time.Duration{0, 0, time.Minute}, d.logins); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALoginWaitsForAPortalThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{lifetime: time.Hour}
		d.answer = func() *http.Response { d.answer = nil; return respond(503, "") }
		c := d.client(t, Options{MaxInFlight: 1})
		if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil || len(d.logins) != 2 {
			t.Errorf("logged in at %v: %v", d.logins, err)
		}
	})
}

func TestAnEndedSessionWaitsForAPortalThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{lifetime: 24 * time.Hour}
		c := d.client(t, Options{})
		if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		d.token = "" // the portal restarts
		d.answer = func() *http.Response { d.answer = nil; return respond(503, "") }
		if _, err := c.History(t.Context(), 1, Query{Count: 1}); err != nil || len(d.logins) != 3 {
			t.Errorf("logged in at %v: %v", d.logins, err)
		}
	})
}

func TestManyRefusalsOfOneKeyReadItsFileOnce(t *testing.T) {
	t.Parallel()
	reads := 0
	s := &stored{kind: "token", source: func() (string, error) { reads++; return fmt.Sprint("secret ", reads), nil }}
	if got, _ := s.authorization(t.Context()); got != "secret 1" {
		t.Fatal(got)
	}
	for range 8 {
		if got, err := s.renew(t.Context(), "secret 1"); got != "secret 2" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestAPortalWithoutATokenIsNotAWrongPassword(t *testing.T) {
	t.Parallel()
	for body, portal := range map[string]bool{`{"response":{}}`: true, `<html>`: true} {
		d := &door{answer: func() *http.Response { return respond(200, body) }}
		_, err := d.client(t, Options{MaxElapsed: -1}).History(t.Context(), 1, Query{Count: 1})
		if errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrPortal) != portal {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestTheVersionNeedsNoLogin(t *testing.T) {
	t.Parallel()
	var logins atomic.Int32
	c := client(t, "https://docs.example.com", Credentials{Username: Fixed("m"), Password: Fixed("p")}, Options{Transport: wire(func(r *http.Request) *http.Response {
		if r.Method == http.MethodPost {
			logins.Add(1)
		}
		return respond(200, `{"response":{"docSpace":"3.7.2"}}`)
	})})
	if _, err := c.Version(t.Context()); err != nil || logins.Load() != 0 {
		t.Errorf("%d logins: %v", logins.Load(), err)
	}
}

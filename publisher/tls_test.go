package publisher

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"docspace-nats/publisher/natstest"
)

func TestEveryKindOfTLSIsSpokenAndEveryRefusalSaysWhoAndWhat(t *testing.T) {
	t.Parallel()
	ours, strangers := natstest.NewAuthority(t), natstest.NewAuthority(t)
	first := func(o *server.Options) { o.TLSHandshakeFirst = true }
	plain := natstest.Run(t).URL()
	speaks := natstest.Run(t, ours.Issue("server").Option()).URL()
	expired := natstest.Run(t, ours.Expired("server").Option()).URL()
	demands := natstest.Run(t, ours.Issue("server").Option(), ours.Demand()).URL()
	atOnce := natstest.Run(t, ours.Issue("server").Option(), first).URL()
	named := strings.Replace(speaks, "127.0.0.1", "localhost", 1)
	secure := func(url string) string { return strings.Replace(url, "nats://", "tls://", 1) }
	ca, otherCA := ours.File(), strangers.File()
	cert, key := ours.Issue("connector").Files(t)
	oldCert, oldKey := ours.Expired("connector").Files(t)
	otherCert, otherKey := strangers.Issue("connector").Files(t)
	for name, c := range map[string]struct {
		o    ConnectOptions
		want string // "" when it connects
	}{
		"TLS":                                  {ConnectOptions{URL: secure(speaks), CA: ca}, ""},
		"TLS the server asks for":              {ConnectOptions{URL: speaks, CA: ca}, ""},
		"TLS first":                            {ConnectOptions{URL: secure(atOnce), CA: ca, TLSFirst: true}, ""},
		"client certificate":                   {ConnectOptions{URL: secure(demands), CA: ca, Cert: cert, Key: key}, ""},
		"no authority given":                   {ConnectOptions{URL: secure(speaks)}, "the server's certificate is from an authority that is not trusted here; name the file"},
		"another authority":                    {ConnectOptions{URL: secure(speaks), CA: otherCA}, "the server's certificate is from an authority that is not trusted here; name the file"},
		"expired certificate of the server":    {ConnectOptions{URL: secure(expired), CA: ca}, "the server's certificate is not valid now; renew it"},
		"another name":                         {ConnectOptions{URL: secure(named), CA: ca}, "the server's certificate is for another name; use"},
		"TLS with a plain server":              {ConnectOptions{URL: secure(plain), CA: ca}, "the server does not speak TLS; write nats://"},
		"TLS first with a plain server":        {ConnectOptions{URL: plain, CA: ca, TLSFirst: true}, "the server speaks before TLS; do not ask for TLS first"},
		"TLS first with one that speaks first": {ConnectOptions{URL: speaks, CA: ca, TLSFirst: true}, "the server speaks before TLS; do not ask for TLS first"},
		"TLS later with one that wants it first": {ConnectOptions{URL: atOnce, CA: ca},
			"the server accepts the connection and says nothing; if it demands TLS first, ask for it"},
		"no client certificate":           {ConnectOptions{URL: demands, CA: ca}, "the server rejects our TLS certificate, or the lack of one; give a certificate"},
		"expired client certificate":      {ConnectOptions{URL: demands, CA: ca, Cert: oldCert, Key: oldKey}, "the server rejects our TLS certificate, or the lack of one; give a certificate"},
		"client certificate of strangers": {ConnectOptions{URL: demands, CA: ca, Cert: otherCert, Key: otherKey}, "the server rejects our TLS certificate, or the lack of one; give a certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(c.want, "says nothing") { // that one may be a server that starts
				c.o.RetryFor = 2 * natstest.Patience // a refusal must not be repeated
			}
			began := time.Now()
			nc, err := Connect(t.Context(), c.o)
			switch {
			case err == nil:
				open(t, nc, Options{})
				nc.Close()
				if c.want != "" {
					t.Errorf("connected, want %q", c.want)
				}
			case c.want == "" || !strings.Contains(err.Error(), c.want):
				t.Errorf("Connect = %v, want %q", err, c.want)
			}
			if took := time.Since(began); took > natstest.Patience {
				t.Errorf("a refusal was repeated for %s", took)
			}
		})
	}
}

func TestReplacedCertificatesAreUsedAtTheNextConnectWithoutARestart(t *testing.T) {
	t.Parallel()
	before, after := natstest.NewAuthority(t), natstest.NewAuthority(t)
	s := natstest.Run(t, before.Issue("server").Option(), before.Demand())
	ca := before.File()
	cert, key := before.Issue("connector").Files(t)
	back := make(chan struct{}, 1)
	nc, err := Connect(t.Context(), ConnectOptions{URL: s.URL(), CA: ca, Cert: cert, Key: key, Changed: func(connected bool, err error) {
		if connected && err == nil {
			back <- struct{}{}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.Shutdown()
	next := after.Issue("connector")
	for path, content := range map[string][]byte{ca: read(t, after.File()), cert: next.Cert, key: next.Key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Restart(after.Issue("server").Option(), after.Demand())
	select {
	case <-back:
	case <-time.After(natstest.Patience):
		t.Fatal("not connected again")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

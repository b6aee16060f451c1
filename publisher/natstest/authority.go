package natstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// An Authority makes certificates for 127.0.0.1, for servers and clients.
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// A Certificate is one made by an Authority, with its key.
type Certificate struct {
	TLS       tls.Certificate
	Cert, Key []byte // PEM
}

// NewAuthority returns an authority that nobody trusts yet.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t)}
	template := certificate("natstest authority", time.Now().Add(time.Hour))
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// File returns the path of the authority's own certificate, in PEM.
func (a *Authority) File() string { return keep(a.t, a.pem) }

// Issue makes a certificate that is valid for an hour.
func (a *Authority) Issue(name string) Certificate { return a.issue(name, time.Now().Add(time.Hour)) }

// Expired makes a certificate that was valid until an hour ago.
func (a *Authority) Expired(name string) Certificate {
	return a.issue(name, time.Now().Add(-time.Hour))
}

func (a *Authority) issue(name string, until time.Time) Certificate {
	a.t.Helper()
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, certificate(name, until), a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	c := Certificate{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
	if c.TLS, err = tls.X509KeyPair(c.Cert, c.Key); err != nil {
		a.t.Fatal(err)
	}
	return c
}

// Files returns the paths of the certificate and its key, in PEM.
func (c Certificate) Files(t testing.TB) (cert, key string) {
	t.Helper()
	return keep(t, c.Cert), keep(t, c.Key)
}

// Option makes a server speak TLS with this certificate, on the address it is for.
func (c Certificate) Option() Option {
	return func(o *server.Options) {
		o.Host = "127.0.0.1"
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c.TLS}, MinVersion: tls.VersionTLS12}
		o.TLSTimeout = Patience.Seconds()
	}
}

// Demand makes a server that speaks TLS demand client certificates of the
// authority.
func (a *Authority) Demand() Option {
	return func(o *server.Options) {
		o.TLSVerify = true
		o.TLSConfig.ClientAuth = tls.RequireAndVerifyClientCert
		o.TLSConfig.ClientCAs = x509.NewCertPool()
		o.TLSConfig.ClientCAs.AddCert(a.cert)
	}
}

func certificate(name string, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             until.Add(-2 * time.Hour),
		NotAfter:              until,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keep writes a file that is gone when the test ends.
func keep(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

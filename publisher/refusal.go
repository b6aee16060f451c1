package publisher

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// A plainError says in our words, and once, what a library's error says in its own.
type plainError struct {
	text  string
	cause error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.cause }

// refusal reports whether the server, or we, said no. Asking again cannot help.
func refusal(err error) bool {
	var record tls.RecordHeaderError
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired) || errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted) ||
		errors.As(err, &record) || untrusted(err) || rejected(err)
}

// untrusted reports whether we do not believe the server's certificate.
func untrusted(err error) bool {
	var verify *tls.CertificateVerificationError
	return errors.As(err, &verify)
}

// rejected reports whether the server ended the TLS handshake: it wants a
// client certificate, or another one.
func rejected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// explain turns the client's error into what an operator can act on: who said
// no, and what to look at.
func (o ConnectOptions) explain(err error) error {
	if at, is := expired(o.Credentials); is && errors.Is(err, nats.ErrAuthorization) {
		return fmt.Errorf("the server rejects the credentials in %s, which expired at %s; have new ones made: %w", o.Credentials, at.Format(time.RFC3339), err)
	}
	var record tls.RecordHeaderError
	var expired x509.CertificateInvalidError
	var host x509.HostnameError
	var read *net.OpError
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return &plainError{"no server answers there; start it, or correct the address (NATS_URL)", err}
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("the server rejects these credentials; check the user and its secret, or whether the server wants another kind of credentials: %w", err)
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAccountAuthExpired):
		return fmt.Errorf("the server says that the credentials have expired; have new ones made: %w", err)
	case errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("the server says that the credentials were revoked; have new ones made: %w", err)
	case errors.Is(err, nats.ErrSecureConnRequired):
		return fmt.Errorf("the server demands TLS; write tls:// in the address: %w", err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("the server does not speak TLS; write nats:// in the address and set no certificates, or give the server one: %w", err)
	case errors.As(err, &record):
		return fmt.Errorf("the server speaks before TLS; do not ask for TLS first, or have the server set handshake_first: %w", err)
	case errors.As(err, &host):
		return fmt.Errorf("the server's certificate is for another name; use the name it is for as the address: %w", err)
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return fmt.Errorf("the server's certificate is not valid now; renew it, or correct a clock: %w", err)
	case untrusted(err):
		return fmt.Errorf("the server's certificate is from an authority that is not trusted here; name the file with its authority: %w", err)
	case rejected(err):
		return fmt.Errorf("the server rejects our TLS certificate, or the lack of one; give a certificate and key from an authority it trusts, not expired: %w", err)
	case errors.As(err, &read) && read.Op == "read" && read.Timeout():
		return fmt.Errorf("the server accepts the connection and says nothing; if it demands TLS first, ask for it: %w", err)
	}
	return err
}

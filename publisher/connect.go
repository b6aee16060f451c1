package publisher

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
)

// DefaultURL is where a NATS server of this machine listens.
const DefaultURL = nats.DefaultURL

// defaultInbox is where the client library lets answers arrive.
const defaultInbox = "_INBOX"

// firstAnswer bounds one attempt to connect, handshakes included.
const firstAnswer = 5 * time.Second

// ConnectOptions say which NATS server to use and who we are. Secrets appear in
// no error.
type ConnectOptions struct {
	URL   string // one address or several, separated by commas; DefaultURL when empty
	Name  string // shown by the server's connection list; "docspace-nats" when empty
	Inbox string // first tokens of the subjects answers arrive on; "_INBOX" when empty

	// Who we are, in one way or none: a user with a password, a token, a .creds
	// file, or an nkey seed file. The addresses may name a user instead.
	// Everything but the nkey is read again at every reconnect, so that it can
	// be replaced without a restart.
	User        string
	Password    Secret
	Token       Secret
	Credentials string // path
	NKeySeed    string // path

	// How to speak TLS. The files are read again at every reconnect.
	CA        string // path of a PEM file with the authorities to trust; the system's when empty
	Cert, Key string // paths of the client certificate and its key, both or none
	TLSFirst  bool   // handshake before the server speaks, for servers that demand it

	// Local, when set, is used instead of URL, without a socket.
	Local nats.InProcessConnProvider

	// RetryFor is how long Connect goes on when no server answers; zero
	// tries once, less than zero tries until ctx ends. A refusal (credentials,
	// certificates) ends it at once.
	RetryFor time.Duration

	// NoEcho keeps from the connection's subscriptions what it publishes itself.
	// A reader with a durable consumer wants that, see OpenReader.
	NoEcho bool

	// Changed, when set, is told when the connection is lost (err says why)
	// or back (err is nil), when the first attempt to connect fails and others
	// follow, and of refusals that have no other place, such as
	// a permission that is missing. It must not block.
	Changed func(connected bool, err error)
}

// Connect connects for good: it reconnects for ever, with jitter, and buffers
// nothing while it is disconnected, since what is replayed minutes later was
// decided on minutes before.
func Connect(ctx context.Context, o ConnectOptions) (*nats.Conn, error) {
	servers, shown, err := addresses(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Local != nil {
		shown = "the embedded server"
	}
	options, err := o.natsOptions()
	if err != nil {
		return nil, err
	}
	var nc *nats.Conn
	attempt := func() error {
		var err error
		nc, err = nats.Connect(servers, options...)
		if err != nil && (refusal(err) || o.RetryFor == 0) {
			return backoff.Permanent(err)
		}
		return err
	}
	told := false
	tell := func(err error, _ time.Duration) {
		if !told && o.Changed != nil {
			told = true
			o.Changed(false, fmt.Errorf("connect to %s: %w", shown, o.explain(err)))
		}
	}
	if err := backoff.RetryNotify(attempt, backoff.WithContext(jittered(max(o.RetryFor, 0)), ctx), tell); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", shown, o.explain(err))
	}
	return nc, nil
}

func (o ConnectOptions) natsOptions() ([]nats.Option, error) {
	changed := o.Changed
	if changed == nil {
		changed = func(bool, error) {}
	}
	options := []nats.Option{
		nats.Name(cmp.Or(o.Name, "docspace-nats")),
		nats.CustomInboxPrefix(cmp.Or(o.Inbox, defaultInbox)),
		nats.Timeout(firstAnswer),
		nats.FlusherTimeout(2 * firstAnswer), // a server that reads nothing must not hold a commit for ever
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(20 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // rotated credentials arrive without a restart
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { changed(false, err) }),
		nats.ReconnectHandler(func(*nats.Conn) { changed(true, nil) }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) { changed(nc.IsConnected(), err) }),
	}
	if o.NoEcho {
		options = append(options, nats.NoEcho())
	}
	if o.Local != nil {
		return append(options, nats.InProcessServer(o.Local)), nil
	}
	secure, err := o.tlsOptions()
	if err != nil {
		return nil, err
	}
	identity, err := o.identity(changed)
	if err != nil {
		return nil, err
	}
	return append(append(options, secure...), identity...), nil
}

func (o ConnectOptions) tlsOptions() ([]nats.Option, error) {
	var options []nats.Option
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authorities: %s holds no PEM certificate", o.CA)
		}
		options = append(options, nats.RootCAs(o.CA))
	}
	if (o.Cert == "") != (o.Key == "") {
		return nil, errors.New("client certificate: the certificate and its key must both be given")
	}
	if o.Cert != "" {
		if _, err := tls.LoadX509KeyPair(o.Cert, o.Key); err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", o.Cert, err)
		}
		options = append(options, nats.ClientCert(o.Cert, o.Key))
	}
	if o.TLSFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	return options, nil
}

// addresses checks a list of addresses and returns it twice: as the client
// wants it, and without user, password and token, for people. It does not
// repeat the parser's error, which quotes the address with its password.
func addresses(list string) (servers, shown string, err error) {
	if list == "" {
		list = DefaultURL
	}
	var all, safe []string
	for _, text := range strings.Split(list, ",") {
		text = strings.TrimSpace(text)
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			return "", "", errors.New("NATS address: not of the form nats://host:port (special characters in a password must be percent-encoded)")
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return "", "", fmt.Errorf("NATS address: scheme %q is not one of nats, tls, ws, wss", u.Scheme)
		}
		all = append(all, text)
		safe = append(safe, (&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
	}
	return strings.Join(all, ","), strings.Join(safe, ","), nil
}

// jittered is the backoff of everything this package repeats: 50 ms to 2 s,
// each half random, for as long as given; zero means until the context ends.
func jittered(limit time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(limit),
	)
}

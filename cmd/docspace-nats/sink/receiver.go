package sink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Address is that of a receiver.
type Address struct {
	Scheme string // tcp, tls, relp or relp+tls
	Host   string // host:port
	Name   string // the host alone, which its certificate must be for
}

var schemes = []string{"tcp", "tls", "relp", "relp+tls"}

// ParseAddress takes scheme://host:port apart.
func ParseAddress(text string) (Address, error) {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return Address{}, errors.New("must be tcp://host:port, tls://host:port, relp://host:port or relp+tls://host:port")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return Address{}, fmt.Errorf("must name a port, as in %s://%s:514", u.Scheme, u.Hostname())
	}
	return Address{u.Scheme, u.Host, u.Hostname()}, nil
}

// RELP reports whether the receiver is to speak RELP.
func (a Address) RELP() bool { return strings.HasPrefix(a.Scheme, "relp") }

// TLS reports whether it is to speak TLS.
func (a Address) TLS() bool { return strings.HasSuffix(a.Scheme, "tls") }

// Options say how a receiver is spoken to.
type Options struct {
	TLS      func() (*tls.Config, error) // asked at each connection; of addresses with TLS only
	Counted  bool                        // octet counting (RFC 6587), otherwise a line end; not of RELP
	Trusting bool                        // what was sent counts as received; not of RELP
}

// Open returns the sink that hands lines to a receiver. It connects with the first
// of them.
func Open(to Address, o Options) (Sink, error) {
	d := dialer{address: to.Host}
	if to.TLS() {
		d.tls = o.TLS
		if _, err := d.tls(); err != nil { // now, rather than at the first event
			return nil, err
		}
	}
	if to.RELP() {
		return &relpSink{dialer: d}, nil
	}
	return &tcpSink{dialer: d, counted: o.Counted, trusting: o.Trusting}, nil
}

// netPatience bounds every step a receiver may keep us waiting in. Two of them
// are less than what a durable consumer waits for a sign of life.
const netPatience = 10 * time.Second

// A dialer connects to a receiver.
type dialer struct {
	address string
	tls     func() (*tls.Config, error) // nil for plain TCP
}

func (d dialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, netPatience)
	defer cancel()
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	if d.tls == nil {
		return dialer.DialContext(ctx, "tcp", d.address)
	}
	config, err := d.tls()
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: &dialer, Config: config}).DialContext(ctx, "tcp", d.address)
}

// sendAll writes in portions, each within the patience there is for it.
func sendAll(conn net.Conn, data []byte) error {
	const portion = 64 << 10
	for part := range slices.Chunk(data, portion) {
		if err := conn.SetWriteDeadline(time.Now().Add(netPatience)); err != nil {
			return err
		}
		if _, err := conn.Write(part); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
)

// tlsFiles are how to speak TLS with a receiver.
type tlsFiles struct{ ca, cert, key string }

func (f *tlsFiles) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.ca, "ca", "", "certificates (PEM) that vouch for the receiver, instead of the system's")
	flags.StringVar(&f.cert, "cert", "", "client certificate (PEM) for the receiver; needs --key")
	flags.StringVar(&f.key, "key", "", "key (PEM) of --cert")
}

func (f tlsFiles) given() bool { return f != tlsFiles{} }

func (f tlsFiles) check() error {
	if (f.cert == "") != (f.key == "") {
		return errors.New("--cert and --key: must both be set, or neither")
	}
	return nil
}

// config reads the files, at each connection where they are to be replaced.
func (f tlsFiles) config(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s holds no PEM certificate", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

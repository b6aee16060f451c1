package main

import (
	"crypto/tls"
	"io"

	"docspace-nats/cmd/docspace-nats/sink"
)

// target is where --to or --file point, for messages.
func (o tailOptions) target() string {
	switch {
	case o.file != "":
		return o.file
	case o.to != "":
		return o.to
	}
	return "standard output"
}

// open opens it.
func (o tailOptions) open(stdout io.Writer) (sink.Sink, error) {
	switch {
	case o.file != "":
		return sink.OpenFile(o.file, o.durable != "")
	case o.to != "":
		return o.openReceiver()
	}
	return sink.NewOutput(stdout), nil
}

func (o tailOptions) openReceiver() (sink.Sink, error) {
	to, err := sink.ParseAddress(o.to)
	if err != nil {
		return nil, err
	}
	return sink.Open(to, sink.Options{
		TLS:      func() (*tls.Config, error) { return o.tlsFiles.config(to.Name) },
		Counted:  o.framing == octetCounting,
		Trusting: o.confirm == confirmNone,
	})
}

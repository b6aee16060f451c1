package config

import (
	"net"
	"net/url"
	"strings"

	"docspace-nats/publisher"
)

// portalAllows is how many requests a minute a portal answers per account.
const portalAllows = 1500

// Warnings names settings that work but that the operator may not have meant,
// each with what to do. They are for a valid configuration.
func (c Config) Warnings() []string {
	var all []string
	warn := func(that bool, text string) {
		if that {
			all = append(all, text)
		}
	}
	warn(plainHTTP(c.DocSpace.URL),
		"DOCSPACE_URL: credentials and activity cross the network unencrypted; use https")
	warn(c.DocSpace.APIKey != "" && !isAPIKey(string(c.DocSpace.APIKey)),
		"DOCSPACE_API_KEY: looks neither like an API key (sk-…) nor like a personal access token; a session token belongs in DOCSPACE_TOKEN")
	warn(c.DocSpace.password().set(),
		"DOCSPACE_PASSWORD: gives more rights than needed; prefer an API key with the scopes files:read and rooms:read")
	warn(c.NATS.Replicas%2 == 0,
		"NATS_REPLICAS: an even number survives no more failures than one less; use 3 or 5")
	warn(c.NATS.MaxBytes != 0,
		"NATS_MAX_BYTES: a full stream drops the marks of idle folders with its oldest events; prefer NATS_MAX_AGE")
	warn(c.NATS.Commit == string(publisher.Dedup),
		"NATS_COMMIT: dedup promises less than atomic; prefer auto, which takes it only where atomic is impossible")
	warn(c.Poll.RequestsPerMinute == 0 || c.Poll.RequestsPerMinute > portalAllows,
		"POLL_REQUESTS_PER_MINUTE: a portal refuses more than 1500 a minute from one account")
	warn(c.Hints.Addr != "" && !loopback(c.Hints.Addr),
		"HINTS_ADDR: is open to the network without encryption; let only a proxy that speaks https reach it")
	warn(c.Hints.guessable(),
		c.Hints.secret().name()+": is so short that it can be guessed; use 16 characters or more, here and in the portal")
	return append(all, c.Events.warnings()...)
}

// shortestSecret is what nobody tries out by asking, nor with a delivery of
// which they know the signature.
const shortestSecret = 16

func (c Hints) guessable() bool {
	secret, err := c.secret().read()
	return c.Addr != "" && err == nil && len(secret) < shortestSecret
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isAPIKey reports whether the portal takes the text for a key or, by its two
// dots, for a personal access token.
func isAPIKey(text string) bool {
	return strings.HasPrefix(text, "sk-") || strings.Count(text, ".") == 2
}

// plainHTTP reports whether the address is http and leaves this machine.
func plainHTTP(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	return !loopback(net.JoinHostPort(u.Hostname(), "80"))
}

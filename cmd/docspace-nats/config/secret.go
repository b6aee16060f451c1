package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Hidden stands where a secret was.
const Hidden = "[hidden]"

// maxSecret bounds a secret in bytes; the longest real ones are OAuth tokens
// of a few kilobytes.
const maxSecret = 16 << 10

// A Secret is never printed: not by fmt, not by zerolog, not as JSON. Only
// string(s) gives it away, which is easy to find in review.
type Secret string

func (Secret) String() string               { return Hidden }
func (Secret) GoString() string             { return Hidden }
func (Secret) MarshalText() ([]byte, error) { return []byte(Hidden), nil }

// Format answers every verb: with String alone, a wrong one such as %d would
// print the secret inside fmt's complaint.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Hidden) }

// A ServerURL is a comma-separated list of NATS addresses. They may carry a
// user and a password, so it prints without them; string(u) is what to dial.
type ServerURL string

// String returns the addresses without user, password and token.
func (u ServerURL) String() string {
	var safe []string
	for server := range strings.SplitSeq(string(u), ",") {
		parsed, err := url.Parse(strings.TrimSpace(server))
		if err != nil {
			return Hidden
		}
		safe = append(safe, (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host}).String())
	}
	return strings.Join(safe, ",")
}

// names reports whether an address says who we are.
func (u ServerURL) names() bool {
	for server := range strings.SplitSeq(string(u), ",") {
		if parsed, err := url.Parse(strings.TrimSpace(server)); err == nil && parsed.User != nil {
			return true
		}
	}
	return false
}

func (u ServerURL) GoString() string             { return u.String() }
func (u ServerURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// Format answers every verb, like Secret's.
func (u ServerURL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// readSecret returns the one line a secret file holds. The error never shows
// the content.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(content), "\r\n") // no spaces: a password may end in one
	if err := checkSecret(secret); err != nil {
		return "", fmt.Errorf("%s %w", path, err)
	}
	return secret, nil
}

// unreadable leaves the path out of err unless it is one for certain: a common
// mistake is to write the secret itself where its file belongs.
func unreadable(path string, err error) error {
	wrong, ok := errors.AsType[*fs.PathError](err)
	if !ok || filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
		return err
	}
	return fmt.Errorf("must be the path of a file; the secret itself belongs in the variable without _FILE: %w", wrong.Err)
}

// checkSecret refuses what cannot travel in an HTTP header.
func checkSecret(secret string) error {
	switch {
	case strings.TrimSpace(secret) == "":
		return errors.New("must not be empty")
	case len(secret) > maxSecret:
		return fmt.Errorf("must not be longer than %d bytes", maxSecret)
	case strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("must be a single line")
	}
	return nil
}

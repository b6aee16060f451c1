package schema

import (
	"fmt"
	"strings"
)

// Privacy says which personal data events carry. Of a person nothing but id,
// name and e-mail address can ever be published: Person, Actor and Member have
// no other fields.
type Privacy uint8

const (
	// Standard publishes ids and names, no e-mail address. It is the default.
	Standard Privacy = iota
	// Full publishes e-mail addresses too.
	Full
)

// ParsePrivacy reads "standard" or "full"; "" is standard.
func ParsePrivacy(s string) (Privacy, error) {
	switch s {
	case "", "standard":
		return Standard, nil
	case "full":
		return Full, nil
	case "pseudonymous", "minimal":
		return 0, fmt.Errorf("privacy %q is not available in this version, use standard or full", s)
	}
	return 0, fmt.Errorf("privacy %q is unknown, use standard or full", s)
}

// String returns what ParsePrivacy reads.
func (p Privacy) String() string {
	if p == Full {
		return "full"
	}
	return "standard"
}

// UnmarshalText reads a configuration value as ParsePrivacy does.
func (p *Privacy) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePrivacy(string(text))
	return err
}

// A Person is somebody who is neither the actor nor a member.
type Person struct {
	ID    string `json:"id,omitzero"`
	Name  string `json:"name,omitzero"`
	Email string `json:"email,omitzero"`
}

// Person is the only way personal data gets into an event.
func (p Privacy) Person(id, name, email string) Person {
	person := Person{ID: realID(id), Name: Text(name)}
	switch p {
	case Full:
		person.Email = Text(email)
	default:
		// The portal shows people who have not given a name by their address.
		if hasEmail(person.Name) {
			person.Name = ""
		}
	}
	return person
}

// hasEmail reports whether s holds an e-mail address, plain or URL-encoded.
func hasEmail(s string) bool {
	s = strings.ReplaceAll(s, "%40", "@")
	for {
		i := strings.IndexByte(s, '@')
		if i < 0 {
			return false
		}
		local, domain := s[:i], s[i+1:]
		if local != "" && local[len(local)-1] > ' ' && domain != "" && domain[0] > ' ' && domain[0] != '@' {
			return true
		}
		s = domain
	}
}

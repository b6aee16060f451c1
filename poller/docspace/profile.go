package docspace

import (
	"cmp"
	"html"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// nobody is the id of people the portal cannot name an account for.
const nobody = "00000000-0000-0000-0000-000000000000"

// A knownUser is a profile met before on the same page, to the letter.
type knownUser struct {
	user User
	note string
}

// user reads an embedded profile. Profiles are most of a page and nearly
// always repeat, so each spelling is taken apart once.
func (s *scanner) user(field []byte, dst *User) {
	if s.kind() != jsontext.KindBeginObject {
		s.unexpected(field, "profile")
		return
	}
	v := s.value()
	if s.err != nil {
		return
	}
	known, ok := s.users[string(v)]
	if !ok {
		sub := newScanner(v)
		sub.profile(&known.user, func([]byte) { sub.skip() })
		known.note = sub.note
		s.users[string(v)] = known
	}
	if known.note != "" {
		s.odd(field, known.note)
	}
	*dst = known.user
}

func (s *scanner) optionalUser(field []byte, dst **User) {
	if s.kind() != jsontext.KindBeginObject {
		s.unexpected(field, "profile")
		return
	}
	var u User
	s.user(field, &u)
	*dst = &u
}

// profile reads what this program is willing to know of a person, and gives
// the names of the rest to other.
func (s *scanner) profile(u *User, other func(name []byte)) {
	s.object("", func(name []byte) {
		switch string(name) {
		case "id":
			s.text(name, &u.ID)
		case "displayName":
			s.text(name, &u.Name)
			u.Name = html.UnescapeString(u.Name)
		case "profileUrl":
			var link string
			s.text(name, &link)
			u.Email = emailOf(link)
		case "isAnonim":
			s.flag(name, &u.Anonymous)
		default:
			other(name)
		}
	})
	if u.ID == nobody {
		u.ID, u.Anonymous = "", true
	}
}

// account reads the profile of whoever asks.
func (s *scanner) account() (a Account) {
	var email string
	s.profile(&a.User, func(name []byte) {
		switch string(name) {
		case "email":
			s.text(name, &email)
		case "isAdmin":
			s.flag(name, &a.Admin)
		case "isOwner":
			s.flag(name, &a.Owner)
		default:
			s.skip()
		}
	})
	a.Email = cmp.Or(a.Email, email)
	return a
}

// emailOf takes the address out of the link to a profile.
func emailOf(link string) string {
	_, query, _ := strings.Cut(link, "?")
	values, _ := url.ParseQuery(query)
	email := values.Get("search")
	if !strings.Contains(email, "@") {
		return ""
	}
	return strings.ToValidUTF8(email, "\ufffd")
}

package schema

import (
	"errors"
	"fmt"
)

// Privacy says which personal data events carry. Of a person nothing but id,
// name and e-mail address can ever be published: Person, Actor and Member have
// no other fields, and only Privacy fills them. The zero value is Standard.
//
//	                               full   standard           pseudonymous       minimal
//	id of a person or group        sent   sent               pid-…              pid-…
//	name of a person or group      sent   unless an address  pname-…            left out
//	e-mail address of a person     sent   left out           pmail-…            left out
//	title, label, tag              sent   sent               addresses pmail-…  left out
//	extension of a file            sent   sent               sent               left out
//	id of a file or link           sent   sent               sent               pid-…
//	id of a folder or room         sent   sent               sent               sent
//	codes, kinds, numbers, times   sent   sent               sent               sent
//	row as received                names  ids                pid-…, titles      left out
//	what the portal says in errors sent   without addresses  left out           left out
//
// Three ids belong to nobody: those of all removed profiles, of the portal's
// own jobs, and of whoever came by an open link. They never become pseudonyms,
// because those would look like one busy person: the kind of the actor tells
// them apart, and their names, which are the portal's words, are left out in
// pseudonymous too. Groups the portal made, such as everyone, keep their ids.
//
// The id of an event is no part of this. It is made of folder and row, so that
// another mode or key stores no row twice; see HashedEventID for the price.
type Privacy struct {
	mode privacyMode
	key  *Key // of pseudonymous and minimal
}

type privacyMode uint8

const (
	standard privacyMode = iota
	full
	pseudonymous
	minimal
)

var privacyNames = [...]string{standard: "standard", full: "full", pseudonymous: "pseudonymous", minimal: "minimal"}

// The two that need no key.
var (
	Standard = Privacy{mode: standard}
	Full     = Privacy{mode: full}
)

// Pseudonymous replaces people by pseudonyms made with the key.
func Pseudonymous(key *Key) Privacy { return Privacy{pseudonymous, key} }

// Minimal leaves out what people typed as well.
func Minimal(key *Key) Privacy { return Privacy{minimal, key} }

// ErrNeedsKey is returned by ParsePrivacy for a mode that makes pseudonyms.
var ErrNeedsKey = errors.New("needs a key")

// ParsePrivacy reads "full", "standard", "pseudonymous" or "minimal"; "" is
// standard. The last two take the key, the others none. What it returns together
// with an error lets nothing out: it panics when it is used.
func ParsePrivacy(s string, key *Key) (Privacy, error) {
	if s == "" {
		return Standard, nil
	}
	for mode, name := range privacyNames {
		if name != s {
			continue
		}
		p := Privacy{mode: privacyMode(mode)}
		if p.mode < pseudonymous {
			return p, nil
		}
		if p.key = key; key == nil {
			return p, fmt.Errorf("privacy %s %w", s, ErrNeedsKey)
		}
		return p, nil
	}
	return Minimal(nil), fmt.Errorf("privacy %q is unknown, use full, standard, pseudonymous or minimal", Cut(Text(s), 40))
}

// String returns what ParsePrivacy reads.
func (p Privacy) String() string { return privacyNames[p.mode] }

// Hides reports whether people are told by pseudonyms, or not at all.
func (p Privacy) Hides() bool { return p.mode >= pseudonymous }

// ShowsRaw reports whether a row as received may be published at all.
func (p Privacy) ShowsRaw() bool { return p.mode != minimal }

// PII tells how an event names people, nil where it does as the portal does.
func (p Privacy) PII() *PII {
	if !p.Hides() {
		return nil
	}
	return &PII{Mode: p.String(), KeyID: p.key.id}
}

// Key is what makes the pseudonyms, nil where there are none.
func (p Privacy) Key() *Key { return p.key }

// A Person is somebody who is neither the actor nor a member.
type Person struct {
	ID    string `json:"id,omitzero"`
	Name  string `json:"name,omitzero"`
	Email string `json:"email,omitzero"`
}

// Person is the only way personal data gets into an event.
func (p Privacy) Person(id, name, email string) Person {
	if p.Hides() && isNobody(id) {
		return Person{ID: realID(id)}
	}
	person := Person{ID: p.pseudonym(ofID, realID(id)), Name: p.personName(name)}
	switch p.mode {
	case full:
		person.Email = Text(email)
	case pseudonymous:
		person.Email = p.key.email(email)
	}
	return person
}

func (p Privacy) personName(name string) string {
	name = Text(name)
	switch {
	case p.mode == minimal:
		return ""
	case p.mode == pseudonymous:
		return p.pseudonym(ofName, name)
	case p.mode == standard && hasEmail(name):
		return "" // the portal shows people who have not given a name by their address, and lists are called so
	}
	return name
}

// Group is the member that is a group; system is nil where the portal does not
// say whether it made the group.
func (p Privacy) Group(id, name string, system *bool) Member {
	m := Member{Kind: MemberGroup, ID: ID(id), Name: Text(name), IsSystem: system}
	if !p.Hides() {
		m.Name = p.personName(name)
		return m
	}
	if system == nil || !*system {
		m.ID, m.Name = p.pseudonym(ofID, m.ID), p.pseudonym(ofName, m.Name)
	}
	if p.mode == minimal {
		m.Name = ""
	}
	return m
}

// Title is the rule for what people type: titles, labels and tags.
func (p Privacy) Title(s string) string {
	s = Text(s)
	switch p.mode {
	case pseudonymous:
		return replaceEmails(s, p.key.email)
	case minimal:
		return ""
	}
	return s
}

// NameOf is the rule for the name of what was acted on. What is not known to
// have a title may have the name of a person.
func (p Privacy) NameOf(kind, name string) string {
	if !titled(kind) {
		return p.personName(name)
	}
	return p.Title(name)
}

// IDOf is the rule for the id of what was acted on, and of the places it lies
// in. Folders keep theirs, which the subject tells anyway; what is not known
// to be a thing may be a person.
func (p Privacy) IDOf(kind, id string) string {
	id = ID(id)
	switch {
	case !p.Hides(), isPlace(kind) && isNumber(id):
		return id
	case p.mode == pseudonymous && (kind == kindLink || kind == kindFile && isNumber(id)):
		return id
	case isNumber(id):
		return p.pseudonym(ofID, kind+"/"+id)
	}
	return p.pseudonym(ofID, id)
}

// Words is the rule for what the portal says about a refusal, which may name
// the person or the title it is about.
func (p Privacy) Words(s string) string {
	switch {
	case s == "" || p.mode == full:
		return s
	case p.mode == standard:
		return replaceEmails(s, func(string) string { return redacted })
	}
	return "[withheld]"
}

// pseudonym returns text as it is where the mode makes no pseudonyms.
func (p Privacy) pseudonym(of, text string) string {
	if !p.Hides() {
		return text
	}
	return p.key.pseudonym(of, text)
}

// Kinds of what can be acted on.
const (
	kindFile = "file"
	kindLink = "link"
)

func isPlace(kind string) bool { return kind == "folder" || kind == "room" }
func titled(kind string) bool  { return isPlace(kind) || kind == kindFile || kind == "tag" }

func isNumber(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

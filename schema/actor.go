package schema

import "strings"

// Ids the portal gives to actors who are nobody in particular.
const (
	zeroID      = "00000000-0000-0000-0000-000000000000"
	removedID   = "4a515a15-d4d6-4b8e-828e-e0586f18f3a3" // every profile that was removed
	systemID    = "a37ee56e-3302-4a7b-b67e-ddbea64cd032" // background jobs
	anonymousID = "712d9ec3-5d2b-4b13-824f-71f00191dcca" // whoever came by an open link
)

// Kinds of Actor that are no portal user. A user has no kind.
const (
	ActorAnonymous = "anonymous" // came by a link or typed a name
	ActorRemoved   = "removed"   // the profile is gone, and with it the id
	ActorSystem    = "system"    // a job of the portal
	ActorConnector = "connector" // this program
)

// An Actor is who did it, with the name the portal shows today.
type Actor struct {
	Kind      string `json:"kind,omitzero"`
	ID        string `json:"id,omitzero"`
	Name      string `json:"name,omitzero"`
	Email     string `json:"email,omitzero"`
	Anonymous bool   `json:"anonymous"`
}

// Actor tells the special ids apart: no id or an all-zero one is somebody
// anonymous, the id shared by all removed profiles is no id.
func (p Privacy) Actor(id, name, email string, anonymous bool) Actor {
	person := p.Person(id, name, email)
	actor := Actor{ID: person.ID, Name: person.Name, Email: person.Email, Anonymous: anonymous}
	switch id := strings.ToLower(id); {
	case id == removedID:
		actor.Kind = ActorRemoved
	case id == systemID:
		actor.Kind = ActorSystem
	case anonymous, id == anonymousID, actor.ID == "":
		actor.Kind, actor.Anonymous = ActorAnonymous, true
	}
	return actor
}

// isNobody reports whether the id is one of those above. The zero one is none:
// who has it may have a name of their own.
func isNobody(id string) bool {
	switch canonicalID(id) {
	case removedID, systemID, anonymousID:
		return true
	}
	return false
}

// realID returns the id of somebody in particular, and "" for all others.
func realID(id string) string {
	if id == "" || id == zeroID || strings.EqualFold(id, removedID) {
		return ""
	}
	return ID(id)
}

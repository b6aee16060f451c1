package schema

import "slices"

// A Family is a kind of event with a schema of its own for the data: all
// categories of actions about the same kind of thing.
type Family struct {
	Name  string // of its schema, <name>.schema.json
	About string // what its events are about, for people
}

// Other is the family of all categories that have none of their own.
const Other = "other"

var families = [...]Family{
	{"file", "files"},
	{"folder", "folders inside rooms"},
	{"room", "rooms, their members and their external links"},
	{"form", "forms that people fill in"},
	{"agent", "agent rooms"},
	{"connector", "what the connector says about its own work"},
	{Other, "everything else, actions of newer servers included"},
}

// Families returns all families, Other last.
func Families() []Family { return slices.Clone(families[:]) }

// FamilyOf is the name of the family a category of actions belongs to.
func FamilyOf(category string) string {
	for _, family := range families {
		if family.Name == category {
			return category
		}
	}
	return Other
}

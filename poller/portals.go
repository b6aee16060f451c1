package poller

import (
	"fmt"
	"slices"
	"strings"

	"docspace-nats/checkpoint"
)

// An OtherPortalError is a mark that was made for the folder of another portal.
// Two portals number their folders alike, so their events and marks in one
// stream would be taken for each other's.
type OtherPortalError struct {
	Folder       int
	Theirs, Ours string // hosts
}

func (e *OtherPortalError) Error() string {
	return fmt.Sprintf("the mark of folder %d is of the portal %q and not of %q: one stream and subject prefix hold the folders of one portal", e.Folder, e.Theirs, e.Ours)
}

// An OtherKeyError is a mark that was made with another key of the same id.
// Pseudonyms of both would be taken for those of different people.
type OtherKeyError struct {
	Folder int
	ID     string // of the keys
}

func (e *OtherKeyError) Error() string {
	return fmt.Sprintf("the events of folder %d have pseudonyms made with another key whose id is %q, too: set that key, or another id for this one", e.Folder, e.ID)
}

// Owns returns an *OtherPortalError for a mark of another portal and an
// *OtherKeyError for one of another key that has the id of ours. Marks of
// versions that did not name their portal belong to whoever asks.
func (f Feed) Owns(mark checkpoint.Mark) error {
	same := func(name string) bool { return strings.EqualFold(name, mark.Portal) }
	if mark.Portal != "" && !same(f.Portal) && !slices.ContainsFunc(f.Formerly, same) {
		return &OtherPortalError{Folder: mark.Folder, Theirs: mark.Portal, Ours: f.Portal}
	}
	if key := f.Privacy.Key(); key != nil && mark.Key != key.Print() && strings.HasPrefix(mark.Key, key.ID()+"/") {
		return &OtherKeyError{Folder: mark.Folder, ID: key.ID()}
	}
	return nil
}

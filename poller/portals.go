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

// Owns returns an *OtherPortalError for a mark of another portal. Marks of
// versions that did not name their portal belong to whoever asks.
func (f Feed) Owns(mark checkpoint.Mark) error {
	same := func(name string) bool { return strings.EqualFold(name, mark.Portal) }
	if mark.Portal == "" || same(f.Portal) || slices.ContainsFunc(f.Formerly, same) {
		return nil
	}
	return &OtherPortalError{Folder: mark.Folder, Theirs: mark.Portal, Ours: f.Portal}
}

package main

import "fmt"

// replayTotals are what a replay has done.
type replayTotals struct {
	Read       int   `json:"read"`       // events of the range
	Sent       int   `json:"sent"`       // confirmed by the target
	Repeated   int   `json:"repeated"`   // sent once more after an attempt that failed
	Skipped    int   `json:"skipped"`    // not wanted
	Unreadable int   `json:"unreadable"` // messages that are no events
	Known      int64 `json:"known"`      // of those sent, stored before: JetStream knew their id

	Dropped uint64 `json:"dropped"` // by the stream before they were read, at most so many
}

func (t replayTotals) String() string {
	text := fmt.Sprintf("%s read, %d sent", counted(t.Read, "event"), t.Sent)
	for _, more := range []struct {
		n    int
		what string
	}{{t.Repeated, "sent again"}, {t.Skipped, "left out by the filters"}, {t.Unreadable, "that were none left out"}, {int(t.Known), "of those sent known to the stream already"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	return text
}

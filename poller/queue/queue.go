// Package queue is the contract of the queue through which replicas share the
// folders they poll. A folder lies in it once, waits until it is due, is leased
// to whoever asks first, and is given back with the time of its next poll. So
// there are no owners: whoever has time polls, and what a dead replica had in
// hand comes back by itself.
//
// A lease excludes nobody for certain. That two replicas poll one folder at once
// is harmless, since of two commits the mark lets one win; the queue only
// makes it rare.
package queue

import (
	"context"
	"time"
)

// A Lane is a queue of its own for folders of one kind, so that none of them
// waits behind those of another.
type Lane string

// The lanes.
const (
	Hinted  Lane = "hinted"  // somebody told that something happened there; beside another lane
	Active  Lane = "active"  // something happened there a moment ago
	Quiet   Lane = "quiet"   // nothing did for some time
	History Lane = "history" // old rows are left to read, or nobody knows yet
)

// Lanes returns all lanes.
func Lanes() []Lane { return []Lane{Hinted, Active, Quiet, History} }

// A Queue hands out folders. Its methods may be called by several goroutines,
// Take by one for each lane.
type Queue interface {
	// Folders returns the folders that are in the queue, leased ones included.
	Folders(ctx context.Context) (map[int]bool, error)

	// Put puts a folder into a lane, due at once. One that lies there already,
	// or is leased from there, stays as it is.
	Put(ctx context.Context, folder int, lane Lane) error

	// Hurry puts a folder into lane Hinted, because so many rows of it were
	// announced. It reports false when it lies there already, or is leased from
	// there.
	Hurry(ctx context.Context, folder, rows int) (bool, error)

	// Take waits until a folder of a lane is due, and leases it. The one that
	// became due first comes first. An error that is not that of ctx is trouble
	// with the queue; the next call tries again.
	Take(ctx context.Context, lane Lane) (Lease, error)
}

// A Lease is the right to poll a folder, and ends with Return or Remove. It
// lasts as long as its holder can tell the queue that it lives; some time after
// that the folder is handed to another.
type Lease interface {
	Folder() int
	Lane() Lane

	// Hint tells what Hurry announced, 0 rows if nothing, and how often the
	// folder was handed out since, this time included.
	Hint() (rows, tries int)

	// Return puts the folder into a lane, due after a time. One that lies in
	// another lane than its own already is due when it was there.
	Return(ctx context.Context, lane Lane, after time.Duration) error

	// Remove takes the folder out of its lane.
	Remove() error
}

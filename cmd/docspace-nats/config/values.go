package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxFolderID is the highest id the portal can give.
const MaxFolderID = 1<<31 - 1

const maxFolders = 100_000 // what one stream and one scheduler were measured with

// Folders are the ids of the folders to watch; none means every room the
// account can see.
type Folders []int

// Rooms reports whether the folders are found by listing the portal's rooms.
func (f Folders) Rooms() bool { return len(f) == 0 }

// String writes what Decode reads.
func (f Folders) String() string {
	if f.Rooms() {
		return "rooms"
	}
	ids := make([]string, len(f))
	for i, id := range f {
		ids[i] = strconv.Itoa(id)
	}
	return strings.Join(ids, ",")
}

// Decode reads "rooms" or a comma-separated list of ids.
func (f *Folders) Decode(value string) error {
	if strings.TrimSpace(value) == "rooms" {
		*f = nil
		return nil
	}
	if strings.Count(value, ",") >= maxFolders {
		return fmt.Errorf("must name at most %d folders", maxFolders)
	}
	var ids Folders
	for text := range strings.SplitSeq(value, ",") {
		id, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || id < 1 || id > MaxFolderID {
			return fmt.Errorf("must be rooms, or folder ids from 1 to %d separated by commas, got %s", MaxFolderID, Shown(text))
		}
		ids = append(ids, id)
	}
	if id, twice := repeated(ids); twice {
		return fmt.Errorf("must name each folder once, got %d twice", id)
	}
	*f = ids
	return nil
}

func repeated(ids []int) (id int, twice bool) {
	sorted := slices.Sorted(slices.Values(ids))
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return sorted[i], true
		}
	}
	return 0, false
}

// maxHosts is how many names a portal may have had.
const maxHosts = 100

// Hosts are the hosts of portals, with a port where the address has one.
type Hosts []string

// String writes what Decode reads.
func (h Hosts) String() string { return strings.Join(h, ",") }

// Decode reads a comma-separated list; nothing is none.
func (h *Hosts) Decode(value string) error {
	*h = nil
	if strings.TrimSpace(value) == "" {
		return nil
	}
	if strings.Count(value, ",") >= maxHosts {
		return fmt.Errorf("must name at most %d hosts", maxHosts)
	}
	for text := range strings.SplitSeq(value, ",") {
		text = strings.TrimSpace(text)
		if u, err := url.Parse("https://" + text); err != nil || u.Host != text || u.Hostname() == "" {
			return fmt.Errorf("must be hosts such as docs.example.com, separated by commas, got %s", Shown(text))
		}
		*h = append(*h, text)
	}
	return nil
}

// Start says from when on a folder is read that has no mark yet. Its zero
// value is the beginning.
type Start struct {
	now bool
	at  time.Time
}

// Now reports whether only what happens from now on is wanted.
func (s Start) Now() bool { return s.now }

// Time returns the start for a program that was started at now; zero means
// the folder's first row.
func (s Start) Time(now time.Time) time.Time {
	if s.now {
		return now
	}
	return s.at
}

// String writes what Decode reads.
func (s Start) String() string {
	switch {
	case s.now:
		return "now"
	case s.at.IsZero():
		return "beginning"
	}
	return s.at.Format(time.RFC3339)
}

// Decode reads "beginning", "now" or an RFC 3339 time.
func (s *Start) Decode(value string) error {
	switch value {
	case "beginning":
		*s = Start{}
		return nil
	case "now":
		*s = Start{now: true}
		return nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return fmt.Errorf("must be beginning, now, or a time with its zone such as 2026-01-31T00:00:00Z, got %s", Shown(value))
	}
	if at.Year() < 2000 {
		return errors.New("must not be before the year 2000; write beginning to read everything")
	}
	*s = Start{at: at.UTC()}
	return nil
}

// Sync says when what was stored has to be on the disk. Its zero value is the
// default of the server inside this program.
type Sync struct {
	Always   bool
	Interval time.Duration
}

// Bounds of Sync: less is always, and more leaves it to the system.
const (
	shortestSync = 100 * time.Millisecond
	longestSync  = 10 * time.Minute
)

// String writes what Decode reads.
func (s Sync) String() string {
	if s.Always {
		return "always"
	}
	return Short(s.Interval)
}

// Decode reads "always" or a duration.
func (s *Sync) Decode(value string) error {
	if value == "always" {
		*s = Sync{Always: true}
		return nil
	}
	interval, err := time.ParseDuration(value)
	if err != nil || interval < shortestSync || interval > longestSync {
		return fmt.Errorf("must be always, or a duration from %s to %s, got %s", Short(shortestSync), Short(longestSync), Shown(value))
	}
	*s = Sync{Interval: interval}
	return nil
}

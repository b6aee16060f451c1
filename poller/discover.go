package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/poller/docspace"
)

// A RootFolderError names a configured folder whose log is always empty.
type RootFolderError struct {
	ID    int
	Title string
}

func (e *RootFolderError) Error() string {
	return fmt.Sprintf("folder %d (%q) is a root folder of the portal, whose log is always empty: "+
		"name the rooms or folders inside it, or use rooms for all rooms", e.ID, e.Title)
}

// A Discovery finds the folders a Schedule watches.
type Discovery struct {
	IDs      []int         // the folders to watch; none: every active room
	Known    []int         // folders published before: rooms among them stay watched though they left the list
	Interval time.Duration // between two lists of the rooms; default 1 min, longer beyond 3,000 rooms
	Log      zerolog.Logger

	left   []int // those of IDs not found yet
	listed int   // rooms in the last list
}

// listPace is the time between two lists for each room in them: a page of 100
// rooms every two seconds at most.
const listPace = 20 * time.Millisecond

// wait returns the time until the next list. A long one is asked for less often.
func (d *Discovery) wait() time.Duration {
	return max(cmp.Or(d.Interval, time.Minute), time.Duration(d.listed)*listPace)
}

// Find asks the portal once and hands what it finds to the schedule; polls go first. Folders
// that cannot be read are watched all the same: their poll says why they are
// blind. It returns a RootFolderError for a configured root folder.
func (d *Discovery) Find(ctx context.Context, s *Schedule) error {
	s.mu.Lock()
	s.discovery = d
	s.mu.Unlock()
	ctx = docspace.Patient(ctx)
	find := d.findRooms
	if len(d.IDs) > 0 {
		find = d.findNamed
	}
	err := find(ctx, s)
	s.discovered(err, len(d.IDs) > 0)
	return err
}

func (d *Discovery) findRooms(ctx context.Context, s *Schedule) error {
	rooms, err := s.poller.portal.Rooms(ctx)
	if poison(err) != 0 {
		return cmp.Or(s.poller.portal.Recognise(ctx), err)
	}
	if err != nil {
		return err
	}
	d.listed = len(rooms)
	listed := make(map[int]bool, len(rooms))
	for _, room := range rooms {
		listed[room.ID] = true
		d.watch(s, room)
	}
	return d.findLeft(ctx, s, listed)
}

func (d *Discovery) findNamed(ctx context.Context, s *Schedule) (err error) {
	if len(d.left) == 0 {
		d.left = d.IDs
	}
	d.left, err = each(d.left, func(id int) error {
		folder, err := s.poller.portal.Folder(ctx, id)
		switch {
		case silent(err):
			return err
		case err != nil:
			folder = docspace.Folder{ID: id} // its poll says what is wrong
		case folder.ParentID == 0:
			return &RootFolderError{ID: id, Title: folder.Title}
		}
		d.watch(s, folder)
		return nil
	})
	return err
}

// each looks at folders until one cannot be asked for because the portal does
// not answer. It returns those to look at again, that one last: it must not
// keep the others from being found.
func each(ids []int, look func(id int) error) (left []int, err error) {
	for i, id := range ids {
		if err := look(id); err != nil {
			return slices.Concat(ids[i+1:], ids[i:i+1]), err
		}
	}
	return nil, nil
}

// silent reports whether asking for a folder brought no answer about it.
func silent(err error) bool {
	return shared(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// findLeft keeps watching rooms that were published before and left the list:
// archived ones end with a row that says so.
func (d *Discovery) findLeft(ctx context.Context, s *Schedule, listed map[int]bool) (err error) {
	d.Known, err = each(d.Known, func(id int) error {
		if listed[id] {
			return nil
		}
		folder, err := s.poller.portal.Folder(ctx, id)
		if silent(err) {
			return err
		}
		if err != nil || folder.RoomType != 0 {
			folder.ID = id
			d.watch(s, folder)
		}
		return nil
	})
	return err
}

// adopt reports whether a folder that nobody here found is to be watched: another
// replica may have found it first. It watches it then, unless it is one that Find
// still looks for.
func (d *Discovery) adopt(ctx context.Context, s *Schedule, folder int) (bool, error) {
	if len(d.IDs) > 0 {
		return slices.Contains(d.IDs, folder), nil
	}
	f, err := s.poller.portal.Folder(docspace.Patient(ctx), folder)
	if silent(err) {
		return false, err
	}
	if err != nil || f.RoomType == 0 {
		return false, nil
	}
	d.watch(s, f)
	return true, nil
}

func (d *Discovery) watch(s *Schedule, f docspace.Folder) {
	s.poller.Describe(f)
	if s.Watch(f.ID) {
		d.Log.Info().Int("folder", f.ID).Msg("watching")
	}
}

// Run repeats Find until ctx ends. A list that cannot be had is asked for
// again; what is watched already stays watched. Once folders are watched, it
// waits for a second failure before it says so: when the portal as a whole is
// to blame, the schedule has told by then.
func (d *Discovery) Run(ctx context.Context, s *Schedule) error {
	told, found, failures := false, false, 0
	for {
		err := d.Find(ctx, s)
		if err != nil {
			failures++
		}
		var root *RootFolderError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &root):
			return err
		case err != nil && !told && (!found || failures > 1) && !s.held():
			told = true
			d.Log.Error().Err(err).Msg("cannot find the folders to watch; trying again")
		case err == nil && told:
			told = false
			d.Log.Info().Msg("folders to watch found again")
		}
		if err == nil {
			found, failures = true, 0
		}
		if err == nil && len(d.IDs) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jitter(d.wait())):
		}
	}
}

package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	Interval time.Duration // between two lists of the rooms; default 1 min
	Log      zerolog.Logger
}

// Find asks the portal once and hands what it finds to the schedule. Folders
// that cannot be read are watched all the same: their poll says why they are
// blind. It returns a RootFolderError for a configured root folder.
func (d *Discovery) Find(ctx context.Context, s *Schedule) error {
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
	if err != nil {
		return err
	}
	listed := make(map[int]bool, len(rooms))
	for _, room := range rooms {
		listed[room.ID] = true
		d.watch(s, room)
	}
	return d.findLeft(ctx, s, listed)
}

func (d *Discovery) findNamed(ctx context.Context, s *Schedule) error {
	for _, id := range d.IDs {
		folder, err := s.poller.portal.Folder(ctx, id)
		switch {
		case unreadable(err):
			folder = docspace.Folder{ID: id}
		case err != nil:
			return err
		case folder.ParentID == 0:
			return &RootFolderError{ID: id, Title: folder.Title}
		}
		d.watch(s, folder)
	}
	return nil
}

// findLeft keeps watching rooms that were published before and left the list:
// archived ones end with a row that says so.
func (d *Discovery) findLeft(ctx context.Context, s *Schedule, listed map[int]bool) error {
	for len(d.Known) > 0 {
		id := d.Known[0]
		if !listed[id] {
			folder, err := s.poller.portal.Folder(ctx, id)
			if err != nil && !unreadable(err) {
				return err
			}
			if err != nil || folder.RoomType != 0 {
				folder.ID = id
				d.watch(s, folder)
			}
		}
		d.Known = d.Known[1:]
	}
	return nil
}

func (d *Discovery) watch(s *Schedule, f docspace.Folder) {
	s.poller.Describe(f)
	if s.Watch(f.ID) {
		d.Log.Info().Int("folder", f.ID).Str("title", f.Title).Msg("watching")
	}
}

// Run repeats Find until ctx ends. A list that cannot be had is asked for
// again; what is watched already stays watched.
func (d *Discovery) Run(ctx context.Context, s *Schedule) error {
	var failed bool
	for {
		err := d.Find(ctx, s)
		var root *RootFolderError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &root):
			return err
		case err != nil && !failed:
			d.Log.Error().Err(err).Msg("cannot find the folders to watch; trying again")
		case err == nil && failed:
			d.Log.Info().Msg("folders to watch found again")
		}
		failed = err != nil
		if err == nil && len(d.IDs) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jitter(cmp.Or(d.Interval, time.Minute))):
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/publisher"
)

// fewFolders are asked for one by one, and named; of more the rooms are listed first.
const fewFolders = 20

// folders returns the folders that the command line names, ascending.
func (b *backfill) folders(ctx context.Context) (ids []int, err error) {
	switch b.o.folders {
	case foldersRooms:
		if err := b.listRooms(ctx); err != nil {
			return nil, err
		}
		for id := range b.known {
			ids = append(ids, id)
		}
	case foldersWatched:
		marks, err := publisher.StoredMarks(ctx, b.nc, streamOptions(b.cfg.NATS))
		if err != nil {
			return nil, err
		}
		ids = published(marks)
	default:
		var named config.Folders
		if err := named.Decode(b.o.folders); err != nil {
			return nil, err
		}
		ids = named
	}
	if len(ids) == 0 && b.o.folders == foldersWatched {
		return nil, fmt.Errorf("stream %s has no marks: no folder is watched", b.cfg.NATS.Stream)
	}
	if len(ids) == 0 {
		return nil, errors.New("the account sees no room; check its rights, or name folders")
	}
	slices.Sort(ids)
	return ids, nil
}

func (b *backfill) listRooms(ctx context.Context) error {
	rooms, err := b.portal.Rooms(ctx)
	if err != nil {
		return err
	}
	for _, room := range rooms {
		b.knows(room)
	}
	return nil
}

func (b *backfill) knows(f docspace.Folder) {
	if b.known == nil {
		b.known = make(map[int]docspace.Folder)
	}
	b.known[f.ID] = f
}

// describe learns the titles of folders, which their events tell. Of one that
// cannot be read nothing is known; why, its poll tells. A root folder has no log.
func (b *backfill) describe(ctx context.Context, ids []int) error {
	unknown := func(id int) bool { _, known := b.known[id]; return !known }
	if len(ids) > fewFolders && slices.ContainsFunc(ids, unknown) {
		if err := b.listRooms(ctx); err != nil && !errors.Is(err, docspace.ErrForbidden) {
			return err
		}
	}
	var mu sync.Mutex
	asks, ctx := errgroup.WithContext(ctx)
	asks.SetLimit(b.cfg.Poll.MaxInFlight)
	for _, id := range ids {
		mu.Lock()
		ask := unknown(id)
		mu.Unlock()
		if !ask {
			continue
		}
		asks.Go(func() error {
			f, err := b.portal.Folder(ctx, id)
			switch {
			case notShown(err):
				return nil
			case err != nil:
				return err
			case f.ParentID == 0:
				return &poller.RootFolderError{ID: id, Title: f.Title}
			}
			mu.Lock()
			defer mu.Unlock()
			b.knows(f)
			return nil
		})
	}
	return asks.Wait()
}

// notShown reports whether the portal does not show this folder to this account.
func notShown(err error) bool {
	return errors.Is(err, docspace.ErrForbidden) && !errors.Is(err, docspace.ErrScope) || errors.Is(err, docspace.ErrNotFound)
}

// readable returns those of the folders that can go into the live stream: it has
// not read them, or from this or an earlier moment on, as when --from is so long ago
// and the command goes on. Rooms that cannot are left out, folders that were named
// are refused.
func (b *backfill) readable(ids []int, marks []checkpoint.Mark, from time.Time) (open []int, err error) {
	read := make(map[int]checkpoint.Mark)
	for _, m := range marks {
		read[m.Folder] = m
	}
	var others []string
	for _, id := range ids {
		if m, has := read[id]; has && m.Anchor.After(from) {
			others = append(others, m.String())
			continue
		}
		open = append(open, id)
	}
	if len(others) == 0 || len(open) > 0 && b.o.folders == foldersRooms {
		return open, nil
	}
	more := ""
	if n := len(others) - fewFolders; n > 0 {
		others, more = others[:fewFolders], fmt.Sprintf("\n  and %d more", n)
	}
	return nil, fmt.Errorf("--live: stream %s has read these folders from a later moment on, and what lies below their marks cannot be put in:\n  %s%s\n"+
		"leave --live out, which reads them into a stream of their own, or remove their marks with docspace-nats checkpoint reset",
		b.cfg.NATS.Stream, strings.Join(others, "\n  "), more)
}

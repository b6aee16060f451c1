package docspace

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"
)

// secondLayout is the one form of a date that every server reads alike.
const secondLayout = "2006-01-02T15:04:05Z"

// History returns one page of a folder's log. Rooms are folders.
func (c *Client) History(ctx context.Context, folder int, q Query) (Page, error) {
	op := "history of folder " + strconv.Itoa(folder)
	if err := checkID(op, folder); err != nil {
		return Page{}, err
	}
	if q.Count < 1 || q.Count > MaxPage || q.Start < 0 || q.Start > math.MaxInt32 {
		return Page{}, fmt.Errorf("%s: rows %d+%d: must be 1 to %d rows at an offset a portal can read", op, q.Start, q.Count, MaxPage)
	}
	query := url.Values{"startIndex": {strconv.Itoa(q.Start)}, "count": {strconv.Itoa(q.Count)}}
	for name, bound := range map[string]time.Time{"fromDate": q.From, "toDate": q.To} {
		if !bound.IsZero() {
			query.Set(name, bound.UTC().Format(secondLayout))
		}
	}
	var page pageReader
	err := c.do(ctx, call{
		op:    op,
		route: "files/folder/{id}/log",
		path:  "files/folder/" + strconv.Itoa(folder) + "/log",
		query: query,
	}, page.read)
	if err != nil {
		return Page{}, err
	}
	return page.page(), nil
}

// farAhead is later than any row.
var farAhead = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)

// IgnoresDates reports whether the portal shows rows of a folder that it was
// asked to leave out by their date, as servers before 3.0 do. That tells them
// from later ones, whatever version they claim to be. Of a folder without rows
// nothing can be told, and it is false.
func (c *Client) IgnoresDates(ctx context.Context, folder int) (bool, error) {
	page, err := c.History(ctx, folder, Query{Count: 1, From: farAhead})
	return page.Total > 0, err
}

// Folder returns one folder or room: the cheap way to learn whether the
// account can read it.
func (c *Client) Folder(ctx context.Context, id int) (Folder, error) {
	op := "folder " + strconv.Itoa(id)
	if err := checkID(op, id); err != nil {
		return Folder{}, err
	}
	var f Folder
	err := c.do(ctx, call{op: op, route: "files/folder/{id}", path: "files/folder/" + strconv.Itoa(id)}, func(s *scanner) error {
		if err := s.response(func() { f = s.folder().Folder }); err != nil {
			return err
		}
		if f.ID != id {
			return fmt.Errorf("it tells of folder %d", f.ID)
		}
		return nil
	})
	if err != nil {
		return Folder{}, err
	}
	return f, nil
}

// checkID refuses what the portal's routes cannot match, so that an unknown
// route is never the folder's fault.
func checkID(op string, id int) error {
	if id < 1 || id > math.MaxInt32 {
		return fmt.Errorf("%s: %w: an id is a number from 1 to %d", op, ErrNotFound, math.MaxInt32)
	}
	return nil
}

// maxRooms bounds a listing: no portal comes near it.
const maxRooms = 1_000_000

// Rooms returns the active rooms the account can see, without those that live
// in a third-party storage: they have no log. The list is read in pages, so a
// room can be absent from one answer while others come and go: absence alone
// says nothing about a room.
func (c *Client) Rooms(ctx context.Context) ([]Folder, error) {
	const op = "list of rooms"
	var rooms []Folder
	known := map[int]bool{}
	for start := 0; ; start += MaxPage {
		if start >= maxRooms {
			return nil, fmt.Errorf("%s: more than %d rooms", op, maxRooms)
		}
		var list listing
		err := c.do(ctx, call{op: op, route: "files/rooms", path: "files/rooms", query: url.Values{
			"count": {strconv.Itoa(MaxPage)}, "startIndex": {strconv.Itoa(start)},
			"sortBy": {"AZ"}, "sortOrder": {"ascending"},
		}}, list.read)
		if err != nil {
			return nil, err
		}
		before := len(rooms)
		for _, f := range list.folders {
			if f.foreign || f.ID < 1 || known[f.ID] {
				continue
			}
			known[f.ID] = true
			rooms = append(rooms, f.Folder)
		}
		stuck := list.total == unknown && len(rooms) == before
		if start+MaxPage >= list.total || len(list.folders) == 0 || stuck {
			return rooms, nil
		}
	}
}

// Version returns the portal's version as it tells everybody, such as
// "3.7.2". It is sent without credentials: since 3.7 a key with few scopes is
// refused here while an anonymous caller is not. Packages may set it wrongly,
// so nothing should depend on it.
func (c *Client) Version(ctx context.Context) (string, error) {
	var version string
	err := c.do(ctx, call{
		op: "version of the portal", route: "settings/version/build", path: "settings/version/build", anonymous: true,
	}, func(s *scanner) error {
		err := s.response(func() {
			s.object("versions", func(name []byte) {
				if string(name) == "docSpace" {
					s.text(name, &version)
					return
				}
				s.skip()
			})
		})
		if err == nil && version == "" {
			return errors.New("no version in it")
		}
		return err
	})
	return line(version), err
}

// Key returns what the portal knows of the API key in use, whatever its
// scopes, or [ErrNotKey] for other credentials.
func (c *Client) Key(ctx context.Context) (KeyInfo, error) {
	const op = "API key"
	if !c.key {
		return KeyInfo{}, fmt.Errorf("%s: %w", op, ErrNotKey)
	}
	var key KeyInfo
	err := c.do(ctx, call{op: op, route: "keys/@self", path: "keys/@self"}, func(s *scanner) error {
		return s.response(func() { key = s.key() })
	})
	if err != nil {
		return KeyInfo{}, err
	}
	return key, nil
}

// Recognise returns nil when the portal knows who asks, and otherwise why it
// does not. Whoever is denied a folder, or gets it from a portal that failed,
// should ask: without its database or identity service a portal may answer
// everything so, in the words it uses for one folder, and only the account
// itself being answered alike tells the two apart. That is an error that is
// ErrPortal.
func (c *Client) Recognise(ctx context.Context) error {
	_, err := c.Self(ctx)
	var status *StatusError
	switch {
	case errors.Is(err, ErrScope): // that was found out by knowing the key
		return nil
	case errors.As(err, &status) && status.Poison():
		return fmt.Errorf("%w: it answers everything with %d, for the own account too: "+
			"are its database and, for tokens, its identity service (/oauth2) running?", ErrPortal, status.Code)
	}
	return err
}

// Self returns the account the credentials belong to. A key needs the scope
// accounts.self:read for it.
func (c *Client) Self(ctx context.Context) (Account, error) {
	var a Account
	err := c.do(ctx, call{op: "own account", route: "people/@self", path: "people/@self"}, func(s *scanner) error {
		return s.response(func() { a = s.account() })
	})
	if err != nil {
		return Account{}, err
	}
	return a, nil
}

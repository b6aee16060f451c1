package docspace

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

var (
	errNoResponse = errors.New(`no "response" in it`)
	errNoTotal    = errors.New(`no "total" in it`)
	errTooMany    = errors.New("more rows than were asked for")
)

// maxRows bounds what a page may make of few bytes. No version sends more,
// whatever it is asked for.
const maxRows = 1000

// A pageReader takes a page of history apart.
type pageReader struct {
	total   int64
	entries []Entry
	over    bool // there were more than maxRows
}

func (p *pageReader) page() Page { return Page{Total: int(p.total), Entries: p.entries} }

// read requires the rows and their number: both are counted with. Anything
// else of a page may be missing.
func (p *pageReader) read(s *scanner) error {
	*p = pageReader{total: -1}
	rows := false
	s.object("answer", func(name []byte) {
		switch string(name) {
		case "total":
			if n, ok := s.integer(name); ok && n <= math.MaxInt32 {
				p.total = n
			}
		case "response":
			p.entries = make([]Entry, 0, MaxPage)
			rows = s.array("response", func() { p.group(s) })
		default:
			s.skip()
		}
	})
	switch {
	case !rows:
		return errNoResponse
	case p.over:
		return errTooMany
	case p.total < 0:
		return errNoTotal
	}
	p.sort()
	return nil
}

// sort restores the order of ids, which the portal's grouping and its sorting
// by date disturb. Without ids the portal's order is all there is.
func (p *pageReader) sort() {
	if slices.ContainsFunc(p.entries, func(e Entry) bool { return e.ID == 0 }) {
		return
	}
	slices.SortStableFunc(p.entries, func(a, b Entry) int { return cmp.Compare(b.ID, a.ID) })
}

// group reads a row and those shown under it, in the order shown.
func (p *pageReader) group(s *scanner) {
	lead := len(p.entries)
	p.row(s)
	rows := p.entries[lead:]
	if len(rows) < 2 {
		return
	}
	for i := range rows {
		rows[i].Group = Group{Lead: rows[0].ID, Size: len(rows), Position: i + 1}
	}
}

// row reads one row. It takes its place before its related rows, which may be
// met before its own id is.
func (p *pageReader) row(s *scanner) {
	if len(p.entries) == maxRows {
		p.over = true
		s.skip()
		return
	}
	at := len(p.entries)
	p.entries = append(p.entries, Entry{})
	outer := s.note
	s.note, s.in = "", ""
	e := p.fields(s)
	e.Malformed, s.note = s.note, outer
	p.entries[at] = e
}

func (p *pageReader) fields(s *scanner) (e Entry) {
	if k := s.kind(); k != jsontext.KindBeginObject {
		e.Raw = s.value()
		s.odd([]byte("entry"), kindName(k)+" where the object should be")
		return e
	}
	var coded bool
	var cuts []cut
	start := s.start()
	s.object("", func(name []byte) {
		member := s.member // before anything nested in it moves on
		switch string(name) {
		case "id":
			s.id(name, &e.ID)
		case "action":
			coded = s.action(&e.Action)
		case "initiator":
			s.user(name, &e.Initiator)
		case "date":
			s.date(name, &e.Date)
		case "data":
			s.data(&e.Data)
		case "related":
			s.array("related", func() { p.row(s) })
			cuts = append(cuts, cut{member, s.dec.InputOffset()})
		default:
			s.skip()
		}
	})
	if s.err != nil {
		return e
	}
	e.Raw = without(s.src, start, s.dec.InputOffset(), cuts)
	if !coded {
		s.odd([]byte("action"), "no code")
	}
	if e.Date.IsZero() {
		s.odd([]byte("date"), "missing")
	}
	return e
}

// id reads an audit id. Zero is what is said of a row without one.
func (s *scanner) id(field []byte, dst *int64) {
	switch n, ok := s.integer(field); {
	case ok && n < 0:
		s.odd(field, "below zero")
	case ok:
		*dst = n
	}
}

// action reports whether it found a code. A name in its place is kept as the
// name.
func (s *scanner) action(a *Action) (coded bool) {
	s.object("action", func(name []byte) {
		switch string(name) {
		case "id":
			coded = s.number(name, &a.Code)
		case "key":
			s.text(name, &a.Name)
		default:
			s.skip()
		}
	})
	return coded
}

// data reads the fields of all variants: which one it is, nothing says.
func (s *scanner) data(d *Data) {
	s.object("data", func(name []byte) {
		switch string(name) {
		case "id":
			s.text(name, &d.ID)
		case "title":
			s.text(name, &d.Title)
		case "oldTitle":
			s.text(name, &d.OldTitle)
		case "newTitle":
			s.text(name, &d.NewTitle)
		case "parentId":
			s.text(name, &d.ParentID)
		case "parentTitle":
			s.text(name, &d.ParentTitle)
		case "parentType":
			s.optional(name, &d.ParentType)
		case "fromFolderId":
			s.text(name, &d.FromFolderID)
		case "fromParentTitle":
			s.text(name, &d.FromParentTitle)
		case "fromParentType":
			s.optional(name, &d.FromParentType)
		case "toFolderId":
			s.text(name, &d.ToFolderID)
		case "type":
			s.optional(name, &d.Type)
		case "userName":
			s.text(name, &d.UserName)
		case "initiatorName": // the same, where both are sent
			if d.UserName == "" {
				s.text(name, &d.UserName)
			} else {
				s.skip()
			}
		case "oldIndex":
			s.optional(name, &d.OldIndex)
		case "newIndex":
			s.optional(name, &d.NewIndex)
		case "version":
			s.optional(name, &d.Version)
		case "access":
			s.text(name, &d.Access)
		case "oldAccess":
			s.text(name, &d.OldAccess)
		case "lifeTime":
			s.lifeTime(name, &d.LifeTime)
		case "user":
			s.optionalUser(name, &d.User)
		case "owner":
			s.optionalUser(name, &d.Owner)
		case "oldOwner":
			s.optionalUser(name, &d.OldOwner)
		case "group":
			s.members(name, &d.Members)
		case "tags":
			d.Tags = nil
			s.array("tags", func() {
				var tag string
				s.text(name, &tag)
				d.Tags = append(d.Tags, tag)
			})
		default:
			s.skip()
		}
	})
}

func (s *scanner) lifeTime(field []byte, dst **LifeTime) {
	var l LifeTime
	if s.object(string(field), func(name []byte) {
		switch string(name) {
		case "value":
			s.number(name, &l.Value)
		case "period":
			s.number(name, &l.Period)
		case "deletePermanently":
			s.flag(name, &l.DeletePermanently)
		default:
			s.skip()
		}
	}) {
		*dst = &l
	}
}

func (s *scanner) members(field []byte, dst **UserGroup) {
	var g UserGroup
	if s.object(string(field), func(name []byte) {
		switch string(name) {
		case "id":
			s.text(name, &g.ID)
		case "name":
			s.text(name, &g.Name)
		case "isSystem":
			var system bool
			if s.flag(name, &system) {
				g.System = &system
			}
		default:
			s.skip()
		}
	}) {
		*dst = &g
	}
}

// A cut is a member of an object, with the comma before it.
type cut struct{ from, to int64 }

// without copies the object at src[from:to] without some of its members.
func without(src []byte, from, to int64, cuts []cut) jsontext.Value {
	if len(cuts) == 0 {
		return jsontext.Value(src[from:to:to])
	}
	size := to - from // not the capacity: rows nested deep would cost its square
	for _, c := range cuts {
		size -= c.to - c.from
	}
	out := make([]byte, 0, size)
	for _, c := range append(cuts, cut{to, to}) {
		kept := src[from:c.from]
		if len(out) == 1 { // the first member is gone, and the next one's comma with it
			kept = bytes.TrimPrefix(bytes.TrimLeft(kept, " \t\r\n"), []byte(","))
		}
		out = append(out, kept...)
		from = c.to
	}
	return out
}

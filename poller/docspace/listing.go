package docspace

import (
	"math"

	"github.com/go-json-experiment/json/jsontext"
)

// response walks the envelope of an answer that holds one object.
func (s *scanner) response(read func()) error {
	found := false
	s.object("answer", func(name []byte) {
		if string(name) != "response" || s.kind() != jsontext.KindBeginObject {
			s.skip()
			return
		}
		found = true
		read()
	})
	if !found {
		return errNoResponse
	}
	return nil
}

// A listed folder may live in somebody else's storage.
type listed struct {
	Folder
	foreign bool
}

func (s *scanner) folder() (f listed) {
	s.object("folder", func(name []byte) {
		switch string(name) {
		case "id":
			f.foreign = f.foreign || s.kind() == jsontext.KindString
			s.number(name, &f.ID)
		case "providerItem":
			var provided bool
			s.flag(name, &provided)
			f.foreign = f.foreign || provided
		case "title":
			s.text(name, &f.Title)
		case "roomType":
			s.number(name, &f.RoomType)
		case "rootFolderType":
			s.number(name, &f.RootType)
		case "parentId":
			s.number(name, &f.ParentID)
		case "created":
			s.date(name, &f.Created)
		default:
			s.skip()
		}
	})
	return f
}

// A listing is one page of rooms.
type listing struct {
	folders []listed
	total   int // unknown: read until a page brings nothing
}

const unknown = math.MaxInt32

func (l *listing) read(s *scanner) error {
	*l = listing{total: unknown}
	return s.response(func() {
		s.object("response", func(name []byte) {
			switch string(name) {
			case "folders":
				s.array("folders", func() {
					if len(l.folders) == maxRows {
						s.skip()
						return
					}
					l.folders = append(l.folders, s.folder())
				})
			case "total":
				s.number(name, &l.total)
			default:
				s.skip()
			}
		})
	})
}

func (s *scanner) key() (k KeyInfo) {
	s.object("key", func(name []byte) {
		switch string(name) {
		case "name":
			s.text(name, &k.Name)
		case "permissions":
			s.array("permissions", func() {
				var scope string
				s.text(name, &scope)
				k.Permissions = append(k.Permissions, scope)
			})
		case "expiresAt":
			s.date(name, &k.Expires)
		case "isActive":
			s.flag(name, &k.Active)
		default:
			s.skip()
		}
	})
	return k
}

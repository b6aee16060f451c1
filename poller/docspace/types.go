package docspace

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A Query asks for one page of a folder's log. Both numbers count raw rows:
// rows as the portal stores them, before it groups them for display.
type Query struct {
	Start int       // rows to skip, counted from the newest; 0 is the newest row
	Count int       // rows wanted, 1 to MaxPage
	From  time.Time // leave out rows dated before this second; zero: no bound
	// To leaves out rows dated after this second, which itself is included; zero:
	// no bound. Servers before 3.0 ignore both dates, see [Client.IgnoresDates].
	To time.Time
}

// MaxPage is the largest page every server version accepts. Older servers
// clamp a larger count silently and newer ones refuse it.
const MaxPage = 100

// A Page is the portal's answer to a Query.
//
// The portal counts the rows and reads them in two statements, so Rows may
// already hold rows that Total does not count yet.
type Page struct {
	Total int // rows in the folder's log, within Query.From and Query.To
	// Entries are the rows of the page, newest id first, each taken out of the
	// group it was shown in. Servers before 3.6 send no ids: there the order is
	// the portal's own, groups unfolded in place.
	Entries []Entry
}

// An Entry is one row as the portal shows it.
type Entry struct {
	ID        int64 // audit id, unique in the portal; 0 when the server sends none
	Action    Action
	Initiator User
	Date      time.Time // UTC; whole seconds on MySQL; zero when unreadable
	Data      Data
	Group     Group
	// Malformed says what of the entry could not be understood; "" is the rule.
	Malformed string
	// Raw is the entry as received, without its related rows: one valid UTF-8
	// JSON value. Names may repeat in it, since JSON leaves that to the reader.
	// Entries of a page share memory; Raw must not be changed.
	Raw jsontext.Value
}

// An Action names what happened. Code is the key; the name may be missing.
type Action struct {
	Code int
	Name string // PascalCase, as the server's enumeration spells it: "FileUploaded"
}

// A User is the part of an embedded profile this program is willing to know:
// phone numbers, groups, notes and pictures are never decoded.
type User struct {
	ID        string // GUID; "" for a name-only or all-zero user
	Name      string // current profile name, HTML entities decoded
	Email     string // taken from the profile link; "" when there is none
	Anonymous bool   // an external or anonymous person
}

// A Group tells how the portal displayed the row. It is zero for a row that
// was shown alone.
type Group struct {
	Lead     int64 // id of the row the others were shown under
	Size     int
	Position int // 1 is the lead
}

// Data holds the fields of every variant the log knows; which are set follows
// from the action. Absent is the zero value.
type Data struct {
	ID              string // file, folder or room: a number ("0": purged); link: a GUID
	Title           string
	OldTitle        string
	NewTitle        string
	ParentID        string
	ParentTitle     string
	ParentType      *int
	FromFolderID    string
	FromParentTitle string
	FromParentType  *int
	ToFolderID      string
	Type            *int // FolderType of a created folder
	UserName        string
	OldIndex        *int
	NewIndex        *int
	Version         *int
	LifeTime        *LifeTime
	User            *User
	Owner           *User
	OldOwner        *User
	Members         *UserGroup // the group of a membership action
	Access          string     // localised label
	OldAccess       string     // localised label
	Tags            []string
}

// A LifeTime is how long files of a room live.
type LifeTime struct {
	Value             int
	Period            int // 0 days, 1 months, 2 years
	DeletePermanently bool
}

// A UserGroup is a group of users that was given or denied access.
type UserGroup struct {
	ID     string
	Name   string
	System *bool // "everyone" and the like; nil before 3.5
}

// A Folder is a folder or room as the portal lists it.
type Folder struct {
	ID       int
	Title    string
	RoomType int // 0 for a plain folder
	RootType int // FolderType of the root it lies under: 14 rooms, 20 archive, …
	ParentID int // 0 when the folder is a root
	Created  time.Time
}

// A KeyInfo is what the portal tells about the API key that asks. The key
// itself is never decoded.
type KeyInfo struct {
	Name        string
	Permissions []string  // scopes; none or "*": everything the user may do
	Expires     time.Time // zero: never
	Active      bool
}

// Permits reports whether the key covers a scope such as "files:read", by the
// rules of servers since 3.2. 3.1 knows neither wildcards of an area nor that
// writing includes reading, and may refuse what Permits allows.
func (k KeyInfo) Permits(scope string) bool {
	if len(k.Permissions) == 0 {
		return true
	}
	area, verb, _ := strings.Cut(scope, ":")
	for _, p := range k.Permissions {
		if p == "*" {
			return true
		}
		a, v, _ := strings.Cut(p, ":")
		if (a == area || a == "*") && (v == verb || v == "write" && verb == "read") {
			return true
		}
	}
	return false
}

// An Account is the user the credentials belong to.
type Account struct {
	User
	Admin bool // DocSpace administrator: sees every room
	Owner bool
}

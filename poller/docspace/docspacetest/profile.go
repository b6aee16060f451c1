package docspacetest

import (
	"fmt"
	"slices"
)

// A profile is one server version: a column of the table.
type profile int

// The columns, in the order of release.
const (
	v263 profile = iota
	v304
	v311
	v321
	v350
	v361
	v372
)

var versions = [...]string{"2.6.3", "3.0.4", "3.1.1", "3.2.1", "3.5.0", "3.6.1", "3.7.2"}

// A feature is a habit that only some versions have: a row of the table, with
// an x where the server does it.
type feature string

func (v profile) has(f feature) bool { return f[2*v] == 'x' }

// The table is every difference between versions that the portal shows, and
// with the two rows of numbers below and the first version of each code in the
// catalogue the only place that tells one version from another.
//
// 2.6.3 is here to be refused: it knows no dates and no order to read by.
const (
	//                           2 3 3 3 3 3 3
	//                           6 0 1 2 5 6 7
	dateWindow        feature = "- x x x x x x" // fromDate and toDate are not ignored
	dateNeedsZone     feature = "- - - - - - x" // a date without an offset is refused; else it is the server's own time
	countClamped      feature = "x x x - - - -" // a number that is no good is mended; else it is refused
	orderedByID       feature = "- x x x x x x" // else by date, and the rows of one second as they come
	rowIDs            feature = "- - - - - x x" // entries tell the audit id
	badRequestTold    feature = "- - - - - - x" // the body of a 400 says so inside; else it says 200
	errorsTranslated  feature = "- - - x x x x" // into the language of the portal; else they are English
	purgeForgetsID    feature = "- - x x x x x" // rows show the id 0 once the file is gone for good
	trashIsDeletion   feature = "x - - - - - -" // 5017 and 5026 are shown as 5018 and 5027
	fileAbilities     feature = "- x x x x x x" // files show accessibility and viewUrl
	coAuthoring       feature = "- x x x - - -" // accessibility tells CoAuhtoring, so spelled
	savedByName       feature = "x - - - - - -" // who saved a file is shown without an id
	userTitles        feature = "x x x x x x -" // people show their title
	guestsApart       feature = "- - - - - - x" // the profiles of guests are on a page of their own
	systemGroups      feature = "- - - - x x x" // groups tell whether they are the system's
	oldIndexKept      feature = "x x - - - - -" // a reorder knows the index before; else it tells the new one twice
	roomsOvertake     feature = "- x x x x x x" // RoomCreated does not wait in the message queue
	formsOvertake     feature = "- - - - x x x" // nor does FormOpenedForFilling
	keysAccepted      feature = "- - x x x x x" // API keys
	bearersAccepted   feature = "- x x x x x x" // personal access tokens
	writeMeansRead    feature = "- - - x x x x" // a scope to write is one to read, and * is every area
	filesNeedBoth     feature = "- x - - - - -" // reading files takes files:read and files:write
	openAsksScope     feature = "- - - - - - x" // endpoints open to anybody refuse a key without their scope
	agentsKnown       feature = "- - - - - x x" // AI agents
	templatesKnown    feature = "- - x x x x x" // room templates
	hooksKnown        feature = "- - x x x x x" // webhooks with triggers
	fieldsProjected   feature = "- - - x x x x" // fields=… leaves the others out
	projectionUndates feature = "- - - x x - -" // and shows dates as objects
)

var (
	maxCount        = [len(versions)]int{1000, 1000, 1000, 100, 100, 100, 100} // rows on a page; the default too
	documentServers = [len(versions)]string{"8.1.3", "8.2.2", "8.3.3", "9.0.4", "9.1.0", "9.2.1", "9.2.1"}
)

// Versions lists the server versions a portal can be, oldest first. The first,
// 2.6.3, is rough: enough of it for a client to find out and refuse.
func Versions() []string { return slices.Clone(versions[:]) }

func profileOf(version string) profile {
	i := slices.Index(versions[:], version)
	if i < 0 {
		panic(fmt.Sprintf("docspacetest: no profile of server version %q, only of %v", version, versions))
	}
	return profile(i)
}

// Version is the server version the portal is.
func (p *Portal) Version() string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return versions[p.profile]
}

// Upgrade makes a running portal one of a later version. Rows stay: what the
// new version shows of them and the old one did not, such as their ids, was
// stored all along. It panics on a version that is unknown or earlier.
func (p *Portal) Upgrade(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := profileOf(version)
	if to < p.profile {
		panic(fmt.Sprintf("docspacetest: upgrade from %s to %s", versions[p.profile], version))
	}
	p.profile = to
	for _, u := range p.users {
		if !u.removed() {
			p.show(u, u.Name())
		}
	}
}

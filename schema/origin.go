package schema

import (
	"strconv"
	"strings"
	"time"
)

// An Origin is the folder events come from: what all its events share.
type Origin struct {
	Portal     string // host, "docs.example.com"
	SourceBase string // address of the portal, "https://docs.example.com"
	Folder     int
	Kind       string // "room" or "folder"; "" unknown
	Title      string // "" unknown
	SchemaBase string // where the JSON Schemas lie, see SchemaURL; "" leaves their address out
	Privacy    Privacy
}

// Event returns the event every event of the folder starts as: complete but
// for its ID, Subject, Sequence and what the action is about. When is the time
// of the action; when it is zero, recorded takes its place and the event says
// so. The times are kept in UTC, recorded to the millisecond.
func (o Origin) Event(action Action, known bool, mode string, when, recorded time.Time) Event {
	folder := strconv.Itoa(o.Folder)
	recorded = stamp(recorded).Truncate(time.Millisecond)
	when = stamp(when)
	unknown := when.IsZero()
	if unknown {
		when = recorded
	}
	return Event{
		SpecVersion:     specVersion,
		Source:          strings.TrimSuffix(o.SourceBase, "/") + "/api/2.0/files/folder/" + folder,
		Type:            action.Type(),
		Time:            when,
		DataContentType: dataContentType,
		DataSchema:      SchemaURL(o.SchemaBase, FamilyOf(action.Category)),
		PartitionKey:    folder,
		RecordedTime:    recorded,
		IngestMode:      mode,
		Data: Data{
			SchemaVersion: Version,
			Portal:        o.Portal,
			Feed:          Feed{FolderID: folder, Kind: o.Kind, Title: o.Privacy.Title(o.Title)},
			Action: ActionRef{
				Code: action.Code, Key: action.Key,
				Category: action.Category, Name: action.Name, Known: known,
			},
			Outcome:     action.Outcome,
			Severity:    action.Severity,
			TimeUnknown: unknown,
			PII:         o.Privacy.PII(),
			ECS:         action.ECS,
			OCSF:        action.OCSF,
		},
	}
}

// What the connector says about its own work: the name of the action, the last
// token of the subject.
const (
	Gap          = "gap"          // rows the portal counts and does not show; FirstIndex is the lowest of them, Rows how many
	Blind        = "blind"        // the folder cannot be read any more
	Seeing       = "seeing"       // a blind folder can be read again
	Rewound      = "rewound"      // the newest published rows are gone; nothing is published until they are back
	Reset        = "reset"        // the mark was lost; the folder is read again from its first row
	Unreconciled = "unreconciled" // the portal's count and the rows found disagree
	Reconciled   = "reconciled"   // they agree again
	Shrunk       = "shrunk"       // the portal counts fewer rows than were accounted for
	MarkChanged  = "mark_changed" // an operator changed the mark; Again and Skipped say what that does
)

// connectorCategory is the category of all these, and of nothing else.
const connectorCategory = "connector"

// Connector returns an event about the connector's own work on the folder.
// Kind is one of the constants above; any other panics, since it is a mistake
// in this program. See ConnectorID for revision.
func (o Origin) Connector(kind string, revision uint64, mode string, at time.Time, c Connector) Event {
	action := own(kind)
	if action == nil {
		panic("schema: no connector action " + strconv.Quote(kind))
	}
	// No finer than readers of every language can tell.
	at = at.Truncate(time.Millisecond)
	e := o.Event(*action, true, mode, at, at)
	e.Subject = "folder/" + e.PartitionKey
	c.Detail = Text(c.Detail)
	c.Anchor, c.AnchorBefore = c.Anchor.Truncate(time.Millisecond), c.AnchorBefore.Truncate(time.Millisecond)
	e.ID = ConnectorID(o.Folder, kind, revision, c)
	e.Data.Connector = &c
	e.Data.Actor = Actor{Kind: ActorConnector, Name: "docspace-nats"}
	e.Data.Target = &Target{Kind: o.targetKind(), ID: e.PartitionKey, Name: e.Data.Feed.Title}
	return e
}

func (o Origin) targetKind() string {
	if o.Kind != "" {
		return o.Kind
	}
	return "folder"
}

// SubjectOf is the subject attribute for a thing and its id: "file/5678". It
// is "" when there is no id, or one that must not stand in an attribute, or of
// nobody knows what.
func SubjectOf(kind, id string) string {
	if kind == "" || !safeID(id) || strings.Trim(id, "0") == "" {
		return ""
	}
	if kind == "room" {
		kind = "folder"
	}
	return kind + "/" + id
}

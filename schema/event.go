// Package schema is the event as the world sees it: its fields and their
// order, its identity, its subject, the catalogue of actions, and the rules
// for personal data and size. It knows neither how an action is read from a
// portal nor how an event is stored.
//
// An event is a structured CloudEvents 1.0 document. Within version 1 fields
// are only ever added: none is removed or changes its type. A change that
// breaks this gets a new version in Event.Type and Event.DataSchema.
//
// What is where:
//
//	event.go                 the fields, in their order; origin.go what all events of a folder share
//	id.go, subject.go        identity; names of actions, NATS subjects
//	action.go, actions.csv   the catalogue, with its hints for SIEMs; family.go groups of actions
//	pattern.go, filter.go    choosing actions by <category>.<action>
//	privacy.go, pseudonym.go what is published about people; actor.go, email.go, raw.go
//	text.go, size.go         rules for what strangers type, and for how much of it
//	encode.go, writer.go     the event as JSON
//	jsonschema.go            the contract as files: event.schema.json, the families', asyncapi.yaml
package schema

import "time"

const (
	// ContentType is the media type of an encoded Event.
	ContentType = "application/cloudevents+json; charset=utf-8"
	// Version is the schema version of the data this program writes.
	Version = "1.0"
	// MaxEventBytes bounds an encoded Event: what every CloudEvents
	// intermediary must pass is 64 KiB, less some room for headers.
	MaxEventBytes = 60 << 10

	specVersion     = "1.0"
	dataContentType = "application/json"
)

// Ingest modes: how the row was read.
const (
	Live     = "live"
	Backfill = "backfill"
)

// Outcomes of an action.
const (
	Success = "success"
	Failure = "failure"
	Unknown = "unknown"
)

// An Event is one row of one folder's log. The order of the fields is the
// order on the wire. Absent means unknown; null and "" are never sent.
type Event struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`     // unique with Source
	Source          string    `json:"source"` // the log the row was read from
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitzero"` // what was acted on: "file/5678"; ids only
	Time            time.Time `json:"time"`             // when it happened, UTC; whole seconds on most portals
	DataContentType string    `json:"datacontenttype"`
	DataSchema      string    `json:"dataschema,omitzero"`
	Sequence        string    `json:"sequence,omitzero"` // the audit id, ordered as a string; scope is Source
	PartitionKey    string    `json:"partitionkey"`      // the folder id
	RecordedTime    time.Time `json:"recordedtime"`      // when this event was built
	IngestMode      string    `json:"ingestmode"`        // Live or Backfill
	Data            Data      `json:"data"`
}

// Data is the payload. Ids are strings; there are no arrays of objects.
type Data struct {
	SchemaVersion       string     `json:"schema_version"`
	Portal              string     `json:"portal"`                // host
	AuditID             string     `json:"audit_id,omitzero"`     // unique in the portal, shared by all folders that show the row
	Feed                Feed       `json:"feed"`                  // the folder whose log held the row
	Action              ActionRef  `json:"action"`                // what happened
	Outcome             string     `json:"outcome"`               // Success, Failure or Unknown
	Severity            int        `json:"severity"`              // OCSF severity id, 1 to 4
	Late                bool       `json:"late,omitzero"`         // became visible after later rows
	TimeUnknown         bool       `json:"time_unknown,omitzero"` // Time is RecordedTime
	PII                 *PII       `json:"pii,omitzero"`          // people have pseudonyms; absent: they are named as the portal does
	Actor               Actor      `json:"actor"`
	Target              *Target    `json:"target,omitzero"`
	Parent              *Place     `json:"parent,omitzero"` // where the target lies
	From                *Place     `json:"from,omitzero"`
	To                  *Place     `json:"to,omitzero"`
	Link                *Link      `json:"link,omitzero"`
	Member              *Member    `json:"member,omitzero"`
	AccessLabel         string     `json:"access_label,omitzero"` // in the language of whoever gave it: show, never compare
	PreviousAccessLabel string     `json:"previous_access_label,omitzero"`
	Owner               *Person    `json:"owner,omitzero"`
	PreviousOwner       *Person    `json:"previous_owner,omitzero"`
	Lifetime            *Lifetime  `json:"lifetime,omitzero"`
	Tags                []string   `json:"tags,omitempty"`
	Version             int        `json:"version,omitzero"` // of the file
	Index               *Index     `json:"index,omitzero"`
	Group               *Group     `json:"group,omitzero"`
	Connector           *Connector `json:"connector,omitzero"`
	ECS                 ECS        `json:"ecs"`
	OCSF                OCSF       `json:"ocsf"`
	Malformed           string     `json:"malformed,omitzero"` // what of the row could not be understood
	Truncated           bool       `json:"truncated,omitzero"` // something was left out to fit MaxEventBytes
	Raw                 string     `json:"raw,omitzero"`       // the row as received, a JSON text
}

// A Feed is the folder whose log is read.
type Feed struct {
	FolderID string `json:"folder_id"`
	Kind     string `json:"kind,omitzero"` // "room" or "folder"
	Title    string `json:"title,omitzero"`
}

// An ActionRef names what happened. Code 0 is none of the portal's codes.
type ActionRef struct {
	Code     int    `json:"code"`
	Key      string `json:"key,omitzero"` // as the portal spells it
	Category string `json:"category"`
	Name     string `json:"name"`
	Known    bool   `json:"known"` // false: not in the catalogue, named by rule
}

// A Target is what was acted on. A file without id was purged from the portal.
type Target struct {
	Kind         string `json:"kind,omitzero"` // file, folder, room
	ID           string `json:"id,omitzero"`
	Name         string `json:"name,omitzero"`
	PreviousName string `json:"previous_name,omitzero"`
	Extension    string `json:"extension,omitzero"`   // of a file, lower case, no dot
	FolderType   *int   `json:"folder_type,omitzero"` // of a created folder, the portal's number
}

// A Place is a folder or room something lies in, came from or went to.
type Place struct {
	FolderID string `json:"folder_id,omitzero"`
	Name     string `json:"name,omitzero"`
	Kind     string `json:"kind,omitzero"` // room, folder, trash, archive, …
}

// A Link is an external link. Its id is an identifier, not a key: nobody can
// open the link with it.
type Link struct {
	ID               string `json:"id,omitzero"`
	Title            string `json:"title,omitzero"`
	PreviousTitle    string `json:"previous_title,omitzero"`
	AccessLabel      string `json:"access_label,omitzero"`
	ReplacementID    string `json:"replacement_id,omitzero"` // of the link that took the place of a revoked one
	ReplacementTitle string `json:"replacement_title,omitzero"`
}

// A Member is who was given or denied access to a room.
type Member struct {
	Kind     string `json:"kind"` // MemberUser or MemberGroup
	ID       string `json:"id,omitzero"`
	Name     string `json:"name,omitzero"`
	Email    string `json:"email,omitzero"`
	IsSystem *bool  `json:"is_system,omitzero"` // of a group: "everyone" and the like
}

// Kinds of Member.
const (
	MemberUser  = "user"
	MemberGroup = "group"
)

// A Lifetime is how long the files of a room live.
type Lifetime struct {
	Value             int    `json:"value"`
	Period            string `json:"period,omitzero"` // day, month, year
	DeletePermanently bool   `json:"delete_permanently"`
}

// An Index is the place of a file or folder in the order of an indexed room.
type Index struct {
	Old *int `json:"old,omitzero"`
	New *int `json:"new,omitzero"`
}

// A Group tells which rows the portal showed as one.
type Group struct {
	LeadAuditID string `json:"lead_audit_id,omitzero"`
	Size        int    `json:"size"`
	Position    int    `json:"position"` // 1 is the lead
}

// A Connector block is what this program says about its own work.
type Connector struct {
	Reason     string `json:"reason,omitzero"`      // a word for machines: "unrenderable"
	Detail     string `json:"detail,omitzero"`      // a sentence for people
	Status     int    `json:"status,omitzero"`      // HTTP status of the portal's answer
	FirstIndex *int64 `json:"first_index,omitzero"` // of a gap: index of its lowest row, from the oldest, which is 0
	Rows       int64  `json:"rows,omitzero"`        // how many rows are concerned: of a gap, those it reports, next to each other or not
	Accounted  *int64 `json:"accounted,omitzero"`   // rows published or reported so far

	// Of a mark an operator changed:
	AccountedBefore *int64    `json:"accounted_before,omitzero"`
	Anchor          time.Time `json:"anchor,omitzero"` // rows dated before are left out; absent: none are
	AnchorBefore    time.Time `json:"anchor_before,omitzero"`
	Again           *int64    `json:"again,omitzero"`   // rows accounted for before that are read and published again
	Skipped         *int64    `json:"skipped,omitzero"` // rows that count as published from now on and are not stored
	Changes         int64     `json:"changes,omitzero"` // how often an operator changed the mark, this time included
	Writer          string    `json:"writer,omitzero"`  // process that did it: host/pid
}

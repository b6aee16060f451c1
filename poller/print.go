package poller

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"

	"docspace-nats/schema"
)

// A print is what of an event must be the same whenever its row is read, short
// enough to be kept for many. In it is what the portal stores with a row and shows
// to everybody alike:
//
//   - always: id, sequence, audit id, folder, subject, type, code, category and
//     name of the action, and the time, which may be off by an hour once a year
//   - under the same privacy mode and key, by a catalogue that knows the action, and
//     if nothing was cut off for its size: names of files and folders with the former
//     ones and the extension, the type of a created folder, ids and names of the
//     places it lies in, came from and went to, the link, the kind of member, access
//     label, lifetime, tags, version and index
//   - and as long as the portal tells it: ids of actor, target, member and owners,
//     and the former access label. It forgets those of people and files that are gone
//     for good.
//
// Not in it is what changes without the row: names and addresses of people, the name
// of the room, addresses of portal and schema, which rows the portal shows as one,
// what the catalogue says of an action (outcome, severity, hints for SIEMs, kinds),
// the row as received, and what says how and when it was read. A field that a later
// version adds has to be left out as long as streams hold events without it.
type print struct {
	core  uint64
	words uint64
	told  [toldFields]uint32 // 0: not told
	terms uint32             // under which words and told can be compared; 0: not at all
	at    int64              // seconds; 0: unknown
}

// What is told of a row as long as the portal can.
const (
	toldActor = iota
	toldMember
	toldOwner
	toldFormerOwner
	toldTarget
	toldFormerAccess
	toldFields

	toldPeople = toldTarget // those below are people
)

// printOf returns the print of an event with the kind its subject ends in.
func printOf(e *schema.Event, kind string) print {
	d := &e.Data
	p := print{terms: sum32(fmt.Sprintf("%v\x00%t", piiOf(d), d.Action.Known))}
	if d.Truncated {
		p.terms = 0
	}
	if !d.TimeUnknown && !e.Time.IsZero() {
		p.at = e.Time.Unix()
	}
	p.core = sum64(func(w io.Writer) { writeCore(w, e, kind) })
	p.words = sum64(func(w io.Writer) { writeWords(w, d) })
	if d.Actor.Kind != schema.ActorRemoved {
		p.told[toldActor] = sum32("id:" + d.Actor.ID)
	}
	if m := d.Member; m != nil {
		p.told[toldMember] = sumOf(m.ID)
	}
	p.told[toldOwner], p.told[toldFormerOwner] = personPrint(d.Owner), personPrint(d.PreviousOwner)
	if t := d.Target; t != nil {
		p.told[toldTarget] = sumOf(t.ID)
	}
	p.told[toldFormerAccess] = sumOf(d.PreviousAccessLabel)
	return p
}

func piiOf(d *schema.Data) schema.PII {
	if d.PII == nil {
		return schema.PII{}
	}
	return *d.PII
}

// writeCore writes what no privacy mode and no catalogue changes.
func writeCore(w io.Writer, e *schema.Event, kind string) {
	a := e.Data.Action
	put(w, e.ID, e.Sequence, e.Type, e.PartitionKey, e.Data.AuditID, e.Data.Feed.FolderID, kind, strconv.Itoa(a.Code), a.Category, a.Name)
}

// writeWords writes what the portal keeps of the row as text and numbers.
func writeWords(w io.Writer, d *schema.Data) {
	if t := d.Target; t != nil {
		if t.Kind == "file" || t.Kind == "folder" {
			put(w, t.Name, t.Extension)
		}
		put(w, t.PreviousName, number(t.FolderType))
	}
	for _, p := range []*schema.Place{d.Parent, d.From, d.To} {
		if p != nil {
			put(w, p.FolderID, p.Name)
		}
		put(w)
	}
	if l := d.Link; l != nil {
		put(w, l.ID, l.Title, l.PreviousTitle, l.AccessLabel, l.ReplacementID, l.ReplacementTitle)
	}
	if m := d.Member; m != nil {
		put(w, m.Kind)
	}
	if l := d.Lifetime; l != nil {
		put(w, strconv.Itoa(l.Value), l.Period, strconv.FormatBool(l.DeletePermanently))
	}
	if i := d.Index; i != nil {
		put(w, number(i.Old), number(i.New))
	}
	put(w, d.AccessLabel, strconv.Itoa(d.Version))
	put(w, d.Tags...)
}

// put writes texts so that no others look alike.
func put(w io.Writer, texts ...string) {
	for _, text := range texts {
		_, _ = io.WriteString(w, text+"\x1f")
	}
	_, _ = io.WriteString(w, "\x1e")
}

func personPrint(p *schema.Person) uint32 {
	if p == nil {
		return 0
	}
	return sumOf(p.ID)
}

// sumOf is the sum of what is told, 0 of what is not.
func sumOf(text string) uint32 {
	if text == "" {
		return 0
	}
	return sum32(text)
}

func sum32(text string) uint32 {
	sum := sha256.Sum256([]byte(text))
	return max(1, binary.BigEndian.Uint32(sum[:]))
}

func sum64(write func(io.Writer)) uint64 {
	h := sha256.New()
	write(h)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// differs says in what a stored event is not that of its row, "" when it is.
func (p print) differs(row print) string {
	apart := time.Duration(p.at-row.at) * time.Second
	switch {
	case p.core != row.core:
		return "what identifies it: id, folder, subject, type or action"
	case p.at != 0 && row.at != 0 && apart != 0 && apart.Abs() != time.Hour:
		return "its time"
	case p.terms != row.terms || p.terms == 0 || row.terms == 0:
		return ""
	case p.words != row.words:
		return "its names, places, labels or numbers"
	}
	for i, told := range row.told {
		untold := told == 0 || i < toldPeople && p.told[i] == 0
		if !untold && p.told[i] != told {
			return "the id of its " + toldNames[i]
		}
	}
	return ""
}

var toldNames = [toldFields]string{
	toldActor: "actor", toldMember: "member", toldOwner: "owner", toldFormerOwner: "former owner",
	toldTarget: "target", toldFormerAccess: "former access",
}

package line

import (
	"strconv"
	"strings"
	"time"

	"docspace-nats/schema"
)

// Bounds of CEF's dictionary, in characters.
const (
	cefHeader = 512
	cefShort  = 40
	cefName   = 1023
	cefCustom = 4000
)

// CEF appends the event in ArcSight's Common Event Format, version 0. Times
// are milliseconds since 1970. Fields that are longer than CEF's dictionary
// allows are cut; what is absent in the event is absent.
func CEF(dst []byte, e *schema.Event) []byte {
	d := &e.Data
	w := cefWriter{append(dst, "CEF:0|ONLYOFFICE|DocSpace|"...)}
	w.header(d.SchemaVersion)
	w.header(signature(e))
	w.header(keyOf(e))
	w.b = strconv.AppendInt(w.b, int64(cefSeverity[ranked(e)]), 10)
	w.b = append(w.b, '|')
	start := len(w.b)

	w.time("rt", e.Time)
	w.text("externalId", e.ID, cefCustom) // longer than the dictionary's 40 is better than two events of one id
	w.text("cat", d.Action.Category, cefName)
	w.text("act", d.ECS.Action, cefName)
	w.text("outcome", d.Outcome, cefName)
	w.text("dhost", d.Portal, cefName)
	w.text("suid", d.Actor.ID, cefName)
	w.text("suser", d.Actor.Name, cefName)
	w.person(d)
	if t := d.Target; t != nil {
		w.text("fname", t.Name, cefName)
		w.text("fileId", t.ID, cefName)
		w.text("fileType", t.Kind, cefName)
		w.text("oldFileName", t.PreviousName, cefName)
	}
	w.labelled("cs1", "folderId", d.Feed.FolderID)
	w.labelled("cs2", "folderTitle", d.Feed.Title)
	w.labelled("cs3", "from", placeTitle(d.From))
	w.labelled("cs4", "to", placeTitle(d.To))
	w.labelled("cs5", "link", linkTitle(d.Link))
	w.labelled("cs6", "accessLabel", accessLabel(d))
	w.number("cn1", "auditId", d.AuditID)
	w.labelled("flexString1", "ingestMode", e.IngestMode)
	w.labelled("flexString2", "actorEmail", d.Actor.Email)
	if d.Connector != nil {
		w.text("reason", d.Connector.Reason, cefName)
	}
	w.text("msg", string(appendDetails(nil, e)), cefName)
	if len(w.b) > start {
		w.b = w.b[:len(w.b)-1] // the space after the last field
	}
	return w.b
}

// signature is the portal's code, or the name of what has none.
func signature(e *schema.Event) string {
	if e.Data.Action.Code != 0 {
		return strconv.Itoa(e.Data.Action.Code)
	}
	return nameOf(e)
}

// A cefWriter appends fields, each followed by what separates it from the next.
type cefWriter struct{ b []byte }

// What has a meaning in CEF is escaped with a backslash.
var (
	cefHeaderEscaper = strings.NewReplacer(`\`, `\\`, `|`, `\|`)
	cefValueEscaper  = strings.NewReplacer(`\`, `\\`, `=`, `\=`)
)

func (w *cefWriter) header(s string) {
	w.b = append(append(w.b, cefHeaderEscaper.Replace(value(s, cefHeader))...), '|')
}

func (w *cefWriter) text(key, text string, most int) {
	if text = value(text, most); text != "" {
		w.b = append(append(w.b, key...), '=')
		w.b = append(append(w.b, cefValueEscaper.Replace(text)...), ' ')
	}
}

func (w *cefWriter) labelled(key, label, text string) {
	start := len(w.b)
	w.text(key, text, cefCustom)
	if len(w.b) > start {
		w.text(key+"Label", label, cefName)
	}
}

// number writes what is a number as one, and nothing else.
func (w *cefWriter) number(key, label, text string) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		w.labelled(key, label, strconv.FormatInt(n, 10))
	}
}

func (w *cefWriter) time(key string, at time.Time) {
	if !at.IsZero() {
		w.text(key, strconv.FormatInt(at.UnixMilli(), 10), cefShort)
	}
}

// person is who was acted on: a member, or a new owner.
func (w *cefWriter) person(d *schema.Data) {
	switch {
	case d.Member != nil:
		w.text("duid", d.Member.ID, cefName)
		w.text("duser", d.Member.Name, cefName)
	case d.Owner != nil:
		w.text("duid", d.Owner.ID, cefName)
		w.text("duser", d.Owner.Name, cefName)
	}
}

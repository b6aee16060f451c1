package schema

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDecode bounds what Decode reads: a stream may hold events other programs
// wrote, but none larger than the largest message a server takes by default.
const maxDecode = 1 << 20

// Decode reads an encoded event. Fields it does not know are ignored.
func Decode(b []byte) (Event, error) {
	if len(b) > maxDecode {
		return Event{}, fmt.Errorf("decode event: %d bytes, more than %d", len(b), maxDecode)
	}
	var e Event
	if err := json.Unmarshal(b, &e, jsontext.AllowInvalidUTF8(true)); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	if e.SpecVersion != specVersion || e.ID == "" || e.Type == "" {
		return Event{}, fmt.Errorf("decode event: not a CloudEvent %s with id and type", specVersion)
	}
	return e, nil
}

// Encode returns the event as JSON, at most MaxEventBytes long.
func (e *Event) Encode() []byte {
	return e.AppendJSON(make([]byte, 0, 1536))
}

// AppendJSON appends what Encode returns to dst.
func (e *Event) AppendJSON(dst []byte) []byte {
	return e.AppendWithin(dst, MaxEventBytes)
}

// AppendWithin appends the event as JSON, at most so many bytes long; less
// than 4 KiB may be too little to identify it.
func (e *Event) AppendWithin(dst []byte, most int) []byte {
	out := e.appendJSON(dst)
	if len(out)-len(dst) <= most {
		return out
	}
	return e.appendShrunk(out[:len(dst)], most)
}

// appendJSON writes by hand what the struct tags say, five times as fast.
func (e *Event) appendJSON(dst []byte) []byte {
	w := writer{append(dst, '{')}
	w.must("specversion", e.SpecVersion)
	w.must("id", e.ID)
	w.must("source", e.Source)
	w.must("type", e.Type)
	w.text("subject", e.Subject)
	w.time("time", e.Time)
	w.must("datacontenttype", e.DataContentType)
	w.text("dataschema", e.DataSchema)
	w.text("sequence", e.Sequence)
	w.must("partitionkey", e.PartitionKey)
	w.time("recordedtime", e.RecordedTime)
	w.must("ingestmode", e.IngestMode)
	w.open("data")
	e.Data.write(&w)
	w.close()
	w.close()
	return w.b
}

func (d *Data) write(w *writer) {
	w.must("schema_version", d.SchemaVersion)
	w.must("portal", d.Portal)
	w.text("audit_id", d.AuditID)
	w.open("feed")
	w.must("folder_id", d.Feed.FolderID)
	w.text("kind", d.Feed.Kind)
	w.text("title", d.Feed.Title)
	w.close()
	w.open("action")
	w.int("code", d.Action.Code)
	w.text("key", d.Action.Key)
	w.must("category", d.Action.Category)
	w.must("name", d.Action.Name)
	w.bool("known", d.Action.Known)
	w.close()
	w.must("outcome", d.Outcome)
	w.int("severity", d.Severity)
	w.flag("late", d.Late)
	w.flag("time_unknown", d.TimeUnknown)
	if p := d.PII; p != nil {
		w.open("pii")
		w.must("mode", p.Mode)
		w.must("key_id", p.KeyID)
		w.close()
	}
	w.open("actor")
	w.text("kind", d.Actor.Kind)
	w.text("id", d.Actor.ID)
	w.text("name", d.Actor.Name)
	w.text("email", d.Actor.Email)
	w.bool("anonymous", d.Actor.Anonymous)
	w.close()
	if t := d.Target; t != nil {
		w.open("target")
		w.text("kind", t.Kind)
		w.text("id", t.ID)
		w.text("name", t.Name)
		w.text("previous_name", t.PreviousName)
		w.text("extension", t.Extension)
		w.maybe("folder_type", t.FolderType)
		w.close()
	}
	d.Parent.write(w, "parent")
	d.From.write(w, "from")
	d.To.write(w, "to")
	if l := d.Link; l != nil {
		w.open("link")
		w.text("id", l.ID)
		w.text("title", l.Title)
		w.text("previous_title", l.PreviousTitle)
		w.text("access_label", l.AccessLabel)
		w.text("replacement_id", l.ReplacementID)
		w.text("replacement_title", l.ReplacementTitle)
		w.close()
	}
	if m := d.Member; m != nil {
		w.open("member")
		w.must("kind", m.Kind)
		w.text("id", m.ID)
		w.text("name", m.Name)
		w.text("email", m.Email)
		if m.IsSystem != nil {
			w.bool("is_system", *m.IsSystem)
		}
		w.close()
	}
	w.text("access_label", d.AccessLabel)
	w.text("previous_access_label", d.PreviousAccessLabel)
	d.Owner.write(w, "owner")
	d.PreviousOwner.write(w, "previous_owner")
	if l := d.Lifetime; l != nil {
		w.open("lifetime")
		w.int("value", l.Value)
		w.text("period", l.Period)
		w.bool("delete_permanently", l.DeletePermanently)
		w.close()
	}
	if len(d.Tags) > 0 {
		w.list("tags", d.Tags)
	}
	if d.Version != 0 {
		w.int("version", d.Version)
	}
	if i := d.Index; i != nil {
		w.open("index")
		w.maybe("old", i.Old)
		w.maybe("new", i.New)
		w.close()
	}
	if g := d.Group; g != nil {
		w.open("group")
		w.text("lead_audit_id", g.LeadAuditID)
		w.int("size", g.Size)
		w.int("position", g.Position)
		w.close()
	}
	d.Connector.write(w)
	w.open("ecs")
	w.must("kind", d.ECS.Kind)
	w.list("category", d.ECS.Category)
	w.list("type", d.ECS.Type)
	w.must("action", d.ECS.Action)
	w.close()
	w.open("ocsf")
	w.must("version", d.OCSF.Version)
	w.int("class_uid", d.OCSF.ClassUID)
	w.int("activity_id", d.OCSF.ActivityID)
	w.int("type_uid", d.OCSF.TypeUID)
	w.text("activity_name", d.OCSF.ActivityName)
	w.int("severity_id", d.OCSF.SeverityID)
	w.close()
	w.text("malformed", d.Malformed)
	w.flag("truncated", d.Truncated)
	w.text("raw", d.Raw)
}

func (p *Place) write(w *writer, name string) {
	if p == nil {
		return
	}
	w.open(name)
	w.text("folder_id", p.FolderID)
	w.text("name", p.Name)
	w.text("kind", p.Kind)
	w.close()
}

func (p *Person) write(w *writer, name string) {
	if p == nil {
		return
	}
	w.open(name)
	w.text("id", p.ID)
	w.text("name", p.Name)
	w.text("email", p.Email)
	w.close()
}

func (c *Connector) write(w *writer) {
	if c == nil {
		return
	}
	w.open("connector")
	w.text("reason", c.Reason)
	w.text("detail", c.Detail)
	if c.Status != 0 {
		w.int("status", c.Status)
	}
	w.maybe64("first_index", c.FirstIndex)
	if c.Rows != 0 {
		w.maybe64("rows", &c.Rows)
	}
	w.maybe64("accounted", c.Accounted)
	w.maybe64("accounted_before", c.AccountedBefore)
	w.maybeTime("anchor", c.Anchor)
	w.maybeTime("anchor_before", c.AnchorBefore)
	w.maybe64("again", c.Again)
	w.maybe64("skipped", c.Skipped)
	if c.Changes != 0 {
		w.maybe64("changes", &c.Changes)
	}
	w.text("writer", c.Writer)
	w.close()
}

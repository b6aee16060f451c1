package schema

import "strings"

// appendShrunk appends the event with as much left out as it takes to fit: the raw row first; then titles, names and tags are cut, to 512
// characters and, should that not do, shorter and shorter; at last everything.
// What identifies the event is far below the bound and survives unless it was
// absurd in the first place.
func (e *Event) appendShrunk(dst []byte, most int) []byte {
	small := e.clone()
	small.Data.Raw = ""
	small.Data.Truncated = true
	out := small.appendJSON(dst)
	for limit := 512; len(out)-len(dst) > most && limit > 0; limit /= 4 {
		small.cutTexts(limit)
		out = small.appendJSON(out[:len(dst)])
	}
	for limit := 256; len(out)-len(dst) > most && limit > 0; limit /= 4 {
		small.cutAll(limit)
		out = small.appendJSON(out[:len(dst)])
	}
	return out
}

// cutTexts leaves n characters of every text that people typed.
func (e *Event) cutTexts(n int) {
	for _, s := range e.texts() {
		shorten(s, n)
	}
	if most := max(n/8, 1); len(e.Data.Tags) > most {
		e.Data.Tags = e.Data.Tags[:most]
	}
	for i := range e.Data.Tags {
		shorten(&e.Data.Tags[i], n)
	}
}

// cutAll leaves n characters of everything.
func (e *Event) cutAll(n int) {
	e.cutTexts(n)
	for _, s := range e.words() {
		shorten(s, n)
	}
	for _, list := range []*[]string{&e.Data.ECS.Category, &e.Data.ECS.Type} {
		*list = (*list)[:min(len(*list), 8)]
		for i := range *list {
			shorten(&(*list)[i], n)
		}
	}
}

// texts are the places of what people typed, tags excepted.
func (e *Event) texts() []*string {
	d := &e.Data
	texts := []*string{&d.Feed.Title, &d.Actor.Name, &d.Actor.Email,
		&d.AccessLabel, &d.PreviousAccessLabel, &d.Malformed}
	if t := d.Target; t != nil {
		texts = append(texts, &t.Name, &t.PreviousName, &t.Extension)
	}
	for _, p := range []*Place{d.Parent, d.From, d.To} {
		if p != nil {
			texts = append(texts, &p.Name)
		}
	}
	if l := d.Link; l != nil {
		texts = append(texts, &l.Title, &l.PreviousTitle, &l.AccessLabel, &l.ReplacementTitle)
	}
	if m := d.Member; m != nil {
		texts = append(texts, &m.Name, &m.Email)
	}
	for _, p := range []*Person{d.Owner, d.PreviousOwner} {
		if p != nil {
			texts = append(texts, &p.Name, &p.Email)
		}
	}
	if c := d.Connector; c != nil {
		texts = append(texts, &c.Detail)
	}
	return texts
}

// words are the places of everything that people do not type.
func (e *Event) words() []*string {
	d := &e.Data
	words := []*string{&e.SpecVersion, &e.ID, &e.Source, &e.Type, &e.Subject, &e.DataContentType,
		&e.DataSchema, &e.Sequence, &e.PartitionKey, &e.IngestMode, &d.SchemaVersion, &d.Portal,
		&d.AuditID, &d.Feed.FolderID, &d.Feed.Kind, &d.Action.Key, &d.Action.Category, &d.Action.Name,
		&d.Outcome, &d.Actor.Kind, &d.Actor.ID, &d.ECS.Kind, &d.ECS.Action, &d.OCSF.Version, &d.OCSF.ActivityName}
	if p := d.PII; p != nil {
		words = append(words, &p.Mode, &p.KeyID)
	}
	if t := d.Target; t != nil {
		words = append(words, &t.Kind, &t.ID)
	}
	for _, p := range []*Place{d.Parent, d.From, d.To} {
		if p != nil {
			words = append(words, &p.FolderID, &p.Kind)
		}
	}
	if l := d.Link; l != nil {
		words = append(words, &l.ID, &l.ReplacementID)
	}
	if m := d.Member; m != nil {
		words = append(words, &m.Kind, &m.ID)
	}
	for _, p := range []*Person{d.Owner, d.PreviousOwner} {
		if p != nil {
			words = append(words, &p.ID)
		}
	}
	if l := d.Lifetime; l != nil {
		words = append(words, &l.Period)
	}
	if g := d.Group; g != nil {
		words = append(words, &g.LeadAuditID)
	}
	if c := d.Connector; c != nil {
		words = append(words, &c.Reason, &c.Writer)
	}
	return words
}

// clone copies the event so deeply that cutting its strings changes no other.
func (e *Event) clone() *Event {
	c := *e
	d := &c.Data
	d.PII, d.Target, d.Link, d.Member = copied(d.PII), copied(d.Target), copied(d.Link), copied(d.Member)
	d.Parent, d.From, d.To = copied(d.Parent), copied(d.From), copied(d.To)
	d.Owner, d.PreviousOwner = copied(d.Owner), copied(d.PreviousOwner)
	d.Lifetime, d.Group, d.Connector = copied(d.Lifetime), copied(d.Group), copied(d.Connector)
	d.Tags = append([]string(nil), d.Tags...)
	d.ECS.Category = append([]string(nil), d.ECS.Category...)
	d.ECS.Type = append([]string(nil), d.ECS.Type...)
	return &c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func shorten(s *string, n int) { *s = strings.TrimRight(Cut(*s, n), " ") }

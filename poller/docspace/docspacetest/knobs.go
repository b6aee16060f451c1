package docspacetest

import (
	"net/http"
	"time"
)

// quirks are what an answer may look like.
type quirks struct{ gzip, noIDs, dateObjects, extraFields bool }

func (q quirks) or(o quirks) quirks {
	return quirks{q.gzip || o.gzip, q.noIDs || o.noIDs, q.dateObjects || o.dateObjects, q.extraFields || o.extraFields}
}

type hooks struct {
	request func(*http.Request)
	between func(folder int)
	after   func(folder, start int)
}

// SetTimeZone changes the tenant's setting, and with it the text of every date.
func (p *Portal) SetTimeZone(zone *time.Location) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zone = zone
	if p.chaos != nil {
		p.chaos.zone = zone
	}
}

// Gzip makes the portal compress what clients accept compressed.
func (p *Portal) Gzip(on bool) { p.set(func(q *quirks) { q.gzip = on }) }

// HideIDs leaves the audit id out of all entries, as servers before 3.6 do.
func (p *Portal) HideIDs(on bool) { p.set(func(q *quirks) { q.noIDs = on }) }

// DateObjects shows dates as {"utcTime":…,"timeZoneOffset":…}.
func (p *Portal) DateObjects(on bool) { p.set(func(q *quirks) { q.dateObjects = on }) }

// ExtraFields adds fields no version is known to send, at every level.
func (p *Portal) ExtraFields(on bool) { p.set(func(q *quirks) { q.extraFields = on }) }

// asItIs is how the portal answers now.
func (p *Portal) asItIs() (profile, quirks) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.profile, p.quirks
}

func (p *Portal) hooked() hooks {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.hooks
}

func (p *Portal) set(change func(*quirks)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.quirks)
}

// OnRequest sets what happens before any request is answered, whatever becomes
// of it. Nil ends it.
func (p *Portal) OnRequest(f func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks.request = f
}

// Between sets what happens between the two statements of a log request, the
// COUNT and the page: a row recorded there is in the page and not in the total.
// Nil ends it.
func (p *Portal) Between(f func(folder int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks.between = f
}

// AfterPage sets what happens when a page of a log has been read and not yet
// been sent: a row recorded there pushes the next page down. Nil ends it.
func (p *Portal) AfterPage(f func(folder, start int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks.after = f
}

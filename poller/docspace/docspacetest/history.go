package docspacetest

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
)

// history answers GET files/folder/{id}/log.
func (p *Portal) history(c call) *reply {
	q, problems := p.parseQuery(c.profile, c.query)
	if len(problems) > 0 {
		return invalid(c, problems)
	}
	f, total, refused := p.count(c, q)
	if refused != nil {
		return refused
	}
	p.stir(f)
	if between := p.hooked().between; between != nil {
		between(c.Folder)
	}
	reply := p.page(c, f, q, total)
	p.stir(f)
	if after := p.hooked().after; after != nil && reply.status == http.StatusOK {
		after(c.Folder, q.start)
	}
	return reply
}

// count looks the folder up and counts its rows: the first of two statements,
// with no transaction around them.
func (p *Portal) count(c call, q query) (f *folder, total int, refused *reply) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f = p.folders[c.Folder]
	if refused := p.refuse(c, f); refused != nil {
		return nil, 0, refused
	}
	if q.start < 0 { // the database refuses the offset
		return nil, 0, failure(http.StatusInternalServerError, "MySqlConnector.MySqlException", "You have an error in your SQL syntax")
	}
	return f, f.history.count(q.window), nil
}

// refuse is the answer to those who may not read the folder; nil to others.
func (p *Portal) refuse(c call, f *folder) *reply {
	switch {
	case f == nil:
		return failure(http.StatusNotFound, "ASC.Common.Web.ItemNotFoundException", p.errors(c.profile).notFound)
	case !f.readable(c.caller.user):
		return failure(http.StatusForbidden, "System.Security.SecurityException", p.errors(c.profile).denied)
	}
	return nil
}

// page reads and renders the rows: the second of the two statements.
func (p *Portal) page(c call, f *folder, q query, total int) *reply {
	if q.projected && c.profile.has(projectionUndates) {
		c.quirks.dateObjects = true
	}
	if c.quirks.noIDs {
		q.shown &^= showID
	}
	s := scratches.Get().(*scratch)
	p.mu.RLock()
	defer p.mu.RUnlock()
	if c.profile.has(orderedByID) {
		s.rows = f.history.page(s.rows[:0], q.window, q.start, q.count)
	} else {
		s.rows = f.history.shuffled(s.rows[:0], p.shuffles.Add(1), q.start, q.count)
	}
	if failed := p.poisoned(s.rows); failed != nil {
		s.release()
		return failed
	}
	s.rows = slices.DeleteFunc(s.rows, func(r *row) bool { return r.more != nil && r.more.Unexplained })
	s.group(c.profile)
	w := &s.writer
	w.b = append(w.b[:0], `{"response":[`...)
	v := view{call: &c, p: p, writer: w, shown: q.shown}
	for i := range s.groups {
		v.entry(s, &s.groups[i])
	}
	w.endArray()
	w.num("count", int64(min(max(total-q.start, 0), q.count)))
	w.num("total", int64(total))
	w.tail(c)
	return &reply{status: http.StatusOK, kind: contentJSON, body: w.b, release: s.release}
}

// A scratch is the memory one page needs, used again for the next.
type scratch struct {
	writer
	rows   []*row
	groups []group
	next   []int32 // the following row of the same group; 0: none
	byKey  map[groupKey]int
}

// A group is a top-level entry with those shown under it.
type group struct{ first, last int32 }

var scratches = sync.Pool{New: func() any { return &scratch{byKey: make(map[groupKey]int)} }}

// maxScratch keeps a freak page from holding its memory for ever.
const maxScratch = 1 << 20

func (s *scratch) release() {
	clear(s.rows)
	clear(s.byKey)
	if cap(s.b) <= maxScratch {
		scratches.Put(s)
	}
}

// A groupKey is equal for rows that are shown together.
type groupKey struct {
	code, from, to int
	by             *User
	minute         int64
	context        string
}

// group arranges the rows of the page: each group under its newest row, and
// the groups by date, newest first, in id order where dates are equal.
func (s *scratch) group(v profile) {
	s.groups = s.groups[:0]
	s.next = append(s.next[:0], make([]int32, len(s.rows))...)
	for i, r := range s.rows {
		key, merges := r.groupKey(v)
		if !merges {
			s.groups = append(s.groups, group{int32(i), int32(i)})
			continue
		}
		if at, known := s.byKey[key]; known {
			g := &s.groups[at]
			s.next[g.last], g.last = int32(i), int32(i)
			continue
		}
		s.byKey[key] = len(s.groups)
		s.groups = append(s.groups, group{int32(i), int32(i)})
	}
	slices.SortStableFunc(s.groups, func(a, b group) int {
		return cmp.Compare(s.rows[b.first].date, s.rows[a.first].date)
	})
}

func (r *row) groupKey(v profile) (key groupKey, merges bool) {
	k := r.kind.reported(v)
	if k.merge == mergeNever {
		return key, false
	}
	if k.merge == mergeReorder {
		return groupKey{context: r.more.Context}, true
	}
	key = groupKey{code: k.code, by: r.by, minute: r.date / 60}
	switch k.merge {
	case mergeParent:
		key.to = r.at.id
	case mergeMove:
		key.to = r.at.id
		if r.from != nil {
			key.from = r.from.id
		}
	}
	return key, true
}

package docspacetest

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A query is what a log request asks for, understood.
type query struct {
	window       span
	start, count int
}

// history answers GET files/folder/{id}/log.
func (p *Portal) history(c call) *reply {
	q, problems := p.parseQuery(c.query)
	if len(problems) > 0 {
		return p.invalid(c, problems)
	}
	f, total, refused := p.count(c, q)
	if refused != nil {
		return refused
	}
	p.mu.RLock()
	between := p.hooks.between
	p.mu.RUnlock()
	if between != nil {
		between(c.Folder)
	}
	reply, after := p.page(c, f, q, total)
	if after != nil {
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
		return failure(http.StatusNotFound, "ASC.Common.Web.ItemNotFoundException", "The required folder was not found")
	case !f.readable(c.caller.user):
		return failure(http.StatusForbidden, "System.Security.SecurityException", "Access denied")
	}
	return nil
}

// page reads and renders the rows: the second of the two statements.
func (p *Portal) page(c call, f *folder, q query, total int) (*reply, func(folder, start int)) {
	s := scratches.Get().(*scratch)
	p.mu.RLock()
	defer p.mu.RUnlock()
	s.rows = f.history.page(s.rows[:0], q.window, q.start, q.count)
	if failed := p.poisoned(s.rows); failed != nil {
		s.release()
		return failed, nil
	}
	s.rows = slices.DeleteFunc(s.rows, func(r *row) bool { return r.more != nil && r.more.Unexplained })
	s.group()
	w := &s.writer
	w.b = append(w.b[:0], `{"response":[`...)
	v := view{p: p, writer: w, base: c.base}
	for i := range s.groups {
		v.entry(s, &s.groups[i])
	}
	w.endArray()
	w.num("count", int64(min(max(total-q.start, 0), q.count)))
	w.num("total", int64(total))
	p.tail(w, c)
	return &reply{status: http.StatusOK, kind: contentJSON, body: w.b, release: s.release}, p.hooks.after
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
func (s *scratch) group() {
	s.groups = s.groups[:0]
	s.next = append(s.next[:0], make([]int32, len(s.rows))...)
	for i, r := range s.rows {
		key, merges := r.groupKey()
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

func (r *row) groupKey() (key groupKey, merges bool) {
	k := r.kind.reported()
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

// A problem is what is wrong with one parameter.
type problem struct{ field, message string }

func (p *Portal) parseQuery(values url.Values) (query, []problem) {
	q := query{window: everything, count: p.profile.maxCount}
	var problems []problem
	for _, bound := range []struct {
		name string
		to   *int64
	}{{"fromDate", &q.window.first}, {"toDate", &q.window.last}} {
		text, _ := param(values, bound.name)
		if strings.TrimSpace(text) == "" {
			continue
		}
		at, ok := parseDate(text, p.profile.strictDates)
		if !ok {
			problems = append(problems, problem{bound.name, "The input was not valid."})
			continue
		}
		*bound.to = at
	}
	problems = append(problems, number(values, "count", &q.count)...)
	problems = append(problems, number(values, "startIndex", &q.start)...)
	if len(problems) == 0 && (q.count < 1 || q.count > p.profile.maxCount) {
		problems = append(problems, problem{"count", "The field Count must be between 1 and " + strconv.Itoa(p.profile.maxCount) + "."})
	}
	return q, problems
}

// param is a parameter's first value; names are told apart without case.
func param(values url.Values, name string) (string, bool) {
	if v, ok := values[name]; ok {
		return v[0], true
	}
	for k, v := range values {
		if strings.EqualFold(k, name) {
			return v[0], true
		}
	}
	return "", false
}

func number(values url.Values, name string, to *int) []problem {
	text, given := param(values, name)
	if !given {
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return []problem{{name, "The value '" + text + "' is invalid."}}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return []problem{{name, "The value '" + text + "' is not valid for " + strings.ToUpper(name[:1]) + name[1:] + "."}}
	}
	*to = int(n)
	return nil
}

var dateGrammar = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d):|-(\d\d)-)(\d\d)(?:\.\d{3}|\.\d{7})?(Z|[+-]\d\d:\d\d)?)?$`)

// parseDate reads a bound of the date window in one of the server's exact
// formats, as a second since 1970. Without an offset a date is refused when
// strict and else taken as UTC, the usual zone of a server process.
func parseDate(text string, strict bool) (int64, bool) {
	m := dateGrammar.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	zone := m[6]
	if zone == "" {
		if strict {
			return 0, false
		}
		zone = "Z"
	}
	clock := "00:00:00"
	if m[2] != "" {
		clock = m[2] + ":" + m[3] + m[4] + ":" + m[5]
	}
	t, err := time.Parse(time.RFC3339, m[1]+"T"+clock+zone)
	if err != nil {
		return 0, false
	}
	return t.Unix(), true
}

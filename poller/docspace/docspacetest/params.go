package docspacetest

import (
	"cmp"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A query is what a log request asks for, understood.
type query struct {
	window       span
	start, count int
	shown        properties
	projected    bool // not all properties were asked for
}

// A problem is what is wrong with one parameter.
type problem struct{ field, message string }

// properties are those an entry is shown with.
type properties uint8

const (
	showID properties = 1 << iota
	showAction
	showInitiator
	showDate
	showData
	showRelated
	showAll = 1<<iota - 1
)

var propertyNames = map[string]properties{
	"id": showID, "action": showAction, "initiator": showInitiator, "date": showDate, "data": showData, "related": showRelated,
}

func (p *Portal) parseQuery(v profile, values url.Values) (query, []problem) {
	q, problems := parsePaging(v, values)
	if v.has(dateWindow) {
		problems = append(p.parseWindow(v, values, &q.window), problems...)
	}
	return q, problems
}

// parseWindow reads the bounds of the date window.
func (p *Portal) parseWindow(v profile, values url.Values, window *span) (problems []problem) {
	zone := p.server
	if v.has(dateNeedsZone) {
		zone = nil
	}
	for _, bound := range []struct {
		name string
		to   *int64
	}{{"fromDate", &window.first}, {"toDate", &window.last}} {
		text, _ := param(values, bound.name)
		if strings.TrimSpace(text) == "" {
			continue
		}
		at, ok := parseDate(text, zone)
		if !ok {
			problems = append(problems, problem{bound.name, "The input was not valid."})
			continue
		}
		*bound.to = at
	}
	return problems
}

// parsePaging reads what every list is asked with.
func parsePaging(v profile, values url.Values) (query, []problem) {
	most := maxCount[v]
	q := query{window: everything, count: most, shown: showAll}
	if !v.has(rowIDs) {
		q.shown &^= showID
	}
	if fields, _ := param(values, "fields"); fields != "" && v.has(fieldsProjected) {
		q.shown &= projection(fields)
		q.projected = true
	}
	problems := number(values, "count", &q.count)
	problems = append(problems, number(values, "startIndex", &q.start)...)
	if v.has(countClamped) {
		q.start = max(q.start, 0)
		if q.count < 0 || q.count > most {
			q.count = most
		}
		return q, nil
	}
	if len(problems) == 0 && (q.count < 1 || q.count > most) {
		problems = append(problems, problem{"count", "The field Count must be between 1 and " + strconv.Itoa(most) + "."})
	}
	return q, problems
}

// projection is the properties that a list of fields names.
func projection(fields string) (shown properties) {
	for name := range strings.SplitSeq(fields, ",") {
		shown |= propertyNames[strings.TrimSpace(name)]
	}
	return shown
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

// number reads a parameter that is a number, and leaves to alone when it is
// none.
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
// formats, as a second since 1970. A date without an offset is one of zone; it
// is refused when zone is nil.
func parseDate(text string, zone *time.Location) (int64, bool) {
	m := dateGrammar.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	layout := time.RFC3339
	if m[6] == "" {
		if zone == nil {
			return 0, false
		}
		layout = "2006-01-02T15:04:05"
	}
	clock := "00:00:00"
	if m[2] != "" {
		clock = m[2] + ":" + m[3] + m[4] + ":" + m[5]
	}
	t, err := time.ParseInLocation(layout, m[1]+"T"+clock+m[6], cmp.Or(zone, time.UTC))
	if err != nil {
		return 0, false
	}
	return t.Unix(), true
}

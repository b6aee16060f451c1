package sigmatest

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Correlation counts or orders what other rules find, within each group of
// events that have the same values in some fields.
type Correlation struct {
	Type      string    `yaml:"type"`
	Rules     []string  `yaml:"rules"` // ids or names
	GroupBy   []string  `yaml:"group-by"`
	Timespan  string    `yaml:"timespan"`
	Condition Threshold `yaml:"condition"`

	span  time.Duration
	rules []*Rule
}

// A Threshold is the count at which a correlation matches; several bounds all
// have to hold.
type Threshold struct {
	Field string `yaml:"field"` // whose distinct values are counted
	GT    *int   `yaml:"gt"`
	GTE   *int   `yaml:"gte"`
	LT    *int   `yaml:"lt"`
	LTE   *int   `yaml:"lte"`
	EQ    *int   `yaml:"eq"`
}

func (t Threshold) bounds() map[string]*int {
	return map[string]*int{"gt": t.GT, "gte": t.GTE, "lt": t.LT, "lte": t.LTE, "eq": t.EQ}
}

func (t Threshold) holds(n int) bool {
	for operator, limit := range t.bounds() {
		if limit != nil && !compares(operator, float64(n), float64(*limit)) {
			return false
		}
	}
	return true
}

func (t Threshold) empty() bool {
	return t == Threshold{Field: t.Field}
}

var timespan = regexp.MustCompile(`^([1-9][0-9]*)([smhd])$`)

func (c *Correlation) compile() error {
	part := timespan.FindStringSubmatch(c.Timespan)
	if part == nil {
		return fmt.Errorf("timespan %q: not a number and one of s, m, h, d", c.Timespan)
	}
	n, err := strconv.Atoi(part[1])
	if err != nil {
		return fmt.Errorf("timespan %q: %w", c.Timespan, err)
	}
	c.span = time.Duration(n) * map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[part[2]]
	if len(c.Rules) == 0 || len(c.GroupBy) == 0 {
		return errors.New("a correlation needs rules and group-by")
	}
	if (c.Type == "value_count") != (c.Condition.Field != "") {
		return fmt.Errorf("%s: a value_count has a field, and nothing else has", c.Type)
	}
	switch c.Type {
	case "event_count", "value_count":
		if c.Condition.empty() {
			return fmt.Errorf("%s needs a condition", c.Type)
		}
	case "temporal", "temporal_ordered":
		if c.Condition.empty() {
			all := len(c.Rules)
			c.Condition.GTE = &all
		}
		if all := len(c.Rules); c.Type == "temporal_ordered" && (c.Condition != Threshold{GTE: c.Condition.GTE} || *c.Condition.GTE != all) {
			return errors.New("temporal_ordered is implemented for all rules only")
		}
	default:
		return fmt.Errorf("type %q is not implemented", c.Type)
	}
	return nil
}

// A hit is where a rule matches: an event or, for a correlation, the event that
// completes it.
type hit struct {
	Event
	place int // among the events
	rule  int // among the rules of a correlation
}

// Alerts returns the events at which the outermost rules of the set match, in
// the order of time. Events of the same moment are in the order they are given.
func (s Set) Alerts(events []Event) []Event {
	var alerts []hit
	for _, rule := range s.Outermost() {
		alerts = append(alerts, rule.hits(events)...)
	}
	slices.SortStableFunc(alerts, earlier)
	found := make([]Event, len(alerts))
	for i, a := range alerts {
		found[i] = a.Event
	}
	return found
}

func earlier(a, b hit) int { return cmp.Or(a.At.Compare(b.At), a.place-b.place, a.rule-b.rule) }

func (r *Rule) hits(events []Event) []hit {
	if r.Correlation != nil {
		return r.Correlation.hits(events)
	}
	var hits []hit
	for i, e := range events {
		if r.match(e) {
			hits = append(hits, hit{Event: e, place: i})
		}
	}
	return hits
}

// hits slides a window as long as the timespan over each group, by the time of
// the events: from one event to another that happened no later than that.
func (c *Correlation) hits(events []Event) []hit {
	groups := make(map[string][]hit)
	for i, rule := range c.rules {
		for _, h := range rule.hits(events) {
			h.rule = i
			if key, complete := c.group(h.Event); complete {
				groups[key] = append(groups[key], h)
			}
		}
	}
	var found []hit
	for _, group := range groups {
		slices.SortFunc(group, earlier)
		first := 0
		for i, last := range group {
			for last.At.Sub(group[first].At) > c.span {
				first++
			}
			if c.Condition.holds(c.count(group[first : i+1])) {
				found = append(found, last)
			}
		}
	}
	slices.SortFunc(found, earlier)
	return found
}

// group tells which group an event belongs to: none if it lacks a field.
func (c *Correlation) group(e Event) (key string, complete bool) {
	var b strings.Builder
	for _, field := range c.GroupBy {
		texts := e.texts(field)
		if len(texts) == 0 {
			return "", false
		}
		fmt.Fprintf(&b, "%q", texts)
	}
	return b.String(), true
}

// count is what the threshold is about: events, distinct values, or rules.
func (c *Correlation) count(window []hit) int {
	switch c.Type {
	case "temporal_ordered":
		return inOrder(window)
	case "temporal":
		return distinct(window, func(h hit) []string { return []string{strconv.Itoa(h.rule)} })
	case "value_count":
		return distinct(window, func(h hit) []string { return h.texts(c.Condition.Field) })
	}
	return distinct(window, func(h hit) []string { return []string{strconv.Itoa(h.place)} })
}

func distinct(window []hit, values func(hit) []string) int {
	seen := make(map[string]bool)
	for _, h := range window {
		for _, value := range values(h) {
			seen[value] = true
		}
	}
	return len(seen)
}

// inOrder is how many rules, from the first, match one event after the other.
func inOrder(window []hit) int {
	next, last := 0, -1
	for _, h := range window {
		if h.rule == next && h.place != last {
			next, last = next+1, h.place
		}
	}
	return next
}

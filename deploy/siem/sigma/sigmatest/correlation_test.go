package sigmatest

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// stream makes events of lines "seconds kind user [file]".
func stream(t *testing.T, lines string) []Event {
	t.Helper()
	began := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	var events []Event
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		seconds, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]any{"kind": words[1]}
		if words[2] != "-" {
			fields["user"] = words[2]
		}
		if len(words) > 3 {
			fields["file"] = words[3]
		}
		events = append(events, Event{At: began.Add(time.Duration(seconds) * time.Second), Fields: fields})
	}
	return events
}

const kinds = `title: a
name: a
detection: {sel: {kind: [a, ab]}, condition: sel}
---
title: b
id: 0a6ff9c5-8d54-4a70-a61f-4a8c9de9a4f5
detection: {sel: {kind: [b, ab]}, condition: sel}
---
title: c
name: c
detection: {sel: {kind: c}, condition: sel}
---
`

// correlating is a rule file with the events above and one more document.
func correlating(text string) string {
	return kinds + "title: all\ncorrelation: " + text + "\n"
}

func TestCorrelationsCountWithinASlidingWindowOfEachGroup(t *testing.T) {
	t.Parallel()
	three := "{type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {gte: 3}}"
	files := "{type: value_count, rules: [a], group-by: [user], timespan: 10s, condition: {field: file, gte: 3}}"
	for _, c := range []struct {
		name, rule, events string
		want               int // alerts
	}{
		{"three in the window", three, "0 a u\n5 a u\n10 a u", 1},
		{"three in a longer time", three, "0 a u\n5 a u\n11 a u", 0},
		{"the window slides", three, "0 a u\n8 a u\n12 a u\n16 a u", 1},
		{"each further event alerts", three, "0 a u\n1 a u\n2 a u\n3 a u", 2},
		{"two", three, "0 a u\n5 a u", 0},
		{"of two people", three, "0 a u\n1 a v\n2 a u", 0},
		{"of others", three, "0 a u\n1 b u\n2 a u", 0},
		{"without the field to group by", three, "0 a -\n1 a -\n2 a -", 0},
		{"by the time of the events, not their order", three, "10 a u\n5 a u\n0 a u", 1},
		{"three values", files, "0 a u x\n1 a u y\n2 a u z", 1},
		{"three events of two values", files, "0 a u x\n1 a u y\n2 a u x", 0},
		{"three events, one without a value", files, "0 a u x\n1 a u y\n2 a u", 0},
		{"two rules together", "{type: event_count, rules: [a, c], group-by: [user], timespan: 10s, condition: {gte: 2}}", "0 a u\n1 c u", 1},
		{"fewer than two", "{type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {lt: 2}}", "0 a u\n1 a u", 1},
		{"more than one and at most two", "{type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {gt: 1, lte: 2}}", "0 a u\n1 a u\n2 a u", 1},
		{"exactly two", "{type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {eq: 2}}", "0 a u\n1 a u\n2 a u", 1},
		{"a minute", "{type: event_count, rules: [a], group-by: [user], timespan: 1m, condition: {gte: 2}}", "0 a u\n60 a u", 1},
		{"an hour", "{type: event_count, rules: [a], group-by: [user], timespan: 1h, condition: {gte: 2}}", "0 a u\n3600 a u", 1},
		{"a day", "{type: event_count, rules: [a], group-by: [user], timespan: 1d, condition: {gte: 2}}", "0 a u\n86400 a u", 1},
		{"two fields to group by", "{type: event_count, rules: [a], group-by: [user, file], timespan: 10s, condition: {gte: 2}}", "0 a u x\n1 a u y\n2 a v x", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			holdAlerts(t, c.rule, c.events, c.want)
		})
	}
}

func TestTemporalCorrelationsWantEveryRuleOfAGroup(t *testing.T) {
	t.Parallel()
	const b = "0a6ff9c5-8d54-4a70-a61f-4a8c9de9a4f5"
	any := "{type: temporal, rules: [a, " + b + ", c], group-by: [user], timespan: 10s}"
	ordered := "{type: temporal_ordered, rules: [a, " + b + "], group-by: [user], timespan: 10s, condition: {gte: 2}}"
	for _, c := range []struct {
		name, rule, events string
		want               int
	}{
		{"in any order", any, "0 c u\n5 a u\n10 b u", 1},
		{"one is missing", any, "0 c u\n5 a u\n6 a u", 0},
		{"not within the time", any, "0 c u\n5 a u\n11 b u", 0},
		{"of two people", any, "0 c u\n5 a v\n6 b u", 0},
		{"two of three are enough", "{type: temporal, rules: [a, " + b + ", c], group-by: [user], timespan: 10s, condition: {gte: 2}}", "0 c u\n5 a u", 1},
		{"in order", ordered, "0 a u\n10 b u", 1},
		{"in the wrong order", ordered, "0 b u\n10 a u", 0},
		{"in order and too late", ordered, "0 a u\n11 b u", 0},
		{"within a second, in the order of the stream", ordered, "0 a u\n0 b u", 1},
		{"one event is not two", ordered, "0 ab u", 0},
		{"an event that is both, and another", ordered, "0 ab u\n1 ab u", 1},
		{"within a second, in the wrong order", ordered, "0 b u\n0 a u", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			holdAlerts(t, c.rule, c.events, c.want)
		})
	}
}

func TestCorrelationsBuildOnCorrelations(t *testing.T) {
	t.Parallel()
	text := kinds + `title: many
name: many
correlation: {type: event_count, rules: [a], group-by: [user, file], timespan: 10s, condition: {gte: 2}}
---
title: then
correlation: {type: temporal_ordered, rules: [many, c], group-by: [user], timespan: 1m}
`
	set, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for events, want := range map[string]int{
		"0 a u x\n9 a u x\n60 c u":  1,
		"0 a u x\n9 a u x\n70 c u":  0, // 61 s after the second
		"0 a u x\n9 a u y\n60 c u":  0,
		"0 a u x\n11 a u x\n60 c u": 0,
		"0 c u\n1 a u x\n2 a u x":   0,
		"0 a u x\n9 a u x\n60 c v":  0,
	} {
		// The rule with an id of its own is not part of this one.
		alerts := 0
		for _, a := range set.Alerts(stream(t, events)) {
			if kind, _ := a.field("kind"); kind != "b" {
				alerts++
			}
		}
		if alerts != want {
			t.Errorf("%d alerts of\n%s\nwant %d", alerts, events, want)
		}
	}
	if n := len(set.Outermost()); n != 2 {
		t.Errorf("%d outermost rules, want b and then", n)
	}
}

func holdAlerts(t *testing.T, rule, events string, want int) {
	t.Helper()
	set, err := Parse([]byte(correlating(rule)))
	if err != nil {
		t.Fatal(err)
	}
	// The other detections of the file would alert by themselves.
	last := set[len(set)-1]
	if got := len(last.hits(stream(t, events))); got != want {
		t.Errorf("%d alerts, want %d", got, want)
	}
}

func TestCorrelationsThatAreNotImplementedAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{type: value_sum, rules: [a], group-by: [user], timespan: 1m, condition: {gte: 3}}":                                             "is not implemented",
		"{type: event_count, rules: [a], group-by: [user], timespan: 90, condition: {gte: 3}}":                                           "timespan",
		"{type: event_count, rules: [a], group-by: [user], timespan: 1M, condition: {gte: 3}}":                                           "timespan",
		"{type: event_count, rules: [a], group-by: [user], timespan: 0m, condition: {gte: 3}}":                                           "timespan",
		"{type: event_count, rules: [a], group-by: [user], timespan: 1m}":                                                                "needs a condition",
		"{type: event_count, rules: [a], group-by: [user], timespan: 1m, condition: {field: file, gte: 3}}":                              "has a field",
		"{type: value_count, rules: [a], group-by: [user], timespan: 1m, condition: {gte: 3}}":                                           "has a field",
		"{type: event_count, rules: [a], timespan: 1m, condition: {gte: 3}}":                                                             "group-by",
		"{type: event_count, rules: [], group-by: [user], timespan: 1m, condition: {gte: 3}}":                                            "needs rules",
		"{type: event_count, rules: [d], group-by: [user], timespan: 1m, condition: {gte: 3}}":                                           `no rule "d"`,
		"{type: event_count, rules: [all], group-by: [user], timespan: 1m, condition: {gte: 3}}\nname: all":                              `no rule "all"`,
		"{type: temporal_ordered, rules: [a, c], group-by: [user], timespan: 1m, condition: {gte: 1}}":                                   "for all rules only",
		"{type: temporal, rules: [a], group-by: [user], timespan: 1m, aliases: {x: {a: y}}}":                                             "field aliases not found",
		"{type: event_count, rules: [a], group-by: [user], timespan: 1m, condition: {neq: 3}}":                                           "field neq not found",
		"{type: event_count, rules: [a], group-by: [user], timespan: 1s, condition: {gte: 9}}\ndetection: {sel: {a: b}, condition: sel}": "either a detection or a correlation",
	} {
		if _, err := Parse([]byte(correlating(text))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis read with %v, want %q", text, err, want)
		}
	}
}

func TestAnEventThatTellsNoTimeIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{`, `[]`, `{}`, `{"time":"yesterday"}`, `{"time":5}`} {
		if _, err := ParseEvent([]byte(text)); err == nil {
			t.Errorf("%s is taken for an event", text)
		}
	}
}

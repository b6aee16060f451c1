package sigmatest

import (
	"fmt"
	"strings"
	"testing"
)

const event = `{
  "time": "2026-03-02T12:04:05Z",
  "kind": "FileMoved", "path": "C:\\Temp\\a*b?.docx", "empty": "", "nothing": null, "yes": true, "code": 5015, "share": 0.5,
  "lines": "one\ntwo",
  "tags": ["Sensitive", "Q3"],
  "data": {"actor": {"name": "Zoë"}}
}`

func parseEvent(t *testing.T, text string) Event {
	t.Helper()
	e, err := ParseEvent([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// detection is a rule with this as its detection.
func detection(text string) string {
	return "title: t\ndetection:\n  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

func TestValuesMatchAsTheSpecificationSays(t *testing.T) {
	t.Parallel()
	e := parseEvent(t, event)
	for item, want := range map[string]bool{
		`kind: FileMoved`:                    true,
		`kind: filemoved`:                    true, // values know no case
		`kind|cased: filemoved`:              false,
		`kind|cased: FileMoved`:              true,
		`kind: File`:                         false, // the whole value
		`kind: File*`:                        true,
		`kind: F?leMoved`:                    true,
		`kind: FileMoved?`:                   false, // exactly one character
		`kind|contains: leMo`:                true,
		`kind|contains: xx`:                  false,
		`kind|startswith: file`:              true,
		`kind|startswith: moved`:             false,
		`kind|endswith: moved`:               true,
		`kind|endswith: file`:                false,
		`kind|contains|cased: lemo`:          false,
		`kind: [Other, FileMoved]`:           true, // one of a list
		`kind|contains|all: [File, Moved]`:   true,
		`kind|contains|all: [File, Copied]`:  false,
		`path: 'C:\Temp\a\*b\?.docx'`:        true, // escaped wildcards; other backslashes are plain
		`path: 'C:\Temp\a\*b\?x.docx'`:       false,
		`path: 'C:\\Temp\\a*'`:               true,
		`path|startswith: 'C:\Temp\'`:        true,
		`code: 5015`:                         true,
		`code: '5015'`:                       true,
		`code: 5016`:                         false,
		`code|gt: 5014`:                      true,
		`code|gt: 5015`:                      false,
		`code|gte: 5015`:                     true,
		`code|lt: 5015`:                      false,
		`code|lte: 5015`:                     true,
		`share|lt: 0.6`:                      true,
		`kind|gt: 1`:                         false, // no number
		`yes: true`:                          true,
		`yes: false`:                         false,
		`lines: one*two`:                     true, // over lines
		`kind|re: ^File`:                     true,
		`kind|re: ile`:                       true, // anywhere
		`kind|re: ^file`:                     false,
		`kind|re|i: ^file`:                   true,
		`lines|re: ^two$`:                    false,
		`lines|re|m: ^two$`:                  true,
		`lines|re: one.two`:                  false,
		`lines|re|s: one.two`:                true,
		`kind|exists: true`:                  true,
		`absent|exists: true`:                false,
		`absent|exists: false`:               true,
		`nothing|exists: true`:               true, // a null is there
		`empty|exists: true`:                 true,
		`nothing: null`:                      true,
		`absent: null`:                       true,
		`kind: null`:                         false,
		`empty: null`:                        false,
		`empty: ''`:                          true,
		`kind: ''`:                           false,
		`absent: ''`:                         false,
		`absent: '*'`:                        false,
		`tags: sensitive`:                    true, // any element
		`tags|contains|all: [sens, q3]`:      true,
		`data.actor.name: zoë`:               true,
		`data.actor.name.first|exists: true`: false,
		`data.actor: '*'`:                    false, // an object has no text
	} {
		set, err := Parse([]byte(detection("sel:\n  " + item + "\ncondition: sel")))
		if err != nil {
			t.Errorf("%s: %v", item, err)
			continue
		}
		if got := len(set.Alerts([]Event{e})) == 1; got != want {
			t.Errorf("%s matches: %t, want %t", item, got, want)
		}
	}
}

func TestMapsAreAndAndListsAreOr(t *testing.T) {
	t.Parallel()
	e := parseEvent(t, event)
	for text, want := range map[string]bool{
		"sel:\n  kind: FileMoved\n  code: 5015":   true,
		"sel:\n  kind: FileMoved\n  code: 1":      false,
		"sel:\n- kind: Other\n- code: 5015":       true,
		"sel:\n- kind: Other\n- code: 1":          false,
		"sel:\n- kind: FileMoved\n  code: 1":      false,
		"sel:\n- kind: Other\n- kind: [A, File*]": true,
	} {
		set, err := Parse([]byte(detection(text + "\ncondition: sel")))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := len(set.Alerts([]Event{e})) == 1; got != want {
			t.Errorf("%s\nmatches: %t, want %t", text, got, want)
		}
	}
}

// yes and yes2 match, no and no2 do not, _hidden matches.
const searches = `
yes:
  code: 5015
yes2:
  kind: FileMoved
no:
  code: 1
no2:
  code: 2
_hidden:
  code: 5015
condition:
- %s
- no and (no or no2 or yes or yes2 or _hidden)
`

func TestConditionsBindAsTheSpecificationSays(t *testing.T) {
	t.Parallel()
	e := parseEvent(t, event)
	for text, want := range map[string]bool{
		"yes":                           true,
		"no":                            false,
		"not no":                        true,
		"not not yes":                   true,
		"yes and no":                    false,
		"yes and yes2":                  true,
		"yes or no":                     true,
		"no or no2":                     false,
		"yes or yes2 and no":            true, // and before or
		"(yes or yes2) and no":          false,
		"not no and yes":                true, // not before and
		"not (no or yes)":               false,
		"1 of yes*":                     true,
		"1 of no*":                      false,
		"all of yes*":                   true,
		"all of *":                      false,
		"1 of them":                     true,
		"all of them":                   false,
		"not 1 of no*":                  true,
		"1 of no* or _hidden":           true,
		"all of yes* and not 1 of no*":  true,
		"not all of them and 1 of yes*": true,
	} {
		set, err := Parse([]byte(detection(fmt.Sprintf(searches, text))))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := len(set.Alerts([]Event{e})) == 1; got != want {
			t.Errorf("%s matches: %t, want %t", text, got, want)
		}
	}
}

func TestThemAreThoseWithoutAnUnderscore(t *testing.T) {
	t.Parallel()
	set, err := Parse([]byte(detection("sel:\n  code: 1\n_aside:\n  code: 5015\ncondition:\n- 1 of them\n- _aside and sel")))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Alerts([]Event{parseEvent(t, event)})) > 0 {
		t.Error("a search identifier with an underscore is one of them")
	}
}

func TestWhatIsNotImplementedIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		detection("sel:\n  a|base64: b\ncondition: sel"):          `modifier "base64" is not implemented`,
		detection("sel:\n  a|fieldref: b\ncondition: sel"):        `modifier "fieldref" is not implemented`,
		detection("sel:\n  a|expand: '%b%'\ncondition: sel"):      `modifier "expand" is not implemented`,
		detection("sel:\n  a|i: b\ncondition: sel"):               "modifier i without re",
		detection("sel:\n  a|contains|re: b\ncondition: sel"):     "modifier re after contains",
		detection("sel:\n  a|re|cased: b\ncondition: sel"):        "modifier cased with re",
		detection("sel:\n  a|contains|all: b\ncondition: sel"):    "all needs several values",
		detection("sel:\n  a|exists: maybe\ncondition: sel"):      "exists takes true or false",
		detection("sel:\n  a|gt: b\ncondition: sel"):              "gt takes a number",
		detection("sel:\n  a|re: '('\ncondition: sel"):            "missing closing )",
		detection("sel:\n  a|contains: null\ncondition: sel"):     "null with contains",
		detection("sel:\n  a:\n    b: c\ncondition: sel"):         "neither a value nor a list",
		detection("sel:\n  a: []\ncondition: sel"):                "an empty list",
		detection("sel: [word]\ncondition: sel"):                  "keywords are not implemented",
		detection("sel:\n  '|all': [a, b]\ncondition: sel"):       "keywords are not implemented",
		detection("sel: {}\ncondition: sel"):                      "neither a map nor a list of maps",
		detection("sel:\n  a: b\nother:\n  a: c\ncondition: sel"): "other: no condition names it",
		detection("sel:\n  a: b"):                                 "no condition",
		detection("sel:\n  a: b\ncondition: sel and"):             "it ends too early",
		detection("sel:\n  a: b\ncondition: sel sel"):             `unexpected "sel"`,
		detection("sel:\n  a: b\ncondition: (sel"):                "a bracket is not closed",
		detection("sel:\n  a: b\ncondition: 1 of other*"):         "no search identifier is like",
		detection("sel:\n  a: b\ncondition: sel | count() > 5"):   `unexpected "|"`,
		detection("sel:\n  a: b\ncondition: SEL"):                 `no search identifier "SEL"`,
		"title: t\n": "either a detection or a correlation",
		"title: t\nstatis: test\ndetection: {sel: {a: b}, condition: sel}\n": "field statis not found",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis read with %v, want %q", text, err, want)
		}
	}
}

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"docspace-nats/deploy/siem/sigma/sigmatest"
	"docspace-nats/publisher/natstest"
)

var sigmaDir = filepath.Join(deployDir, "siem", "sigma")

// sigmaRules reads the text of every rule file, by its name without .yml.
func sigmaRules(t *testing.T) map[string]string {
	t.Helper()
	rules := make(map[string]string)
	for _, file := range filesUnder(t, sigmaDir) {
		if name, found := strings.CutSuffix(filepath.Base(file), ".yml"); found && filepath.Dir(file) == sigmaDir {
			rules[name] = readFile(t, file)
		}
	}
	if len(rules) == 0 {
		t.Fatal("no rules found")
	}
	return rules
}

// parseRules reads a rule file that has one rule that alerts.
func parseRules(text string) (sigmatest.Set, error) {
	set, err := sigmatest.Parse([]byte(text))
	if err == nil && len(set.Outermost()) != 1 {
		err = fmt.Errorf("%d rules that alert, want one", len(set.Outermost()))
	}
	return set, err
}

func TestEverySigmaRuleHasATrial(t *testing.T) {
	t.Parallel()
	rules := sigmaRules(t)
	for name := range rules {
		if c := trials[name]; len(c.fires) == 0 || len(c.quiet) == 0 {
			t.Errorf("%s needs a scenario that it finds and one that it leaves alone", name)
		}
	}
	for name := range trials {
		if rules[name] == "" {
			t.Errorf("%s is tried and does not exist", name)
		}
	}
}

// People do things in the simulated portal, the connector stores what the
// portal tells, and the rules look at what is in the stream. Then each part of a
// rule is changed or left out: a scenario has to notice.
func TestSigmaRulesFindWhatTheyAreForAndNothingElse(t *testing.T) {
	t.Parallel()
	server := natstest.Process(t).URL()
	var streams atomic.Int32
	for name, text := range sigmaRules(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := parseRules(text)
			if err != nil {
				t.Fatal(err)
			}
			var played []performance
			for _, wanted := range []bool{true, false} {
				scenarios := trials[name].quiet
				if wanted {
					scenarios = trials[name].fires
				}
				for _, c := range scenarios {
					p := performance{name: c.name, wanted: wanted, events: c.play(t, server, fmt.Sprintf("S%d", streams.Add(1)))}
					played = append(played, p)
					if fired := len(set.Alerts(p.events)) > 0; fired != wanted {
						t.Errorf("%s: alerts: %t, want %t\n%s", c.name, fired, wanted, p.summary())
					}
				}
			}
			if t.Failed() {
				return
			}
			for change, changed := range changesOf(t, text) {
				if !noticed(changed, played) {
					t.Errorf("no scenario notices when %s", change)
				}
			}
		})
	}
}

// A performance is the events of a scenario that was played.
type performance struct {
	name   string
	wanted bool
	events []sigmatest.Event
}

// summary lists the events, the newest last, for a test that fails.
func (p performance) summary() string {
	var b strings.Builder
	for _, e := range p.events[max(0, len(p.events)-70):] {
		data, _ := e.Fields["data"].(map[string]any)
		action, _ := data["action"].(map[string]any)
		actor, _ := data["actor"].(map[string]any)
		fmt.Fprintf(&b, "%s %v %v %v\n", e.At.Format("15:04:05"), e.Fields["ingestmode"], action["key"], actor["name"])
	}
	return b.String()
}

// noticed reports whether a rule that was changed cannot be read any more or
// does otherwise in one of the scenarios.
func noticed(text string, played []performance) bool {
	set, err := parseRules(text)
	return err != nil || slices.ContainsFunc(played, func(p performance) bool { return len(set.Alerts(p.events)) > 0 != p.wanted })
}

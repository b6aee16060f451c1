package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"docspace-nats/deploy/siem/sigma/sigmatest"
	"docspace-nats/schema"
)

// Techniques the rules name, each with the tactics it serves, as MITRE ATT&CK
// has them.
var techniques = map[string][]string{
	"t1070":     {"defense-evasion"},
	"t1074":     {"collection"},
	"t1098":     {"persistence", "privilege-escalation"},
	"t1098.003": {"persistence", "privilege-escalation"},
	"t1213":     {"collection"},
	"t1222":     {"defense-evasion"},
	"t1485":     {"impact"},
	"t1486":     {"impact"},
	"t1490":     {"impact"},
	"t1499":     {"impact"},
	"t1499.003": {"impact"},
	"t1537":     {"exfiltration"},
	"t1562":     {"defense-evasion"},
	"t1562.008": {"defense-evasion"},
}

func TestSigmaRulesHaveTheShapeOfTheSpecification(t *testing.T) {
	t.Parallel()
	fileName := regexp.MustCompile(`^docspace_[a-z0-9_]{1,57}$`)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	ids, names := make(map[string]string), make(map[string]string)
	for file, text := range sigmaRules(t) {
		if !fileName.MatchString(file) {
			t.Errorf("%s: file names are lower case, of 10 to 70 characters", file)
		}
		set, err := parseRules(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, rule := range set {
			if !uuid.MatchString(rule.ID) || ids[rule.ID] != "" {
				t.Errorf("%s: %q: id %q is no random UUID, or is that of %s", file, rule.Title, rule.ID, ids[rule.ID])
			}
			if rule.Name != "" && names[rule.Name] != "" {
				t.Errorf("%s: the name %s is taken by %s", file, rule.Name, names[rule.Name])
			}
			ids[rule.ID], names[rule.Name] = file, file
			if want := (sigmatest.LogSource{Product: "onlyoffice", Service: "docspace"}); rule.Correlation == nil && rule.LogSource != want {
				t.Errorf("%s: %q: logsource %+v", file, rule.Title, rule.LogSource)
			}
			if strings.Contains(text, "timespan:") && rule.Correlation == nil && rule.Name == "" {
				t.Errorf("%s: %q: a rule others build on has a name", file, rule.Title)
			}
		}
		holdMeta(t, file, set.Outermost()[0])
	}
}

// holdMeta holds what a rule that alerts has to tell.
func holdMeta(t *testing.T, file string, rule *sigmatest.Rule) {
	t.Helper()
	date := regexp.MustCompile(`^20\d\d-(0[1-9]|1[012])-(0[1-9]|[12]\d|3[01])$`)
	for what, holds := range map[string]bool{
		"title begins with DocSpace, at most 110 characters": strings.HasPrefix(rule.Title, "DocSpace ") && len(rule.Title) <= 110,
		"status is one of the specification's":               slices.Contains([]string{"stable", "test", "experimental"}, rule.Status),
		"description":                                        len(rule.Description) > 40,
		"references are documents of this project":           slices.Equal(rule.References, []string{"deploy/siem/sigma/README.md"}),
		"author":                              rule.Author == "docspace-nats",
		"date":                                date.MatchString(rule.Date),
		"false positives":                     len(rule.FalsePositives) > 0,
		"level is one of the specification's": slices.Contains([]string{"informational", "low", "medium", "high", "critical"}, rule.Level),
		"fields":                              len(rule.Fields) > 4,
		"techniques with their tactics, and no others": soundTags(rule.Tags),
	} {
		if !holds {
			t.Errorf("%s: %s", file, what)
		}
	}
}

// soundTags reports whether every technique comes with a tactic it serves, and
// every tactic with such a technique.
func soundTags(tags []string) bool {
	var tactics, served []string
	for _, tag := range tags {
		name := strings.TrimPrefix(tag, "attack.")
		if !strings.HasPrefix(name, "t1") {
			tactics = append(tactics, name)
			continue
		}
		if techniques[name] == nil || !slices.ContainsFunc(techniques[name], func(tactic string) bool { return slices.Contains(tags, "attack."+tactic) }) {
			return false
		}
		served = append(served, techniques[name]...)
	}
	return len(tactics) > 0 && !slices.ContainsFunc(tactics, func(tactic string) bool { return !slices.Contains(served, tactic) })
}

func TestSigmaRulesNameKeysOfTheCatalogue(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for action := range schema.Catalogue() {
		known[action.Key] = action.Tracked || action.Category == "connector"
	}
	key := regexp.MustCompile(`(?m)^\s+(?:- |data\.action\.key: )'([A-Z][a-z]+[A-Za-z]+)'$`)
	for file, text := range sigmaRules(t) {
		found := key.FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("%s names no action", file)
		}
		for _, name := range found {
			if !known[name[1]] {
				t.Errorf("%s: no folder's log shows %s", file, name[1])
			}
		}
	}
}

func TestTheReadmeOfTheSigmaRulesListsThem(t *testing.T) {
	rules := sigmaRules(t)
	var b strings.Builder
	b.WriteString("| Rule | Finds | Level | Alerts at |\n|---|---|---|---|\n")
	for _, file := range slices.Sorted(maps.Keys(rules)) {
		set, err := parseRules(rules[file])
		if err != nil {
			t.Fatal(err)
		}
		rule := set.Outermost()[0]
		fmt.Fprintf(&b, "| [%s](%s.yml) | %s | %s | %s |\n", file, file, strings.TrimSpace(rule.Description), rule.Level, alertsAt(set))
	}
	holdPart(t, filepath.Join(sigmaDir, "README.md"), "rules", b.String())
}

// alertsAt says in words what the last rule of a file counts.
func alertsAt(set sigmatest.Set) string {
	c := set[len(set)-1].Correlation
	if c == nil {
		return "each event"
	}
	groups := strings.Join(c.GroupBy, "`, `")
	switch c.Type {
	case "value_count":
		return fmt.Sprintf("%d different `%s` in %s, by `%s`", *c.Condition.GTE, c.Condition.Field, c.Timespan, groups)
	case "event_count":
		return fmt.Sprintf("%d events in %s, by `%s`", *c.Condition.GTE, c.Timespan, groups)
	}
	return fmt.Sprintf("one after the other in %s, by `%s`", c.Timespan, groups)
}

// Where events are ECS documents, every field the rules name has a name there.
func TestThePipelineToECSNamesEveryFieldOfTheSigmaRules(t *testing.T) {
	t.Parallel()
	var pipeline struct {
		Transformations []struct {
			Type       string
			Mapping    map[string]string
			Conditions []map[string]string `yaml:"rule_conditions"`
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, filepath.Join(sigmaDir, "ecs.pipeline.yaml"))), &pipeline); err != nil {
		t.Fatal(err)
	}
	mapped := func(field string) string {
		for _, tr := range pipeline.Transformations {
			for from, to := range tr.Mapping {
				if field == from && tr.Type == "field_name_mapping" {
					return to
				}
				if rest, found := strings.CutPrefix(field, from); found && tr.Type == "field_name_prefix_mapping" {
					return to + rest
				}
			}
		}
		return ""
	}
	indexed := func(product, field string) bool {
		var template any
		if err := json.Unmarshal([]byte(readFile(t, filepath.Join(deployDir, "siem", product, "index-template.json"))), &template); err != nil {
			t.Fatal(err)
		}
		node := at(template, "template", "mappings")
		for name := range strings.SplitSeq(field, ".") {
			node = at(node, "properties", name)
		}
		return node != nil
	}
	for _, tr := range pipeline.Transformations {
		want := []map[string]string{{"type": "logsource", "product": "onlyoffice", "service": "docspace"}}
		if diff := cmp.Diff(want, tr.Conditions); diff != "" {
			t.Errorf("conditions (-want +got):\n%s", diff)
		}
	}
	field := regexp.MustCompile(`(?m)^\s+(?:- |field: )?'?([a-z_]+(?:\.[a-z_]+)*|time|ingestmode)'?(?:\|[a-z|]+)?:? ?`)
	named := 0
	for file, text := range sigmaRules(t) {
		for _, found := range field.FindAllStringSubmatch(text, -1) {
			name := found[1]
			if !strings.HasPrefix(name, "data.") && name != "time" && name != "ingestmode" {
				continue
			}
			named++
			to := mapped(name)
			if to == "" || !indexed("elastic", to) || !indexed("opensearch", to) {
				t.Errorf("%s: %s is %q in ECS documents, which no index has", file, name, to)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d fields named: is this test looking in the right place?", named)
	}
}

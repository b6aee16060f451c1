package schema

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A vocabulary is what ECS and OCSF allow, as kept in testdata.
type vocabulary struct {
	ecs        map[string][]string    // by field
	types      map[string][]string    // expected of an ECS category
	activities map[int]map[int]string // by class
	severities map[int]string
}

func readVocabulary(t *testing.T) vocabulary {
	t.Helper()
	v := vocabulary{map[string][]string{}, map[string][]string{}, map[int]map[int]string{}, map[int]string{}}
	for _, row := range readTable(t, "testdata/ecs-values.csv", 3) {
		v.ecs[row[0]] = append(v.ecs[row[0]], row[1])
		if row[2] != "" {
			v.types[row[1]] = strings.Split(row[2], ";")
		}
	}
	for _, row := range readTable(t, "testdata/ocsf-activities.csv", 4) {
		class := number(t, row[0])
		if v.activities[class] == nil {
			v.activities[class] = make(map[int]string)
		}
		v.activities[class][number(t, row[2])] = row[3]
	}
	for _, row := range readTable(t, "testdata/ocsf-severities.csv", 2) {
		v.severities[number(t, row[0])] = row[1]
	}
	return v
}

// readTable returns the rows of a table below its comments and its header.
func readTable(t *testing.T, path string, columns int) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment, r.FieldsPerRecord = '#', columns
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", path, len(rows), err)
	}
	return rows[1:]
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// faults returns what of an action's hints ECS or OCSF do not allow.
func (v vocabulary) faults(a Action) []string {
	var faults []string
	fault := func(that bool, format string, args ...any) {
		if that {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	fault(!slices.Contains(v.ecs["event.kind"], a.ECS.Kind), "no event.kind %q", a.ECS.Kind)
	fault(!slices.Contains(v.ecs["event.outcome"], a.Outcome), "no event.outcome %q", a.Outcome)
	fault(len(a.ECS.Category) == 0 || len(a.ECS.Type) == 0, "no event.category or no event.type")
	for _, category := range a.ECS.Category {
		fault(!slices.Contains(v.ecs["event.category"], category), "no event.category %q", category)
		fault(!overlap(v.types[category], a.ECS.Type), "no type of category %s among %v", category, a.ECS.Type)
	}
	for _, kind := range a.ECS.Type {
		fault(!slices.Contains(v.ecs["event.type"], kind), "no event.type %q", kind)
		expected := func(category string) bool { return slices.Contains(v.types[category], kind) }
		fault(!slices.ContainsFunc(a.ECS.Category, expected), "type %s is in none of %v", kind, a.ECS.Category)
	}
	o := a.OCSF
	activity, found := v.activities[o.ClassUID][o.ActivityID]
	fault(!found, "no activity %d in class %d", o.ActivityID, o.ClassUID)
	fault(o.ActivityID == 0, "activity %s says nothing", activity)
	fault(o.TypeUID != o.ClassUID*100+o.ActivityID, "type_uid %d", o.TypeUID)
	fault((o.ActivityID == 99) != (o.ActivityName != "") && a.Code != noAction, "activity %d with activity_name %q", o.ActivityID, o.ActivityName)
	for id, name := range v.activities[o.ClassUID] {
		fault(id != 99 && strings.EqualFold(name, o.ActivityName), "activity_name %q is activity %d", o.ActivityName, id)
	}
	fault(v.severities[o.SeverityID] == "" || o.SeverityID < 1 || o.SeverityID > 4, "severity_id %d", o.SeverityID)
	fault(o.SeverityID != a.Severity, "severity_id %d of severity %d", o.SeverityID, a.Severity)
	fault(o.Version != OCSFVersion, "version %q", o.Version)
	return faults
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func TestECSAndOCSFAllowEveryHintOfTheCatalogue(t *testing.T) {
	t.Parallel()
	v := readVocabulary(t)
	for action := range Catalogue() {
		for _, fault := range v.faults(action) {
			t.Errorf("%d %s: %s", action.Code, action.Key, fault)
		}
	}
	unknown, _ := Resolve(5299, "RoomSealEnabled")
	for _, fault := range v.faults(unknown) {
		t.Errorf("an unknown action: %s", fault)
	}
}

func TestAHintThatIsNotAllowedIsNoticed(t *testing.T) {
	t.Parallel()
	v := readVocabulary(t)
	for fault, spoil := range map[string]func(*Action){
		`no event.kind "activity"`:                 func(a *Action) { a.ECS.Kind = "activity" },
		`no event.outcome "partial"`:               func(a *Action) { a.Outcome = "partial" },
		`no event.category or no event.type`:       func(a *Action) { a.ECS.Type = nil },
		`no event.category "document"`:             func(a *Action) { a.ECS.Category = []string{"document"} },
		`no type of category email among [change]`: func(a *Action) { a.ECS.Category = []string{"file", "email"} },
		`no event.type "moved"`:                    func(a *Action) { a.ECS.Type = []string{"moved"} },
		`type user is in none of [file]`:           func(a *Action) { a.ECS.Type = []string{"change", "user"} },
		`no activity 18 in class 6006`:             func(a *Action) { a.OCSF.ActivityID = 18 },
		`no activity 7 in class 6005`:              func(a *Action) { a.OCSF.ClassUID = 6005 },
		`activity Unknown says nothing`:            func(a *Action) { a.OCSF.ActivityID = 0 },
		`type_uid 600608`:                          func(a *Action) { a.OCSF.TypeUID++ },
		`activity 99 with activity_name ""`:        func(a *Action) { a.OCSF.ActivityID = 99 },
		`activity 7 with activity_name "Shuffle"`:  func(a *Action) { a.OCSF.ActivityName = "Shuffle" },
		`activity_name "copy" is activity 6`:       func(a *Action) { a.OCSF.ActivityName = "copy" },
		`severity_id 5`:                            func(a *Action) { a.OCSF.SeverityID = 5 },
		`severity_id 0`:                            func(a *Action) { a.OCSF.SeverityID = 0 },
		`severity_id 1 of severity 2`:              func(a *Action) { a.Severity = 2 },
		`version "1.9.0"`:                          func(a *Action) { a.OCSF.Version = "1.9.0" },
	} {
		action, _ := Lookup(5015) // file.moved
		spoil(&action)
		if got := v.faults(action); !slices.Contains(got, fault) {
			t.Errorf("faults are %q, want %q among them", got, fault)
		}
	}
}

func TestTheFieldsOfECSAreNamedOnceWithTheirTypes(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, row := range readTable(t, "testdata/ecs-fields.csv", 3) {
		if seen[row[0]] || row[1] == "" || row[2] != "yes" && row[2] != "no" {
			t.Errorf("field %v", row)
		}
		seen[row[0]] = true
	}
	for _, field := range []string{"@timestamp", "event.id", "event.category", "user.target.id", "file.directory", "related.user"} {
		if !seen[field] {
			t.Errorf("no field %s", field)
		}
	}
}

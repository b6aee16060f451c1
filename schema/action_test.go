package schema

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheCatalogueHoldsEveryCodeOnce(t *testing.T) {
	t.Parallel()
	codes := map[int]bool{}
	subjects := map[string]string{}
	own := 0
	for action := range Catalogue() {
		subject := action.Category + "." + action.Name
		if other, taken := subjects[subject]; taken {
			t.Errorf("%s and %s share the subject %s", other, action.Key, subject)
		}
		subjects[subject] = action.Key
		if !validToken.MatchString(action.Category) || !validToken.MatchString(action.Name) {
			t.Errorf("%s: %s needs escaping", action.Key, subject)
		}
		if action.Category == "connector" {
			own++
			continue
		}
		if codes[action.Code] {
			t.Errorf("code %d appears twice", action.Code)
		}
		codes[action.Code] = true
	}
	if len(codes) != 334 || own != 9 {
		t.Errorf("%d codes and %d own actions, want 334 and 9", len(codes), own)
	}
}

func TestEveryRowOfTheCatalogueIsSound(t *testing.T) {
	t.Parallel()
	for action := range Catalogue() {
		if action.Severity < 1 || action.Severity > 4 || action.OCSF.SeverityID != action.Severity {
			t.Errorf("%s: severity %d, OCSF severity %d", action.Key, action.Severity, action.OCSF.SeverityID)
		}
		if !slices.Contains([]string{Success, Failure, Unknown}, action.Outcome) {
			t.Errorf("%s: outcome %q", action.Key, action.Outcome)
		}
		if o := action.OCSF; o.TypeUID != o.ClassUID*100+o.ActivityID || o.ActivityID == 99 && o.ActivityName == "" && action.Code != noAction {
			t.Errorf("%s: OCSF %+v", action.Key, o)
		}
		if action.ECS.Action != kebab(action.Key) && action.Code != noAction {
			t.Errorf("%s: ECS action %s, by the rule %s", action.Key, action.ECS.Action, kebab(action.Key))
		}
		if slices.Contains(action.ECS.Category, "") || slices.Contains(action.ECS.Type, "") {
			t.Errorf("%s: ECS %+v", action.Key, action.ECS)
		}
		if action.ReportedAs != 0 {
			if to, found := Lookup(action.ReportedAs); !found || !to.Tracked || !action.Tracked {
				t.Errorf("%s is reported as %d, which no log shows", action.Key, action.ReportedAs)
			}
		}
		if action.Tracked && action.Target == "" {
			t.Errorf("%s: a log shows it, but the kind of its target is unknown", action.Key)
		}
	}
}

func TestFailuresAndExposuresAreRatedAsTheyShould(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]struct {
		outcome  string
		severity int
	}{
		5011: {Success, 1}, 5202: {Failure, 2}, 5204: {Failure, 2}, 5201: {Success, 2},
		5088: {Success, 3}, 5110: {Success, 3}, 5113: {Success, 3}, 5159: {Success, 3}, 1005: {Failure, 2},
	} {
		action, found := Lookup(code)
		if !found || action.Outcome != want.outcome || action.Severity != want.severity {
			t.Errorf("%d: found %t, %s, severity %d, want %+v", code, found, action.Outcome, action.Severity, want)
		}
	}
}

func TestOnlyACodeUnderItsOwnKeyIsKnown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code    int
		key     string
		known   bool
		subject string
	}{
		{5015, "FileMoved", true, "file.moved"},
		{5015, "fileMoved", true, "file.moved"},
		{5015, "", true, "file.moved"},
		{5041, "StartBackupSetting", false, "other.start_backup_setting"},
		{5299, "RoomSealEnabled", false, "room.seal_enabled"},
		{0, "FileMoved", false, "file.moved"},
		{0, "", false, "other.code_0"},
		{-1, "None", false, "other.none"},
	} {
		action, known := Resolve(test.code, test.key)
		if got := action.Category + "." + action.Name; known != test.known || got != test.subject || action.Code != test.code {
			t.Errorf("%d %q: code %d, %s, known %t", test.code, test.key, action.Code, got, known)
		}
	}
	got, _ := Resolve(5299, "RoomSealEnabled")
	want := Action{
		Code: 5299, Key: "RoomSealEnabled", Category: "room", Name: "seal_enabled", Outcome: Unknown, Severity: 1,
		ECS:  ECS{"event", []string{"file"}, []string{"info"}, "room-seal-enabled"},
		OCSF: OCSF{"1.8.0", 0, 99, 99, "RoomSealEnabled", 1},
	}
	got.Since, got.Notes = "", ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, found := Lookup(noAction); found {
		t.Error("the code for no action was found as an action")
	}
}

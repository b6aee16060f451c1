package schema

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPatternsMatchByCategoryAndAction(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		patterns string
		matched  []string
		others   []string
	}{
		{"", nil, []string{"file.deleted", "connector.gap"}},
		{"*", []string{"file.deleted", "room.created", "connector.gap", "other.code_7"}, nil},
		{"*.*", []string{"file.deleted", "connector.gap"}, nil},
		{"file.*", []string{"file.deleted", "file.user_updated"}, []string{"folder.deleted", "files.deleted"}},
		{"*.deleted", []string{"file.deleted", "folder.deleted"}, []string{"file.deleted_links", "file.version_removed"}},
		{"room.external_link_*", []string{"room.external_link_created", "room.external_link_"}, []string{"room.external_link", "file.external_link_created"}},
		{"f*.*_to_*", []string{"file.moved_to_trash", "folder.moved_to_trash", "form.started_to_fill"}, []string{"room.moved_to_trash", "file.moved"}},
		{"file.created, folder.created ,file.created", []string{"file.created", "folder.created"}, []string{"room.created"}},
		{"*room.created", []string{"room.created", "classroom.created"}, []string{"room.created_too"}},
	} {
		patterns, err := ParsePatterns(test.patterns)
		if err != nil {
			t.Errorf("%q: %v", test.patterns, err)
			continue
		}
		for _, name := range test.matched {
			if category, action, _ := strings.Cut(name, "."); !patterns.Match(category, action) {
				t.Errorf("%q does not match %s", test.patterns, name)
			}
		}
		for _, name := range test.others {
			if category, action, _ := strings.Cut(name, "."); patterns.Match(category, action) {
				t.Errorf("%q matches %s", test.patterns, name)
			}
		}
	}
}

func TestPatternsThatAreNoneAreAllNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := ParsePatterns("file.*, File.Deleted,deleted,,room.[a-z]*,a.b.c,file.,.deleted,docspace.folder.>,file.d?")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{`"File.Deleted"`, `"deleted"`, "empty", `"room.[a-z]*"`, `"a.b.c"`, `"file."`, `".deleted"`, `"docspace.folder.>"`, `"file.d?"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), `"file.*"`+" is") {
		t.Errorf("%v\nnames a pattern that is one", err)
	}
}

func TestListsOfPatternsAreBounded(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]string{
		"many": strings.Repeat("file.*,", maxPatterns) + "room.*",
		"long": "file." + strings.Repeat("x", maxPatternBytes),
	} {
		if _, err := ParsePatterns(list); err == nil || len(err.Error()) > 200 {
			t.Errorf("%s: %v, want a short refusal", name, err)
		}
	}
}

func TestPatternsThatMatchNothingAreToldWithTheNearestActions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern  string
		possible bool
		nearest  string // the best
	}{
		{"file.delted", false, "file.deleted"},
		{"file.deletedd", false, "file.deleted"},
		{"flie.deleted", false, "file.deleted"},
		{"file.upload", false, "file.uploaded"},
		{"file.uplaod*", false, "file.uploaded"},
		{"room.invite", false, "room.invite_resend"},
		{"rooms.*", false, ""},
		{"room.external_lnik_*", false, "room.external_link_created"},
		{"login.sucess", false, ""},
		{"room.externl_link_*", false, "room.external_link_created"},
		{"login.by_telepathy", false, ""},
		{"connector.gaps", false, "connector.gap"},
		{"room.seal_enabled", true, ""},
		{"file.x*", true, ""},
		{"other.code_7777", true, ""},
		{"*.by_telepathy", true, ""},
	} {
		patterns, err := ParsePatterns(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		mismatches := patterns.Mismatches()
		if len(mismatches) != 1 {
			t.Errorf("%s: %v, want one mismatch", test.pattern, mismatches)
			continue
		}
		m := mismatches[0]
		if m.Pattern.String() != test.pattern || m.Possible != test.possible {
			t.Errorf("%s: %+v, want possible %v", test.pattern, m, test.possible)
		}
		for _, name := range m.Nearest {
			if !slices.ContainsFunc(slices.Collect(Catalogue()), func(a Action) bool {
				return a.Category+"."+a.Name == name && (a.InLog() || a.Category == connectorCategory)
			}) {
				t.Errorf("%s: %s is offered, which no event can have", test.pattern, name)
			}
		}
		if test.nearest != "" && (len(m.Nearest) == 0 || m.Nearest[0] != test.nearest) {
			t.Errorf("%s: nearest are %v, want %s first", test.pattern, m.Nearest, test.nearest)
		}
	}
	_, err := ParsePatterns("room.externl_link_*,file.*,room.seal_enabled,foo")
	if err == nil || !strings.Contains(err.Error(), `"foo" is no pattern`) ||
		!strings.Contains(err.Error(), "room.externl_link_* matches no action; did you mean room.external_link_created") || strings.Contains(err.Error(), "seal") {
		t.Errorf("%v, want all that is wrong and nothing else", err)
	}
	for action := range Catalogue() {
		pattern, err := ParsePatterns(action.Category + "." + action.Name)
		if err != nil || len(pattern.Mismatches()) != 0 {
			t.Errorf("%s: %v %v", pattern, err, pattern.Mismatches())
		}
	}
}

func TestTheDistanceCountsWrongLettersAndStarsAreFree(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, s string
		want       int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"*", "", 0}, {"*", "abc", 0},
		{"kitten", "sitting", 3}, {"a*c", "abbbc", 0}, {"a*c", "abbbd", 1}, {"*b*", "aac", 1}, {"a**", "xyz", 1},
	} {
		if got := distance(test.pattern, test.s); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.pattern, test.s, got, test.want)
		}
	}
}

func FuzzPatterns(f *testing.F) {
	for _, s := range []string{"", "*", "file.*,*.deleted", "a.b.c", "FILE.x", "file.d?", "*,*", "**a**.*b*"} {
		f.Add(s, "file", "deleted")
	}
	f.Fuzz(func(t *testing.T, s, category, action string) {
		patterns, err := ParsePatterns(s)
		if err != nil {
			return
		}
		again, err := ParsePatterns(patterns.String())
		if diff := cmp.Diff(patterns, again, cmp.AllowUnexported(Pattern{})); diff != "" || err != nil {
			t.Errorf("%q is written %q, which reads otherwise: %v\n%s", s, patterns, err, diff)
		}
		if strings.ContainsAny(category+action, "/.*") {
			return // in no token
		}
		for _, pattern := range patterns {
			text := category + "." + action
			want := regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern.String()), `\*`, `[^.]*`) + `\z`).MatchString(text)
			if got := pattern.Match(category, action); got != want {
				t.Errorf("%s matches %s: %v, want %v", pattern, text, got, want)
			}
			if want && distance(pattern.String(), text) != 0 {
				t.Errorf("%s matches %s at a distance", pattern, text)
			}
		}
	})
}

package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"docspace-nats/schema"
)

func TestTheExamplesOfFiltersLeaveOutWhatTheySay(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		include, exclude, says string
		leaves                 func(schema.Action) bool
	}{
		{"", "*.index_changed,*.index_reordered", "everything but changes of the order in a room", func(a schema.Action) bool {
			return a.Key == "FileIndexChanged" || a.Key == "FolderIndexChanged" || a.Key == "FolderIndexReordered"
		}},
		{"room.*,agent.*,*.deleted,*.moved_to_trash", "", "rooms and agents, their members and links, and what is deleted or moved to the trash", func(a schema.Action) bool {
			return a.Category != "room" && a.Category != "agent" && a.Name != "deleted" && a.Name != "moved_to_trash"
		}},
		{"room.external_link_*", "*.external_link_renamed", "external links of rooms, but not that they were renamed", func(a schema.Action) bool {
			return !strings.HasPrefix(a.Key, "RoomExternalLink") || a.Key == "RoomExternalLinkRenamed"
		}},
	} {
		setting, filter := filterExample(t, test.include, test.exclude)
		if !strings.Contains(string(readme), "| "+setting+" | "+test.says+" |") {
			t.Errorf("README.md does not say of %s: %s", setting, test.says)
		}
		passed, left := filter.InLog()
		for _, a := range slices.Concat(passed, left) {
			if got := !filter.Passes(a.Category, a.Name); got != test.leaves(a) {
				t.Errorf("%s: %s is left out: %v, against what README.md says", setting, a.Key, got)
			}
		}
	}
}

// filterExample is a filter and how README.md writes its settings.
func filterExample(t *testing.T, include, exclude string) (setting string, filter schema.Filter) {
	t.Helper()
	var shown []string
	read := func(variable, list string) schema.Patterns {
		patterns, err := schema.ParsePatterns(list)
		if err != nil {
			t.Fatal(err)
		}
		if list != "" {
			shown = append(shown, "`"+variable+"="+list+"`")
		}
		return patterns
	}
	filter.Include = read("EVENTS_INCLUDE", include)
	filter.Exclude = read("EVENTS_EXCLUDE", exclude)
	return strings.Join(shown, ", "), filter
}

func TestTheLineOfTheFilterIsShortHoweverMuchItLeavesOut(t *testing.T) {
	t.Parallel()
	for _, exclude := range []string{"file.*", "*.*ed", "room.*,folder.*,form.*," + strings.Repeat("file.x*,", 40) + "file.*", "file.uploaded"} {
		_, filter := filterExample(t, "", exclude)
		text := Events{Exclude: filter.Exclude}.Describe()
		if n := len([]rune(text)); n > longestSummary {
			t.Errorf("%d characters: %s", n, text)
		}
		if passed, left := filter.InLog(); min(len(passed), len(left)) > 2 && !strings.HasSuffix(text, " more") {
			t.Errorf("does not say how many are not named: %s", text)
		}
	}
}

package schema

import "testing"

func parseFilter(t *testing.T, include, exclude string) Filter {
	t.Helper()
	var f Filter
	if err := f.Include.UnmarshalText([]byte(include)); err != nil {
		t.Fatal(err)
	}
	if err := f.Exclude.UnmarshalText([]byte(exclude)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestExcludingWins(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		include, exclude string
		category, action string
		want             bool
	}{
		{"", "", "file", "deleted", true},
		{"file.*", "", "file", "deleted", true},
		{"file.*", "", "room", "created", false},
		{"", "file.*", "file", "deleted", false},
		{"", "file.*", "room", "created", true},
		{"file.*", "*.deleted", "file", "deleted", false},
		{"file.deleted", "*", "file", "deleted", false},
		{"file.*", "", "other", "code_7777", false},
	} {
		if got := parseFilter(t, test.include, test.exclude).Passes(test.category, test.action); got != test.want {
			t.Errorf("include %q, exclude %q: %s.%s passes: %v", test.include, test.exclude, test.category, test.action, got)
		}
	}
}

func TestNoFilterLeavesOutWhatTheConnectorSays(t *testing.T) {
	t.Parallel()
	for _, f := range []Filter{parseFilter(t, "", "*"), parseFilter(t, "file.*", "connector.*,*.gap")} {
		for _, own := range ownActions {
			if !f.Passes(own.Category, own.Name) {
				t.Errorf("%s leaves out %s.%s", f, own.Category, own.Name)
			}
		}
	}
	for pattern, want := range map[string]bool{
		"connector.*": true, "connector.gap": true, "con*.gap": true,
		"*.gap": false, "*": false, "file.*": false, "connector.gop": false,
	} {
		if got := parseFilter(t, pattern, "").Include[0].OwnOnly(); got != want {
			t.Errorf("%s matches nothing but what the connector says: %v, want %v", pattern, got, want)
		}
	}
}

func TestFiltersAreToldApartByWhatTheySay(t *testing.T) {
	t.Parallel()
	if id := parseFilter(t, "", "").ID(); id != "" {
		t.Errorf("no filter has the id %s", id)
	}
	if parseFilter(t, "file.*,room.*", "*.moved").ID() != parseFilter(t, "room.*, file.*", "*.moved").ID() {
		t.Error("the order of patterns makes another filter")
	}
	seen := make(map[string]string)
	for _, f := range []Filter{
		parseFilter(t, "file.*", ""), parseFilter(t, "", "file.*"), parseFilter(t, "file.*", "file.*"),
		parseFilter(t, "file.*,room.*", ""), parseFilter(t, "file.*", "room.*"),
	} {
		if other, twice := seen[f.ID()]; twice {
			t.Errorf("%s has the id of %s", f, other)
		}
		seen[f.ID()] = f.String()
	}
}

func TestAFilterDividesWhatALogShows(t *testing.T) {
	t.Parallel()
	passed, left := parseFilter(t, "file.*", "*.deleted,login.*").InLog()
	if len(passed)+len(left) != 67 {
		t.Errorf("%d and %d actions, a log shows 67", len(passed), len(left))
	}
	for _, a := range passed {
		if a.Category != "file" || a.Name == "deleted" || a.ReportedAs != 0 {
			t.Errorf("%s.%s passes", a.Category, a.Name)
		}
	}
}

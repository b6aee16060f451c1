package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheGeneratedTableIsUpToDate(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../../actions.csv")
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(table)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../actions_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("actions_gen.go is not what actions.csv says; run go generate ./schema (-want +got):\n%s", diff)
	}
}

func TestATableWithAMistakeIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	header := strings.Join(columns, ",") + "\n"
	row := func(code, severity string) string {
		return code + ",FileCreated,file,created,file,," + severity + ",file,creation,file-created,6006,99,Create,1,,2.6.3,\n"
	}
	for name, test := range map[string]struct{ table, want string }{
		"no header":     {"", "header"},
		"other header":  {"code,key\n", "header is"},
		"no number":     {header + row("5000", "high"), `line 2: severity: "high" is no number`},
		"not sorted":    {header + row("5001", "1") + row("5000", "1"), "line 3: code 5000 after 5001"},
		"twice":         {header + row("5000", "1") + row("5000", "1"), "line 3: code 5000 after 5000"},
		"too severe":    {header + row("5000", "5"), "line 2: severity: 5 is not 1 to 4"},
		"no severity":   {header + row("5000", ""), "line 2: severity: 0 is not 1 to 4"},
		"no name":       {header + strings.Replace(row("5000", "1"), "99,Create", "99,", 1), `line 2: ocsf_activity_name: activity 99 with the name ""`},
		"needless name": {header + strings.Replace(row("5000", "1"), "99,", "1,", 1), `line 2: ocsf_activity_name: activity 1 with the name "Create"`},
		"missing field": {header + "5000,FileCreated\n", "wrong number of fields"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := generate([]byte(test.table))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("generate: %v, want an error with %q", err, test.want)
			}
		})
	}
}

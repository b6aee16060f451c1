package docspacetest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// shownOnPages is where on a page a feature is seen. The others have a test of
// their own each, which names them.
var shownOnPages = map[string]*regexp.Regexp{
	"rowIDs":          regexp.MustCompile(`^/id$`),
	"trashIsDeletion": regexp.MustCompile(`^/action/(id|key)$`),
	"fileAbilities":   regexp.MustCompile(`^/data/(accessibility/\w+|viewUrl)$`),
	"coAuthoring":     regexp.MustCompile(`^/data/accessibility/CoAuhtoring$`),
	"savedByName":     regexp.MustCompile(`^/initiator/\w+$`),
	"userTitles":      regexp.MustCompile(`^/(initiator|data/(user|owner|oldOwner))/title$`),
	"guestsApart":     regexp.MustCompile(`/profileUrl$`),
	"systemGroups":    regexp.MustCompile(`^/data/group/isSystem$`),
	"oldIndexKept":    regexp.MustCompile(`^/data/oldIndex$`),
	"purgeForgetsID":  regexp.MustCompile(`^/data/(id|viewUrl)$`),
}

// features reads the table out of the source: name and row.
func features(t *testing.T) map[string]feature {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "profile.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	table := make(map[string]feature)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "feature" {
			row, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			table[spec.Names[0].Name] = feature(row)
		}
		return true
	})
	if len(table) < 20 {
		t.Fatalf("only %d features found", len(table))
	}
	return table
}

func TestTheTableHasAMarkForEveryVersion(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile(fmt.Sprintf(`^[x-]( [x-]){%d}$`, len(versions)-1))
	tests := make(map[string]bool) // features that a comment above a test names
	for _, file := range []string{"versions_test.go", "webhook_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`(?m)^// (\w+(?:, \w+)*)\nfunc Test`).FindAllStringSubmatch(string(text), -1) {
			for name := range strings.SplitSeq(line[1], ", ") {
				tests[name] = true
			}
		}
	}
	for name, f := range features(t) {
		if shownOnPages[name] == nil && !tests[name] {
			t.Errorf("no test is about %s", name)
		}
		if !row.MatchString(string(f)) || !strings.Contains(string(f), "x") || !strings.Contains(string(f), "-") {
			t.Errorf("%s is %q: want a mark for each of %d versions, and not all the same", name, f, len(versions))
		}
	}
	if slices.Contains(maxCount[:], 0) || slices.Contains(documentServers[:], "") || !slices.IsSorted(Versions()) {
		t.Errorf("a version has no number: %v, %v of %v", maxCount, documentServers, versions)
	}
}

// A sheet is a page by row: the date and then each value by its path.
type sheet map[string]map[string]string

func (b *playbook) sheet(t *testing.T) sheet {
	t.Helper()
	var page struct {
		Response []map[string]any `json:"response"`
	}
	if err := json.Unmarshal(b.body(t), &page); err != nil {
		t.Fatal(err)
	}
	s := make(sheet)
	add := func(e map[string]any, under string) {
		date := e["date"].(string)
		if s[date] != nil {
			t.Fatalf("two rows at %s: the story needs a tick", date)
		}
		s[date] = map[string]string{"under": under}
		flatten(s[date], "", e)
	}
	for _, e := range page.Response {
		related, _ := e["related"].([]any)
		for _, r := range related {
			add(r.(map[string]any), e["date"].(string))
		}
		delete(e, "related")
		add(e, "")
	}
	return s
}

func flatten(into map[string]string, path string, v any) {
	if object, ok := v.(map[string]any); ok {
		for k, v := range object {
			flatten(into, path+"/"+k, v)
		}
		return
	}
	into[path] = fmt.Sprintf("%T %v", v, v)
}

func TestVersionsDifferOnlyByTheTable(t *testing.T) {
	t.Parallel()
	table := features(t)
	for older := v263; older < v372; older++ {
		newer := older + 1
		a, b := play(versions[older]), play(versions[newer])
		was, is := a.sheet(t), b.sheet(t)
		since := make(map[string]profile)
		zone := b.p.zone
		for _, r := range b.p.Rows(b.room) {
			if k := kindByCode[r.StoredCode]; k != nil {
				since[r.Date.In(zone).Format("2006-01-02T15:04:05.0000000Z07:00")] = k.since
			}
		}
		for date := range was {
			if is[date] == nil {
				t.Errorf("%s lost the row of %s", versions[newer], date)
			}
		}
		explained := make(map[string]int)
		for date, row := range is {
			if was[date] == nil {
				if since[date] != newer {
					t.Errorf("%s has a row more, %s", versions[newer], row["/action/key"])
				}
				continue
			}
			for _, path := range differing(was[date], row) {
				by := explains(table, path, older, newer)
				if len(by) == 0 {
					t.Errorf("%s to %s, %s: %s was %q, is %q", versions[older], versions[newer], row["/action/key"], path, was[date][path], row[path])
				}
				for _, f := range by {
					explained[f]++
				}
			}
		}
		for f, path := range shownOnPages {
			if older.has(table[f]) != newer.has(table[f]) && explained[f] == 0 {
				t.Errorf("%s to %s: nothing at %v differs", versions[older], versions[newer], path)
			}
		}
	}
}

func differing(a, b map[string]string) (paths []string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for path := range all {
		if a[path] != b[path] {
			paths = append(paths, path)
		}
	}
	return paths
}

// explains is the features that let a path differ between two versions.
func explains(table map[string]feature, path string, older, newer profile) (by []string) {
	for f, shown := range shownOnPages {
		if older.has(table[f]) != newer.has(table[f]) && shown.MatchString(path) {
			by = append(by, f)
		}
	}
	return by
}

func TestEveryVersionKeepsTheActionsItKnows(t *testing.T) {
	t.Parallel()
	want := map[string]int{"2.6.3": 40, "3.0.4": 59, "3.1.1": 66, "3.2.1": 66, "3.5.0": 66, "3.6.1": 68, "3.7.2": 73}
	got := make(map[string]int)
	for i, version := range versions {
		b := play(version)
		seen := make(map[int]bool)
		for _, r := range b.p.Rows(b.room) {
			seen[r.StoredCode] = true
		}
		// Shown by this one as 5024, whose row is written by hand; a copy over
		// another one is told where it goes to.
		for _, r := range b.p.Rows(b.p.Rooms()[0]) {
			seen[r.StoredCode] = true
		}
		for _, k := range kinds {
			if k.since <= profile(i) {
				got[version]++
			}
			if known := k.since <= profile(i); known != seen[k.code] {
				t.Errorf("%s: %d %s known %t, on the page %t", version, k.code, k.key, known, seen[k.code])
			}
		}
		if !seen[5161] {
			t.Errorf("%s does not show a code no version knows", version)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions kept (-want +got):\n%s", diff)
	}
}

// The page of the newest version has, for each shape of data, the fields of the
// example and no others, in the example's order.
func TestThePageHasTheFieldsOfTheExamples(t *testing.T) {
	t.Parallel()
	example := map[shape]string{
		shapeNone: "logo-created", shapeFile: "uploaded", shapeFileCreated: "created", shapeFileEdited: "updated", shapeFileRenamed: "renamed",
		shapeFileOperation: "moved", shapeFileIndex: "file-reordered", shapeFileVersion: "version-removed", shapeEntry: "trashed",
		shapeEntryParent: "converted", shapeFolderCreated: "folder-created", shapeOperation: "folder-moved", shapeRenamed: "room-renamed",
		shapeFolderRenamed: "folder-renamed", shapeFolderIndex: "folder-reordered", shapeLifeTime: "lifetime-set", shapeOwner: "owner-changed",
		shapeTags: "tagged", shapeLinkCreated: "link-created", shapeLinkRenamed: "link-renamed", shapeLinkDeleted: "link-deleted",
		shapeLinkRevoked: "link-revoked", shapeUser: "invited", shapeGroup: "group-removed",
	}
	// Not of the shape but of the code or of where it went.
	optional := map[int]string{5117: "lifeTime", 5075: "oldAccess", 5094: "access", 5095: "access oldAccess"}
	sourceHalf := "parentTitle fromParentTitle fromParentType fromFolderId"
	b := play("3.7.2")
	for code, fields := range fieldsByCode(t, string(b.body(t))) {
		k := kindByCode[code]
		if k == nil {
			continue
		}
		want := fieldsByCode(t, `{"response":[`+exampleText(t, example[k.shape])+`]}`)
		for _, got := range fields {
			may := optional[code]
			if k.operation() {
				may = sourceHalf
			}
			if code == 5034 {
				may = "userName initiatorName"
			}
			for _, list := range want {
				if a, b := without(list[0], may), without(got, may); !slices.Equal(a, b) {
					t.Errorf("%d %s has %v, the example %s %v", code, k.key, b, example[k.shape], a)
				}
			}
		}
	}
}

// fieldsByCode lists, for every entry of a page, the names in its data in the
// order they are sent.
func fieldsByCode(t *testing.T, page string) map[int][][]string {
	t.Helper()
	var got struct {
		Response []entry `json:"response"`
	}
	if err := json.Unmarshal([]byte(page), &got); err != nil {
		t.Fatalf("%v in %s", err, page)
	}
	fields := make(map[int][][]string)
	for _, e := range got.Response {
		names, err := namesOf(e.Data)
		if err != nil {
			t.Fatalf("%v in %s", err, e.Data)
		}
		fields[e.Action.ID] = append(fields[e.Action.ID], names)
	}
	return fields
}

// namesOf lists the names in an object, in the order they are sent.
func namesOf(object jsontext.Value) (names []string, err error) {
	if len(object) == 0 {
		return nil, nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(object))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		names = append(names, name.String())
		if err := d.SkipValue(); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func exampleText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/examples/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func without(names []string, few string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(strings.Fields(few), name) })
}

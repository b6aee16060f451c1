package docspacetest

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// The fields of the data of each kind of row, as the server's published types
// have them; those in parentheses come and go with what the row tells.
var dataFields = map[string]string{
	"5000":                     "accessibility title parentId parentTitle parentType id",
	"5011 5006 5007 5120 5121": "accessibility viewUrl title parentId parentTitle parentType id",
	"5034":                     "accessibility viewUrl title parentId parentTitle parentType id (userName) (initiatorName)",
	"6046 6047 5150 5151 5152 5153 5201 5202 5203 5204": "accessibility viewUrl title parentId parentTitle parentType id userName initiatorName",
	"5001":      "accessibility viewUrl oldTitle newTitle parentId parentTitle parentType id",
	"5013 5015": "accessibility viewUrl title toFolderId (parentTitle) parentType (fromParentTitle) (fromParentType) (fromFolderId) id",
	"5022 5024": "title toFolderId (parentTitle) parentType (fromParentTitle) (fromParentType) (fromFolderId) id",
	"5111":      "accessibility viewUrl oldIndex newIndex title parentId parentTitle parentType id",
	"5107":      "oldIndex newIndex title parentId parentTitle parentType id",
	"5119":      "version title parentId parentTitle parentType id",
	"5017 5018 5026 5027 5070 5154 5100 5072 5073 5109 5110 5112 5113 5114 5115 5106": "title id",
	"5019":                "title parentId parentTitle parentType type id",
	"5035 5108 5161":      "title parentId parentTitle parentType id",
	"5020":                "oldTitle newTitle parentId parentTitle parentType id",
	"5071 5155":           "oldTitle newTitle id",
	"5116":                "title lifeTime id",
	"5117":                "title id",
	"5085 5084 5118":      "user (access)",
	"5075":                "user access (oldAccess)",
	"5094":                "group access",
	"5095":                "group access oldAccess",
	"5096":                "group",
	"5159":                "owner oldOwner",
	"5078 5079":           "tags",
	"5088":                "title id access",
	"5098":                "title id oldTitle",
	"5090":                "title",
	"5097":                "title id oldTitle",
	"5080 5081 5102 5103": "",
}

func fieldsOf(t *testing.T, code string) string {
	t.Helper()
	for codes, fields := range dataFields {
		if slices.Contains(strings.Fields(codes), code) {
			return fields
		}
	}
	t.Fatalf("no fields of code %s", code)
	return ""
}

const (
	personFields   = "id displayName avatar avatarOriginal avatarMax avatarMedium avatarSmall profileUrl hasAvatar isAnonim"
	nameOnlyFields = "id displayName hasAvatar isAnonim"
	abilityFields  = "ImageView MediaView WebView WebEdit WebReview WebCustomFilterEditing WebRestrictedEditing WebComment CanConvert MustConvert"
)

type object = map[string]any

// Every field of every entry of the page each version has on record, with what
// the versions differ in.
func TestThePageOfEachVersionHasTheFieldsTheServerSends(t *testing.T) {
	t.Parallel()
	for _, version := range Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("testdata/pages/" + version + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var page object
			if err := json.Unmarshal(text, &page); err != nil {
				t.Fatal(err)
			}
			hasFields(t, page, "page", "response count total links status statusCode")
			v, seen := profileOf(version), make(map[string]bool)
			for _, top := range page["response"].([]any) {
				judgeEntry(t, v, top.(object), "related", seen)
				for _, nested := range top.(object)["related"].([]any) {
					judgeEntry(t, v, nested.(object), "", seen)
				}
			}
			if len(seen) < 30 {
				t.Errorf("only %d kinds of rows: %v", len(seen), slices.Sorted(maps.Keys(seen)))
			}
		})
	}
}

func judgeEntry(t *testing.T, v profile, e object, related string, seen map[string]bool) {
	t.Helper()
	action := e["action"].(object)
	hasFields(t, action, "action", "id key")
	code := numberText(action["id"])
	seen[code] = true
	fields := fieldsOf(t, code)
	if !v.has(fileAbilities) { // nor what they are shown with
		fields = strings.NewReplacer("accessibility viewUrl ", "", "accessibility ", "", "initiatorName", "(initiatorName)", "userName", "(userName)").Replace(fields)
		fields = strings.ReplaceAll(strings.ReplaceAll(fields, "((", "("), "))", ")")
	}
	data, id := "data", "id"
	if fields == "" {
		data = ""
	}
	if !v.has(rowIDs) {
		id = ""
	}
	hasFields(t, e, "entry of "+code, id+" action initiator date "+data+" "+related)
	person(t, v, e["initiator"], "initiator of "+code)
	if data == "" {
		return
	}
	d := e["data"].(object)
	hasFields(t, d, "data of "+code, fields)
	for _, who := range []string{"user", "owner", "oldOwner"} {
		if d[who] != nil {
			person(t, v, d[who], who+" of "+code)
		}
	}
	if a, ok := d["accessibility"].(object); ok {
		hasFields(t, a, "accessibility of "+code, abilityFields+map[bool]string{true: " CoAuhtoring"}[v.has(coAuthoring)])
	}
	if g, ok := d["group"].(object); ok {
		hasFields(t, g, "group of "+code, "id name"+map[bool]string{true: " isSystem"}[v.has(systemGroups)])
	}
	if l, ok := d["lifeTime"].(object); ok {
		hasFields(t, l, "lifeTime of "+code, "deletePermanently period value")
	}
}

func person(t *testing.T, v profile, who any, what string) {
	t.Helper()
	fields := personFields
	if _, shown := who.(object)["avatar"]; !shown {
		fields = nameOnlyFields
	}
	if v.has(userTitles) {
		fields += " (title)"
	}
	hasFields(t, who.(object), what, fields)
}

// hasFields holds that an object has those fields and no others. It may have
// those in parentheses.
func hasFields(t *testing.T, o object, what, fields string) {
	t.Helper()
	var want []string
	for _, name := range strings.Fields(fields) {
		inner, optional := strings.CutPrefix(name, "(")
		inner = strings.TrimSuffix(inner, ")")
		if _, there := o[inner]; there || !optional {
			want = append(want, inner)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(o))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func numberText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

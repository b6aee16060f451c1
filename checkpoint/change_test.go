package checkpoint

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A row counts as stored as long as no mark between then and now accounted for it.
func TestRowsNobodyAccountedForStayKnownThroughChanges(t *testing.T) {
	t.Parallel()
	older := []Overtaken{{From: 10, Above: 300}, {From: 20, Above: 200}}
	for name, is := range map[string]struct {
		mark Mark
		want []Overtaken
	}{
		"nothing is above the mark":  {Mark{}.Remember(5), nil},
		"the first time":             {Mark{Unsettled: 30}.Remember(5), []Overtaken{{30, 5}}},
		"less far than before":       {Mark{Unsettled: 30, Overtaken: older}.Remember(100), []Overtaken{{10, 300}, {20, 200}, {30, 100}}},
		"further than once before":   {Mark{Unsettled: 30, Overtaken: older}.Remember(250), []Overtaken{{10, 300}, {20, 250}}},
		"further than ever":          {Mark{Unsettled: 30, Overtaken: older}.Remember(400), []Overtaken{{10, 400}}},
		"its ids are forgotten":      {Mark{Unsettled: 30, Overtaken: older, Forgotten: 400}, []Overtaken{{10, 400}}},
		"its log became another one": {Mark{Unsettled: 30, Overtaken: older, State: Rewound}.Remember(100), nil},
	} {
		got := is.mark.Overtake()
		if diff := cmp.Diff(is.want, got.Overtaken); diff != "" || got.Unsettled != 0 {
			t.Errorf("%s: unsettled %d\n%s", name, got.Unsettled, diff)
		}
	}
}

package checkpoint

import "testing"

func TestANewFilterBeginsAboveWhatIsCommitted(t *testing.T) {
	t.Parallel()
	under := func(f Filtered, id string, newest int64, left int) Filtered {
		f = f.Under(id, newest)
		f.Rows += left
		return f
	}
	none := Filtered{}
	first := under(none, "first", 100, 7)
	for _, test := range []struct {
		name      string
		got, want Filtered
	}{
		{"no filter ever", under(none, "", 100, 0), Filtered{}},
		{"the first one", first, Filtered{ID: "first", Since: 100, Rows: 7}},
		{"the same again", under(first, "first", 200, 3), Filtered{ID: "first", Since: 100, Rows: 10}},
		{"another", under(first, "second", 200, 1), Filtered{ID: "second", Since: 200, Rows: 1, Unsure: 200}},
		{"none again", under(first, "", 200, 0), Filtered{Since: 200, Unsure: 200}},
		{"a later one after none", under(under(first, "", 200, 0), "third", 300, 2), Filtered{ID: "third", Since: 300, Rows: 2, Unsure: 200}},
	} {
		if test.got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, test.got, test.want)
		}
	}
}

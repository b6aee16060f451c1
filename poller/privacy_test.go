package poller

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// Which fields of an entry get into events in which mode: full, standard,
// pseudonymous, minimal. A field that is added to Entry has to be added here.
var published = map[string]string{
	".Action.Name":          "fspm", // of unknown actions: the portal's word, which is in the subject
	".Initiator.ID":         "fs",
	".Initiator.Name":       "fs",
	".Initiator.Email":      "f",
	".Data.ID":              "fspm", // of folders; for others see schema.Privacy
	".Data.Title":           "fsp",
	".Data.OldTitle":        "fsp",
	".Data.NewTitle":        "fsp",
	".Data.ParentID":        "fspm", // ids of folders
	".Data.ParentTitle":     "fsp",
	".Data.FromFolderID":    "fspm",
	".Data.FromParentTitle": "fsp",
	".Data.ToFolderID":      "fspm",
	".Data.UserName":        "fs",
	".Data.User.ID":         "fs",
	".Data.User.Name":       "fs",
	".Data.User.Email":      "f",
	".Data.Owner.ID":        "fs",
	".Data.Owner.Name":      "fs",
	".Data.Owner.Email":     "f",
	".Data.OldOwner.ID":     "fs",
	".Data.OldOwner.Name":   "fs",
	".Data.OldOwner.Email":  "f",
	".Data.Members.ID":      "fs",
	".Data.Members.Name":    "fs",
	".Data.Access":          "fsp",
	".Data.OldAccess":       "fsp",
	".Data.Tags":            "fsp",
	".Malformed":            "fspm", // this program's words
}

// modes are the privacy modes, by the letters above.
var modes = map[string]schema.Privacy{
	"f": schema.Full, "s": schema.Standard, "p": schema.Pseudonymous(goldenKey), "m": schema.Minimal(goldenKey),
}

func TestEveryFieldOfARowIsPublishedInTheModesThatAllowIt(t *testing.T) {
	t.Parallel()
	got := make(map[string]string)
	for _, letter := range strings.Split("fspm", "") {
		feed := goldenFeed
		feed.Privacy, feed.Raw = modes[letter], schema.RawNever
		var events strings.Builder
		fields := make(map[string]string) // by what is in them
		for _, shape := range []string{"%d", "%08d-0000-4000-8000-000000000000"} {
			for action := range schema.Catalogue() {
				for _, variant := range []func(*docspace.Entry){
					func(*docspace.Entry) {},
					func(row *docspace.Entry) { row.Data.ToFolderID, row.Data.User = "", nil },
					func(row *docspace.Entry) { row.Initiator = docspace.User{} },
				} {
					row := docspace.Entry{ID: 1, Date: recorded}
					fill(reflect.ValueOf(&row).Elem(), "", shape, fields)
					if row.Action.Code = action.Code; action.Code != -1 {
						row.Action.Name = action.Key
					}
					variant(&row)
					event := feed.Event(row, 0, schema.Live, false, recorded)
					events.Write(event.Encode())
				}
			}
		}
		for text, field := range fields {
			if !strings.Contains(got[field], letter) && strings.Contains(events.String(), text) {
				got[field] += letter
			}
		}
	}
	if diff := cmp.Diff(published, got); diff != "" {
		t.Errorf("what events hold (-want +got):\n%s", diff)
	}
}

// fill puts into every text of a row something that is nowhere else, and notes
// where. Ids look like ids of either shape.
func fill(v reflect.Value, path, shape string, fields map[string]string) {
	switch v.Kind() {
	case reflect.String:
		n := 80_000_000
		for _, c := range path {
			n = (n*31 + int(c)) % 10_000_000
		}
		text := fmt.Sprintf("text%08d", n)
		if strings.HasSuffix(path, "ID") {
			text = fmt.Sprintf(shape, 80_000_000+n)
		}
		if other, taken := fields[text]; taken && other != path {
			panic(path + " and " + other + " are the same")
		}
		v.SetString(text)
		fields[text] = path
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), path, shape, fields)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), path, shape, fields)
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			if field.IsExported() && field.Name != "Date" {
				fill(value, path+"."+field.Name, shape, fields)
			}
		}
	}
}

// The key of an event is part of nothing that keeps rows apart.
func TestTheModeAndTheKeyChangeNoIDAndNoSubject(t *testing.T) {
	t.Parallel()
	for name, entry := range goldenEntries(t) {
		row := decodePage(t, entry).Entries[0]
		want := ""
		for letter, privacy := range modes {
			feed := goldenFeed
			feed.Privacy = privacy
			event := feed.Event(row, 0, schema.Live, false, recorded)
			got := fmt.Sprintln(event.ID, event.MsgID(), event.NATSSubject("docspace"), event.Sequence, event.Data.AuditID)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s, mode %s: %s, and another says %s", name, letter, got, want)
			}
		}
	}
}

func TestAnotherKeyWithTheSameIDIsRefusedAndWithItsOwnIsNot(t *testing.T) {
	t.Parallel()
	key := func(id, secret string) schema.Privacy {
		k, err := schema.NewKey(id, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Minimal(k)
	}
	const one, two = "0123456789abcdefghijklmnopqrstuv", "another key, which is public, too"
	r := newRig(t, Options{})
	r.poller.opts.Feed.Privacy = key("2026-1", one)
	r.act(10)
	r.poll(t)
	r.act(10)
	r.poller.opts.Feed.Privacy = key("2026-1", two)
	var other *OtherKeyError
	if _, err := r.poller.Poll(t.Context(), r.room); !errors.As(err, &other) || other.Folder != r.room || other.ID != "2026-1" {
		t.Fatalf("Poll = %v", err)
	}
	for _, privacy := range []schema.Privacy{schema.Standard, key("2026-1", one), key("2026-10", two)} {
		r.poller.opts.Feed.Privacy = privacy
		r.act(10)
		r.poll(t)
	}
	r.holds(t)
	mark, err := r.ledger.Mark(t.Context(), r.room)
	if err != nil || mark.Key != r.poller.opts.Feed.Privacy.Key().Print() || strings.Contains(mark.Key, two[:8]) {
		t.Errorf("the mark has the key %q, %v", mark.Key, err)
	}
}

// Marks outlive a change of the mode, in both directions.
func TestASealWithoutTitlesStillTellsAnotherRow(t *testing.T) {
	t.Parallel()
	row := docspace.Entry{ID: 5, Action: docspace.Action{Code: 5011}, Date: recorded, Data: docspace.Data{Title: "Plan"}}
	whole := seal(row)
	short := untitled(whole)
	if short == whole || untitled(short) != short || strings.Count(short, ":") != 1 {
		t.Fatalf("%s without titles is %s", whole, short)
	}
	renamed, later, other := row, row, row
	renamed.Data.Title = "Offer"
	later.Date = later.Date.AddDate(0, 0, 1)
	other.Action.Code = 5000
	for _, test := range []struct {
		name, mark string
		row        docspace.Entry
		want       bool
	}{
		{"the row", short, row, true},
		{"the row, with titles", whole, row, true},
		{"another title, with titles", whole, renamed, false},
		{"another title", short, renamed, true}, // the price
		{"another day", short, later, false},
		{"another action", short, other, false},
	} {
		if got := sealed(test.mark, test.row); got != test.want {
			t.Errorf("%s: sealed %t", test.name, got)
		}
	}
}

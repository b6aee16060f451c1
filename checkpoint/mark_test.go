package checkpoint

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var sample = Mark{
	Folder:      1204,
	State:       Unreconciled,
	Reason:      "the portal counts 3 rows it does not show",
	Anchor:      time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	Accounted:   70_000,
	Filtered:    Filtered{ID: "00c0ffee00c0ffee", Since: 1_200, Rows: 66_000, Unsure: 900},
	Recent:      []int64{90_411, 90_412, 90_500, 2_000_000_000_000},
	Forgotten:   90_400,
	Hidden:      []Place{{90_411, 90_500, 2}, {2_000_000_000_000, 0, 300}},
	Seal:        "5011:1772453045:9f86d081",
	Unsettled:   4_300_000_001,
	Overtaken:   []Overtaken{{From: 4_200_000_001, Above: 90_500}, {From: 4_200_000_009, Above: 90_412}},
	NewestEvent: time.Date(2026, 3, 2, 12, 4, 5, 0, time.UTC),
	Since:       time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
	LastPoll:    time.Date(2026, 3, 2, 12, 4, 9, 0, time.UTC),
	Writer:      "host-1/4711",
	Portal:      "docs.example.com",
	Key:         "2026-1/k7mz2a4q",
	Changes:     3,
	Again:       time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC),
	MovedTo:     4,
}

var unnumbered = Mark{
	Folder:    1204,
	Accounted: 9,
	Unnumbered: Unnumbered{
		Keys:    []KeyCount{{1<<KeyBits - 1, 300}, {0, 1}},
		Hidden:  []int{0, 7},
		Missing: 2,
		Dropped: 4,
		Hashed:  9,
	},
}

var sameMark = cmp.Options{cmpopts.IgnoreUnexported(Mark{}), cmpopts.EquateEmpty()}

func TestTheEncodingIsStableAndReadable(t *testing.T) {
	t.Parallel()
	const want = `{"version":"1.0","folder":1204,"state":"unreconciled","reason":"the portal counts 3 rows it does not show",` +
		`"anchor":"2026-03-01T00:00:00Z","accounted":70000,"newest":2000000000000,"recent":"q8IFAVj8_KLKmjo","forgotten":90400,"places":"q8IFWQLV_aLKmjoArAI","seal":"5011:1772453045:9f86d081",` +
		`"filter":"00c0ffee00c0ffee","filter_since":1200,"filtered":66000,"unsure":900,` +
		`"unsettled":4300000001,"overtaken":[{"from":4200000001,"above":90500},{"from":4200000009,"above":90412}],"newest_event":"2026-03-02T12:04:05Z","since":"2026-03-01T09:00:00Z","last_poll":"2026-03-02T12:04:09Z","writer":"host-1/4711","portal":"docs.example.com","key":"2026-1/k7mz2a4q","changes":3,"again":"2026-02-28T00:00:00Z","moved_to":4}`
	got, err := sample.Encode()
	if err != nil || string(got) != want {
		t.Fatalf("Encode() = %v\n%s\nwant\n%s", err, got, want)
	}
	back, err := Decode([]byte(want))
	if diff := cmp.Diff(sample, back, sameMark); err != nil || diff != "" {
		t.Fatalf("Decode: %v\n%s", err, diff)
	}
}

// survives holds that a mark is read as it was written.
func survives(t *rapid.T, m Mark) Mark {
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(b)
	if diff := cmp.Diff(m, back, sameMark); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
	return back
}

func TestAnyMarkSurvivesEncoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfDistinct(rapid.Int64Range(1, 1<<62), rapid.ID[int64]).Draw(t, "ids")
		m := Mark{Folder: rapid.IntRange(1, 1<<31-1).Draw(t, "folder"), Accounted: len(ids)}.Remember(ids...)
		survives(t, m)
	})
}

func TestAMarkOfRowsWithoutIDsSurvivesEncoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := Mark{Folder: 1, Unnumbered: Unnumbered{Hashed: rapid.IntRange(0, 1<<31-1).Draw(t, "hashed")}}
		rows := rapid.SliceOf(rapid.Uint64Range(0, 40)).Draw(t, "rows")
		m.Unnumbered = m.Unnumbered.Remember(rows...)
		m.Unnumbered.Hidden = rapid.SliceOfDistinct(rapid.IntRange(0, 1<<31-1), rapid.ID[int]).Draw(t, "hidden")
		slices.Sort(m.Unnumbered.Hidden)
		back := survives(t, m)
		for _, row := range rows {
			if n := back.Unnumbered.Counts()[row]; n != count(rows, row) {
				t.Fatalf("key %d is remembered %d times of %d", row, n, count(rows, row))
			}
		}
	})
}

func TestPlacesOfHiddenRowsSurviveEncoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var places []Place
		distinct := make(map[[2]int64]bool)
		for range rapid.IntRange(0, MaxHidden+20).Draw(t, "places") {
			p := Place{Below: rapid.Int64Range(0, 1<<60).Draw(t, "below"), Rows: rapid.IntRange(1, 1<<23).Draw(t, "rows")}
			if size := rapid.Int64Range(0, 1<<60).Draw(t, "size"); size > 1 {
				p.Above = p.Below + size
			}
			places, distinct[[2]int64{p.Below, p.Above}] = append(places, p), true
		}
		m := Mark{Folder: 1}.Hide(places...)
		if len(m.Hidden) != min(len(distinct), MaxHidden) {
			t.Fatalf("%d of %d places are kept", len(m.Hidden), len(distinct))
		}
		survives(t, m)
	})
}

func TestHiddenRowsAmongForgottenOnesAreForgotten(t *testing.T) {
	t.Parallel()
	m := Mark{Forgotten: 10}.Hide(Place{12, 0, 1}, Place{4, 8, 1}, Place{8, 10, 1}, Place{8, 12, 3}, Place{12, 0, 2})
	if diff := cmp.Diff([]Place{{8, 12, 3}, {12, 0, 3}}, m.Hidden); diff != "" {
		t.Error(diff)
	}
}

func count(rows []uint64, row uint64) (n int) {
	for _, r := range rows {
		if r == row {
			n++
		}
	}
	return n
}

func TestTheKeysCommittedLastAreKept(t *testing.T) {
	t.Parallel()
	var u Unnumbered
	u = u.Remember(7)
	for key := range uint64(MaxRecent + 10) {
		u = u.Remember(1000+key, 7)
	}
	if counts := u.Counts(); len(u.Keys) != MaxRecent || counts[7] != MaxRecent+11 || counts[1000] != 0 || counts[1000+MaxRecent] != 1 {
		t.Fatalf("%d keys, 7 is remembered %d times", len(u.Keys), counts[7])
	}
}

func TestAMarkOfANewerMajorVersionIsRefused(t *testing.T) {
	t.Parallel()
	_, err := Decode([]byte(`{"version":"2.0","folder":1,"accounted":0}`))
	if !errors.Is(err, ErrNewerVersion) {
		t.Fatalf("Decode = %v, want ErrNewerVersion", err)
	}
	if _, err = Decode([]byte(`{"version":"2.\u001b[2J","folder":1}`)); err == nil || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("a version a terminal obeys: %q", err)
	}
}

func TestAMarkThatDoesNotNameItsPortalIsReadAndWrittenAsItIs(t *testing.T) {
	t.Parallel()
	const old = `{"version":"1.0","folder":1,"accounted":5,"writer":"host-1/4711"}`
	m, err := Decode([]byte(old))
	if err != nil || m.Portal != "" {
		t.Fatalf("portal %q, %v", m.Portal, err)
	}
	if b, err := m.Encode(); err != nil || string(b) != old {
		t.Fatalf("Encode = %s, %v", b, err)
	}
}

func TestFieldsOfANewerMinorVersionAreKept(t *testing.T) {
	t.Parallel()
	m, err := Decode([]byte(`{"version":"1.7","folder":1,"accounted":5,"sampling":{"every":3}}`))
	if err != nil {
		t.Fatal(err)
	}
	m.Accounted = 6
	b, err := m.Encode()
	if err != nil || !strings.Contains(string(b), `"sampling":{"every":3}`) || !strings.Contains(string(b), `"accounted":6`) {
		t.Fatalf("Encode = %s, %v", b, err)
	}
}

func TestDamagedMarksAreRefusedNotGuessed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `null`, `{}`, `[]`, `{"version":"one","folder":1}`,
		`{"version":"1.0","folder":0}`, `{"version":"1.0","folder":1,"accounted":-1}`, `{"version":"1.0","folder":1,"overtaken":[{"from":0}]}`,
		`{"version":"1.0","folder":1,"recent":"%%%"}`, `{"version":"1.0","folder":1,"recent":"AAAA"}`, `{"version":"1.0","folder":1,"recent":"_w"}`,
		`{"version":"1.0","folder":1,"keys":"%%%"}`, `{"version":"1.0","folder":1,"keys":"AAAA"}`, `{"version":"1.0","folder":1,"keys":"AAAAAAAAAA"}`,
		`{"version":"1.0","folder":1,"keys":"AAAAAAAAAQAAAAAAAAE"}`, `{"version":"1.0","folder":1,"hidden":"AAAA"}`, `{"version":"1.0","folder":1,"hashed":-1}`,
		`{"version":"1.0","folder":1,"accounted":4294967297}`, `{"version":"1.0","folder":1,"filtered":9223372036854775807}`,
	} {
		if m, err := Decode([]byte(text)); err == nil {
			t.Errorf("Decode(%s) = %+v, want an error", text, m)
		}
	}
}

func TestRememberKeepsTheNewestIDsSorted(t *testing.T) {
	t.Parallel()
	ids := make([]int64, MaxRecent)
	for i := range ids {
		ids[i] = int64(i+1) * 2
	}
	m := Mark{Folder: 1, Accounted: MaxRecent + 2}.Remember(ids...).Remember(101, 5000)
	if len(m.Recent) != MaxRecent || !slices.IsSorted(m.Recent) {
		t.Fatalf("%d ids, sorted %t", len(m.Recent), slices.IsSorted(m.Recent))
	}
	if m.Newest() != 5000 || !m.Known(101) || m.Known(103) {
		t.Fatalf("newest %d, 101 known %t, 103 known %t", m.Newest(), m.Known(101), m.Known(103))
	}
	if !m.Known(1) || m.Forgotten != 4 {
		t.Fatal("an id below the forgotten ones must count as committed")
	}
}

func TestAShortLogIsRememberedWhole(t *testing.T) {
	t.Parallel()
	m := Mark{Folder: 1, Accounted: 2}.Remember(10, 12)
	if m.Known(9) || m.Known(11) || !m.Known(10) {
		t.Fatal("with every row remembered, only those are known")
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := sample.Encode()
	f.Add(b)
	f.Add([]byte(`{"version":"1.9","folder":7,"accounted":3,"recent":"AQEB","later":[1,{"a":null}]}`))
	b, _ = unnumbered.Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("a decoded mark must encode: %v", err)
		}
		back, err := Decode(again)
		if diff := cmp.Diff(m, back, sameMark); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

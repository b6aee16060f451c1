package schema

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestAnEventFitsWhateverIsInIt(t *testing.T) {
	t.Parallel()
	long := rapid.Custom(func(t *rapid.T) string {
		unit := rapid.SampledFrom([]string{"x", "\x01", "\"", "🦊", "\xff"}).Draw(t, "unit")
		return strings.Repeat(unit, rapid.SampledFrom([]int{0, 1, 1, 600, 9_000}).Draw(t, "times"))
	})
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t, long)
		before := string(e.appendJSON(nil))
		got := e.Encode()
		if len(got) > MaxEventBytes {
			t.Fatalf("%d bytes", len(got))
		}
		if !utf8.Valid(got) {
			t.Fatal("not UTF-8")
		}
		if string(e.appendJSON(nil)) != before {
			t.Fatal("encoding changed the event")
		}
	})
}

func TestTheRawRowGoesFirstThenTitlesAreCutAt512Characters(t *testing.T) {
	t.Parallel()
	e := sample()
	e.Data.Target.Name = strings.Repeat("ä", 5000)
	e.Data.Raw = strings.Repeat("r", 60_000)
	got := decoded(t, e)
	if got.Data.Raw != "" || got.Data.Target.Name != e.Data.Target.Name || !got.Data.Truncated {
		t.Errorf("only the raw row should be gone, and said so: raw %d bytes, name %d bytes, truncated %t",
			len(got.Data.Raw), len(got.Data.Target.Name), got.Data.Truncated)
	}
	e.Data.Target.Name = strings.Repeat("ä", 50_000)
	got = decoded(t, e)
	if n := utf8.RuneCountInString(got.Data.Target.Name); n != 512 || !got.Data.Truncated {
		t.Errorf("%d characters of the name left, truncated %t", n, got.Data.Truncated)
	}
	if got.ID != e.ID || got.Type != e.Type || got.Source != e.Source || got.Sequence != e.Sequence {
		t.Errorf("cutting touched the identity: %+v", got)
	}
}

func TestAnEventThatFitsIsNotTouched(t *testing.T) {
	t.Parallel()
	e := sample()
	e.Data.Raw = strings.Repeat("r", MaxEventBytes)
	e.Data.Raw = e.Data.Raw[:MaxEventBytes-(len(e.appendJSON(nil))-MaxEventBytes)]
	if n := len(e.appendJSON(nil)); n != MaxEventBytes {
		t.Fatalf("the event under test has %d bytes", n)
	}
	if got := decoded(t, e); got.Data.Truncated || got.Data.Raw != e.Data.Raw {
		t.Error("an event of exactly the largest size was cut")
	}
	e.Data.Raw += "r"
	if got := decoded(t, e); !got.Data.Truncated || got.Data.Raw != "" {
		t.Error("an event one byte too large was not cut")
	}
}

func TestAnEventFitsASmallerServerToo(t *testing.T) {
	t.Parallel()
	e := sample()
	e.Data.Raw = strings.Repeat("r", 6000)
	e.Data.Feed.Title = strings.Repeat("t", 6000)
	if got := e.AppendWithin(nil, 4<<10); len(got) > 4<<10 || !strings.Contains(string(got), `"id":"1234-98765"`) {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}

func TestTooManyTagsAreCut(t *testing.T) {
	t.Parallel()
	e := sample()
	for range 20_000 {
		e.Data.Tags = append(e.Data.Tags, "confidential")
	}
	if got := decoded(t, e); len(got.Data.Tags) != 64 || !got.Data.Truncated {
		t.Errorf("%d tags left, truncated %t", len(got.Data.Tags), got.Data.Truncated)
	}
}

func decoded(t *testing.T, e Event) Event {
	t.Helper()
	got, err := Decode(e.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

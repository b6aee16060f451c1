package schema

import (
	"math"
	"testing"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	if got := EventID(1234, 98765); got != "1234-98765" {
		t.Errorf("event id %s", got)
	}
	e := sample()
	if got := e.MsgID(); got != "ds1:docs.example.com:1234:98765" {
		t.Errorf("message id %s", got)
	}
	for id, want := range map[int64]string{
		0: "00000000000000000000", 98765: "00000000000000098765", math.MaxInt64: "09223372036854775807", -3: "00000000000000000000",
	} {
		if got := Sequence(id); got != want {
			t.Errorf("sequence of %d is %s, want %s", id, got, want)
		}
	}
}

func TestConnectorIDsOfOneRevisionDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, kind := range []string{Gap, Blind} {
		for revision := uint64(1); revision < 13; revision++ {
			for ordinal := range 13 {
				id := ConnectorID(7, kind, revision, ordinal)
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
			}
		}
	}
	if !seen["7-gap-3"] || !seen["7-gap-3-1"] {
		t.Errorf("ids have another shape: %v", seen)
	}
}

func TestHashedIDsTellEqualRowsApart(t *testing.T) {
	t.Parallel()
	base := HashedEventID("docs.example.com", 7, "key", 0)
	if again := HashedEventID("docs.example.com", 7, "key", 0); again != base || len(base) != len("7-h")+32 {
		t.Errorf("%s, then %s", base, again)
	}
	for _, other := range []string{
		HashedEventID("docs.example.com", 7, "key", 1), HashedEventID("docs.example.com", 7, "kez", 0),
		HashedEventID("docs.example.org", 7, "key", 0), HashedEventID("docs.example.com", 8, "key", 0),
	} {
		if other[2:] == base[2:] {
			t.Errorf("%s for different rows", other)
		}
	}
}

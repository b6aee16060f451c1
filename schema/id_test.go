package schema

import (
	"math"
	"regexp"
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

func TestConnectorIDsTellWhatIsSaidAndWhen(t *testing.T) {
	t.Parallel()
	at := int64(3)
	said := Connector{Reason: "hidden", Rows: 2, FirstIndex: &at}
	id := ConnectorID(7, Gap, 3, said)
	same := at
	if again := ConnectorID(7, Gap, 3, Connector{Reason: "hidden", Rows: 2, FirstIndex: &same}); again != id {
		t.Errorf("the same is %s, then %s", id, again)
	}
	if !regexp.MustCompile(`^7-gap-3-[0-9a-f]{16}$`).MatchString(id) {
		t.Errorf("ids have another shape: %s", id)
	}
	for what, other := range map[string]string{
		"folder":   ConnectorID(8, Gap, 3, said),
		"kind":     ConnectorID(7, Blind, 3, said),
		"revision": ConnectorID(7, Gap, 4, said),
		"content":  ConnectorID(7, Gap, 3, Connector{Reason: "hidden", Rows: 3, FirstIndex: &at}),
		"place":    ConnectorID(7, Gap, 3, Connector{Reason: "hidden", Rows: 2}),
	} {
		if other == id {
			t.Errorf("another %s has the same id %s", what, id)
		}
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

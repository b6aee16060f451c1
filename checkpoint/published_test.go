package checkpoint

import (
	"errors"
	"math"
	"testing"
)

func TestTheFloorIsZeroOnlyWhenEveryRowIsThere(t *testing.T) {
	t.Parallel()
	var p Published
	for id := int64(1); id <= 2000; id++ {
		if err := p.Row(uint64(id), id*10, false); err != nil {
			t.Fatal(err)
		}
	}
	p.ReadTo(2001, 1)
	p.Gaps, p.Removed = 5, 2
	if floor := p.Floor(2003); floor != 0 {
		t.Errorf("floor %d, with all rows there", floor)
	}
	if floor := p.Floor(2004); floor != 10 {
		t.Errorf("floor %d, want the oldest row", floor)
	}
	// The stream dropped events up to sequence 700 since they were read.
	p.ReadTo(2001, 701)
	if floor := p.Floor(2004); floor < 7010 || floor > 7010+mile*10 {
		t.Errorf("floor %d, want the next milestone above 7010", floor)
	}
	p.ReadTo(2001, 2001)
	if floor := p.Floor(2004); floor != math.MaxInt64 {
		t.Errorf("floor %d, with nothing of what was read left", floor)
	}
}

func TestALateRowIsNoMilestone(t *testing.T) {
	t.Parallel()
	var p Published
	for i, id := range []int64{7, 100, 101, 8, 102} {
		if err := p.Row(uint64(i+1), id, id < 10); err != nil {
			t.Fatal(err)
		}
	}
	p.ReadTo(6, 1)
	if p.Floor(99) != 100 || !p.Has(8) || p.Has(9) || p.Between(8, 102) != 2 || p.Between(102, 8) != 0 {
		t.Errorf("%+v, floor %d", p, p.Floor(99))
	}
}

func TestMoreRowsThanFitAreAnError(t *testing.T) {
	t.Parallel()
	p := Published{IDs: make([]int64, MaxPublished)}
	if err := p.Row(1, 1, false); !errors.Is(err, ErrTooManyRows) {
		t.Errorf("Row = %v", err)
	}
}

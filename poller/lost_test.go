package poller

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// A forgetful ledger has lost the mark of its folder, and some events are left.
type forgetful struct {
	Ledger
	reason string
}

func (f forgetful) Mark(ctx context.Context, folder int) (checkpoint.Mark, error) {
	mark, err := f.Ledger.Mark(ctx, folder)
	if err == nil && mark.Revision == 0 {
		mark.Unsettled, mark.Reason = 1, f.reason
	}
	return mark, err
}

func TestAFolderThatLostItsMarkIsReadFromItsFirstRowAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(50)
	tomorrow := time.Now().Add(24 * time.Hour)
	r.poller = New(r.client, forgetful{r.ledger, "somebody removed it"}, Options{Anchor: tomorrow, Feed: r.poller.opts.Feed})
	if report := r.poll(t); report.Lost != "somebody removed it" {
		t.Errorf("the report says %q of the mark", report.Lost)
	}
	r.act(3)
	r.settle(t)
	var said []string
	for _, e := range r.ledger.Events(r.room) {
		if c := e.Data.Connector; c != nil {
			said = append(said, e.Data.Action.Name+": "+c.Reason+": "+c.Detail)
		}
	}
	if want := []string{schema.Reset + ": mark_lost: somebody removed it"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	if mark := r.mark(t); mark.Reason != "" || strings.Contains(mark.String(), "removed") {
		t.Errorf("the mark still says %v", mark)
	}
}

package poller

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"docspace-nats/poller/docspace/docspacetest"
)

// discovered runs a schedule over what a discovery finds, for a while.
func (r *rig) discovered(t *testing.T, d *Discovery, during func()) {
	t.Helper()
	s := NewSchedule(r.poller, newQueue(), ScheduleOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var members sync.WaitGroup
	members.Go(func() { _ = s.Run(ctx) })
	members.Go(func() { _ = d.Run(ctx, s) })
	during()
	cancel()
	members.Wait()
}

func TestAFolderThatCannotBeAskedForDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]docspacetest.Outcome{
		"broken": docspacetest.ServerError(), "slow": docspacetest.Page(504), "closed": docspacetest.AccessDenied(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, nil)
				named := w.rooms()
				w.portal.Fail(docspacetest.Fault{Folder: named[0], Times: -1, Do: do})
				d := &Discovery{IDs: named}
				w.discovered(t, d, func() {
					time.Sleep(5 * time.Minute)
					w.wantPublished(t, named[1:])
				})
			})
		})
	}
}

func TestAFolderThatWasBlindFromTheStartIsNamedOnceItSees(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, nil)
		heal := w.portal.Fail(docspacetest.Fault{Folder: w.room, Times: -1, Do: docspacetest.AccessDenied()})
		w.discovered(t, &Discovery{IDs: []int{w.room}}, func() {
			time.Sleep(10 * time.Minute)
			heal()
			time.Sleep(5 * time.Minute)
		})
		events := w.ledger.Events(w.room)
		if last := events[len(events)-1]; last.Data.Feed.Title != "Deal room A" {
			t.Errorf("the folder is called %q", last.Data.Feed.Title)
		}
	})
}

func TestAFolderWhoseTurnNeverComesIsNamedWithoutAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewSchedule(newRig(t, Options{}).poller, newQueue(), ScheduleOptions{})
		s.Watch(7)
		s.discovered(nil, true)
		time.Sleep(time.Hour)
		if err := s.Ready(); err == nil || err.Error() != "folder 7 was not polled for 6m0s: its turn has not come" {
			t.Errorf("Ready = %v", err)
		}
	})
}

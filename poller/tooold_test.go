package poller

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/poller/docspace"
	"docspace-nats/poller/docspace/docspacetest"
)

// newRigClaiming is a rig with a portal of some version that claims to be another.
func newRigClaiming(t testing.TB, version, claim string) *rig {
	t.Helper()
	r := &rig{ledger: checkpointtest.NewMemory()}
	r.portal = docspacetest.New(docspacetest.Options{Seed: 1, Version: version, Build: claim})
	var err error
	r.client, err = docspace.New(r.portal.URL(), docspace.Credentials{
		Username: docspace.Fixed(r.portal.Username()), Password: docspace.Fixed(r.portal.Password()),
	}, docspace.Options{Transport: r.portal, MaxElapsed: -1})
	if err != nil {
		t.Fatal(err)
	}
	r.poller = New(r.client, r.ledger, Options{Feed: Feed{Portal: r.portal.Host(), SourceBase: r.portal.URL()}})
	r.room = r.portal.CreateRoom(nil, "Deal room A")
	return r
}

func TestAPortalBefore30EndsTheScheduleWhateverItClaimsToBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRigClaiming(t, "2.6.3", "3.1.0")
		r.portal.CreateRoom(nil, "Another room")
		s := NewSchedule(r.poller, newQueue(), ScheduleOptions{})
		for _, room := range r.portal.Rooms() {
			s.Watch(room)
		}
		if err := s.CatchUp(t.Context()); err != ErrTooOld {
			t.Errorf("CatchUp = %v, want one sentence", err)
		}
		if err := s.Run(t.Context()); err != ErrTooOld {
			t.Errorf("Run = %v, want one sentence", err)
		}
		if n := r.ledger.Commits(); n != 0 {
			t.Errorf("%d commits", n)
		}
	})
}

func isAge(q docspacetest.Request) bool { return q.Route == docspacetest.RouteHistory && q.Count == 1 }

func TestAPortalIsAskedForItsAgeOnceAndOnlyWhenItShowsNoIDs(t *testing.T) {
	t.Parallel()
	for version, asked := range map[string]int{"2.6.3": 1, "3.5.0": 1, "3.6.1": 0} {
		r := newRigClaiming(t, version, version)
		ages := 0
		r.portal.OnRequest(func(q *http.Request) {
			if q.URL.Query().Has("fromDate") {
				ages++
			}
		})
		r.portal.Fail(docspacetest.Fault{Match: isAge, Do: docspacetest.BadGateway()}) // is asked again
		for range 4 {
			_, _ = r.poller.Poll(t.Context(), r.room)
		}
		_, err := r.poller.Poll(t.Context(), r.room)
		if ages != 2*asked {
			t.Errorf("%s was asked %d times", version, ages)
		}
		if tooOld := errors.Is(err, ErrTooOld); tooOld != (version == "2.6.3") {
			t.Errorf("%s: %v", version, err)
		}
	}
}

package poller

import (
	"testing"
	"testing/synctest"
	"time"

	"docspace-nats/poller/docspace"
)

// Hints for folders that are due already and wait for their turn must not
// disturb the order of those that are not due yet.
func TestHintsForFoldersThatAreDueAreHarmless(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 200, 1, docspace.Options{RequestsPerMinute: 60})
		w.open(t)
		for range 300 {
			time.Sleep(time.Second)
			for _, room := range w.rooms {
				w.schedule.Hint(room)
			}
			w.schedule.mu.Lock()
			for i, t2 := range w.schedule.turns {
				if t2.place != i {
					t.Fatalf("turn %d thinks it is %d", i, t2.place)
				}
				if i > 0 && t2.due.Before(w.schedule.turns[(i-1)/2].due) {
					t.Fatalf("heap broken at %d of %d", i, len(w.schedule.turns))
				}
			}
			w.schedule.mu.Unlock()
		}
		w.close()
	})
}

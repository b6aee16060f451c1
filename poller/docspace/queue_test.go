package docspace

import "testing"

func TestLeavingTheQueueEarlyNeitherLetsInNorKeepsOut(t *testing.T) {
	t.Parallel()
	var q queue
	in := func(turn chan struct{}) bool {
		select {
		case <-turn:
			return true
		default:
			return false
		}
	}
	first, second, third, last := q.join(false), q.join(true), q.join(false), q.join(false)
	q.quit(third)
	if !in(first) || in(second) || in(last) {
		t.Error("somebody passed while the first was in")
	}
	q.leave()
	if !in(last) || in(second) {
		t.Error("the next urgent one is not in")
	}
	q.quit(last) // its turn came as it gave up
	if !in(second) {
		t.Error("the turn of the one that gave up is lost")
	}
	q.leave()
	if !in(q.join(true)) {
		t.Error("nobody gets in any more")
	}
}

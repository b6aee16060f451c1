package docspace

import (
	"context"
	"slices"
	"sync"
)

// share is how much of the budget is left to those who can wait, when others
// want all of it: one request in so many.
const share = 8

type patientKey struct{}

// Patient returns a context whose requests let all others go first, as long as
// they get their share: for reading history, which may take hours, beside
// folders where something happens now.
func Patient(ctx context.Context) context.Context {
	return context.WithValue(ctx, patientKey{}, true)
}

func isPatient(ctx context.Context) bool { return ctx.Value(patientKey{}) != nil }

// A queue lets requests through one at a time, in the order they came, those
// that can wait after the others.
type queue struct {
	mu      sync.Mutex
	taken   bool
	urgent  []chan struct{} // closed for the one whose turn it is
	patient []chan struct{}
	passed  int // urgent ones since the last patient one
}

// enter returns when it is the caller's turn, which ends with leave.
func (q *queue) enter(ctx context.Context) error {
	turn := q.join(isPatient(ctx))
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		q.quit(turn)
		return ctx.Err()
	}
}

func (q *queue) join(patient bool) (turn chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn = make(chan struct{})
	to := &q.urgent
	if patient {
		to = &q.patient
	}
	*to = append(*to, turn)
	if !q.taken {
		q.next()
	}
	return turn
}

// quit leaves the queue before its turn, or passes on a turn that just came.
func (q *queue) quit(turn chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := len(q.urgent) + len(q.patient)
	is := func(c chan struct{}) bool { return c == turn }
	q.urgent, q.patient = slices.DeleteFunc(q.urgent, is), slices.DeleteFunc(q.patient, is)
	if len(q.urgent)+len(q.patient) == waiting {
		q.next()
	}
}

// leave ends the caller's turn.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
}

// next gives the turn to the next in the queue. The caller holds the lock.
func (q *queue) next() {
	from := &q.urgent
	if len(q.patient) > 0 && (len(q.urgent) == 0 || q.passed >= share-1) {
		from = &q.patient
	}
	if q.taken = len(*from) > 0; !q.taken {
		return
	}
	if q.passed++; from == &q.patient {
		q.passed = 0
	}
	close((*from)[0])
	*from = slices.Delete(*from, 0, 1)
}

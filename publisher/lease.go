package publisher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/poller/queue"
)

// A lease implements queue.Lease. It renews itself until it ends.
type lease struct {
	q      *Queue
	msg    jetstream.Msg
	folder int
	lane   queue.Lane
	rows   int
	tries  int
	seq    uint64 // of the message
	behind uint64 // folders of the lane that were not handed out yet

	mu    sync.Mutex
	renew *time.Timer // nil once it has ended
	taken bool        // by a worker
}

// lease makes a lease of a message, or says how long the folder is not due yet.
func (q *Queue) lease(msg jetstream.Msg, lane queue.Lane) (*lease, time.Duration, error) {
	folder, err := folderIn(msg.Subject())
	if err != nil {
		return nil, 0, err
	}
	at, err := msg.Metadata()
	if err != nil {
		return nil, 0, err
	}
	var n note
	if err := json.Unmarshal(msg.Data(), &n); err != nil {
		return nil, 0, fmt.Errorf("message of folder %d: %w", folder, err)
	}
	if wait := min(time.Until(n.Due), time.Duration(n.Wait)*time.Millisecond, longestWait); wait > 0 && at.NumDelivered == 1 {
		return nil, wait, nil
	}
	l := &lease{q: q, msg: msg, folder: folder, lane: lane, rows: n.Rows, tries: int(at.NumDelivered), seq: at.Sequence.Stream, behind: at.NumPending}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renew = time.AfterFunc(q.lasts/3, l.keep)
	return l, 0, nil
}

// keep renews the lease. One that was pulled ahead and that no worker takes is left
// to other replicas, if there are any. When renewing fails it lapses: another replica may poll the
// folder, and of two commits one wins.
func (l *lease) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renew == nil {
		return
	}
	if !l.taken && !l.q.alone() {
		_ = l.msg.Nak()
		l.renew = nil
		return
	}
	_ = l.msg.InProgress()
	l.renew.Reset(l.q.lasts / 3)
}

// take hands a lease that was pulled ahead to a worker, and reports false when it
// waited too long and was left to other replicas.
func (l *lease) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = true
	return l.renew != nil
}

// end stops renewing.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renew != nil {
		l.renew.Stop()
		l.renew = nil
	}
}

// Folder implements queue.Lease.
func (l *lease) Folder() int { return l.folder }

// Lane implements queue.Lease.
func (l *lease) Lane() queue.Lane { return l.lane }

// Hint implements queue.Lease.
func (l *lease) Hint() (rows, tries int) { return l.rows, l.tries }

// Return implements queue.Lease. When the folder cannot be put into another
// lane it stays in its own.
//
// The server hands out first what was given back, and only then what is new. So
// while something new waits, a folder goes behind it as a new message.
//
// When ctx is over, this process is about to end, and the server still has its
// requests: it would hand the folder to those, where it stays until the lease lapses.
// So it waits until they are gone.
func (l *lease) Return(ctx context.Context, lane queue.Lane, after time.Duration) error {
	defer l.end()
	if ctx.Err() != nil {
		after = max(after, handOver)
	}
	stays, last := lane == l.lane, uint64(0)
	if stays && (l.behind == 0 || lane == queue.Hinted) {
		return l.giveBack(after)
	}
	if stays {
		last = l.seq
	}
	if _, err := l.q.put(ctx, l.folder, lane, note{Due: time.Now().Add(after), Wait: after.Milliseconds()}, last); err != nil {
		_ = l.giveBack(after)
		return err
	}
	if stays {
		return nil
	}
	return l.Remove()
}

func (l *lease) giveBack(after time.Duration) error {
	if err := l.msg.NakWithDelay(max(after, 0)); err != nil {
		return fmt.Errorf("give folder %d back to the queue %s: %w", l.folder, l.q.j.queueName(), err)
	}
	return nil
}

// Remove implements queue.Lease.
func (l *lease) Remove() error {
	l.end()
	if err := l.msg.Ack(); err != nil {
		return fmt.Errorf("remove folder %d from the queue %s: %w", l.folder, l.q.j.queueName(), err)
	}
	return nil
}

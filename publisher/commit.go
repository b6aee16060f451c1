package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"docspace-nats/checkpoint"
	"docspace-nats/schema"
)

// answerWait bounds the wait for one answer. A commit gets a second more for
// each megabyte.
const answerWait = 5 * time.Second

// errDisconnected ends the wait for an answer that will not come any more.
var errDisconnected = errors.New("the connection was lost before the answer")

// Commit stores the events and replaces the mark prev by next, all or nothing,
// and returns next with its revision. Without events it replaces the mark
// alone. In mode Dedup events can be stored although the mark is not replaced;
// they are not stored again.
//
// It returns checkpoint.ErrConflict when prev is no longer the folder's mark, a
// *TooLargeError when no server would take that much at once, and a *StoreError
// when the server refuses, or does not answer for Options.RetryFor. After
// ErrConflict, after a StoreError that says it did not answer, and after ctx
// has ended, the caller must start again from Mark: the commit may have
// happened. It never happens twice, and never after the mark that Mark returns
// has been replaced.
//
// What a crash leaves, of this program or of the server, in mode Atomic (for
// Dedup see dedup.go):
//
//   - before the mark was sent: nothing. The server forgets the events.
//   - after the mark was sent, before the answer: all or nothing. The next Mark
//     tells which.
//   - a server without replicas copies the batch message by message into the
//     stream. Killed in the middle, it goes on where it was before it takes
//     the next message. At the storage limit of the account or the server it
//     stops in the middle, and says nothing: the first events are there
//     without their mark. The next commit finds and does not repeat them.
//
// Why repeating is safe although an earlier attempt may still be on its way: all
// attempts name the same fence, and the first one stored moves it. Whichever
// comes later is refused, and reading the mark back finds which of the ids
// used here it carries.
func (j *JetStream) Commit(ctx context.Context, folder int, events []schema.Event, prev, next checkpoint.Mark) (checkpoint.Mark, error) {
	b, err := j.encode(folder, events, prev, next)
	if err != nil {
		return checkpoint.Mark{}, err
	}
	defer b.release()
	c := commit{j: j, b: b, prev: prev, next: next, stored: j.sets.take(folder)}
	err = backoff.Retry(func() error { return c.attempt(ctx) }, backoff.WithContext(jittered(j.o.RetryFor), ctx))
	if err != nil {
		return checkpoint.Mark{}, err
	}
	c.next.Revision = c.revision
	if c.next.Unsettled > 0 && c.stored != nil {
		c.stored.mark = c.revision
		j.sets.put(folder, c.stored)
	}
	return c.next, nil
}

// A commit is one call of Commit.
type commit struct {
	j        *JetStream
	b        *batch
	prev     checkpoint.Mark
	next     checkpoint.Mark
	stored   *storedSet // events above the mark; nil until they were looked for
	ids      []string   // of all attempts so far
	ask      bool       // the next attempt asks whether it may begin
	revision uint64     // of the new mark, once it is known to be stored

	// In mode Dedup:
	looked     time.Time // when the stream was last searched for events of this commit
	connection uint64    // number of the connection the events were sent on
}

// attempt sends the commit once, under an id of its own. It returns nil when
// it is stored, by this attempt or by an earlier one.
func (c *commit) attempt(ctx context.Context) error {
	send := c.send
	if c.j.mode == Dedup {
		send = c.sendSingly
	}
	what, refused := send(ctx)
	if refused == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return backoff.Permanent(err)
	}
	// Whatever the answer was, only the mark knows. If it cannot be read, the
	// next attempt is refused should this one have been stored.
	stored, err := c.j.lastMark(ctx, c.prev.Folder)
	switch {
	case err != nil && what == never:
		return backoff.Permanent(refused)
	case err != nil:
		return refused
	case slices.Contains(c.ids, stored.commit):
		c.revision, c.next.Unsettled, c.next.Overtaken = stored.Revision, stored.Unsettled, stored.Overtaken
		return nil
	case stored.Revision != c.prev.Revision:
		return backoff.Permanent(conflict(c.prev, stored.Mark))
	case what != again:
		return backoff.Permanent(refused)
	}
	return refused
}

func conflict(expected, now checkpoint.Mark) error {
	return fmt.Errorf("mark of folder %d is at revision %d, no longer at %d: %w",
		now.Folder, now.Revision, expected.Revision, checkpoint.ErrConflict)
}

// send sends the batch and waits for the answer. Few batches are open at once,
// because the server bounds their number and their bytes for all its clients.
func (c *commit) send(ctx context.Context) (verdict, error) {
	if err := c.j.open.Acquire(ctx, 1); err != nil {
		return c.j.unanswered(err)
	}
	defer c.j.open.Release(1)
	if err := c.search(ctx); err != nil {
		return verdictOf(err), err
	}
	ctx, cancel := c.j.whileConnected(ctx, answerWait+time.Duration(len(c.b.body)>>20)*time.Second)
	defer cancel()
	id := nuid.Next()
	c.ids = append(c.ids, id)
	sent, err := c.b.sendEvents(ctx, c.j.nc, id, c.first(ctx))
	if refused := new(StoreError); errors.As(err, &refused) {
		return verdictOf(err), err
	}
	if err != nil {
		return c.j.unanswered(cause(ctx, err))
	}
	reply, err := c.j.nc.RequestMsgWithContext(ctx, c.b.commitMessage(id, sent+1))
	if err != nil {
		return c.j.unanswered(cause(ctx, err))
	}
	a, err := parseAck(reply.Data, id, sent+1)
	if err != nil {
		return c.j.unanswered(err)
	}
	if a.Error != nil {
		c.ask = a.Error.Code == codeIncompleteBatch
		if fit := a.Error.fit(); fit > 0 {
			c.j.fit.Store(int64(fit))
			return never, &TooLargeError{Events: len(c.b.events), Fit: fit}
		}
		return c.j.classify(*a.Error)
	}
	c.revision = a.Seq
	return again, nil
}

// first returns how to send the first event. After a batch that did not arrive
// as a whole it asks whether the server takes one: where too many are open it
// takes none, says so only to who asks, and all that follows would be in vain.
func (c *commit) first(ctx context.Context) func(*nats.Msg) error {
	if !c.ask {
		return nil
	}
	return func(msg *nats.Msg) error {
		reply, err := c.j.nc.RequestMsgWithContext(ctx, msg)
		if err != nil || len(reply.Data) == 0 {
			return err
		}
		a, err := parseRefusal(reply.Data)
		if err == nil {
			_, err = c.j.classify(a)
		}
		return err
	}
}

// search finds events of the folder that no mark accounts for, leaves out those
// of them that are of this commit, and lets the mark tell where the others are.
//
// Where an operator changes the mark, what lies above it may grow until the
// change is stored, and the next commit looks for it anew: by then message ids
// are others. What a mark that is put back accounts for is to be stored again.
func (c *commit) search(ctx context.Context) error {
	prev, changed := c.prev, c.prev.ChangedBy(c.next)
	if changed && c.next.Accounted < c.prev.Accounted {
		prev = prev.Overtake()
	}
	found, err := c.j.readOn(ctx, prev, c.stored)
	if err != nil {
		return err
	}
	c.stored = found
	c.b.leaveOut(found)
	unsettled, overtaken := uint64(0), []checkpoint.Overtaken(nil)
	if changed && prev.Revision > 0 || !found.empty() && !found.settledBy(c.next, c.b.events) {
		unsettled, overtaken = found.from, found.overtaken
	}
	if unsettled == c.next.Unsettled && slices.Equal(overtaken, c.next.Overtaken) {
		return nil
	}
	c.next.Unsettled, c.next.Overtaken = unsettled, overtaken
	c.b.mark, err = c.next.Encode()
	return err
}

// whileConnected bounds ctx in time, and ends it when the connection is lost:
// an answer sent to a lost connection is lost too.
func (j *JetStream) whileConnected(ctx context.Context, limit time.Duration) (context.Context, func()) {
	ctx, cancelTimer := context.WithTimeoutCause(ctx, limit, nats.ErrTimeout)
	ctx, end := whileConnected(ctx, j.nc)
	return ctx, func() {
		end()
		cancelTimer()
	}
}

func whileConnected(ctx context.Context, nc *nats.Conn) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	lost := nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-lost:
			cancel(errDisconnected)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
		nc.RemoveStatusListener(lost)
	}
}

// cause prefers the reason why ctx ended over the bare fact.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Readers with the same durable consumer hear of each other, by plain messages
// nobody stores. Who wants to read begins to listen, and then asks who else does;
// everybody who listens answers. Of two that ask at the same moment one at least
// is heard by the other, so both cannot find that nobody is there. The server
// itself says so, at once, when a question reaches nobody.
const (
	// readersSuffix makes the first token of the subjects they speak on of the
	// name of the stream.
	readersSuffix = "_READERS"

	// readerSilent is after which time one that listens and does not answer is
	// taken for dead, or stopped.
	readerSilent = 3 * time.Second

	// readerAgain is how long the last question waits, for what another one that
	// began at the same moment, on another server of a cluster, has to say.
	readerAgain = 250 * time.Millisecond

	longestClaim = 1 << 10 // bytes; what is longer is no claim
)

// A claim is what a reader says of itself, in questions and in answers.
type claim struct {
	ID    string    `json:"id"`
	Since time.Time `json:"since,omitzero"` // when it began to read; zero while it only wants to
}

// before reports whether of two that ask each other this one goes on. Of two that
// read, it is the later one: it was let in because the other did not answer.
func (c claim) before(other claim) bool {
	if !c.Since.Equal(other.Since) {
		return c.Since.After(other.Since)
	}
	return c.ID < other.ID
}

func parseClaim(text []byte) (c claim, ok bool) {
	ok = len(text) <= longestClaim && json.Unmarshal(text, &c) == nil && c.ID != ""
	return c, ok
}

// A claimant is a reader among those with the same durable consumer. One that
// reads goes on answering until its connection ends, so what it still hands to
// its target is its own, too.
type claimant struct {
	nc      *nats.Conn
	subject string // of questions; answers go to one of their own below it
	told    func(string)

	sub   *nats.Subscription // nil while it does not listen
	muted bool               // it lacks the permission to speak

	mu sync.Mutex
	me claim
}

// newClaimant is of one consumer of one stream: another stream of that name, such
// as that of a leaf node, was created at another time.
func newClaimant(nc *nats.Conn, stream string, created time.Time, durable string, told func(string)) *claimant {
	subject := stream + readersSuffix + "." + durable + "." + strconv.FormatInt(created.UnixNano(), 36)
	return &claimant{nc: nc, subject: subject, told: told, me: claim{ID: nuid.Next()}}
}

func (c *claimant) claim() claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.me
}

func (c *claimant) since(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.me.Since = at
}

// free reports whether nobody else reads, or is about to. From then on this one
// counts as reading. It waits so long for who listens and does not answer.
func (c *claimant) free(ctx context.Context, wait time.Duration) (bool, error) {
	for !c.muted {
		listened := c.sub != nil
		other, err := c.ask(ctx, wait)
		switch {
		case errors.Is(err, errReconnected):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("ask for other readers on %s: %w", c.subject, err)
		case other != nil && other.before(c.claim()):
			c.release() // so that the other one finds that nobody is there
			return false, nil
		case other != nil:
			return false, nil
		case listened:
			if c.claim().Since.IsZero() {
				c.since(time.Now())
			}
			return true, nil
		}
		if err := c.listen(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// listen answers questions from now on.
func (c *claimant) listen(ctx context.Context) error {
	if c.sub != nil || c.muted {
		return nil
	}
	sub, err := c.nc.Subscribe(c.subject, c.hear)
	if err == nil {
		c.sub = sub
		err = c.settle(ctx, "")
	}
	if err != nil {
		return fmt.Errorf("listen to other readers on %s: %w", c.subject, err)
	}
	return nil
}

// release is the opposite of listen.
func (c *claimant) release() {
	c.since(time.Time{})
	if c.sub != nil {
		_ = c.sub.Unsubscribe() // fails only without a connection, and then nobody hears it
		c.sub = nil
	}
}

// hear answers a question, though never on a subject that somebody else chose.
func (c *claimant) hear(msg *nats.Msg) {
	other, ok := parseClaim(msg.Data)
	me := c.claim()
	if !ok || other.ID == me.ID || !answersGoTo(c.subject, msg.Reply) {
		return
	}
	if text, err := json.Marshal(me); err == nil {
		_ = c.nc.Publish(msg.Reply, text) // fails only without a connection, and then it asks itself
	}
}

// ask returns the first who answers, or nil when nobody listens, or nobody who
// does has answered in time.
func (c *claimant) ask(ctx context.Context, wait time.Duration) (*claim, error) {
	here, end := whileSameConnection(ctx, c.nc, c.nc.Stats().Reconnects)
	defer end()
	reply := c.subject + "." + nuid.Next()
	answers, err := c.nc.SubscribeSync(reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	question, err := json.Marshal(c.claim())
	if err != nil {
		return nil, err
	}
	if err := c.nc.PublishRequest(c.subject, reply, question); err != nil {
		return nil, err
	}
	if err := c.settle(here, reply); err != nil || c.muted {
		return nil, cmp.Or(reconnected(here, c.nc), err)
	}
	waiting, cancel := context.WithTimeout(here, wait)
	defer cancel()
	for {
		msg, err := answers.NextMsgWithContext(waiting)
		switch {
		case err == nil:
		case reconnected(here, c.nc) != nil:
			return nil, errReconnected // the question may not have arrived
		case errors.Is(err, nats.ErrNoResponders):
			return nil, nil
		case ctx.Err() != nil, waiting.Err() == nil:
			return nil, err
		default:
			return nil, nil
		}
		if other, ok := parseClaim(msg.Data); ok && other.ID != c.claim().ID {
			return &other, nil
		}
	}
}

// reconnected returns errReconnected when the connection of a context is lost.
func reconnected(ctx context.Context, nc *nats.Conn) error {
	if errors.Is(context.Cause(ctx), errReconnected) || !nc.IsConnected() {
		return errReconnected
	}
	return nil
}

// settle waits until the server has taken what was sent, and never speaks again
// when it was refused: what remains is the requests for messages of the others.
func (c *claimant) settle(ctx context.Context, reply string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return err
	}
	err := c.nc.LastError()
	if violates(err, Subscribe, c.subject) || violates(err, Publish, c.subject) || violates(err, Subscribe, reply) {
		c.muted = true
		c.release()
		subjects, _, _ := strings.Cut(c.subject, ".")
		c.told(fmt.Sprintf("this NATS user lacks the permission to publish and subscribe %s.>: another process with the same consumer is noticed only while it waits for events", subjects))
	}
	return nil
}

// ofReaders reports whether a refusal is of what readers say to each other, which
// is no reason for anything else to fail.
func ofReaders(err error, stream string) bool {
	return strings.Contains(err.Error(), `"`+stream+readersSuffix+".")
}

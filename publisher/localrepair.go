package publisher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A server whose disk is full, or fails otherwise, gives up: the stream takes
// nothing more, or JetStream is switched off, and both stay so until the server
// is started again. So it is stopped at once, which everybody notices, and
// started when the disk takes data again.
//
// Nothing is lost or repeated by that. What was acknowledged is in the files, or
// was lost with its mark; a batch that was cut off is completed at the start, and
// a commit that got no answer finds out by reading its mark.

const (
	// localLook is how often the server is asked whether it still has JetStream.
	localLook = time.Second

	// localRoom is how much the disk must take before the server is started:
	// the largest commit.
	localRoom = MaxBytes

	// repairWait is the longest time between two attempts to start it.
	repairWait = 30 * time.Second
)

// watch repairs the server whenever it has given up, until ctx ends.
func (l *Local) watch(ctx context.Context) {
	defer close(l.done)
	look := time.NewTicker(localLook)
	defer look.Stop()
	for ctx.Err() == nil { // a repair that was cut off leaves no server
		select {
		case <-ctx.Done():
		case reason := <-l.failed:
			l.repair(ctx, reason)
		case <-look.C:
			if !l.srv.JetStreamEnabled() { // only this goroutine replaces srv
				l.repair(ctx, "the server has switched JetStream off")
			}
		}
	}
}

// repair stops the server and starts it once there is room.
func (l *Local) repair(ctx context.Context, reason string) {
	l.say(LocalError, "stopped storing: %s; it goes on when the disk takes %d MiB", reason, localRoom>>20)
	l.halt(fmt.Errorf("embedded NATS in %s is stopped: %s; free some room on its disk", l.o.Dir, reason))
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(localLook), backoff.WithMaxInterval(repairWait), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(l.restart, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		l.say(LocalDebug, "still stopped: %v; next attempt in %s", err, next.Round(time.Second))
		l.halt(fmt.Errorf("embedded NATS in %s is stopped: %s; free some room on its disk (it was tried to start it again: %w)", l.o.Dir, reason, err))
	})
	if err == nil {
		l.say(LocalInfo, "stores again")
	}
}

func (l *Local) restart() error {
	if err := room(l.o.Dir); err != nil {
		return err
	}
	select {
	case <-l.failed: // of the server that was stopped
	default:
	}
	return l.start()
}

// halt stops the server and says why. What it could not write it tells to its
// log; stopping does not fail.
func (l *Local) halt(why error) {
	l.mu.Lock()
	srv := l.srv
	l.srv, l.trouble = nil, why
	l.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

func (l *Local) say(level LocalLevel, format string, args ...any) {
	if l.o.Log != nil {
		l.o.Log(level, fmt.Sprintf("embedded NATS in %s: ", l.o.Dir)+fmt.Sprintf(format, args...))
	}
}

// room tells why the disk of a directory does not take what the largest commit
// needs, nil when it does. It writes what cannot be compressed, and removes it.
func room(dir string) error {
	probe, err := os.CreateTemp(dir, ".docspace-nats-*")
	if err != nil {
		return err
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	noise, block := rand.NewChaCha8([32]byte{}), make([]byte, 1<<20)
	for range localRoom / len(block) {
		_, _ = noise.Read(block)
		if _, err := probe.Write(block); err != nil {
			return fmt.Errorf("less than %d MiB are free: %w", localRoom>>20, err)
		}
	}
	return probe.Sync()
}

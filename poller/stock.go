package poller

import (
	"context"
	"time"

	"docspace-nats/poller/queue"
)

const (
	// stockEvery is how often the queue is compared with the watched folders.
	stockEvery = time.Minute

	// pastEvery is the same where folders leave the queue at their end, and others
	// are to hear of it.
	pastEvery = 5 * time.Second

	// strangerWait is how long a folder is left to other replicas that this one
	// was not told to watch.
	strangerWait = 5 * time.Second
)

// stock keeps every watched folder in the queue, until ctx ends: new ones, and
// those that got lost with the queue.
func (s *Schedule) stock(ctx context.Context) error {
	for {
		err := s.fill(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.tellQueue(err)
		wait := stockEvery
		switch {
		case err != nil:
			wait = s.soon()
		case s.opts.Past:
			wait = pastEvery
		}
		if await(ctx, jitter(wait), s.added) != nil {
			return nil
		}
	}
}

// fill puts the watched folders into the queue that are missing there.
func (s *Schedule) fill(ctx context.Context) error {
	there, err := s.queue.Folders(ctx)
	if err != nil {
		return err
	}
	missing := s.missing(there)
	if s.opts.Past {
		if err := s.skipOver(ctx, missing); err != nil {
			return err
		}
	}
	for folder, lane := range missing {
		if err := s.queue.Put(ctx, folder, lane); err != nil {
			return err
		}
	}
	return nil
}

// missing returns the watched folders that are not there, and their lanes.
func (s *Schedule) missing(there map[int]bool) map[int]queue.Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	missing := make(map[int]queue.Lane)
	for folder, t := range s.folders {
		if !there[folder] && !t.standing.Over {
			missing[folder] = s.lane(t)
		}
	}
	return missing
}

// admit decides about a folder that the queue hands out and this process does not
// watch: another replica found it first, or watches other folders, or
// nobody watches it any more. It returns how long it is left to others, and
// an error when it was removed.
func (s *Schedule) admit(ctx context.Context, lease queue.Lease) (time.Duration, error) {
	s.mu.Lock()
	known, d := s.folders[lease.Folder()] != nil, s.discovery
	s.mu.Unlock()
	if known {
		return 0, nil
	}
	if d == nil {
		return s.soon(), nil
	}
	switch ours, err := d.adopt(ctx, s, lease.Folder()); {
	case err != nil:
		return jitter(s.soon()), nil
	case ours:
		return 0, nil
	case !s.opts.Replicas.Alike():
		return jitter(strangerWait), nil
	}
	if err := lease.Remove(); err != nil {
		return s.soon(), nil
	}
	s.opts.Log.Info().Int("folder", lease.Folder()).Msg("nobody watches this folder any more; it is out of the queue")
	return 0, errRemoved
}

// A lameness is trouble with the queue. It is over when nothing of the queue
// failed for some time, since one lane may fail while others work.
type lameness struct {
	told bool
	last time.Time // when something failed last
}

// lamePatience is longer than a lane that fails waits before it fails again.
const lamePatience = 30 * time.Second

// tellQueue logs trouble with the queue once, and its end.
func (s *Schedule) tellQueue(err error) {
	s.mu.Lock()
	was, now := s.lame, time.Now()
	switch {
	case err != nil:
		s.lame = lameness{told: true, last: now}
	case now.Sub(was.last) > lamePatience:
		s.lame.told = false
	}
	is := s.lame.told
	s.mu.Unlock()
	switch {
	case is && !was.told:
		s.opts.Log.Error().Err(err).Msg("the queue of folders is in trouble; trying again")
	case !is && was.told:
		s.opts.Log.Info().Msg("the queue of folders works again")
	}
}

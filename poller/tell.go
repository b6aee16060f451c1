package poller

import (
	"errors"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/checkpoint"
)

// tell logs what an operator acts on: trouble that begins or ends, and a
// folder that changes its state. Trouble is told once, that of all folders when
// a second one meets it, that of one folder when its next poll meets it too, and
// another one did not: with the first failure nobody can tell which it is. The
// caller holds the lock.
func (s *Schedule) tell(t *turn, began time.Time, r Report, err error) {
	log := s.opts.Log.With().Int("folder", r.Folder).Logger()
	switch {
	case errors.Is(err, checkpoint.ErrConflict):
		log.Debug().Err(err).Msg("another process publishes this folder; its mark is read again")
	case s.trouble.befalls(r.Folder, err, s) && s.trouble.told:
	case s.trouble.befalls(r.Folder, err, s):
		s.trouble.told = true
		s.opts.Log.Error().Err(err).Msg("no folder can be polled; trying again")
	case err != nil && (t.told || t.standing.Err == nil || shared(t.standing.Err) != shared(err) || s.trouble.first == r.Folder):
		log.Debug().Err(err).Msg("this folder could not be polled")
	case err != nil:
		t.told = true
		log.Error().Err(err).Msg("this folder cannot be polled; trying again")
	case err == nil && s.trouble.told && !began.Before(s.trouble.since):
		s.opts.Log.Info().Msg("folders are polled again")
	case err == nil && t.told:
		log.Info().Msg("this folder is polled again")
	}
	if err != nil {
		return
	}
	t.told = false
	if r.Gaps > 0 {
		log.Warn().Int("rows", r.Gaps).Msg("rows of this folder's log cannot be shown by the portal; they are reported as a gap")
	}
	if r.Lost != "" {
		log.Warn().Str("reason", r.Lost).Msg("this folder's mark was gone")
	}
	s.tellIDs(log, t, r)
	if r.State == t.standing.State {
		return
	}
	line := log.Info()
	if r.Reason != "" {
		line = log.Warn().Str("reason", r.Reason)
	}
	line.Int("events", r.Events).Int("unread", r.Unread).Msg("folder is " + string(r.State))
}

// tellIDs logs once what a log without row ids means, and when a folder's log
// begins to have them. The caller holds the lock.
func (s *Schedule) tellIDs(log zerolog.Logger, t *turn, r Report) {
	switch {
	case r.WithoutIDs && !s.toldIDs:
		s.toldIDs = true
		s.opts.Log.Warn().Msg("the portal tells no row ids, as DocSpace 3.0 to 3.5: rows are told apart by their content and ordered by date")
	case t.withoutIDs && r.WithIDs:
		log.Info().Msg("the portal tells row ids now, and this folder goes on with them")
	}
	t.withoutIDs = r.WithoutIDs || t.withoutIDs && !r.WithIDs
}

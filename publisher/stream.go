package publisher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// wanted is the stream as Open creates it on a server of this API level. Marks
// carry a TTL of their own ("never"), so that max_age takes events only.
func (j *JetStream) wanted(level int) jetstream.StreamConfig {
	limit := j.o.MaxBytes
	if limit == 0 {
		limit = -1
	}
	return jetstream.StreamConfig{
		Name:               j.o.Stream,
		Description:        "Actions in an ONLYOFFICE DocSpace portal, and how far each folder has been published. Written by docspace-nats.",
		Subjects:           []string{j.EventSubjects(), j.markSubjects()},
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		Storage:            jetstream.FileStorage,
		Replicas:           j.o.Replicas,
		MaxAge:             j.o.MaxAge,
		MaxBytes:           limit,
		MaxMsgs:            -1,
		MaxMsgsPerSubject:  -1,
		AllowAtomicPublish: level >= apiLevel,
		AllowRollup:        true,
		AllowMsgTTL:        level >= apiLevelTTL,
		AllowDirect:        true,
		// S2 would save 58 % of the disk and cost the server 20 to 40 % more
		// processor time. The operator can switch it on at any moment.
		Compression: jetstream.NoCompression,
	}
}

// prepare looks, creates what is absent, and looks again, so that what a
// server or a second process made of it is judged by the same rules.
func (j *JetStream) prepare(ctx context.Context) (Findings, error) {
	f, err := j.facts(ctx)
	if err != nil {
		return nil, err
	}
	if f.stream != nil || judge(f).Err() != nil {
		return judge(f), nil
	}
	_, err = j.js.CreateStream(ctx, f.want)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, fmt.Errorf("create stream %s: %w", j.o.Stream, err)
	}
	if f, err = j.facts(ctx); err != nil {
		return nil, err
	}
	return judge(f), nil
}

// untilLed repeats what a cluster leaves unanswered while it elects a leader.
func (j *JetStream) untilLed(ctx context.Context, do func() error) error {
	return backoff.Retry(func() error {
		err := do()
		if err != nil && !j.leaderless(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(jittered(j.o.RetryFor), ctx))
}

// leaderless reports whether err looks like an election. A permission that is
// missing looks the same, but for what the server said on the side.
func (j *JetStream) leaderless(err error) bool {
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode == codeNoCluster || refused.ErrorCode == codeNoLeader
	}
	silent := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
	return silent && !errors.Is(j.nc.LastError(), nats.ErrPermissionViolation)
}

// facts asks the server for everything the rules look at, and takes from it
// how to commit.
func (j *JetStream) facts(ctx context.Context) (facts, error) {
	account, err := j.js.AccountInfo(ctx)
	if err != nil {
		return facts{}, fmt.Errorf("JetStream account: %w", explainAccount(err))
	}
	f := facts{
		level:      account.API.Level,
		maxPayload: j.nc.MaxPayload(),
		account:    account.Limits,
		want:       j.wanted(account.API.Level),
	}
	stream, err := j.js.Stream(ctx, j.o.Stream)
	switch {
	case err == nil:
		f.stream = &stream.CachedInfo().Config
		j.window, j.rollup, j.ttl = f.stream.Duplicates, f.stream.AllowRollup, f.stream.AllowMsgTTL
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return facts{}, fmt.Errorf("settings of stream %s: %w", j.o.Stream, err)
	}
	f.mode = f.modeFor(j.o.Commit)
	j.mode = f.mode
	return f, nil
}

func explainAccount(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("JetStream is not enabled for this account: %w", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("JetStream is not enabled on the server: %w", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("no answer; the cluster has no leader, or the user lacks permission to publish $JS.API.> and to subscribe to its inbox: %w", err)
	}
	return err
}

// uncovered returns the subjects of ours that the stream does not take.
func uncovered(f facts) []string {
	var missing []string
	for _, subject := range f.want.Subjects {
		covered := false
		for _, pattern := range f.stream.Subjects {
			covered = covered || covers(pattern, subject)
		}
		if !covered {
			missing = append(missing, subject)
		}
	}
	return missing
}

// covers reports whether every subject that matches narrow matches wide.
func covers(wide, narrow string) bool {
	w, n := strings.Split(wide, "."), strings.Split(narrow, ".")
	for i, token := range w {
		if token == ">" {
			return len(n) > i
		}
		if i >= len(n) || n[i] == ">" {
			return false
		}
		if token != "*" && token != n[i] {
			return false
		}
	}
	return len(w) == len(n)
}

func ageText(d time.Duration) string {
	if d <= 0 {
		return "unlimited"
	}
	return d.String()
}

func bytesText(n int64) string {
	if n <= 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

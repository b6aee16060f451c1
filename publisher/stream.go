package publisher

import (
	"cmp"
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
		Metadata:           j.o.Metadata,
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

// prepareStream looks, creates what is absent, and looks again, so that what a
// server or a second process made of it is judged by the same rules.
func (j *JetStream) prepareStream(ctx context.Context) (Findings, error) {
	f, findings, err := j.survey(ctx)
	if err != nil || f.stream != nil || findings.Err() != nil {
		return findings, err
	}
	if err := j.create(ctx, f.want); err != nil {
		return nil, err
	}
	_, findings, err = j.survey(ctx)
	return findings, err
}

// survey judges what there is. What may not be asked for is not waited for.
func (j *JetStream) survey(ctx context.Context) (facts, Findings, error) {
	if missing := lacking(j.refused); missing.Err() != nil {
		return facts{}, missing, nil
	}
	f, err := j.facts(ctx)
	if err != nil {
		return facts{}, nil, err
	}
	return f, j.judge(f), nil
}

// judge applies the rules, and adds the permissions that are missing.
func (j *JetStream) judge(f facts) Findings {
	findings := append(judge(f), lacking(j.refused)...)
	if f.stream == nil {
		findings = append(findings, lackingToCreate(j.refused, j.o.Stream)...)
	}
	return findings
}

// create creates a stream, unless another process was faster.
func (j *JetStream) create(ctx context.Context, config jetstream.StreamConfig) error {
	_, err := j.js.CreateStream(ctx, config)
	var refused *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return nil
	case errors.As(err, &refused) && refused.ErrorCode == codeSubjectOverlap:
		other := cmp.Or(j.takenBy(ctx, config.Subjects), "another stream")
		return fmt.Errorf("create stream %s: %s takes some of the subjects %s; %s: %w", config.Name, other, strings.Join(config.Subjects, " and "), wayOut, err)
	case err != nil:
		return fmt.Errorf("create stream %s: %w", config.Name, err)
	}
	j.created.add(config.Name)
	return nil
}

// wayOut is what to do about another stream that takes our subjects.
const wayOut = "publish to that one (NATS_STREAM), choose another NATS_SUBJECT_PREFIX, or take them away from it"

// codeSubjectOverlap is JSStreamSubjectOverlapErr.
const codeSubjectOverlap = 10065

// takenBy returns a stream that takes one of the subjects, "" when there is none
// or this user may not know. Nothing depends on it but a better answer.
func (j *JetStream) takenBy(ctx context.Context, subjects []string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, subject := range subjects {
		if name, err := j.js.StreamNameBySubject(ctx, subject); err == nil {
			return name
		}
	}
	return ""
}

// untilLed repeats what a cluster leaves unanswered while it elects a leader.
func (j *JetStream) untilLed(ctx context.Context, do func() error) error {
	return backoff.Retry(func() error {
		err := do()
		if err != nil && !Unanswered(err) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(jittered(j.o.RetryFor), ctx))
}

// Unanswered reports whether an error says that no server answered, or that none
// leads, as while the connection is lost or a leader is elected: the same may work
// later. A permission that is missing looks alike, but Open finds that out before.
func Unanswered(err error) bool {
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode == codeNoCluster || refused.ErrorCode == codeNoLeader
	}
	for _, kind := range []error{context.DeadlineExceeded, nats.ErrTimeout, nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, errDisconnected} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
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
		account:    *account,
		want:       j.wanted(account.API.Level),
	}
	stream, err := j.js.Stream(ctx, j.o.Stream)
	switch {
	case err == nil:
		info := stream.CachedInfo()
		f.stream, f.created = &info.Config, info.Created
		f.clustered = info.Cluster != nil && info.Cluster.Name != ""
		j.window, j.rollup, j.ttl = f.stream.Duplicates, f.stream.AllowRollup, f.stream.AllowMsgTTL
		j.opened = stream.CachedInfo().State.LastSeq
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return facts{}, fmt.Errorf("settings of stream %s: %w", j.o.Stream, err)
	}
	f.mode = f.modeFor(j.o.Commit)
	j.mode, j.level = f.mode, f.level
	return f, nil
}

func explainAccount(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("JetStream is not enabled for this account; enable it, or use a user of an account that has it: %w", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("JetStream is not enabled on the server, or not in this domain; enable it: %w", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("no answer; the servers may be without a leader: %w", err)
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

package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// An Operation is what a NATS user needs permission for.
type Operation string

// The operations.
const (
	Publish   Operation = "publish"
	Subscribe Operation = "subscribe"
)

// violation is what the server says, before the subject, of one that is refused.
func (o Operation) violation() string {
	if o == Subscribe {
		return "Subscription to "
	}
	return "Publish to "
}

// A Permission is one the user of the connector needs.
type Permission struct {
	Operation Operation
	Subject   string // as the permissions of a user are written, with wildcards
	Why       string // what it is for

	severity Severity // of its lack
	creates  string   // stream it creates: needed only where that is absent
}

// Permissions is everything the connector publishes and subscribes to, with
// these options. There is no other list for it: Open and Inspect try each of them,
// and the user in deploy/nats has exactly these.
func Permissions(o Options) []Permission {
	o = o.withDefaults()
	stream, api := o.Stream, o.apiPrefix()
	marks, folders := stream+copySuffix, stream+queueSuffix
	return []Permission{
		{Publish, o.Prefix + ".folder.>", "events", Broken, ""},
		{Publish, o.Prefix + ".checkpoint.*", "marks", Broken, ""},
		{Publish, api + "INFO", "which server is this?", Broken, ""},
		{Publish, api + "STREAM.INFO." + stream, "is the stream there, and fit?", Broken, ""},
		{Publish, api + "STREAM.CREATE." + stream, "only where it is absent", Broken, stream},
		{Publish, api + "STREAM.MSG.GET." + stream, "a mark, from the leader", Broken, ""},
		{Publish, api + "STREAM.INFO." + marks, "is the copy of the marks there?", Warning, ""},
		{Publish, api + "STREAM.CREATE." + marks, "only where it is absent", Warning, marks},
		{Publish, api + "STREAM.MSG.GET." + marks, "a mark that a limit of the stream has removed", Broken, ""},
		{Publish, api + "CONSUMER.CREATE." + stream + ".*." + o.Prefix + ".checkpoint.*", "all marks, through a short-lived consumer", Broken, ""},
		{Publish, api + "CONSUMER.CREATE." + stream + ".*." + o.Prefix + ".folder.*.>", "a folder's events, to find rows that are missing", Broken, ""},
		{Publish, api + "CONSUMER.MSG.NEXT." + stream + ".*", "what such a consumer reads", Broken, ""},
		{Publish, api + "CONSUMER.DELETE." + stream + ".*", "such a consumer, once it is done", Warning, ""},
		{Publish, api + "STREAM.INFO." + folders, "is the queue of folders there?", Broken, ""},
		{Publish, api + "STREAM.CREATE." + folders, "only where it is absent", Broken, folders},
		{Publish, folders + ".*.*", "folders that wait for a poll", Broken, ""},
		{Publish, api + "CONSUMER.CREATE." + folders + ".*." + folders + ".*.*", "the lanes of the queue", Broken, ""},
		{Publish, api + "CONSUMER.MSG.NEXT." + folders + ".*", "the next folder to poll", Broken, ""},
		{Publish, "$JS.ACK." + folders + ".>", "when a folder is due again", Broken, ""},
		{Publish, stream + replicasSuffix, "other replicas count this one", Warning, ""},
		{Publish, stream + statusSuffix, "docspace-nats status, when it is this user, asks", Warning, ""},
		{Publish, stream + statusSuffix + ".*", "this one answers docspace-nats status", Warning, ""},
		{Subscribe, stream + replicasSuffix, "this one counts other replicas", Warning, ""},
		{Subscribe, stream + statusSuffix, "this one hears docspace-nats status", Warning, ""},
		{Subscribe, stream + statusSuffix + ".*", "docspace-nats status hears the answers", Warning, ""},
		{Subscribe, o.inbox() + ".>", "answers", Broken, ""},
	}
}

// ViewPermissions is everything a View publishes and subscribes to. Those it can
// do without only leave something out, and the user in deploy/nats has exactly
// these.
func ViewPermissions(o Options) []Permission {
	o = o.withDefaults()
	stream, api := o.Stream, o.apiPrefix()
	marks := stream + copySuffix
	return []Permission{
		{Publish, api + "INFO", "which server is this?", Broken, ""},
		{Publish, api + "STREAM.INFO." + stream, "is the stream there?", Broken, ""},
		{Publish, api + "CONSUMER.CREATE." + stream + ".*." + o.Prefix + ".checkpoint.*", "all marks, through a short-lived consumer", Broken, ""},
		{Publish, api + "CONSUMER.MSG.NEXT." + stream + ".*", "what such a consumer reads", Broken, ""},
		{Publish, api + "STREAM.INFO." + marks, "marks that a limit of the stream has removed", Warning, ""},
		{Publish, api + "STREAM.MSG.GET." + marks, "such a mark", Warning, ""},
		{Publish, api + "DIRECT.GET." + stream + "." + o.Prefix + ".folder.*.>", "a folder's newest event: its title", Note, ""},
		{Publish, api + "STREAM.INFO." + stream + queueSuffix, "which folders wait for a poll", Warning, ""},
		{Publish, stream + statusSuffix, "questions to the connectors that run", Warning, ""},
		{Subscribe, stream + statusSuffix + ".*", "what they answer", Warning, ""},
		{Subscribe, o.inbox() + ".>", "answers of the server", Broken, ""},
	}
}

// refusedOf tries every permission of a table and returns those the server
// refuses. Nothing is stored, changed or read by it.
func (j *JetStream) refusedOf(ctx context.Context, table []Permission) ([]Permission, error) {
	var refused []Permission
	for _, p := range table {
		allowed, err := j.try(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("try the permission to %s %s: %w", p.Operation, p.Subject, err)
		}
		if !allowed {
			refused = append(refused, p)
		}
	}
	return refused, nil
}

// try uses a permission once, on a subject it covers and behind which there is
// nothing: a consumer nobody has, a request without its body, a message that
// expects a stream of an impossible name. The server says no by an error of the
// connection, before it answers to the ping that follows.
func (j *JetStream) try(ctx context.Context, p Permission) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	subject := strings.Replace(strings.ReplaceAll(p.Subject, "*", nuid.Next()), ">", "0.probe."+nuid.Next(), 1)
	switch p.Operation {
	case Subscribe:
		sub, err := j.nc.SubscribeSync(subject)
		if err != nil {
			return false, err
		}
		defer func() { _ = sub.Unsubscribe() }()
	default:
		msg := nats.NewMsg(subject)
		msg.Header.Set(nats.ExpectedStreamHdr, ".")
		if err := j.nc.PublishMsg(msg); err != nil {
			return false, err
		}
	}
	if err := j.nc.FlushWithContext(ctx); err != nil {
		return false, err
	}
	return !violates(j.nc.LastError(), p.Operation, subject), nil
}

// violates reports whether an error of the connection is the server's refusal of
// an operation.
func violates(err error, o Operation, subject string) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), o.violation()+strconv.Quote(subject))
}

// lacking says what the lack of permissions means that are needed anyway.
func lacking(refused []Permission) Findings { return lackingToCreate(refused, "") }

// lackingToCreate says what the lack of permissions means where a stream is absent.
func lackingToCreate(refused []Permission, stream string) Findings {
	var findings Findings
	for _, p := range refused {
		if p.creates != stream {
			continue
		}
		findings = append(findings, Finding{
			Severity: p.severity,
			Setting:  fmt.Sprintf("permission to %s %s", p.Operation, p.Subject),
			Have:     "missing",
			Need:     "to be granted to this NATS user",
			Why:      p.Why,
		})
	}
	return findings
}

// mayCall reports whether a call of the JetStream API about a stream was not
// refused.
func (j *JetStream) mayCall(call, stream string) bool { return j.may(j.api + call + "." + stream) }

// may reports whether a permission was not refused.
func (j *JetStream) may(subject string) bool {
	return !slices.ContainsFunc(j.refused, func(p Permission) bool { return p.Subject == subject })
}

package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
)

// A job reads history again, into streams of its own: the same three as the live
// ones, under other names, so that marks, fence, queue and replicas work alike and
// neither side takes the other's subjects. What the job is lies in the metadata of
// its stream.
const (
	jobInfix    = "_BACKFILL_" // between the names of the live stream and of the job
	jobSubjects = "backfill"   // the same in subjects

	// replicasHeard is how long to listen for replicas to hear all that live.
	replicasHeard = replicaBeat + time.Second
)

// Job returns the options of a job's stream, beside the stream of these: named
// <stream>_BACKFILL_<name>, on <prefix>.backfill.<name>.…, where events have no
// age limit. about becomes the metadata of the stream when it is created.
func (o Options) Job(name string, about map[string]string) Options {
	o = o.withDefaults()
	o.Stream += jobInfix + name
	o.Prefix += "." + jobSubjects + "." + name
	o.MaxAge, o.Metadata = 0, about
	return o
}

// A Job is what there is of one.
type Job struct {
	Name    string
	Stream  string
	Created time.Time
	About   map[string]string
	Bytes   uint64 // it takes on the disk, without the copy of its marks
}

func (o Options) jobOf(info *jetstream.StreamInfo) (Job, bool) {
	name, ours := strings.CutPrefix(info.Config.Name, o.Stream+jobInfix)
	if !ours || strings.HasSuffix(name, copySuffix) || strings.HasSuffix(name, queueSuffix) {
		return Job{}, false
	}
	about := maps.Clone(info.Config.Metadata)
	maps.DeleteFunc(about, func(key, _ string) bool { return strings.HasPrefix(key, "_nats.") })
	return Job{Name: name, Stream: info.Config.Name, Created: info.Created, About: about, Bytes: info.State.Bytes}, true
}

// Jobs returns all jobs beside the stream of the options, by name.
func Jobs(ctx context.Context, nc *nats.Conn, o Options) ([]Job, error) {
	j, err := newJetStream(nc, o)
	if err != nil {
		return nil, err
	}
	var jobs []Job
	filter := j.o.Job("*", nil)
	list := j.js.ListStreams(ctx, jetstream.WithStreamListSubject(filter.Prefix+".folder.>"))
	for info := range list.Info() {
		if job, ok := j.o.jobOf(info); ok {
			jobs = append(jobs, job)
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list of streams: %w", refusedOr(nc, err))
	}
	slices.SortFunc(jobs, func(a, b Job) int { return strings.Compare(a.Name, b.Name) })
	return jobs, nil
}

// FindJob returns a job, and false when there is none of the name.
func FindJob(ctx context.Context, nc *nats.Conn, o Options, name string) (Job, bool, error) {
	j, err := newJetStream(nc, o.Job(name, nil))
	if err != nil {
		return Job{}, false, err
	}
	stream, err := j.js.Stream(ctx, j.o.Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return Job{}, false, nil
	case err != nil:
		return Job{}, false, fmt.Errorf("stream %s: %w", j.o.Stream, refusedOr(nc, err))
	}
	job, ok := o.withDefaults().jobOf(stream.CachedInfo())
	return job, ok, nil
}

// StoredMarks returns the marks of all folders in the stream of the options, as
// View.Marks does, none when there is no stream.
func StoredMarks(ctx context.Context, nc *nats.Conn, o Options) ([]checkpoint.Mark, error) {
	view, err := Look(ctx, nc, o)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, refusedOr(nc, err)
	}
	return view.Marks(ctx)
}

// Running returns how many processes work on each of these jobs at the moment, by
// its name. It takes the time in which every one says that it lives.
func Running(ctx context.Context, nc *nats.Conn, jobs ...Job) (map[string]int, error) {
	heard, named := make(chan *nats.Msg, 256), make(map[string]string)
	for _, job := range jobs {
		subject := job.Stream + replicasSuffix
		sub, err := nc.ChanSubscribe(subject, heard)
		if err != nil {
			return nil, fmt.Errorf("listen to replicas on %s: %w", subject, err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		named[subject] = job.Name
	}
	alive := make(map[string]string) // job by replica
	end := time.After(replicasHeard)
	for over := len(jobs) == 0; !over; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end:
			over = true
		case msg := <-heard:
			p, ok := parsePresence(msg.Data)
			switch {
			case ok && p.Leaves:
				delete(alive, p.ID)
			case ok && len(alive) < maxReplicas*len(jobs):
				alive[p.ID] = named[msg.Subject]
			}
		}
	}
	running := make(map[string]int)
	for _, job := range alive {
		running[job]++
	}
	return running, nil
}

// Remove deletes the streams of a job. Its own goes last, so that a job of which
// something is left can be found and removed again.
func (job Job) Remove(ctx context.Context, nc *nats.Conn, o Options) error {
	j, err := newJetStream(nc, o)
	if err != nil {
		return err
	}
	for _, name := range []string{job.Stream + queueSuffix, job.Stream + copySuffix, job.Stream} {
		if err := j.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("delete stream %s: %w", name, refusedOr(nc, err))
		}
	}
	return nil
}

// JobPermissions is what commands about jobs need beside Permissions of their
// streams: the list of jobs, and to remove this one.
func (o Options) JobPermissions(name string) []Permission {
	o = o.withDefaults()
	api, stream := o.apiPrefix(), o.Job(name, nil).Stream
	return []Permission{
		{Publish, api + "STREAM.LIST", "backfill list", Broken, ""},
		{Publish, api + "STREAM.DELETE." + stream, "backfill cancel", Broken, ""},
		{Publish, api + "STREAM.DELETE." + stream + copySuffix, "the same", Broken, ""},
		{Publish, api + "STREAM.DELETE." + stream + queueSuffix, "the same", Broken, ""},
	}
}

// refusedOr adds what the server said about a missing permission to the error of
// a call that it left unanswered for that reason.
func refusedOr(nc *nats.Conn, err error) error {
	if last := nc.LastError(); errors.Is(last, nats.ErrPermissionViolation) && !errors.Is(err, last) {
		return fmt.Errorf("%w; the server also said: %w", err, last)
	}
	return err
}

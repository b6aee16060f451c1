package publisher

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/checkpoint"
	"docspace-nats/checkpoint/checkpointtest"
	"docspace-nats/publisher/natstest"
)

func TestAJobLiesBesideTheLiveStreamAndNeitherTakesTheOthersSubjects(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	live := Options{MaxAge: time.Hour}
	about := map[string]string{"what": "rooms"}
	want := make(map[string]string) // event ids by stream
	for name, o := range map[string]Options{"live": live, "a": live.Job("a", about), "b-2": live.Job("b-2", about)} {
		j, err := Open(t.Context(), nc, o)
		if err != nil {
			t.Fatal(err)
		}
		id := int64(len(want) + 1)
		events := checkpointtest.Events(42, id, 1)
		next := checkpoint.Mark{Folder: 42, Accounted: int(id), Recent: []int64{id}}
		if _, err := j.Commit(t.Context(), 42, events, checkpoint.Mark{Folder: 42}, next); err != nil {
			t.Fatal(name, err)
		}
		want[j.Stream()] = events[0].ID
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if info := stream.CachedInfo(); info.State.Msgs != 2 || (name == "DOCSPACE") != (info.Config.MaxAge > 0) {
			t.Errorf("stream %s holds %d messages for %s", name, info.State.Msgs, info.Config.MaxAge)
		}
	}
	jobs, err := Jobs(t.Context(), nc, live)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, job := range jobs {
		names = append(names, job.Name+" in "+job.Stream+" about "+job.About["what"])
		if len(job.About) != 1 || job.Created.IsZero() || job.Bytes == 0 {
			t.Errorf("%+v", job)
		}
	}
	if diff := cmp.Diff([]string{"a in DOCSPACE_BACKFILL_a about rooms", "b-2 in DOCSPACE_BACKFILL_b-2 about rooms"}, names); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	for name, accounted := range map[string]int{"a": 1, "nobody": 0} {
		marks, err := StoredMarks(t.Context(), nc, live.Job(name, nil))
		if err != nil || len(marks) != accounted {
			t.Errorf("marks of job %s: %v, %v", name, marks, err)
		}
	}
}

func TestARemovedJobLeavesNothingAndNoOtherIsTouched(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Conn(t)
	live := Options{}
	for _, o := range []Options{live, live.Job("a", nil), live.Job("b", nil)} {
		if _, err := Open(t.Context(), nc, o); err != nil {
			t.Fatal(err)
		}
	}
	job, there, err := FindJob(t.Context(), nc, live, "a")
	if err != nil || !there {
		t.Fatal(there, err)
	}
	for range 2 { // the second time nothing is left, as after a removal that was cut off
		if err := job.Remove(t.Context(), nc, live); err != nil {
			t.Fatal(err)
		}
	}
	if _, there, err = FindJob(t.Context(), nc, live, "a"); there || err != nil {
		t.Error(there, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	left := js.StreamNames(t.Context())
	n := 0
	for range left.Name() {
		n++
	}
	if n != 6 || left.Err() != nil {
		t.Errorf("%d streams are left, want the three of the live one and of job b; %v", n, left.Err())
	}
}

func TestWhoWorksOnAJobIsHeardUntilItLeaves(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	live := Options{}
	var jobs []Job
	var a *JetStream
	for _, name := range []string{"a", "b"} {
		j := open(t, server.Conn(t), live.Job(name, nil))
		job, _, err := FindJob(t.Context(), server.Conn(t), live, name)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, job)
		if name == "a" {
			a = j
		}
	}
	nc := server.Conn(t)
	running := func() map[string]int {
		found, err := Running(t.Context(), nc, jobs...)
		if err != nil {
			t.Error(err)
		}
		return found
	}
	// Who has little processor time may say too late that it lives, or leaves.
	natstest.Eventually(t, "two are heard, and not once they have left", func() bool {
		var two sync.WaitGroup
		defer two.Wait()
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		for range 2 {
			two.Go(func() {
				if err := a.Replicas("a", func(int) {}).Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		if found := running(); found["a"] != 2 || found["b"] != 0 {
			return false
		}
		time.AfterFunc(replicaBeat+replicaBeat/4, leave) // they were heard by then
		return len(running()) == 0
	})
}

package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"docspace-nats/poller/docspace"
	"docspace-nats/publisher"
	"docspace-nats/publisher/natstest"
	"docspace-nats/schema"
)

// newBackfill returns a run of the command that is connected.
func newBackfill(t *testing.T, a *archive, server *natstest.Server, folders string) *backfill {
	t.Helper()
	cfg := demoConfig(a.url, a.portal.APIKey(), "")
	portal, err := newPortal(cfg, schema.Standard, callPatience, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(portal.Close)
	return &backfill{
		cfg: cfg, o: backfillOptions{job: usualJob, folders: folders}, stdout: io.Discard, stderr: io.Discard,
		tell: func(string, ...any) {}, portal: portal, nc: server.Conn(t), known: make(map[int]docspace.Folder),
	}
}

func TestOfTwoJobsOfOneNameThatBeginTogetherTheSecondIsRefused(t *testing.T) {
	t.Parallel()
	a, server := newArchive(t, 1), natstest.Run(t)
	mine, theirs := a.room(5, 1), a.room(5, 2)
	b := newBackfill(t, a, server, strconv.Itoa(mine))
	job, err := b.definition(t.Context(), publisher.Job{}, false)
	if err != nil {
		t.Fatal(err)
	}
	other := newBackfill(t, a, server, strconv.Itoa(theirs))
	first, err := other.definition(t.Context(), publisher.Job{}, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	if err := other.work(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := b.work(ctx, job); err == nil || !strings.Contains(err.Error(), "job history exists and is another one") {
		t.Errorf("the job of another folder is %v", err)
	}
}

func TestAJobDoesNotEndBeforeItsLastSecondIsOver(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"", time.Now().Add(30 * time.Second).UTC().Format(time.RFC3339)} {
		a, server := newArchive(t, 1), natstest.Run(t)
		room := a.room(5, 1)
		b := newBackfill(t, a, server, strconv.Itoa(room))
		b.o.to = to
		job, err := b.definition(t.Context(), publisher.Job{}, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.work(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		a.portal.Upload(nil, room, "after.docx")
		rows := a.portal.Rows(room)
		if at := rows[len(rows)-1].Date; !at.After(job.To) {
			t.Errorf("a row of %s came after the end of a job to %s", at, job.To)
		}
	}
}

func TestWhoWorksOnAJobThatIsCancelledStopsAndSaysSo(t *testing.T) {
	t.Parallel()
	a, server := newArchive(t, 1), natstest.Run(t)
	b := newBackfill(t, a, server, strconv.Itoa(a.room(5000, 1)))
	job, err := b.definition(t.Context(), publisher.Job{}, false)
	if err != nil {
		t.Fatal(err)
	}
	reads := make(chan struct{}, 1000)
	a.portal.AfterPage(func(int, int) { reads <- struct{}{} })
	b.portal.SetRequestsPerMinute(60)
	b.cfg.Poll.RequestsPerMinute = 60
	done := make(chan error)
	go func() { done <- b.work(t.Context(), job) }()
	<-reads
	found, _, err := publisher.FindJob(t.Context(), b.nc, streamOptions(b.cfg.NATS), b.o.job)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Remove(t.Context(), b.nc, streamOptions(b.cfg.NATS)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "job history was cancelled meanwhile") {
		t.Errorf("it ended with %v", err)
	}
}

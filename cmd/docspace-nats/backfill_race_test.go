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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

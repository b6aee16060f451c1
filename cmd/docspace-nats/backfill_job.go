package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher"
)

// A backfillJob is what a job was created with, and does not change. It lies in
// the metadata of the job's stream.
type backfillJob struct {
	Asked   asked     `json:"asked"`
	Folders []int     `json:"folders"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to"`
	Rows    int       `json:"rows"` // in them, when the job was created
	Portal  string    `json:"portal"`
	Program string    `json:"program"`
}

// asked is what the command line said, in its words: the same words are the same
// job, though a duration back means another time by now.
type asked struct {
	Folders string `json:"folders"`
	From    string `json:"from,omitzero"`
	To      string `json:"to,omitzero"`
}

const (
	jobKey = "docspace-nats.backfill" // of the metadata

	// maxJobText is what of the 128 KiB that a stream takes is left to the job.
	maxJobText = 120 << 10
)

// about is the job as metadata of a stream.
func (j backfillJob) about() (map[string]string, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	if len(text) > maxJobText {
		return nil, fmt.Errorf("%d folders are more than one job can name; divide them among jobs", len(j.Folders))
	}
	return map[string]string{jobKey: string(text)}, nil
}

func parseJob(found publisher.Job) (job backfillJob, err error) {
	text, ok := found.About[jobKey]
	if !ok {
		return job, fmt.Errorf("stream %s: it was not made by backfill: its metadata has no %s; choose another --job", found.Stream, jobKey)
	}
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return job, fmt.Errorf("stream %s: metadata %s: %w; it may come from a newer version", found.Stream, jobKey, err)
	}
	if len(job.Folders) == 0 || job.To.IsZero() {
		return job, fmt.Errorf("stream %s: metadata %s names no folders or no end; cancel the job", found.Stream, jobKey)
	}
	return job, nil
}

func (b *backfill) asks() asked { return asked{Folders: b.o.folders, From: b.o.from, To: b.o.to} }

// definition returns the job that is there, unless the command line asks for
// another one, or a new one.
func (b *backfill) definition(ctx context.Context, found publisher.Job, there bool) (backfillJob, error) {
	asks := b.asks()
	switch {
	case there:
		job, err := parseJob(found)
		if err == nil {
			err = b.agrees(job, asks)
		}
		return job, err
	case asks.Folders == "":
		return backfillJob{}, usagef("there is no job %s; name folders to create it: ids, rooms or watched; see docspace-nats backfill --help", b.o.job)
	}
	now, err := b.portal.ServerTime(ctx)
	if err != nil {
		return backfillJob{}, fmt.Errorf("the portal's clock, by which a job ends: %w", err)
	}
	from, to, err := b.o.window(now)
	if err != nil {
		return backfillJob{}, &usageError{err}
	}
	if to.IsZero() || to.After(now) {
		to = now.UTC().Truncate(time.Second).Add(time.Second) // the clock is told up to a second late
	}
	folders, err := b.folders(ctx)
	if err != nil {
		return backfillJob{}, err
	}
	job := backfillJob{Asked: asks, Folders: folders, From: from, To: to, Portal: b.feed().Portal, Program: thisBuild().Version}
	_, err = job.about() // whether it can be written down is known before it is counted
	return job, err
}

// agrees refuses to go on with a job that is not the one asked for. Who asks for
// nothing takes what is there.
func (b *backfill) agrees(job backfillJob, asks asked) error {
	var differ []string
	differs := func(what, was, is string) {
		none := func(text string) string {
			if text == "" {
				return "none"
			}
			return config.Shown(text)
		}
		if was != is {
			differ = append(differ, fmt.Sprintf("%s: it has %s, asked is %s", what, none(was), none(is)))
		}
	}
	if asks != (asked{}) {
		differs("folders", job.Asked.Folders, asks.Folders)
		differs("--from", job.Asked.From, asks.From)
		differs("--to", job.Asked.To, asks.To)
	}
	if ours := b.feed(); ours.Owns(checkpoint.Mark{Portal: job.Portal}) != nil {
		differs("portal", job.Portal, ours.Portal)
	}
	if len(differ) == 0 {
		return nil
	}
	return &usageError{errors.New("job " + b.o.job + " exists and is another one:\n  " + strings.Join(differ, "\n  ") +
		"\ngo on with it by docspace-nats backfill --job " + b.o.job + ", choose another --job, or remove it by docspace-nats backfill cancel " + b.o.job)}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"docspace-nats/publisher"
	"docspace-nats/schema/line"
)

// A patience is how long who asks waits.
type patience struct {
	page time.Duration // for the connectors to answer with a page each
	all  time.Duration // for all pages of all of them
}

// usualPatience is enough for 10,000 folders over a slow line; a replica that is gone
// costs the first of the two as long as the others count it.
var usualPatience = patience{page: 2 * time.Second, all: time.Minute}

const (
	// mostHeard and mostAnswered bound what is kept of what comes: replicas, and
	// folders of each.
	mostHeard    = 1000
	mostAnswered = 100_000

	// mostSkew is how far the clock of a replica may be off before its times are
	// taken for those of another clock.
	mostSkew = 2 * time.Second
)

// heard is what the replicas answered.
type heard struct {
	replicas []replicaStatus
	folders  map[int]folderLive
	partly   []string // names of replicas that did not answer to the end
	counted  int      // replicas, by those that answered
}

// A folderLive is what the replicas know of a folder, together.
type folderLive struct {
	folderPolls
	owner string // the replica that polled it last
}

// askReplicas asks all replicas, about all folders or those named, and each for further
// pages. Its error is publisher.ErrNobodyAnswers when no connector runs.
func (p patience) askReplicas(ctx context.Context, view *publisher.View, folders []int) (*heard, error) {
	ctx, cancel := context.WithTimeout(ctx, p.all)
	defer cancel()
	h := &heard{folders: make(map[int]folderLive)}
	first, err := p.pages(ctx, view, statusQuestion{Folders: folders})
	if err != nil {
		return nil, err
	}
	for _, page := range first {
		h.replicas = append(h.replicas, page.Replica)
		h.counted = max(h.counted, page.Replica.Replicas)
		if !p.turnOver(ctx, view, h, page, folders) {
			h.partly = append(h.partly, page.Replica.Name)
		}
	}
	slices.SortFunc(h.replicas, func(a, b replicaStatus) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return h, nil
}

// turnOver has h take in a page of a replica and those that follow it, and reports
// whether that was all of them.
func (p patience) turnOver(ctx context.Context, view *publisher.View, h *heard, page statusAnswer, folders []int) bool {
	for taken := 0; ; {
		last := h.take(page)
		if taken += len(page.Folders); !page.More {
			return true
		}
		next, err := p.pages(ctx, view, statusQuestion{Replica: page.Replica.ID, After: last, Folders: folders})
		if err != nil || len(next) != 1 || len(next[0].Folders) == 0 || next[0].Folders[0].Folder <= last || taken > mostAnswered {
			return false
		}
		page = next[0]
	}
}

// pages asks one question and returns an answer of each replica it is for.
func (p patience) pages(ctx context.Context, view *publisher.View, q statusQuestion) ([]statusAnswer, error) {
	question, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.page)
	defer cancel()
	var answers []statusAnswer
	expected := 1
	err = view.Ask(ctx, question, func(text []byte) (enough bool) {
		var a statusAnswer
		if json.Unmarshal(text, &a) != nil || a.Replica.ID == "" || slices.ContainsFunc(answers, func(b statusAnswer) bool { return a.Replica.ID == b.Replica.ID }) {
			return false
		}
		answers = append(answers, a.inOurTime(time.Now()))
		if q.Replica == "" {
			expected = max(expected, a.Replica.Replicas)
		}
		return len(answers) >= min(expected, mostHeard)
	})
	if err == nil && len(answers) == 0 {
		err = publisher.ErrNobodyAnswers // that can be understood
	}
	return answers, err
}

// inOurTime turns the times of a replica whose clock is off into ours.
func (a statusAnswer) inOurTime(now time.Time) statusAnswer {
	skew := now.Sub(a.Replica.At)
	if skew.Abs() < mostSkew {
		return a
	}
	move := func(at *time.Time) {
		if !at.IsZero() {
			*at = at.Add(skew)
		}
	}
	move(&a.Replica.Started)
	for i := range a.Folders {
		f := &a.Folders[i]
		move(&f.Tried)
		move(&f.Polled)
		move(&f.Due)
	}
	return a
}

// take takes in a page, and returns its last folder. Of two replicas that have
// polled a folder the last one knows; gaps are what each has reported, and what one
// has found in the stream counts.
func (h *heard) take(page statusAnswer) (last int) {
	for _, polls := range page.Folders {
		last = max(last, polls.Folder)
		live, known := h.folders[polls.Folder]
		gaps, found := live.Gaps+polls.Gaps, cmp.Or(polls.Found, live.Found)
		if !known || polls.Polling || polls.Tried.After(live.Tried) && !live.Polling {
			live = folderLive{polls, page.Replica.Name}
		}
		live.Gaps, live.Found = gaps, found
		h.folders[polls.Folder] = live
	}
	return last
}

// incomplete says what is missing of the answers, "" for nothing.
func (h *heard) incomplete() string {
	switch {
	case len(h.partly) > 0:
		return "not all that these know came in time: " + line.Cell(strings.Join(h.partly, ", "), 0)
	case h.counted > len(h.replicas):
		return fmt.Sprintf("%d of %d replicas answer; what the others know is missing", len(h.replicas), h.counted)
	}
	return ""
}

// unheard says why there is no answer, in the words for who reads a status.
func unheard(err error) string {
	if errors.Is(err, publisher.ErrNobodyAnswers) {
		return err.Error() + "; this is what the stream tells"
	}
	return "the connectors cannot be asked (" + err.Error() + "); this is what the stream tells"
}

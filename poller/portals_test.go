package poller

import (
	"errors"
	"strings"
	"testing"

	"docspace-nats/checkpoint"
)

func TestAFolderWithAMarkOfAnotherPortalIsNotPolled(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.act(10)
	r.poll(t)
	r.act(10)
	requests, commits := r.portal.Requests(), r.ledger.Commits()
	first := r.poller.opts.Feed.Portal
	r.poller.opts.Feed.Portal = "b.example.com"
	var other *OtherPortalError
	if _, err := r.poller.Poll(t.Context(), r.room); !errors.As(err, &other) || other.Folder != r.room || other.Theirs != first {
		t.Fatalf("Poll = %v", err)
	}
	if r.portal.Requests() != requests || r.ledger.Commits() != commits {
		t.Error("the folder was read or committed")
	}
	r.poller.opts.Feed.Formerly = []string{strings.ToUpper(first)}
	r.poll(t)
	r.holds(t)
	if mark, err := r.ledger.Mark(t.Context(), r.room); err != nil || mark.Portal != "b.example.com" {
		t.Errorf("the mark is of %q, %v", mark.Portal, err)
	}
}

func TestAMarkThatNamesNoPortalBelongsToWhoeverAsks(t *testing.T) {
	t.Parallel()
	if err := (Feed{Portal: "a.example.com"}).Owns(checkpoint.Mark{Folder: 1}); err != nil {
		t.Error(err)
	}
}

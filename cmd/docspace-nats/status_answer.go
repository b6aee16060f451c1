package main

import (
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"docspace-nats/checkpoint"
	"docspace-nats/poller"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

// What status asks the replicas, and what each of them answers. An answer has no
// secrets, and no titles that the privacy mode hides.

// A statusQuestion is what status asks.
type statusQuestion struct {
	Replica string `json:"replica,omitzero"` // only this one is to answer; "": all
	After   int    `json:"after,omitzero"`   // folders with higher ids only
	Folders []int  `json:"folders,omitzero"` // only these; none: all
}

// A statusAnswer is a page of what one replica knows.
type statusAnswer struct {
	Replica replicaStatus `json:"replica"`
	Folders []folderPolls `json:"folders"` // by id, those this replica has polled
	More    bool          `json:"more,omitzero"`
}

// A replicaStatus is what a replica says of itself.
type replicaStatus struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"` // as in the marks it writes
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	At       time.Time `json:"at"`       // when it answered, by its clock
	Replicas int       `json:"replicas"` // that it counts, itself included
	Watched  int       `json:"watched"`  // folders
	Requests int       `json:"requests"` // to the portal, in the last minute
	Budget   int       `json:"budget"`   // its share of them; 0: no limit
	Trouble  string    `json:"trouble,omitzero"`
	Findings []string  `json:"findings,omitempty"` // about the stream, when it started
}

// A folderPolls is what one replica knows of a folder.
type folderPolls struct {
	Folder  int              `json:"folder"`
	Title   string           `json:"title,omitzero"`
	State   checkpoint.State `json:"state,omitzero"`
	Reason  string           `json:"reason,omitzero"`
	Gaps    int              `json:"gaps,omitzero"`  // rows reported as gaps since the replica started
	Found   string           `json:"found,omitzero"` // by the last verification, of the stream against the portal
	Unread  int              `json:"unread"`
	Tried   time.Time        `json:"tried,omitzero"`  // end of the last poll
	Polled  time.Time        `json:"polled,omitzero"` // end of the last poll the portal answered
	Due     time.Time        `json:"due,omitzero"`    // of the next poll
	Polling bool             `json:"polling,omitzero"`
	Error   string           `json:"error,omitzero"` // of the last poll
}

// Bounds of what is told, in characters.
const (
	mostTitle    = 120
	mostReason   = 500
	mostFindings = 10
)

// pollsOf is a standing as it is told, with what a verification found.
func pollsOf(s poller.Standing, found string) folderPolls {
	p := folderPolls{
		Folder: s.Folder, State: s.State, Reason: schema.Cut(schema.Text(s.Reason), mostReason), Gaps: s.Gaps, Found: found, Unread: s.Unread,
		Tried: s.Tried, Polled: s.Polled, Due: s.Due, Polling: s.Polling,
	}
	if s.Err != nil && !errors.Is(s.Err, checkpoint.ErrConflict) { // that another replica publishes the folder is no trouble
		p.Error = schema.Cut(schema.Text(s.Err.Error()), mostReason)
	}
	return p
}

// answer answers a question in at most so many bytes, nil if it is for others.
func (c *connector) answer(question []byte, most int) []byte {
	var q statusQuestion
	if json.Unmarshal(question, &q) != nil || q.Replica != "" && q.Replica != c.replicas.ID() {
		return nil
	}
	standings := c.schedule.Standings()
	return q.page(c.status(len(standings)), standings, c.found(), c.schedule.Title, most)
}

// found is what the last verification of each folder found, if there is one.
func (c *connector) found() map[int]string {
	if c.patrol == nil {
		return nil // of a job, which verify looks at
	}
	return c.patrol.Findings()
}

// page is an answer with as many folders as fit. The next page begins after the
// last of them.
func (q statusQuestion) page(replica replicaStatus, standings []poller.Standing, found map[int]string, title func(folder int) string, most int) []byte {
	page := statusAnswer{Replica: replica, Folders: []folderPolls{}, More: true}
	text, err := json.Marshal(page)
	if err != nil {
		return nil
	}
	size := len(text)
	page.More = false
	slices.Sort(q.Folders)
	for _, s := range standings {
		if _, asked := slices.BinarySearch(q.Folders, s.Folder); s.Folder <= q.After || len(q.Folders) > 0 && !asked || s.Tried.IsZero() && !s.Polling {
			continue
		}
		polls := pollsOf(s, found[s.Folder])
		polls.Title = schema.Cut(title(s.Folder), mostTitle)
		text, err := json.Marshal(polls)
		if err != nil {
			return nil
		}
		if size += len(text) + len(","); size > most {
			page.More = true
			break
		}
		page.Folders = append(page.Folders, polls)
	}
	if text, err = json.Marshal(page); err != nil {
		return nil
	}
	return text
}

// status is what this replica says of itself.
func (c *connector) status(watched int) replicaStatus {
	s := replicaStatus{
		ID: c.replicas.ID(), Name: c.name, Version: thisBuild().Version, Started: c.started, At: time.Now().UTC(),
		Replicas: c.replicas.Count(), Watched: watched, Requests: c.requests.lastMinute(time.Now()), Budget: int(c.budget.Load()),
	}
	if err := c.ready(); err != nil {
		s.Trouble = schema.Cut(schema.Text(err.Error()), mostReason)
	}
	for _, f := range c.ledger.Findings().Of(publisher.Warning) {
		if len(s.Findings) < mostFindings {
			s.Findings = append(s.Findings, schema.Cut(f.String(), mostReason))
		}
	}
	return s
}

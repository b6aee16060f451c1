package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docspace-nats/checkpoint"
	"docspace-nats/poller/queue"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

// A statusReport is where everything stands. As JSON, null is what nobody knows.
type statusReport struct {
	At       time.Time       `json:"at"`
	Stream   string          `json:"stream"`
	Mode     publisher.Mode  `json:"mode"`
	Portal   string          `json:"portal"`
	Answered bool            `json:"answered"` // by a connector; otherwise this is what the stream tells
	Replicas []replicaStatus `json:"replicas"`
	Folders  []folderStatus  `json:"folders"`
	More     int             `json:"more"` // folders that --limit or --attention leave out
	Totals   statusTotals    `json:"totals"`

	note    string   // why no connector answered, or which did not answer to the end
	unknown []string // folders that were asked for and that nobody knows
}

// A folderStatus is where one folder stands.
type folderStatus struct {
	Folder      int              `json:"folder"`
	Title       string           `json:"title"`
	State       checkpoint.State `json:"state"`
	Attention   *string          `json:"attention"` // why it needs it; the words of /readyz
	Reason      string           `json:"reason"`
	Unread      *int             `json:"unread"`
	Accounted   int              `json:"accounted"`
	NewestEvent *time.Time       `json:"newest_event"`
	LastPoll    *time.Time       `json:"last_poll"` // that the portal answered
	NextPoll    *time.Time       `json:"next_poll"`
	Polling     *bool            `json:"polling"` // at this moment
	Owner       *string          `json:"owner"`   // the replica that polled it last
	LastError   *string          `json:"last_error"`
	Gaps        *int             `json:"gaps"`   // rows reported since the replicas started
	Writer      string           `json:"writer"` // of the mark
	Lane        *queue.Lane      `json:"lane"`   // of the queue; "" when it lies in none
	Since       *time.Time       `json:"since"`  // first mark

	found string // by the last verification
}

// statusTotals are over all folders that were asked for.
type statusTotals struct {
	Folders   int                      `json:"folders"`
	States    map[checkpoint.State]int `json:"states"`
	Attention int                      `json:"attention"` // folders that need it
	Accounted int                      `json:"accounted"`
	Unread    *int                     `json:"unread"`  // null when it is known of no folder
	Unknown   int                      `json:"unknown"` // folders whose unread rows are not known
}

// titleWait bounds how long titles are looked for in the stream, and titleReads
// how many at the same time.
const (
	titleWait  = 3 * time.Second
	titleReads = 8
)

// report finds out where everything stands.
func (s *statusReader) report(ctx context.Context, o statusOptions) (*statusReport, error) {
	marks, err := s.view.Marks(ctx)
	if err != nil {
		return nil, err
	}
	lanes, err := s.view.Lanes(ctx)
	if err != nil {
		s.tell("%v", err)
	}
	r := &statusReport{At: time.Now().UTC(), Stream: s.view.Stream(), Mode: s.view.Mode(), Portal: portalOf(marks), Replicas: []replicaStatus{}}
	h, err := usualPatience.askReplicas(ctx, s.view, o.ids)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		h = &heard{}
		r.note = unheard(err)
	} else {
		r.note = h.incomplete()
	}
	r.Answered, r.Replicas = err == nil, append(r.Replicas, h.replicas...)
	r.Folders = folders(o.ids, marks, h.folders, lanes)
	r.count()
	r.unknown = unknown(o.ids, r.Folders)
	r.narrow(o)
	s.addTitles(ctx, r.Folders)
	return r, nil
}

// portalOf is the host of the portal, by the newest mark that tells it.
func portalOf(marks []checkpoint.Mark) (host string) {
	var newest uint64
	for _, m := range marks {
		if m.Portal != "" && m.Revision >= newest {
			host, newest = m.Portal, m.Revision
		}
	}
	return schema.Text(host)
}

// folders puts together what is known of each folder, those that need attention
// first, and of the others those with most rows to read. None named, which come ascending, means all.
func folders(named []int, marks []checkpoint.Mark, live map[int]folderLive, lanes map[int]queue.Lane) []folderStatus {
	found := make(map[int]checkpoint.Mark, len(marks))
	for _, m := range marks {
		found[m.Folder] = m
	}
	for folder := range live {
		if _, has := found[folder]; !has {
			found[folder] = checkpoint.Mark{Folder: folder}
		}
	}
	all := make([]folderStatus, 0, len(found))
	for folder, m := range found {
		if _, asked := slices.BinarySearch(named, folder); len(named) > 0 && !asked {
			continue
		}
		f := folderOf(m)
		if polls, has := live[folder]; has {
			f.add(m, polls)
		}
		if lane := lanes[folder]; lanes != nil {
			f.Lane = &lane
		}
		f.judge()
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b folderStatus) int {
		return cmp.Or(-cmp.Compare(a.rank(), b.rank()), -cmp.Compare(deref(a.Unread), deref(b.Unread)), cmp.Compare(a.Folder, b.Folder))
	})
	return all
}

// folderOf is what a mark tells.
func folderOf(m checkpoint.Mark) folderStatus {
	return folderStatus{
		Folder: m.Folder, State: cmp.Or(m.State, checkpoint.Watching), Reason: schema.Text(m.Reason), Accounted: m.Accounted,
		NewestEvent: known(m.NewestEvent), Writer: schema.Text(m.Writer), Since: known(m.Since),
	}
}

// add adds what the replicas know. About the state the mark is right, since each
// change of it is stored; about its reason the last poll.
func (f *folderStatus) add(m checkpoint.Mark, live folderLive) {
	if m.Revision == 0 {
		f.State = live.State
	}
	if live.State == f.State {
		f.Reason = schema.Text(live.Reason)
	}
	f.Title = schema.Text(live.Title)
	if !live.Polled.IsZero() && !f.State.Stuck() {
		f.Unread = &live.Unread
	}
	f.found = schema.Text(live.Found)
	owner, failed := schema.Text(live.owner), schema.Text(live.Error)
	f.LastPoll, f.NextPoll, f.Polling, f.Gaps = known(live.Polled), known(live.Due), &live.Polling, &live.Gaps
	f.Owner, f.LastError = &owner, &failed
}

// judge says whether the folder needs attention, as /readyz does.
func (f *folderStatus) judge() {
	why := attention(folderPolls{Folder: f.Folder, State: f.State, Reason: f.Reason, Gaps: deref(f.Gaps), Found: f.found, Error: deref(f.LastError)})
	if why != "" {
		f.Attention = &why
	}
}

// rank is higher for what people look at first.
func (f *folderStatus) rank() int {
	if f.Attention != nil {
		return 1
	}
	return 0
}

// unknown are the folders that were asked for and that nobody knows.
func unknown(asked []int, found []folderStatus) (missing []string) {
	for _, folder := range asked {
		if !slices.ContainsFunc(found, func(f folderStatus) bool { return f.Folder == folder }) {
			missing = append(missing, strconv.Itoa(folder))
		}
	}
	return missing
}

// count counts all folders.
func (r *statusReport) count() {
	t := statusTotals{Folders: len(r.Folders), States: make(map[checkpoint.State]int)}
	unread := 0
	for _, f := range r.Folders {
		if f.State != "" {
			t.States[f.State]++
		}
		t.Attention += f.rank()
		t.Accounted += f.Accounted
		unread += deref(f.Unread)
		if f.Unread == nil {
			t.Unknown++
		}
	}
	if t.Unknown < t.Folders {
		t.Unread = &unread
	}
	r.Totals = t
}

// narrow leaves out the folders that are not to be shown.
func (r *statusReport) narrow(o statusOptions) {
	shown := len(r.Folders)
	if o.attention {
		shown = r.Totals.Attention // they come first
	}
	if o.limit > 0 {
		shown = min(shown, o.limit)
	}
	r.More = len(r.Folders) - shown
	r.Folders = r.Folders[:shown]
}

// troubled reports whether somebody should look: a folder or a replica needs it,
// or not all replicas have told what they know, if there is one at all.
func (r *statusReport) troubled() bool {
	return r.Totals.Attention > 0 || r.note != "" || slices.ContainsFunc(r.Replicas, func(s replicaStatus) bool { return s.Trouble != "" })
}

// addTitles looks in the stream for the titles that no replica told, as far as
// there is time.
func (s *statusReader) addTitles(ctx context.Context, shown []folderStatus) {
	ctx, cancel := context.WithTimeout(ctx, titleWait)
	defer cancel()
	var mu sync.Mutex
	var reads errgroup.Group
	reads.SetLimit(titleReads)
	for i := range shown {
		f := &shown[i]
		mu.Lock()
		title, read := s.titles[f.Folder]
		mu.Unlock()
		if f.Owner != nil || read { // what a replica does not tell is unknown, or hidden
			f.Title = cmp.Or(f.Title, title)
			continue
		}
		reads.Go(func() error {
			title, err := s.view.Title(ctx, f.Folder)
			if err != nil {
				return nil
			}
			f.Title = schema.Cut(schema.Text(title), mostTitle)
			mu.Lock()
			defer mu.Unlock()
			s.titles[f.Folder] = f.Title
			return nil
		})
	}
	_ = reads.Wait()
}

// known is a time, nil for none.
func known(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// deref is the value, or zero where it is not known.
func deref[T any](value *T) (zero T) {
	if value == nil {
		return zero
	}
	return *value
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller/docspace"
	"docspace-nats/schema"
)

// A backfillPlan is what a job has to do, as far as the portal counts it.
type backfillPlan struct {
	Job       string          `json:"job,omitzero"`
	From      time.Time       `json:"from,omitzero"`
	To        time.Time       `json:"to,omitzero"`
	Rows      int             `json:"rows"`
	Stored    int             `json:"stored"`
	Requests  int             `json:"requests"`
	PerMinute int             `json:"requests_per_minute"` // 0: no limit
	Seconds   int             `json:"seconds,omitzero"`    // that the requests take; without a limit nobody knows
	Folders   []plannedFolder `json:"folders"`
}

type plannedFolder struct {
	Folder   int              `json:"folder"`
	Title    string           `json:"title,omitzero"`
	State    checkpoint.State `json:"state,omitzero"` // "" for one that was not begun
	Rows     int              `json:"rows"`
	Stored   int              `json:"stored"`
	Requests int              `json:"requests"`
	Error    string           `json:"error,omitzero"` // why its rows cannot be counted

	from time.Time // of the rows that count
}

// newPlan is the plan of a job as it was created, before its folders are counted.
func newPlan(name string, job backfillJob, marks []checkpoint.Mark, perMinute int) *backfillPlan {
	p := &backfillPlan{Job: name, From: job.From, To: job.To, Rows: job.Rows, PerMinute: perMinute}
	at := make(map[int]checkpoint.Mark, len(marks))
	for _, m := range marks {
		at[m.Folder] = m
	}
	for _, id := range job.Folders {
		f := plannedFolder{Folder: id, State: at[id].State, Stored: at[id].Accounted, from: p.From}
		if m, begun := at[id]; begun {
			f.from = m.Anchor
		}
		p.Folders = append(p.Folders, f)
		p.Stored += f.Stored
	}
	if open := len(p.open()); open > 0 {
		p.sum(requestsFor(p.Rows-p.Stored) + 2*(open-1))
	}
	return p
}

// open returns the folders that are not read to their end.
func (p *backfillPlan) open() (ids []int) {
	for _, f := range p.Folders {
		if f.State != checkpoint.Watching {
			ids = append(ids, f.Folder)
		}
	}
	return ids
}

// count asks the portal for the number of rows of each folder, and for titles what
// is known.
func (b *backfill) count(ctx context.Context, p *backfillPlan) error {
	asks, ctx := errgroup.WithContext(ctx)
	asks.SetLimit(b.cfg.Poll.MaxInFlight)
	shown := startProgress("backfill: counted", thingsOf(len(p.Folders), "folder"), int64(len(p.Folders)), b.stderr)
	defer shown.finish()
	for i := range p.Folders {
		f := &p.Folders[i]
		asks.Go(func() error {
			page, err := b.portal.History(ctx, f.Folder, docspace.Query{Count: 1, From: f.from, To: p.To})
			switch {
			case notShown(err):
				f.Error = err.Error()
			case err != nil:
				return err
			}
			f.Rows = page.Total
			shown.add(1)
			return nil
		})
	}
	if err := asks.Wait(); err != nil {
		return err
	}
	requests := 0
	p.Rows = 0
	for i := range p.Folders {
		f := &p.Folders[i]
		f.Title = schema.Text(b.known[f.Folder].Title)
		if f.State != checkpoint.Watching {
			f.Requests = requestsFor(f.Rows - f.Stored)
		}
		p.Rows += f.Rows
		requests += f.Requests
	}
	p.sum(requests)
	return nil
}

// show prints the plan of a dry run.
func (b *backfill) show(p *backfillPlan) error {
	return errors.Join(p.print(b.stdout, b.o.asJSON), p.noneReadable())
}

// unread tells which folders cannot be read, before the others are.
func (b *backfill) unread(p *backfillPlan) error {
	if err := p.noneReadable(); err != nil {
		return err
	}
	for _, f := range p.Folders {
		if f.Error != "" {
			b.tell("folder %d cannot be read: %s", f.Folder, f.Error)
		}
	}
	return nil
}

// noneReadable is an error when no folder can be read.
func (p *backfillPlan) noneReadable() error {
	var errs []error
	for _, f := range p.Folders {
		if f.Error == "" {
			return nil
		}
		if len(errs) < fewFolders {
			errs = append(errs, fmt.Errorf("folder %d: %s", f.Folder, f.Error))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w\nnone of the folders can be read (%d), and nothing was stored; check their ids, and that the account sees them", errors.Join(errs...), len(p.Folders))
}

// requestsFor returns how many requests it takes to read so many rows: neighbouring
// pages share a row, and the first and the last are asked for twice.
func requestsFor(rows int) int { return max(0, rows+docspace.MaxPage-2)/(docspace.MaxPage-1) + 2 }

func (p *backfillPlan) sum(requests int) {
	p.Requests, p.Seconds = requests, 0
	if p.PerMinute > 0 {
		p.Seconds = (requests*60 + p.PerMinute - 1) / p.PerMinute
	}
}

// String is the plan in one line.
func (p *backfillPlan) String() string {
	s := fmt.Sprintf("%s of %s%s", counted(p.Rows, "row"), counted(len(p.Folders), "folder"), p.window())
	if p.Stored > 0 {
		s += fmt.Sprintf(", %d of them are stored", p.Stored)
	}
	return s + "; " + p.cost()
}

func (p *backfillPlan) window() (s string) {
	if !p.From.IsZero() {
		s += " from " + p.From.Format(time.RFC3339)
	}
	if !p.To.IsZero() {
		s += " up to " + p.To.Format(time.RFC3339)
	}
	return s
}

func (p *backfillPlan) cost() string {
	s := fmt.Sprintf("about %s", counted(p.Requests, "request"))
	if p.PerMinute == 0 {
		return s + ", as fast as the portal answers"
	}
	return s + fmt.Sprintf(", %s at %d a minute", config.Short(time.Duration(p.Seconds)*time.Second), p.PerMinute)
}

// print writes the plan as a table, or as JSON.
func (p *backfillPlan) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, p)
	}
	table := &table{w: w}
	fmt.Fprintln(table, "FOLDER\tROWS\tSTORED\tREQUESTS\tTITLE")
	for _, f := range p.Folders {
		rows, title := strconv.Itoa(f.Rows), f.Title
		if f.Error != "" {
			rows, title = "?", f.Error
		}
		fmt.Fprintf(table, "%d\t%s\t%d\t%d\t%s\n", f.Folder, rows, f.Stored, f.Requests, title)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", p)
	return err
}

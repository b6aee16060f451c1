package main

import (
	"io"
	"math"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"
)

const (
	// progressLine is how often a plain line is written, and progressBar how
	// often a bar is drawn.
	progressLine = 5 * time.Second
	progressBar  = 200 * time.Millisecond

	// barDown takes a bar away, so that a line of text can stand in its place.
	barDown = "\r\x1b[K"
)

// progressText is both forms. The bar takes what is left of the line. The speed is
// asked for at once, since its first answer is where it begins; in the end the bar
// would take all that is done for its own.
const progressText = `{{$speed := speed . "%s" "?"}}{{if .IsFinished}}{{$speed = string . "speed"}}{{end}}{{string . "work"}}: {{if and (string . "bar") (gt .Total 0)}}{{bar .}} {{end}}` +
	`{{counters . "%s of %s" "%[1]s"}} {{string . "things"}}{{string . "note"}}` +
	`{{if ne $speed "?"}}, {{$speed}} {{string . "things"}}/s{{end}}` +
	`{{if .IsFinished}}, {{rtime . "" "in %s"}}{{else if gt .Total .Value}}{{rtime . ", %s left" "" ""}}{{end}}{{string . "end"}}`

// A progress says on standard error how far long work is: with a bar on a
// terminal, otherwise in a plain line every 5 seconds and one at the end, such
// as "replay: 120000 of 200000 events, 8210 events/s, 7s left". Its methods may
// be called by any goroutine.
type progress struct {
	bar    *pb.ProgressBar
	out    *aboveBar
	before int64 // done by former processes
	mu     sync.Mutex
}

// startProgress begins the work named work with so many things to do, 0 when
// nobody knows.
func startProgress(work, things string, total int64, stderr io.Writer) *progress {
	return resumeProgress(work, things, 0, total, stderr)
}

// resumeProgress is startProgress where former processes have done some of them. They
// are counted, and the rate is that of this process.
func resumeProgress(work, things string, before, total int64, stderr io.Writer) *progress {
	p := newProgress(work, things, stderr, drawsBars(stderr))
	p.before = before
	p.bar.SetCurrent(before)
	p.begin(total)
	return p
}

func drawsBars(w io.Writer) bool { return isTerminal(w) && os.Getenv("TERM") != "dumb" }

// newProgress is startProgress without beginning: only Write does something.
func newProgress(work, things string, stderr io.Writer, terminal bool) *progress {
	p := &progress{bar: pb.New64(0), out: &aboveBar{w: stderr, bar: terminal}}
	p.bar.SetTemplateString(progressText).SetWriter(barOnly{p.out})
	p.bar.Set("work", work).Set("things", things)
	p.bar.Set(pb.Terminal, terminal).Set(pb.Color, false)
	if terminal {
		p.bar.Set("bar", "yes").Set(pb.ReturnSymbol, "\r").SetRefreshRate(progressBar)
	} else {
		p.bar.Set("end", "\n").SetRefreshRate(progressLine)
	}
	return p
}

// begin is where the rate counts from.
func (p *progress) begin(total int64) {
	_ = p.bar.SetTotal(total).Start().String()
}

// add counts n more things as done. With more done than there were to do, there were
// more.
func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if total := p.bar.Total(); total > 0 {
		p.bar.SetTotal(max(total, p.bar.Current()+int64(n)))
	}
	p.bar.Add(n)
}

// addTotal counts n more things to do, or fewer.
func (p *progress) addTotal(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bar.AddTotal(int64(n))
}

// note sets what is said beside the numbers, such as "3 of 50 folders".
func (p *progress) note(text string) {
	if text != "" {
		text = ", " + text
	}
	p.bar.Set("note", text)
}

// Write writes lines of text between those of the progress, or above its bar.
func (p *progress) Write(text []byte) (int, error) { return p.out.Write(text) }

// finish says how it ended, if it began. It may be called again, and Write after
// it.
func (p *progress) finish() {
	speed := "?"
	if own := p.bar.Current() - p.before; own > 0 {
		if took := time.Since(p.bar.StartTime()); took > 0 {
			speed = strconv.FormatInt(int64(math.Round(float64(own)/took.Seconds())), 10)
		}
	}
	p.bar.Set("speed", speed)
	p.bar.Finish()
}

// An aboveBar writes whole texts, each in the place of the bar, which the next
// drawing puts below.
type aboveBar struct {
	mu  sync.Mutex
	w   io.Writer
	bar bool
}

func (a *aboveBar) Write(text []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bar {
		if _, err := io.WriteString(a.w, barDown); err != nil {
			return 0, err
		}
	}
	return a.w.Write(text)
}

// barOnly is what the bar itself is drawn on.
type barOnly struct{ out *aboveBar }

func (b barOnly) Write(text []byte) (int, error) {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return b.out.w.Write(text)
}

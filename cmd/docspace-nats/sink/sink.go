// Package sink hands lines to a file, to standard output, or to a syslog receiver,
// and knows of each what makes a line safe.
package sink

import (
	"bufio"
	"context"
	"io"
	"time"
)

// A Sink is where lines are written to. It is used by one goroutine.
type Sink interface {
	// Write hands over lines, in order, and returns how many it has taken.
	Write(ctx context.Context, lines [][]byte) (int, error)
	// Confirm returns nil once every line that was written is safe: it survives
	// this process, and the receiver's as far as the receiver tells. After an
	// error all that was not confirmed must be written again.
	Confirm(ctx context.Context) error
	// Keeps reports whether lines that were written are still there after a
	// later Write has failed.
	Keeps() bool
	// Lag is how long written lines may wait for Confirm, where that is dear.
	Lag() time.Duration
	// Reopen lets go of what is open, after Confirm, so that a file that was
	// renamed is made anew.
	Reopen()
	Close() error
}

// A LostError is one that will not pass: nobody can open standard output again.
type LostError struct{ Err error }

func (e *LostError) Error() string { return e.Err.Error() }
func (e *LostError) Unwrap() error { return e.Err }

// An Output writes to standard output. Whoever reads there has what is flushed;
// there is nobody to ask for more.
type Output struct{ w *bufio.Writer }

// NewOutput returns the sink that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{bufio.NewWriterSize(w, 64<<10)} }

func (s *Output) Write(_ context.Context, lines [][]byte) (int, error) {
	for _, line := range lines {
		_, _ = s.w.Write(line) // the writer keeps its error for Flush
		_ = s.w.WriteByte('\n')
	}
	if err := s.w.Flush(); err != nil {
		return 0, &LostError{err}
	}
	return len(lines), nil
}

func (s *Output) Confirm(context.Context) error { return nil }
func (s *Output) Keeps() bool                   { return true }
func (s *Output) Lag() time.Duration            { return 0 }
func (s *Output) Reopen()                       {}
func (s *Output) Close() error                  { return nil }

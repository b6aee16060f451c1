package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// longestLine is more than any line that is written: the largest message of a
// server, with every character escaped, and a syslog header.
const longestLine = 8 << 20

// A File appends lines to a file, which survives whatever happens to this
// process: a line is there as a whole or not at all.
type File struct {
	path    string
	durable bool
	f       *os.File // nil while it cannot be opened
}

// OpenFile opens the file at once, so that a wrong path is an error and not
// something to wait for.
func OpenFile(path string, durable bool) (*File, error) {
	s := &File{path: path, durable: durable}
	return s, s.open()
}

// open creates the file or goes on with it. Its last line may be torn, when the
// process was killed or the disk was full. Then its event was not acknowledged
// and comes again: a durable writer takes the rest away, another one, which does not
// know whose it is, ends the line.
func (s *File) open() (err error) {
	defer func() { err = pathless(err) }()
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("its directory does not exist; make it")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is no file")
	}
	if err := lock(f); err != nil {
		return err
	}
	whole, err := wholeLines(f, info.Size())
	if err != nil {
		return err
	}
	switch {
	case whole == info.Size():
	case s.durable:
		if err := f.Truncate(whole); err != nil {
			return err
		}
	default:
		if _, err := f.Write([]byte("\n")); err != nil {
			return err
		}
	}
	if s.durable {
		if err := keepEntry(s.path); err != nil {
			return fmt.Errorf("its directory cannot be synced: %w", pathless(err))
		}
	}
	s.f = f
	return nil
}

// pathless is the error of a call about a file without the file's name, which
// whoever reports it has said.
func pathless(err error) error {
	if at := new(os.PathError); errors.As(err, &at) {
		return at.Err
	}
	return err
}

var errNoLines = errors.New("ends with a line longer than any that is written; is it a file of lines? choose another")

// wholeLines is the size of the file without the part after its last line end.
func wholeLines(f io.ReaderAt, size int64) (int64, error) {
	const portion = 64 << 10
	buffer := make([]byte, portion)
	for end := size; end > 0; {
		begin := max(end-portion, 0)
		n, err := f.ReadAt(buffer[:end-begin], begin)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if at := bytes.LastIndexByte(buffer[:n], '\n'); at >= 0 {
			return begin + int64(at) + 1, nil
		}
		if end = begin; size-end > longestLine {
			return 0, errNoLines
		}
	}
	return 0, nil
}

// write appends lines. Where only a part fits, the torn line is taken back:
// whole ones stay, since somebody may have read them.
func (s *File) Write(_ context.Context, lines [][]byte) (int, error) {
	if s.f != nil && !s.there() {
		s.Reopen()
	}
	if s.f == nil {
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	var all []byte
	for _, line := range lines {
		all = append(append(all, line...), '\n')
	}
	n, err := s.f.Write(all)
	if err = pathless(err); err == nil {
		return len(lines), nil
	}
	whole := bytes.LastIndexByte(all[:n], '\n') + 1
	if cut := s.cut(int64(n - whole)); cut != nil {
		err = errors.Join(err, cut)
		s.Reopen() // which looks at the last line again
	}
	return bytes.Count(all[:whole], []byte("\n")), err
}

// cut takes the last bytes away. Others may have emptied the file meanwhile, to
// make room, so its size is asked for: a longer one would be filled with zeros.
func (s *File) cut(torn int64) error {
	if torn == 0 {
		return nil
	}
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	return s.f.Truncate(max(info.Size()-torn, 0))
}

// there reports whether the open file is the one of that name, and not one that
// was renamed, deleted or replaced without a word.
func (s *File) there() bool {
	open, err := s.f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(s.path)
	return err == nil && os.SameFile(open, named)
}

var errTakenAway = errors.New("the file was taken away while it was written")

// confirm makes sure that the disk has every line, in a file that is there. After
// a failure the system may have dropped some, so all that was not confirmed is
// written again.
func (s *File) Confirm(context.Context) error {
	if s.f == nil {
		return nil
	}
	if err := s.f.Sync(); err != nil {
		s.Reopen()
		return pathless(err)
	}
	if !s.there() {
		s.Reopen()
		return errTakenAway
	}
	return nil
}

func (s *File) Keeps() bool { return true }

func (s *File) Lag() time.Duration { return 0 }

func (s *File) Reopen() {
	if s.f != nil {
		_ = s.f.Close()
		s.f = nil
	}
}

func (s *File) Close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}

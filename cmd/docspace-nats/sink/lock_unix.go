//go:build unix

package sink

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second process from the file, for as long as it is open: the
// second would take a line that is being written for a torn one.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another process writes to this file; stop it, or choose another file")
	}
	return err
}

// keepEntry makes the disk keep that there is a file of this name.
func keepEntry(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A disk is where the servers store, and can be full.
type disk interface {
	dirs() []string // one for each server
	args() []string // more arguments of the servers
	// fill fills the disks of these servers, and frees them when ctx ends.
	fill(ctx context.Context, nc *nats.Conn, servers []int) error
	fmt.Stringer
}

// newDisk returns file systems of a bounded size where this process may mount
// them, and otherwise a limit that the servers set themselves.
func newDisk(t *testing.T, lasts time.Duration) disk {
	size := 96<<20 + int64(lasts.Seconds())<<18
	var dirs []string
	for range chaosServers {
		dirs = append(dirs, t.TempDir())
	}
	if err := mount(t, dirs, size); err != nil {
		t.Logf("file systems cannot be mounted here: %v", err)
		return newQuota(t, dirs, size)
	}
	return mounted(dirs)
}

// mounted are directories, each a file system in memory.
type mounted []string

func mount(t *testing.T, dirs []string, size int64) error {
	for _, dir := range dirs {
		out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=700", size), "tmpfs", dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount %s: %v: %s", dir, err, out)
			}
		})
	}
	return nil
}

func (m mounted) String() string { return "real: file systems in memory, filled to the last byte" }

func (m mounted) dirs() []string {
	var all []string
	for _, dir := range m {
		all = append(all, data(dir))
	}
	return all
}

func (m mounted) args() []string { return nil }

func (m mounted) fill(ctx context.Context, _ *nats.Conn, servers []int) error {
	var ballast []*os.File
	defer func() {
		for _, f := range ballast {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	for _, i := range servers {
		f, err := os.Create(filepath.Join(m[i], "ballast"))
		if err != nil {
			return err
		}
		ballast = append(ballast, f)
	}
	for {
		for _, f := range ballast {
			if err := fillUp(f); err != nil {
				return err
			}
		}
		if !wait(ctx, 20*time.Millisecond) { // the servers free some, too
			return nil
		}
	}
}

// fillUp appends until nothing more fits: in blocks, then by the byte.
func fillUp(f *os.File) error {
	for size := 1 << 20; size > 0; size >>= 4 {
		block := make([]byte, size)
		for {
			_, err := f.Write(block)
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// A quota is a limit the servers set on what they store: all of them are full
// at once.
type quota struct {
	stores []string
	config string
	size   int64
}

func newQuota(t *testing.T, dirs []string, size int64) *quota {
	q := &quota{config: filepath.Join(t.TempDir(), "nats.conf"), size: size}
	for _, dir := range dirs {
		q.stores = append(q.stores, data(dir))
	}
	if err := os.WriteFile(q.config, fmt.Appendf(nil, "jetstream { max_file_store: %d }\n", size), 0o600); err != nil {
		t.Fatal(err)
	}
	return q
}

func (q *quota) String() string { return "the servers' own limit, max_file_store" }

func (q *quota) dirs() []string { return q.stores }

func (q *quota) args() []string { return []string{"-c", q.config} }

// fill keeps a stream that takes all there is.
func (q *quota) fill(ctx context.Context, nc *nats.Conn, _ []int) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for errors.Is(js.DeleteStream(ctx, "FILLER"), context.DeadlineExceeded) && ctx.Err() == nil {
		}
	}()
	_, _ = js.CreateStream(ctx, jetstream.StreamConfig{Name: "FILLER", Subjects: []string{"filler"}, Replicas: chaosServers})
	block := make([]byte, 512<<10)
	for ctx.Err() == nil {
		if _, err := js.Publish(ctx, "filler", block); err != nil {
			wait(ctx, 20*time.Millisecond) // it is full, or there is no leader
		}
	}
	return nil
}

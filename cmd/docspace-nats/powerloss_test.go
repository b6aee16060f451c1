//go:build unix

package main

import (
	"cmp"
	"errors"
	"flag"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/publisher"
)

var (
	powerCuts    = flag.Int("power-cuts", 5, "how often each test of a power cut takes the files of a running program")
	powerCutSeed = flag.Uint64("power-cut-seed", 0, "what the tests of power cuts do; 0: something else every time")
)

const (
	// syncs is how often the embedded server tells the disk to keep what it
	// wrote: more often than by default, so that the cuts need not lie far apart.
	syncs = 2 * time.Second
	// synced is after how long it certainly has.
	synced = 2 * syncs
)

// The files are copied one after the other while they are written, so that
// each is of another moment, and what was written last may be torn. Of every
// second copy the ends of the newest blocks are missing, too, as far as no sync
// had kept them.
func TestFromFilesOfAnyMomentTheProgramGoesOnWithoutLossOrRepetition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sizes := make(map[string][]sizeAt)
	cutPower(t, dir, 0, func(_ *process, rng *rand.Rand, n int) func(*testing.T) string {
		to := t.TempDir()
		copyFiles(t, dir, to)
		torn := tails(t, to, sizes)
		if n%2 == 0 {
			torn = nil
		}
		for _, tail := range torn {
			cut := tail.synced + rng.Int64N(tail.size-tail.synced+1)
			t.Logf("cut %d: %s ends after %d of %d bytes", n, tail.file, cut, tail.size)
			if err := os.Truncate(filepath.Join(to, tail.file), cut); err != nil {
				t.Fatal(err)
			}
		}
		return func(*testing.T) string { return to }
	})
}

// A cut is what a power cut left, and when it was.
type cut struct {
	at   time.Time
	left func(*testing.T) string // the directory, once it is needed
}

// cutPower lets the program work in dir, and takes what a power cut would leave
// of it at random moments, up to so long apart. Then it goes on from each. It
// returns how many events all cuts together have taken.
func cutPower(t *testing.T, dir string, apart time.Duration, take func(p *process, rng *rand.Rand, n int) (left func(*testing.T) string)) (taken int) {
	seed := cmp.Or(*powerCutSeed, rand.Uint64())
	town := newTown(t, seed, history)
	p := start(t, exec.Command(program(t), "run"), town.environment("NATS_DATA_DIR="+dir, "NATS_URL=", "NATS_DATA_SYNC="+syncs.String())...)
	var cuts []cut
	for n := range *powerCuts {
		wait(t.Context(), time.Duration(town.rng.Int64N(int64(apart)+1)))
		town.wait(t, p)
		at := time.Now()
		cuts = append(cuts, cut{at, take(p, town.rng, n)})
	}
	p.kill()
	town.rest()
	_, all := readDir(t, dir)
	for n, c := range cuts {
		after := c.left(t)
		start(t, exec.Command(program(t), "run", "--once"), town.environment("NATS_DATA_DIR="+after, "NATS_URL=")...).finish(t)
		read, times := readDir(t, after)
		if err := read.verdict(town.portal, false); err != nil {
			t.Errorf("cut %d (seed %d): %v", n, seed, err)
		}
		stored, left := until(all, c.at), until(times, c.at)
		t.Logf("cut %d: %d of %d events were left", n, left, stored)
		taken += max(0, stored-left)
	}
	return taken
}

// readDir reads the events that an embedded server has stored in a directory,
// and when each was.
func readDir(t *testing.T, dir string) (read *storedCopy, times []time.Time) {
	t.Helper()
	local, err := publisher.StartLocal(publisher.LocalOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Shutdown()
	nc, err := publisher.Connect(t.Context(), publisher.ConnectOptions{Local: local})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	read = newStoredCopy()
	eachEvent(t, js, func(msg jetstream.Msg) error {
		at, err := msg.Metadata()
		if err != nil {
			return err
		}
		times = append(times, at.Timestamp)
		return read.add(at.Sequence.Stream, msg.Subject(), msg.Data())
	})
	return read, times
}

func until(times []time.Time, end time.Time) (n int) {
	for _, at := range times {
		if at.Before(end) {
			n++
		}
	}
	return n
}

// copyFiles copies a directory in which somebody writes. What is gone when its
// turn comes is left out.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range filesIn(t, from) {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// filesIn lists the files below a directory.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// A tail is the end of the newest block of a stream, and how much of the block
// had been synced.
type tail struct {
	file         string
	size, synced int64
}

type sizeAt struct {
	size int64
	at   time.Time
}

// tails finds the newest block of every stream in a copy, and what older copies
// say about how much of it is synced.
func tails(t *testing.T, dir string, sizes map[string][]sizeAt) []tail {
	t.Helper()
	newest := make(map[string]tail)
	for _, name := range filesIn(t, dir) {
		if filepath.Ext(name) != ".blk" || strings.Contains(name, "batches") {
			continue // what the server prepares a batch with, it syncs at once
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		found := tail{file: name, size: info.Size()}
		for _, s := range sizes[name] {
			if time.Since(s.at) > synced {
				found.synced = min(max(found.synced, s.size), found.size)
			}
		}
		sizes[name] = append(sizes[name], sizeAt{found.size, time.Now()})
		if of := filepath.Dir(name); newer(name, newest[of].file) {
			newest[of] = found
		}
	}
	var all []tail
	for _, found := range newest {
		all = append(all, found)
	}
	slices.SortFunc(all, func(a, b tail) int { return strings.Compare(a.file, b.file) })
	return all
}

// newer compares the numbers in the names of blocks.
func newer(a, b string) bool {
	return len(a) > len(b) || len(a) == len(b) && a > b
}

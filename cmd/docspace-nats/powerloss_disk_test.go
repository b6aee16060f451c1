package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"docspace-nats/publisher/natstest"
)

// diskBytes is the size of the disk of TestAfterAPowerCutTheProgramGoesOn. It
// takes up what is written to it.
const diskBytes = 512 << 20

// The program works on a disk of its own, and the disk is copied at random
// moments: the copy has what the kernel had written by then, and misses what it
// still held in memory, as after a power cut. Mounting the copy replays the
// journal, as a boot would.
func TestAfterAPowerCutTheProgramGoesOnWithoutLossOrRepetition(t *testing.T) {
	t.Parallel()
	images := t.TempDir()
	disk := newBlockDisk(t, filepath.Join(images, "disk"))
	taken := cutPower(t, disk.dir, syncs/4, func(p *process, _ *rand.Rand, n int) func(*testing.T) string {
		image := filepath.Join(images, fmt.Sprint("cut", n))
		disk.copy(t, p, image)
		return func(t *testing.T) string {
			t.Cleanup(func() { _ = os.Remove(image) })
			dir := t.TempDir()
			if _, err := attach(t, image, dir); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	})
	if taken == 0 {
		t.Error("no power cut took anything: the copies do not show what a disk has")
	}
}

// A blockDisk is a file system in a file.
type blockDisk struct {
	image, dir string
	device     string // name of the block device
}

// newBlockDisk makes a disk and mounts it. Where that is not permitted the test
// is skipped: the copies file by file remain.
func newBlockDisk(t *testing.T, image string) *blockDisk {
	t.Helper()
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(diskBytes); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("no file system can be made here: %v: %s", err, out)
	}
	d := &blockDisk{image: image, dir: t.TempDir()}
	if d.device, err = attach(t, image, d.dir); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	return d
}

// attach mounts an image and returns the name of its block device.
func attach(t *testing.T, image, dir string) (device string, err error) {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("mount %s: %w: %s", image, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == dir {
			return filepath.Base(fields[0]), nil
		}
	}
	return "", fmt.Errorf("%s is not among the mounts", dir)
}

// copy copies the disk as it is at one moment: should the kernel have written
// to it meanwhile, the copy is made again. The program is paused, so that this
// comes to an end.
func (d *blockDisk) copy(t *testing.T, p *process, to string) {
	t.Helper()
	signal := func(s os.Signal) {
		if err := p.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	for deadline := time.Now().Add(natstest.Patience); time.Now().Before(deadline); {
		before := d.written(t)
		if out, err := exec.Command("cp", "--sparse=always", d.image, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
		if d.written(t) == before {
			return
		}
	}
	t.Fatal("the disk does not come to rest")
}

// written is what the kernel counts of the writes to the device: how many, and
// how many are under way.
func (d *blockDisk) written(t *testing.T) string {
	t.Helper()
	stat, err := os.ReadFile("/sys/block/" + d.device + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// https://docs.kernel.org/block/stat.html
	fields := strings.Fields(string(stat))
	return fields[4] + " " + fields[6] + " " + fields[8]
}

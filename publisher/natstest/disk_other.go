//go:build !linux

package natstest

import "testing"

// SmallDisk skips the test: only Linux is taught to mount a disk for a test.
func SmallDisk(t testing.TB, _ int) string {
	t.Helper()
	t.Skip("a disk that can be full is mounted on Linux only")
	return ""
}

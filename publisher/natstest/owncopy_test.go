//go:build unix

package natstest

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestTheCopyOfEachServerIsReadFromThatServerAlone(t *testing.T) {
	t.Parallel()
	c := Processes(t, []string{t.TempDir(), t.TempDir(), t.TempDir()})
	nc := c.Conn(t)
	store(t, nc, 3)
	leader, err := c.Leader(t.Context(), nc, "S")
	if err != nil {
		t.Fatal(err)
	}
	leader.Restart()
	if err := c.WaitCurrent(t.Context(), nc, "S"); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Servers {
		var got []string
		err := c.OwnCopy(t.Context(), s, "S", "s", func(msg jetstream.Msg) error {
			got = append(got, string(msg.Data()))
			return nil
		})
		if err != nil || !slices.Equal(got, []string{"x"}) {
			t.Errorf("%s: %q, %v", s.Name(), got, err)
		}
	}
}

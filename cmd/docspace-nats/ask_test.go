package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

func TestOnlyAYesIsAgreement(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	lines := readAnswers(strings.NewReader("y\n YES \n\nyep\nn\ny"))
	var got []bool
	for range 7 {
		got = append(got, agreed(t.Context(), lines, &out, "Delete it?"))
	}
	for i, want := range []bool{true, true, false, false, false, true, false} {
		if got[i] != want {
			t.Errorf("answer %d: %t", i, got[i])
		}
	}
	if !strings.HasPrefix(out.String(), "Delete it? [y/N] ") {
		t.Errorf("asked %q", out.String())
	}
}

func TestAnInterruptIsNoAgreement(t *testing.T) {
	t.Parallel()
	never, end := io.Pipe()
	defer end.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if agreed(ctx, readAnswers(never), io.Discard, "Delete it?") {
		t.Error("agreed")
	}
}

package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"docspace-nats/publisher/natstest"
)

func TestRunSaysAtOnceThatNATSDoesNotAnswerAndStopsWhenAsked(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), "run")
	cmd.Env = environment("http://127.0.0.1:1", "sk-hunter2", "nats://127.0.0.1:1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		line := lines.Text()
		if strings.Contains(line, "hunter2") {
			t.Errorf("shows the key: %s", line)
		}
		if !said && strings.Contains(line, "connect to nats://127.0.0.1:1") && strings.Contains(line, "trying again") {
			said = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !said {
		t.Fatalf("said %t; ended with %v, want 0 after an interrupt", said, err)
	}
}

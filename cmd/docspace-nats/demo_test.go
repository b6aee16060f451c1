package main

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"testing"
)

func TestOtherCommandsWorkWithWhatTheDemoPrints(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(program(t), "demo", "--rate", "5", "--rooms", "2")
	stdout, demo := io.Pipe()
	cmd.Stdout = demo
	p := start(t, cmd)
	go func() {
		<-p.ended
		_ = demo.Close()
	}()
	var env []string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), " events of history") {
		if settings, found := strings.CutPrefix(lines.Text(), "export "); found {
			env = strings.Fields(settings)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	if len(env) != 3 {
		t.Fatalf("printed the settings %q\n%s", env, p.stderr.String())
	}
	for _, args := range []string{"status", "verify", "tail --from beginning --no-follow --count 3", "backfill rooms --dry-run"} {
		try := exec.Command(program(t), strings.Fields(args)...)
		try.Env = env
		if out, err := try.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}

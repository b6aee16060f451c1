package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"docspace-nats/publisher/natstest"
)

var verifyRows = flag.Int("verify", 20_000, "rows of the folder whose verification is measured")

// mostVerifyMemory is what the program may take, whatever the length of the log:
// with 20,000 rows it takes less than half.
const mostVerifyMemory = 128 << 20

func TestVerifyTakesNoMoreMemoryForALongLog(t *testing.T) {
	t.Parallel()
	portal, key := startPortal(t, 1, *verifyRows)
	server := natstest.Process(t)
	env := environment(portal, key, server.URL())
	start(t, exec.Command(program(t), "run", "--once"), env...).finish(t)
	var out strings.Builder
	cmd := exec.Command(program(t), "verify", "--json")
	cmd.Stdout = &out
	began := time.Now()
	p := start(t, cmd, env...)
	p.finish(t)
	t.Logf("%d rows: %.0f rows/s, %.1f s of processor time, %d MiB at most", *verifyRows, float64(*verifyRows)/time.Since(began).Seconds(), p.cpu(), p.peak()>>20)
	if p.peak() > mostVerifyMemory || !strings.Contains(out.String(), `"equal": true`) {
		t.Errorf("%d MiB, at most %d are allowed: %s", p.peak()>>20, mostVerifyMemory>>20, out.String())
	}
}

func TestAnInterruptedVerificationSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	a, server := newArchive(t, rand.Uint64()), natstest.Process(t)
	room := a.room(3000, 1)
	env := a.environment(a.portal.APIKey(), server.URL())
	start(t, exec.Command(program(t), "run", "--once"), env...).finish(t)
	var stdout strings.Builder
	cmd := exec.Command(program(t), "verify", "--requests-per-minute", "60")
	cmd.Stdout = &stdout
	before, _, _ := a.read(room) // by the connector
	p := start(t, cmd, env...)
	if err := a.await(p, room, before+3); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if p.cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(p.stderr.String(), "interrupted: compared were 0 of 1 folder") || strings.Contains(stdout.String(), "\n "+strconv.Itoa(room)) {
		t.Errorf("%v\n%s%s", p.err, stdout.String(), p.stderr.String())
	}
}

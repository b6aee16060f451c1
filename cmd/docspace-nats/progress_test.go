package main

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProgressIsALineEveryFiveSecondsAndOneAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr tailBuffer
		p := startProgress("replay", "events", 4100, &stderr)
		for range 120 { // 12 seconds
			time.Sleep(50 * time.Millisecond)
			p.add(20)
			time.Sleep(50 * time.Millisecond)
		}
		p.note("3 of 50 folders")
		p.finish()
		p.finish()
		want := `replay: 1000 of 4100 events, 200 events/s, 15s left
replay: 2000 of 4100 events, 200 events/s, 10s left
replay: 2400 of 4100 events, 3 of 50 folders, 200 events/s, in 12s
`
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProgressCountsWhatFormerProcessesDidAndTellsItsOwnSpeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr tailBuffer
		p := resumeProgress("backfill", "rows", 1000, 3000, &stderr)
		for range 60 {
			time.Sleep(50 * time.Millisecond)
			p.add(10)
			time.Sleep(50 * time.Millisecond)
		}
		p.finish()
		want := `backfill: 1500 of 3000 rows, 100 rows/s, 15s left
backfill: 1600 of 3000 rows, 100 rows/s, in 6.0s
`
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProgressNeverTellsMoreDoneThanThereIsToDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr tailBuffer
		p := startProgress("backfill", "rows", 300, &stderr)
		time.Sleep(12 * time.Second)
		p.add(600)
		p.finish()
		want := `backfill: 0 of 300 rows
backfill: 0 of 300 rows
backfill: 600 of 600 rows, 50 rows/s, in 12s
`
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProgressWithoutATotalTellsNoTimeLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr tailBuffer
		p := startProgress("verify", "rows", 0, &stderr)
		tick := func(total int) {
			time.Sleep(2500 * time.Millisecond)
			p.add(500)
			time.Sleep(2500 * time.Millisecond)
			if synctest.Wait(); total > 0 {
				p.addTotal(total)
			}
		}
		tick(0)
		tick(2050)
		tick(0)
		p.finish()
		want := `verify: 500 rows, 100 rows/s
verify: 1000 rows, 100 rows/s
verify: 1500 of 2050 rows, 100 rows/s, 5s left
verify: 1500 of 2050 rows, 100 rows/s, in 15s
`
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProgressOnATerminalIsABarBelowWhatIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stderr tailBuffer
		p := newProgress("replay", "events", &stderr, true)
		p.bar.SetWidth(80)
		p.begin(1000)
		for range 9 {
			time.Sleep(100 * time.Millisecond)
			p.add(50)
		}
		teller("replay", p)("the server is %s", "away")
		time.Sleep(time.Second)
		p.finish()
		drawn := strings.Split(stderr.String(), "\r")
		bar := regexp.MustCompile(`^replay: \[-+>_+\] 450 of 1000 events, \d+ events/s, \d+s left *$`)
		if last := drawn[len(drawn)-2]; !bar.MatchString(last) {
			t.Errorf("the bar is %q", last)
		}
		if !strings.Contains(stderr.String(), "\r\x1b[Kdocspace-nats replay: the server is away\n\r") {
			t.Errorf("what is said is not on a line of its own: %q", stderr.String())
		}
		if !strings.HasSuffix(strings.TrimRight(stderr.String(), " \n"), "in 1.9s") || !strings.HasSuffix(stderr.String(), "\n") {
			t.Errorf("it ends with %q", drawn[len(drawn)-1])
		}
	})
}

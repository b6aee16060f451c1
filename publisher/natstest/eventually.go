package natstest

import (
	"fmt"
	"testing"
	"time"
)

// Patience is how long a test waits for what must come in the end. On a machine with
// much else to do that is long; it costs something only when a test fails.
const Patience = 3 * time.Minute

// Eventually polls until ok, for what servers and processes do in their own time. A
// failure shows what was said meanwhile.
func Eventually(t testing.TB, what string, ok func() bool, said ...fmt.Stringer) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	for _, text := range said {
		t.Log(text)
	}
	t.Fatalf("not after %s: %s", Patience, what)
}

//go:build race

package poller

// raced says that the race detector slows everything down tenfold.
const raced = true

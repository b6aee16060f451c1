package main

import (
	"sync"
	"time"
)

// A meter counts what happened in the last minute. Its zero value has counted
// nothing.
type meter struct {
	mu      sync.Mutex
	seconds [60]struct {
		at int64 // Unix time of the second
		n  int
	}
}

// count counts one.
func (m *meter) count(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	second := &m.seconds[now.Unix()%int64(len(m.seconds))]
	if second.at != now.Unix() {
		second.at, second.n = now.Unix(), 0
	}
	second.n++
}

// lastMinute is how many were counted in the 60 seconds up to now.
func (m *meter) lastMinute(now time.Time) (sum int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, second := range m.seconds {
		if age := now.Unix() - second.at; 0 <= age && age < int64(len(m.seconds)) {
			sum += second.n
		}
	}
	return sum
}

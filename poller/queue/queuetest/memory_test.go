package queuetest

import (
	"testing"
	"time"
)

func TestMemoryIsAQueue(t *testing.T) {
	t.Parallel()
	const lasts = 400 * time.Millisecond
	Exercise(t, func(*testing.T) Bench {
		m := NewMemory(lasts)
		return Bench{Join: func(*testing.T) Member { return m.Replica() }, Lasts: lasts}
	})
}

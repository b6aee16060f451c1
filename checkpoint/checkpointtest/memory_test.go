package checkpointtest_test

import (
	"context"
	"testing"

	"docspace-nats/checkpoint/checkpointtest"
)

func TestMemoryIsAStore(t *testing.T) {
	t.Parallel()
	checkpointtest.Exercise(t, func(t *testing.T) checkpointtest.Bench {
		m := checkpointtest.NewMemory()
		return checkpointtest.Bench{Store: m, Stored: func(_ context.Context, folder int) ([]string, error) {
			var ids []string
			for _, e := range m.Events(folder) {
				ids = append(ids, e.ID)
			}
			return ids, nil
		}}
	})
}

package main

import "time"

// paceLongest keeps a slow pace from going past the end of time.
const paceLongest = 10 * 365 * 24 * time.Hour

// A paceClock makes events due as far from each other as their actions were,
// times a factor. It never runs backwards: an action that is recorded late is
// due with the one before it.
type paceClock struct {
	factor float64 // 0: all are due at once
	maxGap time.Duration
	newest time.Time // action
	at     time.Time // when that was due
}

func (c *paceClock) due(action time.Time) time.Time {
	if c.factor == 0 {
		return time.Time{}
	}
	if c.newest.IsZero() {
		c.newest, c.at = action, time.Now()
	}
	if gap := action.Sub(c.newest); gap > 0 {
		wait := time.Duration(min(float64(gap)/c.factor, float64(paceLongest)))
		if c.maxGap > 0 {
			wait = min(wait, c.maxGap)
		}
		c.newest, c.at = action, c.at.Add(wait)
	}
	return c.at
}

package docspace

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const maxRetryAfter = 5 * time.Minute

// patience decides how long to wait before a call is repeated.
type patience struct {
	*backoff.ExponentialBackOff
	floor time.Duration // the server asked for at least this much
}

func newPatience(maxElapsed time.Duration) *patience {
	return &patience{ExponentialBackOff: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(500*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxInterval(15*time.Second),
		backoff.WithMaxElapsedTime(maxElapsed),
	)}
}

// worth reports whether to ask again after err, and remembers what the server
// asked for.
func (p *patience) worth(err error) bool {
	p.floor = 0
	if err == nil || p.MaxElapsedTime < 0 || !temporary(err) {
		return false
	}
	var status *StatusError
	if !errors.As(err, &status) {
		return true
	}
	if status.Code == http.StatusTooManyRequests || status.RetryAfter > 0 {
		// The server cuts its seconds off, so the second after them is not ours
		// yet; and others were told the same.
		p.floor = status.RetryAfter + time.Second + rand.N(time.Second)
	}
	// A row that cannot be rendered fails alike every time, and whoever reads
	// pages finds out which it is.
	return !status.Poison()
}

// NextBackOff implements [backoff.BackOff].
func (p *patience) NextBackOff() time.Duration {
	wait := p.ExponentialBackOff.NextBackOff()
	if wait == backoff.Stop || p.floor <= wait {
		return wait
	}
	if p.GetElapsedTime()+p.floor > p.MaxElapsedTime {
		return backoff.Stop
	}
	return p.floor
}

// retryAfter reads the header as seconds or as a date. capped reports that
// the server asked for more than is reasonable.
func retryAfter(h http.Header, now time.Time) (wait time.Duration, capped bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	seconds, err := strconv.ParseUint(text, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && seconds > uint64(maxRetryAfter/time.Second):
		return maxRetryAfter, true
	case err == nil:
		return time.Duration(seconds) * time.Second, false
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	// Both ends of this difference should be the portal's clock.
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	wait = max(0, at.Sub(now))
	return min(wait, maxRetryAfter), wait > maxRetryAfter
}

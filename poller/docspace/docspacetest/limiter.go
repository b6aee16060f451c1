package docspacetest

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A limiter keeps one user from asking too much: in a sliding window, and at
// one time.
type limiter struct {
	limit    int // within the window; 0: none
	parallel int // GETs at one time; 0: none

	mu     sync.Mutex
	asked  map[*User][]time.Time
	inHand map[*User]int
}

const limitWindow = time.Minute

// take counts a request, or refuses it.
func (l *limiter) take(u *User, now time.Time) *reply {
	if l.limit <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked[u]
	for len(asked) > 0 && now.Sub(asked[0]) >= limitWindow {
		asked = asked[1:]
	}
	if len(asked) < l.limit {
		l.asked[u] = append(asked, now)
		return nil
	}
	l.asked[u] = asked
	refused := empty(http.StatusTooManyRequests)
	refused.header = http.Header{
		"X-Ratelimit-Limit":     {strconv.Itoa(l.limit)},
		"X-Ratelimit-Remaining": {"0"},
		"Retry-After":           {strconv.Itoa(int((limitWindow - now.Sub(asked[0])) / time.Second))},
	}
	return refused
}

// enter counts a GET that begins, or refuses it with nothing to tell why. Each
// one let in ends with leave.
func (l *limiter) enter(u *User) (refused *reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parallel > 0 && l.inHand[u] >= l.parallel {
		return empty(http.StatusTooManyRequests)
	}
	l.inHand[u]++
	return nil
}

func (l *limiter) leave(u *User) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inHand[u]--; l.inHand[u] == 0 {
		delete(l.inHand, u)
	}
}

package docspacetest

import "sync"

// Requests is the number of requests so far.
func (p *Portal) Requests() int { return p.tally.total() }

// RequestsTo is the number of requests to one route.
func (p *Portal) RequestsTo(route Route) int { return p.tally.of(route) }

// Peak is the highest number of requests that were in hand at one time.
func (p *Portal) Peak() int { return p.tally.peakOf() }

// A tally counts requests.
type tally struct {
	mu           sync.Mutex
	routes       map[Route]int
	inHand, peak int
}

func (t *tally) begin(route Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.routes[route]++
	t.inHand++
	t.peak = max(t.peak, t.inHand)
}

func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inHand--
}

func (t *tally) total() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, k := range t.routes {
		n += k
	}
	return n
}

func (t *tally) of(route Route) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.routes[route]
}

func (t *tally) peakOf() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peak
}

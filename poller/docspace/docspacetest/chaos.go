package docspacetest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// chaos is everything that goes wrong by chance.
type chaos struct {
	rng    *rand.Rand
	chance float64
	zone   *time.Location // of the tenant, to be put back
	held   []parcel       // rows that have an id and are not visible yet
}

// Chaos lets everything go wrong that a careful reader gets over, each request
// and each row with that chance, decided by seed:
//   - requests are refused, answered by proxies, with errors of the portal as a
//     whole, slowly, in part or not at all;
//   - answers are compressed, carry unknown fields, show dates as objects or in
//     another time zone;
//   - rows wait in the message queue and get their id late and out of order, or
//     become visible after rows with higher ids; rows are delivered twice; both
//     happen between the two statements of a request and between its pages.
//
// The error object of a folder or row is not among it: given at random it could
// not be told from a row that cannot be shown, which is never random. Nor is
// what loses rows or ids for good. Calm ends it.
func (p *Portal) Chaos(seed uint64, chance float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm()
	p.chaos = &chaos{rng: rand.New(rand.NewPCG(seed, 0x63686173)), chance: chance, zone: p.zone}
}

// Calm ends whatever goes wrong: chaos, faults ordered with Fail, an outage,
// rows that are poisoned or without an id. Every row recorded so far is visible
// when it returns, except those that are reserved.
func (p *Portal) Calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm()
	p.faults = nil
	clear(p.poison)
	clear(p.nameless)
	p.queue.down = false
	p.drain()
}

func (p *Portal) calm() {
	if p.chaos == nil {
		return
	}
	p.zone = p.chaos.zone
	p.release(func() bool { return true })
	p.chaos = nil
	if !p.queue.down {
		p.drain()
	}
}

// strikes reports whether something goes wrong this time.
func (c *chaos) strikes() bool { return c != nil && c.rng.Float64() < c.chance }

// mishap is what becomes of a request.
func (c *chaos) mishap(p *Portal) Outcome {
	if !c.strikes() {
		return Outcome{}
	}
	if c.rng.IntN(10) == 0 {
		p.zone = pick(c.rng, chaosZones)
	}
	return pick(c.rng, mishaps)(c.rng)
}

// chaosPause is short, so that tests without simulated time stay fast.
const chaosPause = 20 * time.Millisecond

var chaosZones = []*time.Location{
	time.UTC, time.FixedZone("Moscow", 3*3600), time.FixedZone("Caracas", -4*3600), time.FixedZone("Kathmandu", 5*3600+45*60),
}

var mishaps = []func(*rand.Rand) Outcome{
	func(*rand.Rand) Outcome { return RateLimited("") },
	func(*rand.Rand) Outcome { return RateLimited("0") },
	func(*rand.Rand) Outcome { return RateLimited("1") },
	func(*rand.Rand) Outcome { return Unauthorized() },
	func(*rand.Rand) Outcome { return MissingScope() },
	func(*rand.Rand) Outcome { return Restricted() },
	func(*rand.Rand) Outcome { return Restoring() },
	func(*rand.Rand) Outcome { return Suspended() },
	func(*rand.Rand) Outcome { return Unpaid() },
	func(r *rand.Rand) Outcome { return Page(pick(r, []int{200, 500, 502, 503, 504})) },
	func(*rand.Rand) Outcome { return Slow(chaosPause) },
	func(*rand.Rand) Outcome { return Stall(chaosPause) },
	func(r *rand.Rand) Outcome { return Cut(r.IntN(2000)) },
	func(*rand.Rand) Outcome { return Refuse() },
	func(r *rand.Rand) Outcome {
		return Outcome{quirks: quirks{gzip: r.IntN(2) == 0, dateObjects: r.IntN(2) == 0, extraFields: r.IntN(2) == 0}}
	},
}

// stir lets rows move while a log request of f is answered: some that were kept
// back arrive, and now and then one that is there already.
func (p *Portal) stir(f *folder) {
	if !p.chaotic() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chaos == nil {
		return
	}
	p.release(func() bool { return p.chaos.rng.IntN(2) == 0 })
	if !p.queue.down && p.chaos.rng.IntN(2) == 0 {
		p.drain()
	}
	if n := len(f.history.rows); n > 0 && p.chaos.strikes() && p.chaos.strikes() {
		p.redeliver(f.history.rows[n-1-p.chaos.rng.IntN(min(n, 10))].id)
	}
}

func (p *Portal) chaotic() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.chaos != nil
}

// release makes those of the rows that are held visible which chance lets go.
func (p *Portal) release(goes func() bool) {
	p.chaos.held = slices.DeleteFunc(p.chaos.held, func(late parcel) bool {
		if !goes() {
			return false
		}
		p.insert(late.row, late.refs)
		return true
	})
}

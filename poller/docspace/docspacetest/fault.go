package docspacetest

// A Fault is something that goes wrong with requests to come. Faults are tried
// in the order they were given; the first that applies decides, before the
// portal looks at credentials or anything else.
type Fault struct {
	Route  Route              // "": any
	Folder int                // 0: any
	Match  func(Request) bool // further conditions; nil: none
	Skip   int                // matching requests that are answered well before
	Times  int                // how often; 0: once, negative: until healed
	Chance float64            // of each matching request; 0: certain
	Do     Outcome
}

type scripted struct {
	Fault
	left int // -1: no end
}

// Fail orders a fault. Calling heal ends it early.
func (p *Portal) Fail(f Fault) (heal func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &scripted{Fault: f, left: max(f.Times, -1)}
	if f.Times == 0 {
		s.left = 1
	}
	p.faults = append(p.faults, s)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.left = 0
	}
}

// nextFault decides what becomes of a request.
func (p *Portal) nextFault(r Request) Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.faults {
		if s.left == 0 || !s.applies(r) {
			continue
		}
		if s.Skip > 0 {
			s.Skip--
			continue
		}
		if s.Chance > 0 && p.rng.Float64() >= s.Chance {
			continue
		}
		if s.left > 0 {
			s.left--
		}
		return s.Do
	}
	return p.chaos.mishap(p)
}

func (s *scripted) applies(r Request) bool {
	return (s.Route == "" || s.Route == r.Route) && (s.Folder == 0 || s.Folder == r.Folder) && (s.Match == nil || s.Match(r))
}

package poller

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrTooOld is returned for a portal whose log cannot be read completely. It
// ends a Schedule: no folder of that portal can be published as promised.
var ErrTooOld = errors.New("the portal is older than DocSpace 3.0: its log knows neither dates nor an order " +
	"that rows of one second keep, so rows would be lost or repeated; upgrade the portal, best to 3.6 or later")

// An age is what was found out about the portal's.
type age struct {
	mu    sync.Mutex
	known bool
	err   error // ErrTooOld, or nil
}

// newEnough returns ErrTooOld for a portal that cannot be published, going by
// what it does and not by the version it claims. It is worth asking about a
// folder that shows rows without ids, which only old portals do. The portal is
// asked once, until it answers.
func (p *Poller) newEnough(ctx context.Context, folder int) error {
	p.age.mu.Lock()
	defer p.age.mu.Unlock()
	if p.age.known {
		return p.age.err
	}
	ignored, err := p.portal.IgnoresDates(ctx, folder)
	if err != nil {
		return fmt.Errorf("how old the portal is: %w", err)
	}
	p.age.known = true
	if ignored {
		p.age.err = ErrTooOld
	}
	return p.age.err
}

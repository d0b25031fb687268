package proxy

import (
	"context"

	"gesalpai.ch/steady"
)

// clearing is how one went.
type clearing struct {
	drained steady.Drained
	err     error
}

// clearOut waits until nothing is in flight in the pools named that was there when
// their maintenance began and is not let through by it: requests and streams, each
// with its clock, as a drain does. It goes on when ctx, the caller's, ends, and
// stops when the maintenance is over.
func (p *Proxy) clearOut(ctx, life context.Context, names []string, clocks steady.Drain) (steady.Drained, error) {
	var us []*upstream
	over := make(chan struct{})
	cleared, cancel := context.WithCancel(life)
	for _, name := range names {
		pool, opened := p.shutPool(name)
		if pool == nil {
			continue
		}
		pool.mu.Lock()
		for _, u := range pool.known {
			us = append(us, u)
		}
		pool.mu.Unlock()
		p.work.Go(func() {
			select {
			case <-opened:
				cancel()
			case <-over:
			}
		})
	}
	done := make(chan clearing, 1)
	p.work.Go(func() {
		defer cancel()
		defer close(over)
		d := newClearing(us, clocks)
		defer d.stop()
		err := d.run(cleared)
		if cleared.Err() != nil && life.Err() == nil {
			err = nil // it is open again: whatever is in flight may go on
		}
		done <- clearing{d.tally.drained(), err}
	})
	select {
	case c := <-done:
		return c.drained, c.err
	case <-ctx.Done():
		return steady.Drained{}, context.Cause(ctx)
	}
}

// shutPool finds a pool under maintenance, and what is closed when that is over.
func (p *Proxy) shutPool(name string) (*pool, <-chan struct{}) {
	p.mu.Lock()
	pool, ok := p.pools[name].(*pool)
	p.mu.Unlock()
	if !ok {
		return nil, nil
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if pool.notice.Load() == nil {
		return nil, nil
	}
	return pool, pool.opened
}

// newClearing is a drain of what is marked, of upstreams that stay in force.
func newClearing(us []*upstream, clocks steady.Drain) *draining {
	d := &draining{tally: newTally(), upstreams: us, clocks: clocks, patience: clocks.Patience()}
	d.tally.marked = true
	for _, u := range us {
		d.tally.watch(u)
	}
	return d
}

package docker

import (
	"context"
	"fmt"
	"sync"
)

// turn waits until nobody else is at work on the holder of a service: a rollout and
// the daemon's own look may come together. done gives the turn on.
func (e *Engine) turn(ctx context.Context, ref string) (done func(), err error) {
	e.mu.Lock()
	turn, ok := e.turns[ref]
	if !ok {
		turn = make(chan struct{}, 1)
		e.turns[ref] = turn
	}
	e.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the holder of %s: %w", ref, context.Cause(ctx))
	}
}

// sideBySide does something n times, a few at a time, and waits for all.
func sideBySide(n int, do func(i int)) {
	slots := make(chan struct{}, inspectors)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

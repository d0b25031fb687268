package rollout

import (
	"context"
	"fmt"
	"time"

	"gesalpai.ch/steady"
)

// lease takes all services of the run, or none. It waits as long as the caller
// allows.
func (e *Engine) lease(ctx context.Context, r *run) error {
	var late <-chan time.Time
	if wait := r.request.Options.WaitLock; wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		late = t.C
	} else {
		now := make(chan time.Time)
		close(now)
		late = now
	}
	for {
		holder, freed := e.tryLease(r, true)
		if holder == nil {
			return nil
		}
		if holder.yield() {
			select {
			case <-freed:
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late:
			return e.busy(holder, r)
		}
	}
}

// tryLease gives who is in the way and a channel that is closed when that may
// have changed. A new run waits until the engine is open; one that a crash left
// does not.
func (e *Engine) tryLease(r *run, fresh bool) (holder *run, freed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if fresh && !e.accepts {
		return r, e.freed
	}
	for _, k := range r.keys() {
		if h := e.leases[k]; h != nil {
			return h, e.freed
		}
	}
	for _, h := range e.leases { // a project that goes takes everything
		if h.Project == r.Project && (r.Kind == steady.KindDown || h.Kind == steady.KindDown) {
			return h, e.freed
		}
	}
	for _, k := range r.keys() {
		e.leases[k] = r
	}
	return nil, nil
}

func (e *Engine) release(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range r.keys() {
		if e.leases[k] == r {
			delete(e.leases, k)
		}
	}
	delete(e.runs, r.ID)
	close(e.freed)
	e.freed = make(chan struct{})
}

// keys are what the run leases: its services, and for a project that goes the
// project as such.
func (r *run) keys() []string {
	if r.Kind == steady.KindDown {
		return []string{r.Project + "/"}
	}
	var out []string
	for _, s := range r.Services {
		out = append(out, r.Project+"/"+s)
	}
	return out
}

// busy tells who has the lease and how far it is.
func (e *Engine) busy(holder, r *run) error {
	if holder == r {
		return steady.ErrBusy.With("the daemon is starting or stopping", "try again in a moment")
	}
	e.mu.Lock()
	who := holder.Rollout
	e.mu.Unlock()
	if who.ID == 0 {
		return steady.ErrBusy.With(fmt.Sprintf("another rollout of %s by %s begins just now", who.Project, who.Who), "steady watch, or --wait-lock 5m to wait for it")
	}
	step := "the plan"
	if s := holder.step.Load(); s != nil {
		step = *s
	}
	return steady.ErrBusy.With(
		fmt.Sprintf("rollout %d of %s by %s runs since %s, at step %s", who.ID, who.Project, who.Who, time.Since(who.Started).Round(time.Second), step),
		fmt.Sprintf("steady watch %d, or --wait-lock 5m to wait for it, or steady abort to end it", who.ID))
}

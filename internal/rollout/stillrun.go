package rollout

import (
	"context"
	"fmt"

	"gesalpai.ch/steady"
)

// stillRun fails when replicas that this rollout has made died, or closed their ports,
// between their probe and the shift, but for those that may: see forgiven. Old ones that have died are
// left out by the router, and so are these.
func (r *run) stillRun(ctx context.Context, routes []steady.Route) error {
	if err := r.noneFailed(ctx); err != nil {
		return err
	}
	for _, t := range routes {
		if len(t.Ports)+len(t.Rules) == 0 {
			continue
		}
		var dead []steady.Replica
		for _, name := range t.Replicas {
			c, err := r.engine.Runtime.Replica(ctx, name)
			if err != nil || c.Rollout != r.ID {
				continue
			}
			if !c.Running() {
				dead = append(dead, c)
			} else if err := r.stillReached(ctx, name, t.Service); err != nil {
				return err
			}
		}
		if len(dead) == 0 || r.forgiven(t, len(dead)) {
			continue
		}
		c := dead[0]
		tail, _ := r.engine.Runtime.Tail(ctx, c.Name, 10)
		e := steady.ErrExited.With(fmt.Sprintf("%s exited with code %d after it had been ready", c.Name, c.ExitCode), fmt.Sprintf("steady logs %s --release %d", c.Service, c.Release))
		e.Service, e.Release, e.Tail = t.Service, t.Release, tail
		return e
	}
	return nil
}

// forgiven says whether so many replicas of a service may have died: a watch window
// that is over has let them, by max_failure_ratio or as a failure changes nothing, and
// what follows must not end the rollout for them. At least one must run.
func (r *run) forgiven(t steady.Route, dead int) bool {
	p, _ := r.plan.Of(t.Service)
	if dead >= len(t.Replicas) {
		return false
	}
	for _, s := range r.plan.Steps {
		if s.Kind != steady.StepWatch || s.Service != t.Service || !r.was(s) {
			continue
		}
		if p.OnFail == steady.Continue && s.Stage == nil || s.Watch != nil && float64(dead) <= s.Watch.Deaths*float64(p.Replicas) {
			return true
		}
	}
	return false
}

// was says whether a step has begun.
func (r *run) was(s steady.Step) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[s.ID]
}

// refuse notes a shift that failed before it led anybody anywhere: there is nothing of
// it to take back, and no visitor has seen the new release.
func (r *run) refuse(shift steady.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, shift.ID)
}

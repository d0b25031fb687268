package rollout

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// closedFor is how long a port that accepted may be closed before that counts: apps
// open theirs again while they load a configuration.
const closedFor = time.Second

// leastAsked is how long a replica is asked for its ports, though its probe has taken
// all of the time.
const leastAsked = 2 * time.Second

// ready waits until a new replica is ready by its probe and accepts on the ways by
// which visitors will come to it. An undo asks its old replicas for their probe only:
// one that nobody reaches at some port is better than none.
func (r *run) ready(ctx context.Context, s steady.Step, release steady.Release) (said, error) {
	began := time.Now()
	p, _ := r.plan.Of(s.Service)
	release.Spec.Probe.Sick = p.Before != nil && p.Before.Unhealthy
	if release.Spec.Once() && r.State == steady.RolloutRunning {
		return r.readyOnce(ctx, s, release, p)
	}
	if s.Ask == steady.AskRunning {
		release.Spec.Probe = running(release.Spec.Probe)
	}
	how, err := r.engine.Prober.Ready(ctx, s.Replica, release.Spec.Probe)
	if err != nil || s.Ask != "" || p.Reach == nil || r.State != steady.RolloutRunning {
		return said{what: how}, err
	}
	want := *p.Reach
	deadline := cmp.Or(release.Spec.Probe.Deadline, steady.DefaultProbeDeadline)
	want.Within = max(deadline-time.Since(began), leastAsked)
	got, err := r.engine.Prober.Reach(ctx, s.Replica, want, func(line string) { r.progress(ctx, s, line) })
	if err != nil {
		return said{}, err
	}
	r.mu.Lock()
	if r.reached == nil {
		r.reached = map[string][]steady.Way{}
	}
	r.reached[s.Replica] = got.Accepts
	r.mu.Unlock()
	if got.Took > time.Second {
		how += ", its ports after " + time.Since(began).Round(100*time.Millisecond).String()
	}
	return said{what: how, warning: strings.Join(got.Silent, "; ")}, nil
}

// running is the probe of a replica whose ports others are to open: it must stay up.
func running(p steady.Probe) steady.Probe {
	p.Kind, p.Settle = steady.ProbeRunning, cmp.Or(p.Settle, steady.DefaultSettle)
	return p
}

// expect completes what is asked of new replicas by what serves now.
func (r *run) expect(ctx context.Context, p steady.Plan, seen steady.Observed) steady.Plan {
	p.Services = slices.Clone(p.Services)
	var asking sync.WaitGroup
	for i, s := range p.Services {
		j := slices.IndexFunc(p.Before, func(t steady.Route) bool { return t.Service == s.Service })
		var route steady.Route
		if j >= 0 {
			route = p.Before[j]
		}
		p.Services[i].Before = conditionOf(seen.Of(s.Service), route, time.Now())
		if s.Reach != nil {
			asking.Go(func() { p.Services[i].Reach = plan.Expect(*s.Reach, r.before(ctx, p, seen.Of(s.Service)), r.Kind) })
		}
	}
	asking.Wait()
	return p
}

// before tells by which ways visitors come to the service that old are replicas of, and
// on which of them it accepts. Where none of old can be asked nothing is known.
func (r *run) before(ctx context.Context, p steady.Plan, old []steady.Replica) plan.Before {
	var out plan.Before
	for _, c := range old {
		had := steady.Ways(c.Published, nil) // a container that Compose made publishes them itself
		for _, t := range p.Before {
			if t.Service == c.Service && slices.Contains(t.Replicas, c.Name) {
				had = append(had, steady.Ways(t.Ports, t.Rules)...)
			}
		}
		if len(had) == 0 || !c.Running() {
			continue
		}
		accepts, err := r.engine.Prober.Accepts(ctx, c.Name, had)
		if err != nil {
			r.engine.Log.Warn("ask what serves for its ports", "rollout", r.ID, "replica", c.Name, "err", err)
			continue
		}
		out.Had, out.Accepts = append(out.Had, had...), append(out.Accepts, accepts...)
	}
	return out
}

// accepted are the ways on which a new replica accepted when it became ready.
func (r *run) accepted(name, service string) []steady.Way {
	r.mu.Lock()
	ways, known := r.reached[name]
	r.mu.Unlock()
	p, _ := r.plan.Of(service)
	if known || p.Reach == nil {
		return ways
	}
	// A former daemon asked it: what it must accept on, it did.
	return slices.DeleteFunc(slices.Clone(p.Reach.Ways), func(w steady.Way) bool { return w.Need != steady.NeedMust })
}

// stillReached is steady.ErrUnreachable where a new replica has closed a port for a
// while on which it had accepted.
func (r *run) stillReached(ctx context.Context, name, service string) error {
	ways := r.accepted(name, service)
	if len(ways) == 0 || r.State != steady.RolloutRunning {
		return nil
	}
	began := time.Now()
	for {
		err := r.engine.Prober.StillAccepts(ctx, name, ways)
		if err == nil || time.Since(began) > closedFor {
			return err
		}
		if err := pause(ctx, closedFor/10); err != nil {
			return err
		}
	}
}

// closed is steady.ErrUnreachable where a replica has been closed for a while at a port
// at which it accepted.
func (w *window) closed(ctx context.Context, name string) error {
	ways := w.accepted(name, w.step.Service)
	if len(ways) == 0 {
		return nil
	}
	err := w.engine.Prober.StillAccepts(ctx, name, ways)
	since, closed := w.shut[name]
	switch {
	case err == nil:
		delete(w.shut, name)
	case !closed:
		w.shut[name] = time.Now()
	case time.Since(since) > closedFor:
		return err
	}
	return nil
}

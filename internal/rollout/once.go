package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// lookOnce is the pace at which a container that may run to its end is looked at.
const lookOnce = 100 * time.Millisecond

// readyOnce waits until a replica that may run once is ready, or has run to its end
// with exit code 0. Where the release before did so, this one is waited for until the
// probe's deadline; one that still runs then is taken for a service that stays up.
func (r *run) readyOnce(ctx context.Context, s steady.Step, release steady.Release, p steady.ServicePlan) (said, error) {
	began := time.Now()
	r.mu.Lock()
	if r.once == nil {
		r.once, r.ranOut = map[string]steady.Release{}, map[string]int{}
	}
	r.once[s.Replica] = release
	r.mu.Unlock()
	until := began.Add(cmp.Or(release.Spec.Probe.Deadline, steady.DefaultProbeDeadline))
	how, err := r.engine.Prober.Ready(ctx, s.Replica, release.Spec.Probe)
	for err == nil && p.Once || errors.Is(err, steady.ErrExited) {
		c, looked := r.engine.Runtime.Replica(ctx, s.Replica)
		if looked != nil {
			return said{}, errors.Join(err, looked)
		}
		settled, late := c.Running() && time.Since(c.Started) > settles(release.Spec), time.Now().After(until)
		switch {
		case c.Ended():
			return r.completedOnce(ctx, s, release, p, time.Since(began))
		case err == nil && (c.State == steady.StateExited || c.State == steady.StateDead):
			return said{}, r.failed(ctx, c)
		case err != nil && (c.State == steady.StateExited || !release.Spec.RetriesFailures()):
			return said{}, err
		case settled && err != nil && (late || !p.Once):
			return said{what: "up after the Engine had started it again, " + times(c.Restarts)}, nil
		case late:
			return said{what: how}, err
		}
		if err := pause(ctx, lookOnce); err != nil {
			return said{}, err
		}
	}
	return said{what: how}, err
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// settles is how long a replica must have been up to count as one that stays.
func settles(s steady.Spec) time.Duration { return cmp.Or(s.Probe.Settle, steady.DefaultSettle) }

// completedOnce notes that a replica has run to its end. A service that went on running
// until now does not run once: the exit of its new release is a failure.
func (r *run) completedOnce(ctx context.Context, s steady.Step, release steady.Release, p steady.ServicePlan, took time.Duration) (said, error) {
	if replaces(p) {
		tail, _ := r.engine.Runtime.Tail(ctx, s.Replica, 10)
		e := steady.ErrExited.With(fmt.Sprintf("%s exited with code 0, and the release before was running until now", s.Replica),
			fmt.Sprintf("steady logs %s --release %d; if it is to run once, deploy again when the release before has ended", s.Service, s.Release))
		e.Tail = tail
		return said{}, e
	}
	r.noteEnded(ctx, r.note)
	return said{what: "ran to its end, exit code 0 after " + took.Round(10*time.Millisecond).String()}, nil
}

// replaces says whether replicas of the service ran when the plan was made, which go.
func replaces(p steady.ServicePlan) bool {
	return p.Strategy != steady.StrategyStart && p.Strategy != steady.StrategyScale
}

// mayEnd says whether a replica that has exited with code 0 has done its work.
func (r *run) mayEnd(ctx context.Context, c steady.Replica) bool {
	p, ok := r.plan.Of(c.Service)
	release, err := r.engine.Journal.Release(ctx, r.Project, c.Service, c.Release)
	return ok && err == nil && release.Spec.Once() && !replaces(p)
}

// failed tells of a replica that exited.
func (r *run) failed(ctx context.Context, c steady.Replica) error {
	tail, _ := r.engine.Runtime.Tail(ctx, c.Name, 10)
	e := steady.ErrExited.With(fmt.Sprintf("%s exited with code %d", c.Name, c.ExitCode), fmt.Sprintf("steady logs %s --release %d", c.Service, c.Release))
	e.Service, e.Release, e.Tail = c.Service, c.Release, tail
	return e
}

// runOnce lists the replicas that may run to their end, and how they are now.
func (r *run) runOnce(ctx context.Context) map[string][]steady.Replica {
	r.mu.Lock()
	names := make(map[string]steady.Release, len(r.once))
	for name, release := range r.once {
		names[name] = release
	}
	r.mu.Unlock()
	out := map[string][]steady.Replica{}
	for name, release := range names {
		if c, err := r.engine.Runtime.Replica(ctx, name); err == nil {
			out[release.Service] = append(out[release.Service], c)
		}
	}
	return out
}

// noneFailed fails when a replica that may run to its end exited with another code
// than 0.
func (r *run) noneFailed(ctx context.Context) error {
	if r.State != steady.RolloutRunning {
		return nil
	}
	for _, all := range r.runOnce(ctx) {
		for _, c := range all {
			if (c.State == steady.StateExited || c.State == steady.StateDead) && !c.Ended() {
				return r.failed(ctx, c)
			}
		}
	}
	r.noteEnded(ctx, r.note)
	return nil
}

// note writes what is tried again at the rollout's end.
func (r *run) note(ctx context.Context, w write) {
	if err := r.write(ctx, w); err != nil {
		r.engine.Log.Warn("note what has run to its end", "rollout", r.ID, "what", w.what, "err", err)
	}
}

// noteEnded notes the releases whose replicas have all run to their end, so that no
// later deploy runs them again.
func (r *run) noteEnded(ctx context.Context, note func(context.Context, write)) {
	for service, all := range r.runOnce(ctx) {
		p, _ := r.plan.Of(service)
		if replaces(p) || len(all) < p.Replicas || slices.ContainsFunc(all, func(c steady.Replica) bool { return !c.Ended() }) {
			continue
		}
		if r.isNoted(service) {
			continue
		}
		release, at := all[0].Release, time.Now().UTC()
		note(ctx, write{what: service + " has run to its end", do: func(ctx context.Context) error {
			err := r.engine.Journal.Completed(ctx, r.Project, service, release, at)
			if err == nil {
				r.mu.Lock()
				r.ranOut[service] = release
				r.mu.Unlock()
			}
			return err
		}})
	}
}

func (r *run) isNoted(service string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, noted := r.ranOut[service]
	return noted
}

// withoutEnded takes out of a shift the replicas of releases that have run to their
// end: nobody is routed to them. It names the services of these.
func (r *run) withoutEnded(ctx context.Context, s *steady.Step) map[string]bool {
	ran := map[string]bool{}
	routes := slices.Clone(s.Routes)
	for i, t := range routes {
		if len(t.Ports)+len(t.Rules) > 0 || t.Gone || t.Split != nil {
			continue
		}
		release, err := r.engine.Journal.Release(ctx, r.Project, t.Service, t.Release)
		if err == nil && release.Spec.Once() && !release.Done.IsZero() {
			ran[t.Service], routes[i].Replicas = true, nil
		}
	}
	s.Routes = routes
	return ran
}

// ended says whether the replica is one that has run to its end in this rollout.
func (r *run) ended(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	release, may := r.once[name]
	_, noted := r.ranOut[release.Service]
	return may && noted
}

// hasRun says whether a former daemon had started a replica that runs once and has
// ended: it must not run again.
func (r *run) hasRun(ctx context.Context, s steady.Step) bool {
	if !r.former[s.ID] {
		return false
	}
	release, err := r.release(ctx, s)
	if err != nil || !release.Spec.Once() && !release.Spec.Job {
		return false
	}
	c, err := r.engine.Runtime.Replica(ctx, s.Replica)
	return err == nil && c.Ended() && !c.Started.IsZero()
}

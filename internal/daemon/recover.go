package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

// recovery makes up for a store that was lost, or is older than what serves: it stores
// again what the proxy's table and the labels of containers tell. It runs once, before
// the daemon puts its first table in force: that one would close every port that the
// store knows nothing of.
type recovery struct {
	store  *store.Store
	engine survivors
	log    *slog.Logger

	done atomic.Bool
}

// survivors is what a recovery asks the Engine.
type survivors interface {
	Observe(ctx context.Context, project string, refs []string) (steady.Observed, error)
	Recovered(ctx context.Context, name string) (steady.Release, error)
	Start(ctx context.Context, name string) error
}

// run recovers what the table serves and the store does not know. It names the replicas
// that it has started, which are not ready yet. Until it returns nil it may be run again.
func (v *recovery) run(ctx context.Context, t steady.Table) (started []string, err error) {
	all, err := v.store.Projects(ctx)
	if err != nil {
		return nil, err
	}
	services := tabledServices(t)
	for len(services) > 0 {
		project := services[0].project
		i := slices.IndexFunc(services, func(s *tabled) bool { return s.project != project })
		if i < 0 {
			i = len(services)
		}
		of := services[:i]
		services = services[i:]
		known := slices.Contains(all, project)
		if known {
			if of, err = v.unknown(ctx, of); err != nil {
				return started, err
			}
		}
		if len(of) == 0 {
			continue
		}
		up, err := v.project(ctx, t, of, known)
		started = append(started, up...)
		if err != nil {
			return started, fmt.Errorf("recover %s: %w", project, err)
		}
	}
	v.done.Store(true)
	return started, nil
}

// unknown leaves those services of a project that the store knows of whose serving
// release it does not: an older copy of the store was put back.
func (v *recovery) unknown(ctx context.Context, all []*tabled) ([]*tabled, error) {
	var out []*tabled
	for _, s := range all {
		for _, u := range s.upstreams {
			_, err := v.store.Release(ctx, s.project, s.service, u.Release)
			if err != nil && !errors.Is(err, steady.ErrNoRelease) {
				return nil, err
			}
			if err != nil && u.Release > 0 {
				out = append(out, s)
				break
			}
		}
	}
	return out, nil
}

// project recovers services of one project. Of one that the store knows nothing of
// these are also those of which the table has nothing, as workers.
func (v *recovery) project(ctx context.Context, t steady.Table, services []*tabled, known bool) (started []string, err error) {
	project := services[0].project
	seen, err := v.engine.Observe(ctx, project, nil)
	if err != nil {
		return nil, err
	}
	found := store.Recovered{Project: project}
	for _, c := range seen.Replicas {
		found.Rollout = max(found.Rollout, c.Rollout)
		there := slices.ContainsFunc(services, func(s *tabled) bool { return s.service == c.Service })
		if !known && !there && c.Release > 0 && c.Running() {
			services = append(services, &tabled{project: project, service: c.Service, route: steady.Route{Project: project, Service: c.Service}})
		}
	}
	if !known {
		found.Maintenance = slices.DeleteFunc(slices.Clone(t.Maintenance), func(m steady.Maintenance) bool { return m.Project != project })
	}
	var why []string
	for _, s := range services {
		c := s.choose(seen)
		if c.release == 0 {
			v.log.Error("nothing of a service that was served is there to recover", "project", project, "service", s.service)
			continue
		}
		up, err := v.service(ctx, s, c, seen, &found)
		if err != nil {
			return started, err
		}
		started = append(started, up...)
		why = append(why, fmt.Sprintf("%s release %d, %s", s.service, c.release, c.why))
	}
	if len(found.Routes) == 0 {
		return started, nil
	}
	found.Why = "the store had lost what serves: " + strings.Join(why, "; ")
	r, err := v.store.Recover(ctx, found)
	if err != nil {
		return started, err
	}
	v.log.Warn("the store had lost what serves, and it was recovered from the proxy's table and the containers' labels",
		"project", project, "rollout", r.ID, "services", strings.Join(why, "; "))
	return started, nil
}

// service adds the route of one service and the releases that it names.
func (v *recovery) service(ctx context.Context, s *tabled, c choice, seen steady.Observed, found *store.Recovered) (started []string, err error) {
	s.adopting(seen.Of(s.service))
	route := s.route
	route.Release = c.release
	for _, r := range c.replicas {
		route.Replicas = append(route.Replicas, r.Name)
		if slices.ContainsFunc(found.Releases, func(o steady.Release) bool { return o.Service == s.service && o.Number == r.Release }) {
			continue
		}
		rel, err := v.engine.Recovered(ctx, r.Name)
		if err != nil {
			return started, err
		}
		rel.Spec.Ports, rel.Spec.Routes, rel.Spec.Sticky, rel.Spec.Assets = route.Ports, route.Rules, route.Sticky, route.Assets
		rel.Spec.Ingress, rel.Spec.Replicas = route.Ingress, len(c.replicas)
		rel.Spec.Probe = recoveredProbe(r, route.Ports)
		found.Releases = append(found.Releases, rel)
	}
	running := func(r steady.Replica) bool { return r.Running() }
	if s.gated && !slices.ContainsFunc(c.replicas, running) { // a rollout had stopped them, and nobody comes back for them
		for _, r := range c.replicas {
			if err := v.engine.Start(ctx, r.Name); err != nil {
				return started, err
			}
			started = append(started, r.Name)
		}
	}
	found.Routes = append(found.Routes, route)
	return started, nil
}

// recoveredProbe asks what can be asked of any container.
func recoveredProbe(c steady.Replica, ports []steady.Port) steady.Probe {
	p := steady.Probe{
		Kind: steady.ProbeExposed, Interval: steady.DefaultProbeInterval, Timeout: steady.DefaultProbeTimeout, Rise: steady.DefaultProbeRise,
		Settle: steady.DefaultExposedSettle, Deadline: steady.DefaultProbeDeadline, Cause: "recovered: what it exposes must accept",
	}
	switch {
	case c.Health != "":
		p.Kind, p.Interval, p.Cause = steady.ProbeDocker, steady.DefaultExecInterval, "recovered: the container's healthcheck"
	case len(ports) > 0 && !c.HostNet:
		p.Kind, p.Port, p.Settle, p.Cause = steady.ProbeTCP, ports[0].Target, 0, fmt.Sprintf("recovered: published port %d must accept", ports[0].Target)
	}
	return p
}

// How long the daemon waits at its start for what was lost to be recovered, and how
// often it tries again after that, as while the Engine is away.
const (
	recoverWithin = 20 * time.Second
	recoverEvery  = time.Second
)

// stored lists the routes of all projects; the first time, once what the store has
// lost of them is recovered. r.mu is held.
func (r *router) stored(ctx context.Context) ([]steady.Route, error) {
	if r.lost != nil && !r.lost.done.Load() {
		now, err := r.proxy.Table(ctx)
		if err != nil {
			return nil, err
		}
		started, err := r.lost.run(ctx, now)
		for _, name := range started {
			r.away[name] = true // until it is ready
		}
		if err != nil {
			return nil, err
		}
		r.maintenance = nil // some may have been recovered
	}
	if err := r.overtake(ctx); err != nil {
		return nil, err
	}
	return r.Routes(ctx, "")
}

// recovered returns nil once nothing is left to be recovered.
func (r *router) recovered(ctx context.Context) error {
	if r.lost == nil || r.lost.done.Load() { // what else the router is at can take long
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.stored(ctx)
	return err
}

// recoverFirst tries to recover what was lost; a failure is only told, as what the
// proxy serves it goes on serving.
func (r *router) recoverFirst(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	if err := r.recovered(ctx); err != nil {
		r.log.Warn("what the store has lost is not recovered yet: no rollout begins, and the proxy serves what it served", "err", err)
	}
}

// awaitRecovered returns nil once nothing is left to be recovered, or when ctx ends
// its cause.
func (r *router) awaitRecovered(ctx context.Context) error {
	for r.recovered(ctx) != nil {
		select {
		case <-time.After(recoverEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

package daemon

import (
	"context"
	"slices"

	"gesalpai.ch/steady"
)

// rejoin restarts a service's replicas that live in a namespace which has ended, as the
// container whose it was has been started again since: Docker leaves them without a
// network. It says whether there were any.
func (m *mender) rejoin(ctx context.Context, route steady.Route, routes []steady.Route, replicas map[string]steady.Replica) bool {
	rejoined := false
	for _, name := range m.outlived(ctx, route, routes, replicas) {
		if m.busy(route) {
			return rejoined
		}
		m.log.Warn("a replica has outlived the namespace that it shares: restarting it", "replica", name)
		if err := m.engine.Restart(ctx, name); err != nil {
			m.log.Warn("restart a replica that has outlived its namespace", "replica", name, "err", err)
			continue
		}
		rejoined = true
	}
	return rejoined
}

// outlived names the replicas of a route whose namespace has ended.
func (m *mender) outlived(ctx context.Context, route steady.Route, routes []steady.Route, replicas map[string]steady.Replica) []string {
	r, err := m.release(ctx, route)
	if err != nil {
		return nil
	}
	var specs []steady.Spec
	for _, o := range routes {
		if other, err := m.release(ctx, o); err == nil && o.Project == route.Project {
			specs = append(specs, other.Spec)
		}
	}
	var out []string
	for _, sh := range r.Spec.Shares(specs) {
		host, there := hostOf(route.Project, sh, routes, replicas)
		if !there || sh.Kind == steady.ShareVolumes {
			continue
		}
		for _, name := range route.Replicas {
			if !slices.Contains(out, name) && m.left(ctx, name, replicas, sh.Kind, host) {
				out = append(out, name)
			}
		}
	}
	return out
}

// left says whether a replica is to have a namespace of the host, which runs, and has
// one of an earlier run of it, or could not start as the host did not run then. One that
// somebody has stopped is left alone.
func (m *mender) left(ctx context.Context, name string, replicas map[string]steady.Replica, kind string, host steady.Replica) bool {
	c, running := replicas[name]
	if !running {
		var err error
		if c, err = m.engine.Replica(ctx, name); err != nil {
			return false
		}
		return !c.Running() && c.Refused != "" && c.Joined[kind] == host.ID
	}
	return c.Joined[kind] == host.ID && host.Started.After(c.Started)
}

// hostOf is the replica with which a service shares, where it runs.
func hostOf(project string, sh steady.Shared, routes []steady.Route, replicas map[string]steady.Replica) (steady.Replica, bool) {
	for _, o := range routes {
		if o.Project != project || o.Service != sh.Service {
			continue
		}
		for _, name := range o.Replicas {
			if c, seen := replicas[name]; seen && c.Running() && c.Number == sh.Number {
				return c, true
			}
		}
	}
	return steady.Replica{}, false
}

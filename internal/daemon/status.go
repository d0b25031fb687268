package daemon

import (
	"context"
	"slices"
	"sort"

	"gesalpai.ch/steady"
)

// Status implements api.Backend: what the store decided beside what the Engine
// and the proxy say.
func (b *backend) Status(ctx context.Context, project string) (steady.Status, error) {
	if err := b.known(ctx, project); err != nil {
		return steady.Status{}, err
	}
	seen, err := b.engine.Observe(ctx, project, nil)
	if err != nil {
		return steady.Status{}, err
	}
	serving, err := b.servingOf(ctx, project)
	if err != nil {
		return steady.Status{}, err
	}
	routes, err := b.router.Routes(ctx, project)
	if err != nil {
		return steady.Status{}, err
	}
	shut, err := b.router.maintenances(ctx)
	if err != nil {
		return steady.Status{}, err
	}
	out := steady.Status{Project: project, Rollout: b.running(project), Certificates: b.certificatesOf(ctx, routes)}
	out.Unstored = b.unstored(project)
	for _, l := range b.rollouts.Holds(project).Held {
		if l.Kind == steady.LeasePerson {
			out.Locks = append(out.Locks, l)
		}
	}
	f, err := b.figures(ctx, project)
	if err != nil { // a status without figures is better than none
		out.Unknown = append(out.Unknown, "traffic: "+err.Error())
	}
	f.use = b.meter.Read(ctx, seen.Replicas)
	warm, err := b.store.Warm(ctx, project)
	if err != nil {
		return steady.Status{}, err
	}
	declared, err := b.store.Declared(ctx, project)
	if err != nil {
		return steady.Status{}, err
	}
	for _, service := range servicesOf(seen, serving) {
		s := serviceStatus(service, seen, serving[service], routes)
		s.Orphan = len(declared) > 0 && !slices.Contains(declared, service)
		f.inForce(routes, &s)
		s.Warm = warmOf(s, warm)
		f.fill(project, &s)
		if m := steady.MaintenanceOf(shut, project, service); m != nil && len(s.Ports)+len(s.Rules) > 0 {
			shown := m.Shown()
			s.Maintenance = &shown
		}
		out.Services = append(out.Services, s)
	}
	return out, nil
}

func servicesOf(seen steady.Observed, serving map[string]steady.Release) []string {
	var out []string
	for s := range serving {
		out = append(out, s)
	}
	for _, r := range seen.Replicas {
		out = append(out, r.Service)
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func serviceStatus(service string, seen steady.Observed, r steady.Release, routes []steady.Route) steady.ServiceStatus {
	s := steady.ServiceStatus{Service: service, Release: r.Number, Image: r.Spec.Image, Digest: r.Image.ID, Since: r.Served, Restart: r.Spec.Restart}
	var routed []string
	for _, route := range routes {
		if route.Service == service {
			routed, s.Ports, s.Rules, s.Want = route.Replicas, route.Ports, route.Rules, len(route.Replicas)
		}
	}
	if r.Spec.Once() && !r.Done.IsZero() {
		s.Done, s.Want = r.Done, 0
	}
	for _, c := range seen.Of(service) {
		s.Replicas = append(s.Replicas, steady.ReplicaStatus{Replica: c, Routed: c.Running() && slices.Contains(routed, c.Name)})
		if s.Restart == "" {
			s.Restart = c.Restart
		}
	}
	return s
}

// warmOf is the older release of the service that is kept running, if its replicas
// are there.
func warmOf(s steady.ServiceStatus, all []steady.Warm) *steady.Warm {
	for _, w := range all {
		there := func(r steady.ReplicaStatus) bool { return r.Release == w.Release && r.Running() && !r.Routed }
		if w.Service == s.Service && !w.Until.IsZero() && slices.ContainsFunc(s.Replicas, there) {
			return &w
		}
	}
	return nil
}

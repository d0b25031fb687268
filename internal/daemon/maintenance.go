package daemon

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// Maintain implements api.Backend: it puts services under maintenance, or opens
// them where m is nil, and then waits until what was in flight has ended. Without
// names it is about the whole project, services to come included.
func (b *backend) Maintain(ctx context.Context, project string, services []string, m *steady.Maintenance) (steady.Maintained, error) {
	routes, err := b.published(ctx, project, services)
	if err != nil {
		return steady.Maintained{}, err
	}
	if m != nil {
		if err := m.Validate(); err != nil {
			return steady.Maintained{}, err
		}
	}
	before, after, err := b.router.maintain(ctx, project, func(all []steady.Maintenance) []steady.Maintenance {
		return maintained(all, routes, services, m)
	})
	if err != nil {
		return steady.Maintained{}, err
	}
	out := maintainedServices(routes, before, after)
	return out, b.clear(ctx, project, routes, out.Services)
}

// Maintenance implements api.Backend.
func (b *backend) Maintenance(ctx context.Context, project string) (steady.Maintained, error) {
	routes, err := b.published(ctx, project, nil)
	if err != nil {
		return steady.Maintained{}, err
	}
	all, err := b.router.maintenances(ctx)
	return maintainedServices(routes, all, all), err
}

// published finds the routes of the services named, of all without names, that
// visitors from outside come to: by published ports, or by host and path.
func (b *backend) published(ctx context.Context, project string, services []string) ([]steady.Route, error) {
	if err := b.known(ctx, project); err != nil {
		return nil, err
	}
	routes, err := b.store.Routes(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, name := range services {
		i := slices.IndexFunc(routes, func(r steady.Route) bool { return r.Service == name })
		switch {
		case i < 0:
			return nil, steady.ErrNoService.With(fmt.Sprintf("nothing of %s/%s serves", project, name), "steady status")
		case !visible(routes[i]):
			return nil, steady.ErrUsage.With(fmt.Sprintf("%s/%s publishes no port, and calls from within the project are never under maintenance", project, name), "steady maintenance status")
		}
	}
	return slices.DeleteFunc(routes, func(r steady.Route) bool {
		return !visible(r) || len(services) > 0 && !slices.Contains(services, r.Service)
	}), nil
}

func visible(r steady.Route) bool { return len(r.Ports)+len(r.Rules) > 0 }

// maintained is what a project's maintenances become.
func maintained(before []steady.Maintenance, routes []steady.Route, services []string, m *steady.Maintenance) []steady.Maintenance {
	if len(services) == 0 {
		if m == nil {
			return nil
		}
		return []steady.Maintenance{begun(before, "", *m)}
	}
	after := slices.DeleteFunc(slices.Clone(before), func(o steady.Maintenance) bool { return slices.Contains(services, o.Service) })
	whole := slices.ContainsFunc(after, func(o steady.Maintenance) bool { return o.Service == "" })
	for _, r := range routes {
		switch {
		case m != nil:
			after = append(after, begun(before, r.Service, *m))
		case whole:
			after = append(after, steady.Maintenance{Service: r.Service, Open: true, RetryAfter: steady.DefaultRetryAfter})
		}
	}
	slices.SortFunc(after, func(a, b steady.Maintenance) int { return strings.Compare(a.Service, b.Service) })
	return after
}

// begun is the maintenance for a service or, without one, the project. Other
// settings do not begin it anew.
func begun(before []steady.Maintenance, service string, m steady.Maintenance) steady.Maintenance {
	m.Service, m.Open, m.Since = service, false, time.Now().UTC()
	for _, o := range before {
		if o.Service == service && !o.Open {
			m.Since = o.Since
		}
	}
	return m
}

func maintainedServices(routes []steady.Route, before, after []steady.Maintenance) steady.Maintained {
	out := steady.Maintained{Services: []steady.MaintainedService{}}
	for _, r := range routes {
		was, is := steady.MaintenanceOf(before, r.Project, r.Service), steady.MaintenanceOf(after, r.Project, r.Service)
		s := steady.MaintainedService{Service: r.Service, Changed: !reflect.DeepEqual(was, is)}
		if is != nil {
			shown := is.Shown()
			s.Maintenance = &shown
		}
		out.Services = append(out.Services, s)
	}
	return out
}

// clear waits, for each service under maintenance, until what was in flight has
// ended, by the clocks of the release that serves. The clocks go on when ctx ends.
func (b *backend) clear(ctx context.Context, project string, routes []steady.Route, services []steady.MaintainedService) error {
	serving, err := b.store.Serving(ctx, project)
	if err != nil {
		return err
	}
	errs := make([]error, len(services))
	var all sync.WaitGroup
	for i, r := range routes {
		if services[i].Maintenance == nil {
			continue
		}
		clocks := steady.Drain{Requests: steady.DefaultDrainRequests, Streams: steady.DefaultDrainStreams}
		if s, ok := serving[r.Service]; ok {
			clocks = s.Spec.Drain
		}
		all.Go(func() { services[i].Drained, errs[i] = b.router.proxy.Clear(ctx, poolsOf(r), clocks) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func poolsOf(r steady.Route) []string {
	var out []string
	for _, p := range r.Ports {
		out = append(out, steady.PoolName(r.Project, r.Service, p.Target))
	}
	for _, rule := range r.Rules {
		out = append(out, steady.PoolName(r.Project, r.Service, rule.Port))
	}
	return slices.Compact(slices.Sorted(slices.Values(out)))
}

// maintain changes a project's maintenances: the store first, then the table, as
// Route does. It gives those of all projects before and after.
func (r *router) maintain(ctx context.Context, project string, change func([]steady.Maintenance) []steady.Maintenance) (before, after []steady.Maintenance, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	routes, err := r.stored(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := r.readMaintenance(ctx); err != nil {
		return nil, nil, err
	}
	before = *r.maintenance
	own := slices.DeleteFunc(slices.Clone(before), func(m steady.Maintenance) bool { return m.Project != project })
	if err := r.store.PutMaintenance(ctx, project, change(own)); err != nil {
		return nil, nil, err
	}
	r.maintenance = nil
	err = r.readMaintenance(ctx)
	if err == nil {
		after = *r.maintenance
		err = r.serveIfNew(ctx, routes, r.proxy.Serve)
	}
	if err != nil {
		r.maintenance = nil
		return nil, nil, errors.Join(err, r.store.PutMaintenance(context.WithoutCancel(ctx), project, own))
	}
	return before, after, nil
}

// maintenances lists those of all projects.
func (r *router) maintenances(ctx context.Context) ([]steady.Maintenance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.readMaintenance(ctx); err != nil {
		return nil, err
	}
	return *r.maintenance, nil
}

// readMaintenance reads them where they are not known. r.mu is held.
func (r *router) readMaintenance(ctx context.Context) error {
	if r.maintenance != nil {
		return nil
	}
	all, err := r.store.Maintenance(ctx)
	if err == nil {
		r.maintenance = &all
	}
	return err
}

// notice puts the maintenance of a route's service into the table, and names it.
func (r *router) notice(t *steady.Table, route steady.Route) string {
	if r.maintenance == nil {
		return ""
	}
	m := steady.MaintenanceOf(*r.maintenance, route.Project, route.Service)
	if m == nil {
		return ""
	}
	if !slices.ContainsFunc(t.Maintenance, func(o steady.Maintenance) bool { return o.Ref() == m.Ref() }) {
		t.Maintenance = append(t.Maintenance, *m)
	}
	return m.Ref()
}

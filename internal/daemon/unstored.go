package daemon

import (
	"context"
	"slices"

	"gesalpai.ch/steady"
)

// ServeUnstored implements rollout.Router. What it is given lies over the store's routes
// until Route stores those of the same services.
func (r *router) ServeUnstored(ctx context.Context, routes []steady.Route) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, err := r.stored(ctx)
	if err != nil {
		return err
	}
	for _, route := range routes {
		if err := r.look(ctx, route); err != nil {
			return err
		}
	}
	after := merge(before, routes)
	r.linger(before, routes)
	if err := r.keepRedirects(ctx, after); err != nil {
		return err
	}
	if err := r.serveIfNew(ctx, after, r.proxy.Mend); err != nil {
		return err
	}
	over := slices.DeleteFunc(r.unstored(), func(o steady.Route) bool { return names(routes, o) })
	over = append(over, routes...)
	r.over.Store(&over)
	r.routes = after
	r.log.Warn("routes are in force that cannot be stored; they are stored when there is room", "services", len(routes))
	return nil
}

// ahead are the routes in the table of services that the store has as withdrawn with
// their gate shut: a rollout was undone, and a former daemon could not store that. Who
// is served goes on being served.
func ahead(t steady.Table, stored []steady.Route) []steady.Route {
	var out []steady.Route
	for _, s := range tabledServices(t) {
		i := slices.IndexFunc(stored, func(r steady.Route) bool { return r.Project == s.project && r.Service == s.service })
		if i < 0 || stored[i].Hold == nil || len(stored[i].Replicas) > 0 || s.gated || len(s.upstreams) == 0 {
			continue
		}
		r := stored[i]
		r.Hold, r.Release = nil, s.upstreams[0].Release
		for _, u := range s.upstreams {
			r.Replicas = append(r.Replicas, u.Name)
		}
		out = append(out, r)
	}
	return out
}

// overtake looks once whether the proxy's table is ahead of the store. r.mu is held.
func (r *router) overtake(ctx context.Context) error {
	if r.over.Load() != nil {
		return nil
	}
	t, err := r.proxy.Table(ctx)
	if err != nil {
		return err
	}
	all, err := r.store.Routes(ctx, "")
	if err != nil {
		return err
	}
	over := ahead(t, all)
	r.over.Store(&over)
	return nil
}

// unstored are the routes in force that the store lacks; the caller's own copy.
func (r *router) unstored() []steady.Route {
	if over := r.over.Load(); over != nil {
		return slices.Clone(*over)
	}
	return nil
}

// keepUnstored forgets that the store lacks the routes of those services.
func (r *router) keepUnstored(stored []steady.Route) {
	over := slices.DeleteFunc(r.unstored(), func(o steady.Route) bool { return names(stored, o) })
	r.over.Store(&over)
}

// lacks says whether the store lacks the route in force of one of those services.
func (r *router) lacks(routes []steady.Route) bool {
	return slices.ContainsFunc(r.unstored(), func(o steady.Route) bool { return names(routes, o) })
}

// names says whether the routes have one of the same service.
func names(routes []steady.Route, of steady.Route) bool {
	return slices.ContainsFunc(routes, func(t steady.Route) bool { return t.Project == of.Project && t.Service == of.Service })
}

// Routes implements rollout.Router.
func (r *router) Routes(ctx context.Context, project string) ([]steady.Route, error) {
	over := r.unstored() // before reading: what is stored meanwhile is in both
	all, err := r.store.Routes(ctx, project)
	if err != nil {
		return nil, err
	}
	return merge(all, slices.DeleteFunc(over, func(o steady.Route) bool { return project != "" && o.Project != project })), nil
}

// servingOf gives the releases that serve, by service.
func (b *backend) servingOf(ctx context.Context, project string) (map[string]steady.Release, error) {
	serving, err := b.store.Serving(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, o := range b.router.unstored() {
		if o.Project != project {
			continue
		}
		delete(serving, o.Service)
		if o.Gone {
			continue
		}
		if serving[o.Service], err = b.store.Release(ctx, project, o.Service, o.Release); err != nil {
			return nil, err
		}
	}
	return serving, nil
}

package rollout

import (
	"context"
	"errors"
	"slices"

	"gesalpai.ch/steady"
)

// goBack puts the routes of an undo in force: all in one move. Where that fails, as
// it does when the old replicas of one service have died meanwhile, those are
// started again; and in the end each service goes back that can, and only the others
// are astray.
func (r *run) goBack(ctx context.Context, s steady.Step) error {
	route := r.routeBack
	err := route(ctx, s.Routes)
	if err == nil && r.took && !r.caughtUp() { // the store still names what goes next
		return errSuspended
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	r.engine.Log.Warn("services do not go back in one move", "rollout", r.ID, "step", s.ID, "err", err)
	r.rouse(ctx, s.Routes)
	if err = route(ctx, s.Routes); err == nil || len(s.Routes) == 1 {
		return err
	}
	var lost []string
	var why []error
	went := s
	went.Routes = nil
	for _, one := range s.Routes {
		if err := route(ctx, []steady.Route{one}); err != nil {
			lost, why = append(lost, one.Service), append(why, err)
			continue
		}
		went.Routes = append(went.Routes, one)
	}
	if len(lost) > 0 && len(went.Routes) > 0 { // the step fails, but these have been shifted
		r.shifted(ctx, went)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.astray = lost
	return errors.Join(why...)
}

// routeBack puts routes of an undo in force, also where they cannot be stored: visitors
// wait for no disk. They are stored behind what else the store lacks.
func (r *run) routeBack(ctx context.Context, routes []steady.Route) error {
	if !r.backlog.behind() {
		err := r.engine.Router.Route(ctx, routes)
		if !errors.Is(err, steady.ErrStore) {
			return err
		}
	}
	if err := r.engine.Router.ServeUnstored(ctx, routes); err != nil {
		return err
	}
	r.mu.Lock()
	if r.back == nil {
		r.back = map[string]steady.Route{}
	}
	for _, t := range routes {
		r.back[t.Service] = t
	}
	r.mu.Unlock()
	r.writeLate(ctx, write{what: "routes", do: func(ctx context.Context) error { return r.engine.Router.Route(ctx, r.inForce(routes)) }})
	return nil
}

// inForce is what has been put in force last of the services that routes are about.
func (r *run) inForce(routes []steady.Route) []steady.Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(routes)
	for i, t := range out {
		out[i] = r.back[t.Service]
	}
	return out
}

// rouse starts old replicas that have died, and waits until they can serve, as far
// as they do: one that is slow to come back is better than none.
func (r *run) rouse(ctx context.Context, routes []steady.Route) {
	for _, t := range routes {
		for _, name := range t.Replicas {
			c, err := r.engine.Runtime.Replica(ctx, name)
			if err != nil || c.Running() {
				continue
			}
			if err := r.engine.Runtime.Start(ctx, name); err != nil {
				r.engine.Log.Warn("start an old replica that has died", "rollout", r.ID, "replica", name, "err", err)
				continue
			}
			of, err := r.engine.Journal.Release(ctx, r.Project, t.Service, c.Release)
			if err != nil {
				continue
			}
			if _, err := r.engine.Prober.Ready(ctx, name, of.Spec.Probe); err != nil {
				r.engine.Log.Warn("an old replica that had died is not ready", "rollout", r.ID, "replica", name, "err", err)
			}
		}
	}
}

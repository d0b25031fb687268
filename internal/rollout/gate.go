package rollout

import (
	"context"
	"slices"

	"gesalpai.ch/steady"
)

// open opens the gates that the rollout leaves shut at its end, as an undo that
// could not start the old replica does: who waits shall know at once that nobody
// comes. Where it fails, their leases do so.
func (r *run) open(ctx context.Context) {
	shuts := r.shuts()
	if len(shuts) == 0 {
		return
	}
	routes, err := r.engine.Router.Routes(ctx, r.Project)
	if err != nil {
		r.engine.Log.Warn("look for gates left shut", "rollout", r.ID, "err", err)
		return
	}
	var shut []steady.Route
	for _, t := range routes {
		if slices.Contains(shuts, t.Service) && t.Hold != nil {
			t.Hold = nil
			shut = append(shut, t)
		}
	}
	if len(shut) == 0 {
		return
	}
	if err := r.routeBack(ctx, shut); err != nil {
		r.engine.Log.Warn("open gates left shut", "rollout", r.ID, "err", err)
	}
}

// shuts are the services whose gates the plan shuts.
func (r *run) shuts() []string {
	var out []string
	for _, s := range r.plan.Steps {
		for _, t := range s.Routes {
			if t.Hold != nil {
				out = append(out, t.Service)
			}
		}
	}
	return out
}

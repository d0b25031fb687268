package daemon

import (
	"context"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker"
)

// completion notes the releases of services that run once when their containers have
// exited with code 0 by themselves, after the rollout that started them. One that was
// stopped by a signal may exit with 0 too, and has not done its work.
type completion struct {
	*reconciler
	killed map[string]bool // containers that were sent a signal since they were started
	owed   map[string]bool // replicas that have ended, and it could not be noted
}

// see follows the Engine's events, one at a time.
func (n *completion) see(ctx context.Context, c docker.Change) {
	for name := range n.owed { // some change comes at least every 30 s
		n.note(ctx, name)
	}
	switch c.What {
	case "kill":
		n.killed[c.Replica] = true
	case "start", "destroy":
		delete(n.killed, c.Replica)
	case "die":
		if n.killed[c.Replica] {
			return
		}
		n.note(ctx, c.Replica)
	}
}

// note notes that a replica has ended. One that cannot be noted, as on a full disk, is
// owed: a later deploy would run it again.
func (n *completion) note(ctx context.Context, name string) {
	err := n.router.completed(ctx, name)
	delete(n.owed, name)
	if err != nil {
		n.owed[name] = true
	}
	if err != nil && ctx.Err() == nil {
		n.log.Warn("note that a release has run to its end", "replica", name, "err", err)
	}
}

// completed notes that the release of a replica that has ended is done, where it serves,
// runs once, and all its replicas have ended.
func (r *router) completed(ctx context.Context, name string) error {
	c, err := r.engine.Replica(ctx, name)
	if err != nil || !c.Ended() || c.Release == 0 {
		return nil // what is gone, or died otherwise, is told elsewhere
	}
	routes, err := r.store.Routes(ctx, "")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(routes, func(t steady.Route) bool {
		return t.Service == c.Service && t.Release == c.Release && slices.Contains(t.Replicas, name)
	})
	if i < 0 {
		return nil
	}
	release, err := r.store.Release(ctx, routes[i].Project, c.Service, c.Release)
	if err != nil || !release.Spec.Once() || !release.Done.IsZero() {
		return err
	}
	for _, other := range routes[i].Replicas {
		if o, err := r.engine.Replica(ctx, other); err != nil || !o.Ended() {
			return nil
		}
	}
	return r.store.Completed(ctx, release.Project, release.Service, release.Number, time.Now().UTC())
}

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/probe"
)

// reconciler keeps the proxy's table true while nobody deploys: a replica that
// dies leaves its pool at once, one that the Engine has started again comes back
// when it is ready, and addresses are looked up anew at start, at every
// reconnect to the Engine's events and every 30 s.
type reconciler struct {
	router *router
	engine *docker.Engine
	prober *probe.Prober
	mender *mender
	log    *slog.Logger

	waits sync.WaitGroup
}

// Run follows the Engine's events until ctx ends.
func (r *reconciler) Run(ctx context.Context) error {
	defer r.waits.Wait()
	ends := completion{reconciler: r, killed: map[string]bool{}, owed: map[string]bool{}}
	err := r.engine.Watch(ctx, func(c docker.Change) {
		if c.What == docker.NetworkChange && !r.router.concerns(c.Replica) {
			return
		}
		ends.see(ctx, c)
		if err := r.refresh(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("refresh the table", "what", c.What, "replica", c.Replica, "err", err)
		}
		r.mender.look()
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// refresh looks every routed replica up and puts a new table in force where
// anything has changed.
func (r *reconciler) refresh(ctx context.Context) error {
	back, err := r.router.refresh(ctx)
	for _, b := range back {
		r.waits.Go(func() { r.comeBack(ctx, b) })
	}
	return err
}

// comeBack waits until a replica that had died is ready, then routes to it again.
func (r *reconciler) comeBack(ctx context.Context, b returning) {
	release, err := r.router.store.Release(ctx, b.route.Project, b.route.Service, b.replica.Release)
	if err != nil {
		r.router.stillAway(b.replica.Name) // the next look tries again
		r.log.Warn("release of a returning replica", "replica", b.replica.Name, "err", err)
		return
	}
	how, err := r.prober.ReadyAgain(ctx, b.replica.Name, release.Spec.Probe)
	if err != nil {
		r.router.stillAway(b.replica.Name)
		r.log.Warn("replica is not ready again", "replica", b.replica.Name, "err", err)
		return
	}
	r.awaitPort(ctx, b.replica.Name, release.Spec)
	r.log.Info("replica is back", "replica", b.replica.Name, "probe", how)
	if err := r.router.returned(ctx, b.replica.Name); err != nil && ctx.Err() == nil {
		r.log.Warn("route to a returned replica", "replica", b.replica.Name, "err", err)
	}
}

// awaitPort gives a returning replica a while to accept at one of its ports, which its
// probe may not ask.
func (r *reconciler) awaitPort(ctx context.Context, name string, s steady.Spec) {
	want := steady.Reach{Ways: steady.Ways(s.Ports, s.Routes), One: true, Within: steady.HopedFor}
	if len(want.Ways) == 0 || s.Probe.Reach == steady.ReachOff {
		return
	}
	if _, err := r.prober.Reach(ctx, name, want, nil); err != nil && ctx.Err() == nil {
		r.log.Warn("replica is back and cannot be reached", "replica", name, "err", err)
	}
}

// returning is a routed replica that runs again and must be probed first.
type returning struct {
	replica steady.Replica
	route   steady.Route
}

// refresh implements the reconciler's half of the router: it sees who is away and
// who runs again, and serves what follows. The first look at a replica trusts
// it: after a restart of the daemon the table is served first and probed after.
func (r *router) refresh(ctx context.Context) ([]returning, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	routes, err := r.decided(ctx)
	if err != nil {
		return nil, err
	}
	var back []returning
	for _, route := range routes {
		for _, name := range route.Replicas {
			c, err := r.replica(ctx, name)
			if err != nil && !errors.Is(err, steady.ErrNoReplica) {
				return back, err // the Engine is away: what serves, serves on
			}
			was, seen := r.known[name]
			r.known[name] = c
			switch {
			case err != nil || !c.Running():
				r.away[name] = true
				delete(r.known, name)
			case r.away[name] && !seen, seen && was.Started != c.Started:
				r.away[name] = true
				back = append(back, returning{c, route})
			}
		}
		if err := r.seeElders(ctx, route); err != nil {
			return back, err
		}
	}
	if err := r.seeLeaving(ctx); err != nil {
		return back, err
	}
	if err := r.lendAll(ctx, routes); err != nil { // a holder that is away keeps none of the others from being served
		r.log.Warn("listeners of holders", "err", err)
	}
	return back, r.serveIfNew(ctx, routes, r.proxy.Mend)
}

// concerns says whether a container that has left or joined a network is one of those
// that are looked after; empty: a network was removed.
func (r *router) concerns(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.found {
		if h.ID == id {
			r.shaken[id] = true // its interface there may be another one
			return true
		}
	}
	for _, c := range r.known {
		if c.ID == id {
			return true
		}
	}
	return id == ""
}

// lookedUp is what the router saw when it looked last: the routes, their replicas by
// name and the holders by "shop/api".
func (r *router) lookedUp() ([]steady.Route, map[string]steady.Replica, map[string]steady.Holder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.routes), maps.Clone(r.known), maps.Clone(r.found)
}

// returned routes to a replica that is ready again.
func (r *router) returned(ctx context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.away, name)
	routes, err := r.decided(ctx)
	if err != nil {
		return err
	}
	return r.serveIfNew(ctx, routes, r.proxy.Mend)
}

// stillAway lets the next refresh try the replica again.
func (r *router) stillAway(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, name)
}

// serveIfNew puts the routes' table in force where another is.
func (r *router) serveIfNew(ctx context.Context, routes []steady.Route, put put) error {
	now, err := r.proxy.Table(ctx)
	if err != nil {
		return err
	}
	if err := r.learn(ctx, routes); err != nil {
		return err
	}
	if err := r.readMaintenance(ctx); err != nil {
		return err
	}
	t := r.table(routes)
	if !sameTable(now, t) {
		if err := r.serve(ctx, t, put); err != nil {
			return err
		}
	}
	r.forward(ctx, routes)
	return errors.Join(r.setRedirects(ctx, routes), r.publish(ctx, routes))
}

// sameTable says whether two tables serve the same, whatever their versions.
func sameTable(a, b steady.Table) bool {
	a.Version = b.Version
	return steady.Equal(a, b)
}

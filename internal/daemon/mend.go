package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

// mender gives a service that serves back what somebody took from under it: its
// holder, the networks of that and of its replicas, and the namespaces that replicas
// share with others which were started again. A replica that is gone it
// does not make anew: that is a deploy's.
type mender struct {
	releases interface {
		Release(ctx context.Context, project, service string, number int) (steady.Release, error)
	}
	engine interface {
		Prepare(ctx context.Context, spec steady.Spec) error
		Hold(ctx context.Context, spec steady.Spec) (steady.Holder, error)
		Name(ctx context.Context, r steady.Release, name string) error
		Replica(ctx context.Context, name string) (steady.Replica, error)
		Restart(ctx context.Context, name string) error
	}
	rollouts interface{ Underway() []steady.Rollout }
	router   interface {
		lookedUp() ([]steady.Route, map[string]steady.Replica, map[string]steady.Holder)
	}
	log   *slog.Logger
	wake  chan struct{}               // something may be missing; holds one
	specs map[string]steady.Release   // by "shop/api", of the routes' releases, as read from the store
	after func(context.Context) error // follows a mend

	settle time.Duration // from the sign that something is missing to the look at it
}

// settleBefore is how long somebody who takes a whole project down, as docker compose
// down does, has for it before the mender looks: what goes together is not mended.
const settleBefore = 3 * time.Second

func newMender(p *parts, rt *router, ro *rollout.Engine, after func(context.Context) error) *mender {
	return &mender{releases: p.store, engine: p.engine, rollouts: ro, router: rt, log: p.Log,
		wake: make(chan struct{}, 1), specs: map[string]steady.Release{}, after: after, settle: settleBefore}
}

// look has the mender look at what the router has seen last.
func (m *mender) look() {
	select {
	case m.wake <- struct{}{}:
	default: // a look is due anyway
	}
}

// Run mends until ctx ends.
func (m *mender) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
		if !m.settled(ctx) {
			return nil
		}
		if !m.all(ctx) {
			continue
		}
		if err := m.after(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("refresh the table after a mend", "err", err)
		}
	}
}

// settled waits until what is going has gone. It says false where ctx ends before.
func (m *mender) settled(ctx context.Context) bool {
	t := time.NewTimer(m.settle)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// all mends every service that no rollout is at. It says whether there was anything.
func (m *mender) all(ctx context.Context) bool {
	routes, replicas, holders := m.router.lookedUp()
	mended := false
	for _, route := range routes {
		r, err := m.release(ctx, route)
		if err != nil || ctx.Err() != nil {
			continue // the next look tries again
		}
		if m.rejoin(ctx, route, routes, replicas) {
			mended = true
		}
		holder, astray := gapOf(route, r.Spec, replicas, holders)
		if holder == "" && len(astray) == 0 || m.busy(route) {
			continue
		}
		m.log.Warn("something is missing under a service: bringing it back", "service", r.Ref(), "holder", holder, "out_of_networks", astray)
		if err := m.mend(ctx, r, holder != "", astray); err != nil {
			m.log.Warn("bring back what is missing", "service", r.Ref(), "err", err)
			continue
		}
		mended = true
	}
	return mended
}

func (m *mender) mend(ctx context.Context, r steady.Release, holder bool, astray []string) error {
	if err := m.engine.Prepare(ctx, r.Spec); err != nil {
		return err
	}
	if holder {
		if _, err := m.engine.Hold(ctx, r.Spec); err != nil {
			return err
		}
	}
	var errs []error
	for _, name := range astray {
		if err := m.engine.Name(ctx, r, name); err != nil {
			errs = append(errs, fmt.Errorf("bring %s into its networks: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// busy says whether a rollout is at the route's service: what it takes away is not
// missing.
func (m *mender) busy(route steady.Route) bool {
	return slices.ContainsFunc(m.rollouts.Underway(), func(r steady.Rollout) bool {
		return r.Project == route.Project && (len(r.Services) == 0 || slices.Contains(r.Services, route.Service))
	})
}

func (m *mender) release(ctx context.Context, route steady.Route) (steady.Release, error) {
	ref := route.Project + "/" + route.Service
	if r, known := m.specs[ref]; known && r.Number == route.Release {
		return r, nil
	}
	r, err := m.releases.Release(ctx, route.Project, route.Service, route.Release)
	if err == nil {
		m.specs[ref] = r
	}
	return r, err
}

// gapOf says why a service's holder must be mended, empty where it need not be or
// where no replica runs that callers could be led to, and which of its replicas are not in all of their networks.
func gapOf(route steady.Route, spec steady.Spec, replicas map[string]steady.Replica, holders map[string]steady.Holder) (holder string, astray []string) {
	h, there := holders[route.Project+"/"+route.Service]
	switch {
	case !route.Held:
	case !slices.ContainsFunc(route.Replicas, func(name string) bool { c, seen := replicas[name]; return seen && c.Running() }):
	case !there:
		holder = "gone"
	case h.PID == 0:
		holder = "stopped"
	case spec.Lacks(h.Networks) != "":
		holder = "not in " + spec.Lacks(h.Networks)
	}
	for _, name := range route.Replicas {
		c, seen := replicas[name]
		if seen && c.Release == route.Release && c.Running() && c.Networks != nil && spec.Lacks(c.Networks) != "" {
			astray = append(astray, name)
		}
	}
	return holder, astray
}

package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/internal/rollout"
)

// Drill implements api.Backend.
func (b *backend) Drill(ctx context.Context, project, service string, o steady.Options) (steady.Rollout, error) {
	return b.relative(ctx, func(ctx context.Context) (rollout.Request, error) { return b.drillRequest(ctx, project, service, o) })
}

// drillRequest makes a release of what serves, image and all, with as many replicas
// as take its traffic. It has a number of its own, as containers are named after
// their release's: the old and the new could not stand side by side else.
func (b *backend) drillRequest(ctx context.Context, project, service string, o steady.Options) (rollout.Request, error) {
	o.Services, o.Force = []string{service}, true
	q := rollout.Request{Kind: steady.KindDrill, Project: project, Options: o}
	if err := b.known(ctx, project); err != nil {
		return q, err
	}
	serving, err := b.store.Serving(ctx, project)
	if err != nil {
		return q, err
	}
	r, ok := serving[service]
	if !ok {
		return q, steady.ErrNoService.With(fmt.Sprintf("nothing of %s/%s serves", project, service), "steady status")
	}
	if r.Spec.Job || !r.Done.IsZero() {
		return q, steady.ErrUnsupported.With(fmt.Sprintf("%s/%s is a job, which serves nobody", project, service), "steady status")
	}
	routes, err := b.store.Routes(ctx, project)
	if err != nil {
		return q, err
	}
	if i := slices.IndexFunc(routes, func(t steady.Route) bool { return t.Service == service }); i >= 0 && len(routes[i].Replicas) > 0 {
		r.Spec.Replicas = len(routes[i].Replicas)
	}
	t, err := b.backTo(ctx, r, false) // an image that is gone comes back by its digest
	if err != nil {
		return q, err
	}
	t.Release.Number, t.Release.Rollout, t.Release.Created, t.Release.Served = 0, 0, time.Now().UTC(), time.Time{}
	q.Targets = []plan.Target{t}
	return q, nil
}

// beforeDrills follows drills back: a release that one made counts as the one that
// it copied, so that a rollback goes to where it would have gone without it. all are
// the releases, newest first.
func (b *backend) beforeDrills(ctx context.Context, all []steady.Release, serving map[string]int) error {
	for service, number := range serving {
		for _, r := range all {
			if r.Service != service || r.Number > number || r.Served.IsZero() {
				continue
			}
			made, err := b.store.Rollout(ctx, r.Rollout)
			if err != nil && !errors.Is(err, steady.ErrNoRollout) {
				return err
			}
			if made.Kind != steady.KindDrill {
				serving[service] = r.Number
				break
			}
		}
	}
	return nil
}

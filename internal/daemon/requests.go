package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/internal/rollout"
)

// deployRequest makes a release of each spec. Specs nobody asked for are
// dependencies: they are started where nothing of them runs, else left alone.
func deployRequest(specs []steady.Spec, o steady.Options) (rollout.Request, error) {
	if len(specs) == 0 {
		return rollout.Request{}, steady.ErrUsage.With("there is no service to deploy", "steady deploy all")
	}
	q := rollout.Request{Kind: steady.KindDeploy, Project: specs[0].Project, Options: o}
	for _, s := range specs {
		if s.Project != q.Project {
			return rollout.Request{}, steady.ErrUsage.With(fmt.Sprintf("one deploy is one project, not %s and %s", q.Project, s.Project), "steady deploy all")
		}
		asked := len(o.Services) == 0 || slices.Contains(o.Services, s.Service)
		if !asked && o.NoDeps {
			continue
		}
		q.Targets = append(q.Targets, plan.Target{Asked: asked, Release: steady.Release{
			Project: s.Project, Service: s.Service, Spec: s, Digest: s.Digest(), Created: time.Now().UTC(),
		}})
	}
	for _, name := range o.Services {
		if !slices.ContainsFunc(specs, func(s steady.Spec) bool { return s.Service == name }) {
			return rollout.Request{}, steady.ErrNoService.With(fmt.Sprintf("%s has no service %s", q.Project, name), "steady status")
		}
	}
	return q, nil
}

// rollbackRequest finds the releases to go back to. A rollback is a deploy of
// older releases: files, environment and image together.
func (b *backend) rollbackRequest(ctx context.Context, project string, to int, o steady.Options) (rollout.Request, error) {
	q := rollout.Request{Kind: steady.KindRollback, Project: project, Options: o}
	all, serving, err := b.store.Releases(ctx, project)
	if err != nil {
		return q, err
	}
	if to > 0 {
		if err := numbered(project, all, to); err != nil {
			return q, err
		}
	}
	if to == 0 {
		if err := b.beforeDrills(ctx, all, serving); err != nil {
			return q, err
		}
	}
	named := to
	services, to, err := whichBack(project, serving, to, o.Services)
	if err != nil {
		return q, err
	}
	for _, s := range services {
		if err := served(all, s, named); err != nil {
			return q, err
		}
		limit := to
		if limit == 0 {
			limit = serving[s] - 1
		}
		i := slices.IndexFunc(all, func(r steady.Release) bool { // newest first
			return r.Service == s && r.Number <= limit && !r.Served.IsZero()
		})
		if i < 0 && len(o.Services) == 0 {
			continue // it is newer than that release; it stays
		}
		if i < 0 {
			return q, steady.ErrNoRelease.With(fmt.Sprintf("%s/%s has no release before %d that ever served", project, s, limit+1), "steady releases "+s)
		}
		t, err := b.backTo(ctx, all[i], o.Rebuild)
		if err != nil {
			return q, err
		}
		q.Options.Build = q.Options.Build || t.Release.Number == 0
		q.Targets = append(q.Targets, t)
	}
	if len(q.Targets) == 0 {
		return q, b.nothingBack(ctx, project, serving)
	}
	return q, nil
}

// nothingBack says that there is nothing to go back to, and what may be meant: a service
// that was renamed has its earlier releases under its old name.
func (b *backend) nothingBack(ctx context.Context, project string, serving map[string]int) error {
	text := "there is no earlier release of " + project + " to go back to"
	declared, err := b.store.Declared(ctx, project)
	if err != nil {
		return err
	}
	for service := range serving {
		if len(declared) > 0 && !slices.Contains(declared, service) {
			return steady.ErrNoRelease.With(text, "where a service was renamed, put its old name back into the Compose file, then steady deploy; or steady releases")
		}
	}
	return steady.ErrNoRelease.With(text, "steady releases")
}

// whichBack says which services go back, and to which release number at most.
// Without names and number it is the last rollout that is taken back: all
// services that serve the newest number.
func whichBack(project string, serving map[string]int, to int, named []string) ([]string, int, error) {
	for _, s := range named {
		if _, ok := serving[s]; !ok {
			return nil, 0, steady.ErrNoService.With(fmt.Sprintf("nothing of %s/%s serves", project, s), "steady status")
		}
	}
	if len(named) > 0 {
		return named, to, nil
	}
	newest := 0
	for _, n := range serving {
		newest = max(newest, n)
	}
	if newest == 0 {
		return nil, 0, steady.ErrNoRelease.With("nothing of "+project+" serves", "steady deploy")
	}
	var out []string
	for s, n := range serving {
		if to > 0 && n != to || to == 0 && n == newest {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	if to == 0 {
		to = newest - 1
	}
	return out, to, nil
}

func (b *backend) scaleRequest(ctx context.Context, project string, replicas map[string]int, o steady.Options) (rollout.Request, error) {
	q := rollout.Request{Kind: steady.KindScale, Project: project, Options: o}
	serving, err := b.store.Serving(ctx, project)
	if err != nil {
		return q, err
	}
	for s, n := range replicas {
		r, ok := serving[s]
		if !ok {
			return q, steady.ErrNoService.With(fmt.Sprintf("nothing of %s/%s serves", project, s), "steady status")
		}
		if n < 0 {
			return q, steady.ErrUsage.With(fmt.Sprintf("%s=%d: a number of replicas is 0 or more", s, n), "steady scale "+s+"=1")
		}
		r.Spec.Replicas = n
		q.Targets = append(q.Targets, plan.Target{Release: r, Asked: true})
	}
	slices.SortFunc(q.Targets, func(a, b plan.Target) int {
		if a.Release.Service < b.Release.Service {
			return -1
		}
		return 1
	})
	return q, nil
}

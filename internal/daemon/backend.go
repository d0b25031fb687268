package daemon

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/mask"
	"gesalpai.ch/steady/internal/notify"
	"gesalpai.ch/steady/internal/rollout"
	"gesalpai.ch/steady/internal/store"
)

// backend is what the API serves: it asks the parts and adds nothing of its own.
type backend struct {
	store    *store.Store
	private  *mask.Set
	engine   *docker.Engine
	router   *router
	rollouts *rollout.Engine
	proxy    *proxies
	meter    *docker.Meter
	notifier *notify.Notifier
	version  string
	sites
}

func (b *backend) Deploy(ctx context.Context, specs []steady.Spec, o steady.Options) (steady.Rollout, error) {
	q, err := deployRequest(specs, o)
	if err != nil {
		return steady.Rollout{}, err
	}
	if err := b.fits(ctx, asked(specs, o), o.Declared); err != nil {
		return steady.Rollout{}, err
	}
	if err := b.learn(ctx, specs); err != nil {
		return steady.Rollout{}, err
	}
	r, err := b.rollouts.Accept(ctx, q)
	if err == nil && len(o.Declared) > 0 {
		if err := b.store.PutDeclared(ctx, q.Project, o.Declared); err != nil { // a status that does not name orphans is better than no deploy
			b.rollouts.Log.Warn("store the services of the files", "project", q.Project, "err", err)
		}
	}
	return r, err
}

func (b *backend) Plan(ctx context.Context, specs []steady.Spec, o steady.Options) (steady.Plan, error) {
	q, err := deployRequest(specs, o)
	if err != nil {
		return steady.Plan{}, err
	}
	if err := b.fits(ctx, asked(specs, o), o.Declared); err != nil {
		return steady.Plan{}, err
	}
	return b.rollouts.Plan(ctx, q)
}

func (b *backend) Rollback(ctx context.Context, project string, to int, o steady.Options) (steady.Rollout, error) {
	return b.relative(ctx, func(ctx context.Context) (rollout.Request, error) { return b.rollbackRequest(ctx, project, to, o) })
}

func (b *backend) Scale(ctx context.Context, project string, replicas map[string]int, o steady.Options) (steady.Rollout, error) {
	return b.relative(ctx, func(ctx context.Context) (rollout.Request, error) { return b.scaleRequest(ctx, project, replicas, o) })
}

// relative asks for a rollout that follows from what serves: from what serves when
// its turn has come.
func (b *backend) relative(ctx context.Context, request func(context.Context) (rollout.Request, error)) (steady.Rollout, error) {
	q, err := request(ctx)
	if err != nil {
		return steady.Rollout{}, err
	}
	q.Again = request
	return b.rollouts.Accept(ctx, q)
}

func (b *backend) Down(ctx context.Context, project string, volumes bool, o steady.Options) (steady.Rollout, error) {
	if err := b.known(ctx, project); err != nil {
		return steady.Rollout{}, err
	}
	if err := b.there(ctx, project, o.Services); err != nil {
		return steady.Rollout{}, err
	}
	return b.rollouts.Accept(ctx, rollout.Request{Kind: steady.KindDown, Project: project, Volumes: volumes, Options: o})
}

// there refuses services of which nothing is there.
func (b *backend) there(ctx context.Context, project string, services []string) error {
	if len(services) == 0 {
		return nil
	}
	seen, err := b.engine.Observe(ctx, project, nil)
	if err != nil {
		return err
	}
	serving, err := b.store.Serving(ctx, project)
	if err != nil {
		return err
	}
	known := servicesOf(seen, serving)
	for service := range seen.Holders {
		known = append(known, service)
	}
	for _, s := range services {
		if !slices.Contains(known, s) {
			return steady.ErrNoService.With(fmt.Sprintf("nothing of %s/%s is there", project, s), "steady status")
		}
	}
	return nil
}

func (b *backend) Abort(_ context.Context, project string, id int64) error {
	return b.rollouts.Abort(project, id)
}

func (b *backend) Releases(ctx context.Context, project string) ([]steady.Release, map[string]int, error) {
	if err := b.known(ctx, project); err != nil {
		return nil, nil, err
	}
	all, serving, err := b.store.Releases(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	b.lookForImages(ctx, all)
	return all, serving, nil
}

// Prune implements api.Backend.
func (b *backend) Prune(ctx context.Context, project string, keep int, dry bool) ([]steady.PrunedImage, error) {
	if err := b.known(ctx, project); err != nil {
		return nil, err
	}
	return b.rollouts.Prune(ctx, project, keep, dry)
}

// Projects implements api.Backend: those that stand, and where none does those that
// ever did, as their receipts are still there.
func (b *backend) Projects(ctx context.Context) ([]string, error) {
	standing, err := b.store.Standing(ctx)
	if err != nil || len(standing) > 0 {
		return standing, err
	}
	return b.store.Projects(ctx)
}

func (b *backend) Version(ctx context.Context) (api.Version, error) {
	v := api.Version{Steady: b.version, Go: runtime.Version(), Proxy: b.proxy.pid(ctx), ProxySocket: b.proxy.client.Socket()}
	if eng, ver, err := b.engine.Version(ctx); err == nil {
		v.Engine, v.API = eng, ver
	}
	return v, nil
}

// known says whether anything was ever deployed under that name.
func (b *backend) known(ctx context.Context, project string) error {
	all, err := b.store.Projects(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(all, project) {
		return steady.ErrNoProject.With("no project "+project+" was ever deployed here", "steady deploy")
	}
	return nil
}

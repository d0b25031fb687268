package api_test

import (
	"context"
	"sync"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

// fake is a Backend that answers with what its fields say and notes what it was
// asked.
type fake struct {
	err    error
	events func(ctx context.Context, after int64, say func(steady.Event) error) error
	logs   []steady.LogLine

	mu    sync.Mutex
	asked []any
}

var _ api.Backend = (*fake)(nil)

func (f *fake) note(v ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, v...)
}

func (f *fake) rollout(kind, project string, o steady.Options) (steady.Rollout, error) {
	f.note(o)
	return steady.Rollout{ID: 7, Project: project, Kind: kind, Number: 42, Services: o.Services}, f.err
}

func (f *fake) Deploy(_ context.Context, specs []steady.Spec, o steady.Options) (steady.Rollout, error) {
	f.note(specs)
	return f.rollout(steady.KindDeploy, "shop", o)
}

func (f *fake) Rollback(_ context.Context, project string, to int, o steady.Options) (steady.Rollout, error) {
	f.note(to)
	return f.rollout(steady.KindRollback, project, o)
}

func (f *fake) Scale(_ context.Context, project string, n map[string]int, o steady.Options) (steady.Rollout, error) {
	f.note(n)
	return f.rollout(steady.KindScale, project, o)
}

func (f *fake) Down(_ context.Context, project string, volumes bool, o steady.Options) (steady.Rollout, error) {
	f.note(volumes)
	return f.rollout(steady.KindDown, project, o)
}

func (f *fake) Drill(_ context.Context, project, service string, o steady.Options) (steady.Rollout, error) {
	f.note(service)
	return f.rollout(steady.KindDrill, project, o)
}

func (f *fake) Maintain(_ context.Context, project string, services []string, m *steady.Maintenance) (steady.Maintained, error) {
	f.note(project, services, m)
	return steady.Maintained{Services: []steady.MaintainedService{{Service: "api", Changed: true}}}, f.err
}

func (f *fake) Maintenance(_ context.Context, project string) (steady.Maintained, error) {
	f.note(project)
	return steady.Maintained{}, f.err
}

func (f *fake) Abort(_ context.Context, project string, rollout int64) error {
	f.note(project, rollout)
	return f.err
}

func (f *fake) Promote(_ context.Context, project string, rollout int64, full bool, who string) (steady.Stage, error) {
	f.note(project, rollout, full, who)
	return stage, f.err
}

func (f *fake) Pause(_ context.Context, project string, rollout int64, who string) (steady.Stage, error) {
	f.note("pause", project, rollout, who)
	return stage, f.err
}

func (f *fake) Resume(_ context.Context, project string, rollout int64, who string) (steady.Stage, error) {
	f.note("resume", project, rollout, who)
	return stage, f.err
}

func (f *fake) Plan(_ context.Context, specs []steady.Spec, o steady.Options) (steady.Plan, error) {
	f.note(specs, o)
	return steady.Plan{Project: "shop", Services: []steady.ServicePlan{{Service: "api", To: 42}}}, f.err
}

func (f *fake) Events(ctx context.Context, rollout, after int64, say func(steady.Event) error) error {
	f.note(rollout, after)
	if f.err != nil || f.events == nil {
		return f.err
	}
	return f.events(ctx, after, say)
}

func (f *fake) Rollouts(_ context.Context, project string, limit int) ([]steady.Rollout, error) {
	f.note(project, limit)
	return []steady.Rollout{{ID: 7}, {ID: 6}}, f.err
}

func (f *fake) Rollout(_ context.Context, id int64) (steady.Rollout, error) {
	return steady.Rollout{ID: id}, f.err
}

func (f *fake) Releases(_ context.Context, project string) ([]steady.Release, map[string]int, error) {
	spec := steady.Spec{
		Project: project, Service: "api", Container: []byte(`{"Env":["TOKEN=secret"]}`),
		Build: &steady.Build{Args: map[string]string{"TOKEN": "secret"}},
	}
	return []steady.Release{{Project: project, Service: "api", Number: 42, Spec: spec}}, map[string]int{"api": 41}, f.err
}

func (f *fake) Prune(_ context.Context, project string, keep int, dry bool) ([]steady.PrunedImage, error) {
	return []steady.PrunedImage{{Service: project, Release: keep, Removed: !dry}}, f.err
}

func (f *fake) Projects(context.Context) ([]string, error) { return []string{"blog", "shop"}, f.err }

func (f *fake) Status(_ context.Context, project string) (steady.Status, error) {
	return steady.Status{Project: project, Services: []steady.ServiceStatus{{Service: "api", Release: 42}}}, f.err
}

func (f *fake) Logs(_ context.Context, q steady.LogQuery, say func(steady.LogLine) error) error {
	f.note(q)
	for _, l := range f.logs {
		if err := say(l); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) Version(context.Context) (api.Version, error) {
	return api.Version{Steady: "v1", Engine: "20.10", Proxy: 9}, f.err
}

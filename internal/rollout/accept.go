package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// Request asks for a rollout.
type Request struct {
	Kind    string
	Project string
	Targets []plan.Target // releases with Number 0 are new ones; empty for KindDown, which is about Options.Services, or all
	Volumes bool          // KindDown: the volumes too
	Options steady.Options
	// Again makes the request anew once its leases are held: what serves may have
	// changed since, all the more where it has waited for them. nil: it stays.
	Again func(context.Context) (Request, error)
}

func (q Request) services() []string {
	if q.Kind == steady.KindDown {
		return q.Options.Services
	}
	var out []string
	for _, t := range q.Targets {
		out = append(out, t.Release.Service)
	}
	return out
}

// Accept takes the leases, writes the rollout down and starts its worker. Errors:
// steady.ErrBusy when another rollout has one of the services.
func (e *Engine) Accept(ctx context.Context, q Request) (steady.Rollout, error) {
	q, err := e.followed(ctx, q)
	if err != nil {
		return steady.Rollout{}, err
	}
	orphans, err := e.orphans(ctx, q)
	if err != nil {
		return steady.Rollout{}, err
	}
	r := &run{engine: e, request: q, Rollout: steady.Rollout{
		Project: q.Project, Kind: q.Kind, Services: append(q.services(), orphans...), State: steady.RolloutRunning, Who: q.Options.Who, Started: time.Now().UTC(),
	}}
	if err := e.claim(ctx, &claim{run: r, ticket: q.Options.Ticket}, q.Options.WaitLock); err != nil {
		return steady.Rollout{}, err
	}
	if q.Again != nil {
		fresh, err := q.Again(ctx)
		if err == nil {
			fresh, err = e.followed(ctx, fresh)
		}
		if err != nil || !slices.Equal(fresh.services(), q.services()) {
			e.release(r)
		}
		switch {
		case err != nil:
			return steady.Rollout{}, err
		case !slices.Equal(fresh.services(), q.services()): // other leases, then
			fresh.Again = q.Again
			return e.Accept(ctx, fresh)
		}
		r.request = fresh
	}
	if err := e.write(ctx, r); err != nil {
		if r.ID == 0 {
			e.release(r)
			return steady.Rollout{}, err
		}
		e.spawn(r, func(ctx context.Context) { r.finish(ctx, err) }) // it stands in the store, and must not for ever
		return steady.Rollout{}, err
	}
	taken := r.Rollout
	e.spawn(r, r.work)
	return taken, nil
}

// orphans names those that a deploy takes down or takes something from: they are leased
// with the services that it is about.
func (e *Engine) orphans(ctx context.Context, q Request) ([]string, error) {
	serving, err := e.Journal.Serving(ctx, q.Project)
	if err != nil {
		return nil, fmt.Errorf("read serving releases: %w", err)
	}
	known := plan.Orphans(plan.Input{Options: q.Options, Serving: serving})
	if len(known) == 0 && !q.Options.RemoveOrphans {
		return nil, nil
	}
	p, err := e.Plan(ctx, q)
	if err != nil { // it may be another once the leases are held, and is told then
		return nil, nil //nolint:nilerr
	}
	var out []string
	for _, s := range p.Services {
		if s.Orphan && s.Strategy != steady.StrategyKeep {
			out = append(out, s.Service)
		}
	}
	return out, nil
}

// write numbers the releases that the rollout will make and journals them.
func (e *Engine) write(ctx context.Context, r *run) error {
	in, err := e.input(ctx, r.request)
	if err != nil {
		return err
	}
	changed, err := plan.Changed(in)
	if err != nil {
		return err
	}
	var made []steady.Release
	for _, t := range r.request.Targets {
		if t.Release.Number == 0 && changed[t.Release.Service] {
			made = append(made, t.Release)
			continue
		}
		if err := e.noteContents(ctx, t.Release, in.Serving[t.Release.Service]); err != nil {
			return err
		}
	}
	taken := r.Rollout
	for _, c := range in.Observed.Replicas { // the store may have lost the releases of some
		taken.Number = max(taken.Number, c.Release+1)
	}
	if err := e.Journal.Accept(ctx, &taken, made); err != nil {
		return fmt.Errorf("accept rollout: %w", err)
	}
	e.mu.Lock() // others may be told of it already
	r.Rollout = taken
	e.mu.Unlock()
	for i, t := range r.request.Targets {
		j := slices.IndexFunc(made, func(m steady.Release) bool { return t.Release.Number == 0 && m.Service == t.Release.Service })
		switch was, serves := in.Serving[t.Release.Service]; {
		case j >= 0:
			r.request.Targets[i].Release = made[j]
		case t.Release.Number == 0 && serves: // unchanged: what serves, though its tag be moved meanwhile
			was.Spec.Replicas, was.Spec.Contents = t.Release.Spec.Replicas, steady.Known(was.Spec.Contents, t.Release.Spec.Contents)
			r.request.Targets[i].Release = was
		}
	}
	return r.emit(ctx, steady.Event{Kind: steady.EventAccepted})
}

// noteContents stores what the files are of a release that the rollout does not make:
// of the serving one where they were not known yet, and of an older one to go back to.
func (e *Engine) noteContents(ctx context.Context, target, serving steady.Release) error {
	if target.Number == 0 {
		contents := steady.Known(serving.Spec.Contents, target.Spec.Contents)
		target = serving
		target.Spec.Contents = contents
	}
	if target.Number == 0 || target.Number == serving.Number && slices.Equal(target.Spec.Contents, serving.Spec.Contents) {
		return nil
	}
	if err := e.Journal.Contents(ctx, target); err != nil {
		return fmt.Errorf("note the files of %s: %w", target.Ref(), err)
	}
	return nil
}

// followed is the request with those services as targets too that share with one: they
// are replaced together with it.
func (e *Engine) followed(ctx context.Context, q Request) (Request, error) {
	if q.Kind == steady.KindDown {
		return q, nil
	}
	serving, err := e.Journal.Serving(ctx, q.Project)
	if err != nil {
		return q, fmt.Errorf("read serving releases: %w", err)
	}
	asked := q.Targets
	q.Targets = plan.Followers(asked, serving)
	if q.Options.RemoveOrphans { // those go, and follow nobody
		orphans := plan.Orphans(plan.Input{Options: q.Options, Serving: serving})
		q.Targets = slices.DeleteFunc(q.Targets, func(t plan.Target) bool { return slices.Contains(orphans, t.Release.Service) })
	}
	return q, nil
}

// Plan says what a request would do, and does nothing.
func (e *Engine) Plan(ctx context.Context, q Request) (steady.Plan, error) {
	q, err := e.followed(ctx, q)
	if err != nil {
		return steady.Plan{}, err
	}
	in, err := e.input(ctx, q)
	if err != nil {
		return steady.Plan{}, err
	}
	if q.Kind == steady.KindDown {
		return plan.Down(in, q.Volumes), nil
	}
	return plan.Build(in)
}

// input gathers what a plan follows from, once.
func (e *Engine) input(ctx context.Context, q Request) (plan.Input, error) {
	var refs []string
	for _, t := range q.Targets {
		refs = append(refs, t.Release.Spec.Image)
		if id := t.Release.Image.ID; id != "" { // the tag may be another image's by now
			refs = append(refs, id)
		}
	}
	seen, err := e.Runtime.Observe(ctx, q.Project, refs)
	if err != nil {
		return plan.Input{}, fmt.Errorf("observe %s: %w", q.Project, err)
	}
	serving, err := e.Journal.Serving(ctx, q.Project)
	if err != nil {
		return plan.Input{}, fmt.Errorf("read serving releases: %w", err)
	}
	routes, err := e.Router.Routes(ctx, q.Project)
	if err != nil {
		return plan.Input{}, fmt.Errorf("read routes: %w", err)
	}
	callers, err := e.Router.Callers(ctx, q.Project)
	if err != nil { // what a plan foretells of them is no reason to fail
		e.Log.Warn("ask who has streams open", "project", q.Project, "err", err)
	}
	warm, err := e.warm(ctx, q.Project)
	if err != nil {
		return plan.Input{}, fmt.Errorf("read what is kept warm: %w", err)
	}
	volumes, err := e.Journal.Volumes(ctx, q.Project)
	if err != nil {
		return plan.Input{}, fmt.Errorf("read anonymous volumes: %w", err)
	}
	return plan.Input{Project: q.Project, Kind: q.Kind, Targets: q.Targets, Observed: seen, Serving: serving, Routes: routes, Callers: callers, Options: q.Options,
		Warm: warm, Volumes: volumes, Past: e.past(ctx, q.Project)}, nil
}

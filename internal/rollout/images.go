package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// keepImages tags the images of the rollout's targets before any container is made of
// them: a rollback needs them when their own tags have moved on.
func (r *run) keepImages(ctx context.Context) {
	for _, t := range r.request.Targets {
		if t.Release.Number == 0 || t.Release.Image.ID == "" {
			continue
		}
		if err := r.engine.Runtime.KeepImage(ctx, t.Release); err != nil {
			r.engine.Log.Warn("keep the image of a release", "rollout", r.ID, "release", t.Release.Ref(), "err", err)
		}
	}
}

// dropUnserved takes the tags of releases that the rollout made and that never served:
// nobody can go back to them.
func (r *run) dropUnserved(ctx context.Context, state string) {
	if state == steady.RolloutDone || state == steady.RolloutUnchanged {
		return
	}
	e := r.engine
	serving, err := e.Journal.Serving(ctx, r.Project)
	if err != nil {
		return // the next prune finds them
	}
	for _, t := range r.request.Targets {
		made := t.Release.Number > 0 && t.Release.Rollout == r.ID && t.Release.Image.ID != ""
		if !made || serving[t.Release.Service].Number == t.Release.Number {
			continue
		}
		if _, err := e.Runtime.DropImage(ctx, t.Release.ImageTag()); err != nil {
			e.Log.Warn("drop the image of a release that never served", "release", t.Release.Ref(), "err", err)
		}
	}
}

// dropImages takes the tags of all of the project's releases.
func (r *run) dropImages(ctx context.Context) {
	e := r.engine
	kept, err := e.Runtime.KeptImages(ctx, r.Project)
	for _, k := range kept {
		_, derr := e.Runtime.DropImage(ctx, k.Tag)
		err = errors.Join(err, derr)
	}
	if err != nil { // steady prune --keep 0 finds them
		e.Log.Warn("drop the images of a project that goes", "project", r.Project, "err", err)
	}
}

// pruneAfter prunes when a rollout is done, where the daemon has a keep count. A rollout
// that begins meanwhile prunes at its own end.
func (r *run) pruneAfter(state string) {
	e := r.engine
	if state != steady.RolloutDone || e.KeepImages == nil {
		return
	}
	e.workers.Go(func() {
		if _, err := e.Prune(e.base, r.Project, *e.KeepImages, false); err != nil && !errors.Is(err, steady.ErrBusy) {
			e.Log.Warn("prune images", "project", r.Project, "err", err)
		}
	})
}

// Prune lets go of the images that a project's releases need no more: of each service it
// keeps the serving release's, a warm one's, and those that the releases which served
// last had, as many other images as keep says. dry only tells. Errors: steady.ErrBusy
// while a rollout of the project runs.
func (e *Engine) Prune(ctx context.Context, project string, keep int, dry bool) ([]steady.PrunedImage, error) {
	if !dry {
		all, _, err := e.Journal.Releases(ctx, project)
		if err != nil {
			return nil, err
		}
		drops, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		r := &run{engine: e, cancel: cancel, Rollout: steady.Rollout{Project: project, Kind: kindRetire, Services: servicesOf(all), Who: "steady", Started: time.Now().UTC()}}
		if held := e.regain(r); held != nil {
			return nil, e.busy(&blocker{lease: *held})
		}
		defer e.release(r)
		ctx = drops // a rollout that wants the services ends it
	}
	out, err := e.prunable(ctx, project, keep)
	for i := 0; err == nil && !dry && i < len(out); i++ {
		if ctx.Err() != nil {
			return out[:i], steady.ErrBusy.With("a rollout of "+project+" began meanwhile", "steady prune")
		}
		out[i].Removed, err = e.Runtime.DropImage(context.WithoutCancel(ctx), out[i].Tag)
	}
	return out, err
}

// prunable are the images that are tagged for a project's releases and need not stay.
func (e *Engine) prunable(ctx context.Context, project string, keep int) ([]steady.PrunedImage, error) {
	all, serving, err := e.Journal.Releases(ctx, project)
	if err != nil {
		return nil, err
	}
	warm, err := e.warm(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("read what is kept warm: %w", err)
	}
	kept, err := e.Runtime.KeptImages(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("list the images of releases: %w", err)
	}
	stays := retained(all, serving, warm, keep)
	out := []steady.PrunedImage{}
	for _, k := range kept {
		tagged := func(r steady.Release) bool { return r.ImageTag() == k.Tag }
		if slices.ContainsFunc(stays, tagged) {
			continue
		}
		p := steady.PrunedImage{KeptImage: k}
		if i := slices.IndexFunc(all, tagged); i >= 0 {
			p.Service, p.Release = all[i].Service, all[i].Number
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b steady.PrunedImage) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Release, b.Release), cmp.Compare(a.Tag, b.Tag))
	})
	return out, nil
}

func servicesOf(all []steady.Release) []string {
	var out []string
	for _, r := range all {
		if !slices.Contains(out, r.Service) {
			out = append(out, r.Service)
		}
	}
	return out
}

// retained are the releases whose images stay, given all of a project, newest first.
// Releases that share an image count as one.
func retained(all []steady.Release, serving map[string]int, warm []steady.Warm, keep int) []steady.Release {
	stays := map[string][]string{} // by service: images of what serves and of what is warm
	for _, r := range all {
		isWarm := slices.ContainsFunc(warm, func(w steady.Warm) bool { return w.Service == r.Service && w.Release == r.Number })
		if isWarm || r.Number == serving[r.Service] {
			stays[r.Service] = append(stays[r.Service], r.Image.ID)
		}
	}
	var out []steady.Release
	earlier := map[string][]string{}
	for _, r := range all {
		switch had := earlier[r.Service]; {
		case slices.Contains(stays[r.Service], r.Image.ID), slices.Contains(had, r.Image.ID):
		case r.Served.IsZero(), len(had) >= keep:
			continue
		default:
			earlier[r.Service] = append(had, r.Image.ID)
		}
		out = append(out, r)
	}
	return out
}

// keepAll tags the images of releases that an earlier steady made, or whose rollout's
// end a crash has cut short.
func (e *Engine) keepAll(ctx context.Context) {
	projects, err := e.Journal.Projects(ctx)
	if err != nil {
		e.Log.Warn("list projects", "err", err)
	}
	for _, project := range projects {
		all, serving, err := e.Journal.Releases(ctx, project)
		kept, kerr := e.Runtime.KeptImages(ctx, project)
		if err := errors.Join(err, kerr); err != nil {
			e.Log.Warn("keep the images of releases", "project", project, "err", err)
			continue
		}
		if e.KeepImages != nil {
			all = retained(all, serving, nil, *e.KeepImages)
		}
		for _, r := range all {
			needed := r.Image.ID != "" && (!r.Served.IsZero() || serving[r.Service] == r.Number)
			tagged := slices.ContainsFunc(kept, func(k steady.KeptImage) bool { return k.Tag == r.ImageTag() })
			if !needed || tagged || ctx.Err() != nil {
				continue
			}
			if err := e.Runtime.KeepImage(ctx, r); err != nil && !errors.Is(err, steady.ErrNoImage) {
				e.Log.Warn("keep the image of a release", "release", r.Ref(), "err", err)
			}
		}
	}
}

package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// kindRetire is a run that no store knows: the end of a release that was kept warm.
const kindRetire = "retire"

// againAfter is how long after a failure the retiring of a release is tried again.
const againAfter = 30 * time.Second

// errYield ends the drain of a warm release, as a rollout wants its service.
var errYield = errors.New("a rollout wants the service")

// keep notes what is kept warm from now on. Where that fails it is tried again: nobody
// would retire what runs on unnoted.
func (r *run) keep(ctx context.Context, s steady.Step) (said, error) {
	w := steady.Warm{Project: r.Project, Service: s.Service, Release: s.Release, Until: time.Now().Add(s.For).UTC()}
	note, what := r.engine.Journal.KeepWarm, fmt.Sprintf("release %d for %s", s.Release, s.For)
	if s.For == 0 {
		note, what = r.engine.Journal.Cool, "nothing is kept warm"
	}
	err := note(ctx, w)
	for i := 0; err != nil && !errors.Is(err, steady.ErrStore) && i < len(undoAgain) && pause(ctx, undoAgain[i]) == nil; i++ {
		err = note(ctx, w)
	}
	if errors.Is(err, steady.ErrStore) {
		r.writeLate(ctx, write{what: what, do: func(ctx context.Context) error { return note(ctx, w) }})
		err = nil
	}
	return said{what: what}, err
}

// warm lists what is kept warm in a project; what is being stopped is not any more.
func (e *Engine) warm(ctx context.Context, project string) ([]steady.Warm, error) {
	all, err := e.Journal.Warm(ctx, project)
	return slices.DeleteFunc(all, func(w steady.Warm) bool { return w.Until.IsZero() }), err
}

// retireAll retires warm releases, each when its time is over, until ctx ends.
func (e *Engine) retireAll(ctx context.Context) {
	for ctx.Err() == nil {
		e.mu.Lock()
		freed := e.freed
		e.mu.Unlock()
		await := e.retireDue(ctx)
		select {
		case <-freed: // what is kept may be another
		case <-await.C:
		case <-ctx.Done():
		}
		await.Stop()
	}
}

// retireDue begins to retire what is due and gives a timer for what comes next. When
// it returns, the services of what is due are leased.
func (e *Engine) retireDue(ctx context.Context) *time.Timer {
	next := time.Now().Add(24 * time.Hour)
	all, err := e.Journal.Warm(ctx, "")
	if err != nil {
		e.Log.Warn("read what is kept warm", "err", err)
		return time.NewTimer(againAfter)
	}
	for _, w := range all {
		at := e.notBefore(w)
		if time.Now().Before(at) {
			next = earlier(next, at)
			continue
		}
		e.beginRetire(ctx, w)
	}
	return time.NewTimer(time.Until(next))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// notBefore is when the release shall be retired, or tried to be again.
func (e *Engine) notBefore(w steady.Warm) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if again := e.again[w.Project+"/"+w.Service]; again.After(w.Until) {
		return again
	}
	return w.Until
}

// beginRetire leases the service and retires the release, unless a rollout has it:
// its end brings us back.
func (e *Engine) beginRetire(ctx context.Context, w steady.Warm) {
	drains, cancel := context.WithCancelCause(ctx)
	r := &run{engine: e, cancel: cancel, Rollout: steady.Rollout{
		Project: w.Project, Kind: kindRetire, Services: []string{w.Service}, Who: "steady", Started: time.Now().UTC()}}
	if e.regain(r) != nil {
		cancel(nil)
		return
	}
	e.workers.Go(func() {
		defer e.release(r)
		defer cancel(nil)
		err := r.retire(ctx, drains, w)
		if err == nil || drains.Err() != nil {
			return
		}
		e.Log.Warn("retire a warm release", "project", w.Project, "service", w.Service, "release", w.Release, "err", err)
		e.mu.Lock()
		e.again[w.Project+"/"+w.Service] = time.Now().Add(againAfter)
		e.mu.Unlock()
	})
}

// yield ends the drain of a release that is being retired, so that a rollout need
// not wait for it. Once the release is being stopped there is only to wait.
func (r *run) yield() { r.cancel(errYield) }

// retire drains, stops and removes the replicas of a warm release. What serves is
// left alone. The drain ends with drains, and all goes on as it was; the rest with
// ctx only, and is taken up by the next Run.
func (r *run) retire(ctx, drains context.Context, w steady.Warm) error {
	e := r.engine
	names, err := r.cooling(ctx, w)
	if err != nil {
		return err
	}
	if len(names) > 0 && !w.Until.IsZero() {
		if err := r.drainAll(drains, w, names); err != nil {
			return err
		}
	}
	if drains.Err() != nil {
		return context.Cause(drains)
	}
	stopping := w
	stopping.Until = time.Time{}
	if err := e.Journal.KeepWarm(ctx, stopping); err != nil { // from here on nobody shall go back to it
		return err
	}
	for _, name := range names {
		if err := errors.Join(e.Runtime.Stop(ctx, name), e.Runtime.Remove(ctx, name)); err != nil {
			return err
		}
	}
	e.Log.Info("warm release retired", "project", w.Project, "service", w.Service, "release", w.Release, "replicas", len(names))
	return e.Journal.Cool(ctx, w)
}

// cooling names the replicas of the release, none where it serves.
func (r *run) cooling(ctx context.Context, w steady.Warm) ([]string, error) {
	routes, err := r.engine.Router.Routes(ctx, w.Project)
	if err != nil {
		return nil, err
	}
	for _, t := range routes {
		if t.Service == w.Service && t.Release == w.Release {
			return nil, nil
		}
	}
	seen, err := r.engine.Runtime.Observe(ctx, w.Project, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range seen.Of(w.Service) {
		if c.Release == w.Release {
			names = append(names, c.Name)
		}
	}
	return names, r.leaveElders(ctx, w, routes, names)
}

// leaveElders takes replicas that go out of what the new release may ask of them.
func (r *run) leaveElders(ctx context.Context, w steady.Warm, routes []steady.Route, names []string) error {
	for _, t := range routes {
		if t.Service != w.Service || !slices.ContainsFunc(t.Elders, func(n string) bool { return slices.Contains(names, n) }) {
			continue
		}
		t.Elders, t.Assets = nil, nil
		return r.engine.Router.Route(ctx, []steady.Route{t})
	}
	return nil
}

func (r *run) drainAll(ctx context.Context, w steady.Warm, names []string) error {
	clocks := steady.Drain{Requests: steady.DefaultDrainRequests, Streams: steady.DefaultDrainStreams}
	if of, err := r.engine.Journal.Release(ctx, w.Project, w.Service, w.Release); err == nil {
		clocks = of.Spec.Drain
	}
	_, err := r.engine.Router.Drain(ctx, names, clocks)
	return err
}

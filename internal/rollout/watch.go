package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

// lookEvery is the pace at which a watch window is looked at. A look costs the
// proxy one answer of some 10 kB.
const lookEvery = 150 * time.Millisecond

// window is a watch window under way.
type window struct {
	*run
	step     steady.Step
	service  steady.ServicePlan
	restarts map[string]int
	dead     map[string]error
	shut     map[string]time.Time // since when a replica has been closed at a port
	trial    *steady.Trial        // nil: nothing to compare with, or not known yet
	began    time.Time            // of what trial sees
	silent   bool                 // that the proxy does not answer has been logged
	looks    int
}

// watch lets the new release serve for a while. What dies, turns unhealthy or does
// worse than the release before meanwhile fails it.
func (r *run) watch(ctx context.Context, s steady.Step) (said, error) {
	p, _ := r.plan.Of(s.Service)
	w := window{run: r, step: s, service: p, restarts: map[string]int{}, dead: map[string]error{}, shut: map[string]time.Time{}, began: time.Now()}
	clock := r.clock(ctx, s)
	w.compare(ctx)
	for {
		err := w.look(ctx)
		if err != nil && p.OnFail == steady.Continue && s.Stage == nil { // a canary's failure always goes back
			return said{what: err.Error() + "; failure_action: continue"}, nil
		}
		if err != nil {
			return said{}, err
		}
		left := clock.left(ctx)
		if left <= 0 && len(w.shut) > 0 {
			left = lookEvery
		}
		if left <= 0 {
			return said{what: w.words(clock.watched())}, nil
		}
		if err := clock.wait(ctx, min(left, lookEvery)); err != nil {
			return said{}, err
		}
	}
}

// look looks at the traffic, and every other time at the replicas: to ask the Engine
// costs more.
func (w *window) look(ctx context.Context) error {
	if w.looks++; w.looks%2 == 1 {
		if err := w.deaths(ctx); err != nil {
			return err
		}
	}
	return w.traffic(ctx)
}

// deaths fails when more of the replicas have died than may.
func (w *window) deaths(ctx context.Context) error {
	release := steady.Release{Project: w.Project, Service: w.step.Service, Number: w.step.Release}
	for n := range w.service.Replicas {
		name := release.ReplicaName(n + 1)
		if w.dead[name] != nil {
			continue
		}
		err := w.alive(ctx, name, w.restarts)
		if err == nil {
			err = w.closed(ctx, name)
		}
		if err == nil {
			continue
		}
		delete(w.shut, name)
		w.dead[name] = err
		may := 0.0
		if w.step.Watch != nil {
			may = w.step.Watch.Deaths
		}
		if len(w.dead) == w.service.Replicas || float64(len(w.dead)) > may*float64(w.service.Replicas) || !errors.Is(err, steady.ErrExited) && !errors.Is(err, steady.ErrUnreachable) {
			return err
		}
		w.progress(ctx, w.step, err.Error()+"; max_failure_ratio allows it")
	}
	return nil
}

// compare begins the trial, where there is a release before.
func (w *window) compare(ctx context.Context) {
	if w.step.Watch == nil || w.service.From == 0 || w.service.From == w.step.Release {
		return
	}
	before, at, known := w.noted(w.step)
	if !known { // the daemon that shifted has died, or the proxy did not answer then
		var err error
		if before, err = w.engine.Router.Flows(ctx, w.Project, w.step.Service); err != nil {
			w.unheard(err)
			return
		}
		at = time.Now()
	}
	w.began = at
	w.trial = steady.NewTrial(*w.step.Watch, w.step.Release, w.service.From, before[w.step.Release], before[w.service.From])
}

// traffic fails when the new release does worse than the one before.
func (w *window) traffic(ctx context.Context) error {
	if w.trial == nil {
		w.compare(ctx)
		return nil
	}
	flows, err := w.engine.Router.Flows(ctx, w.Project, w.step.Service)
	if err != nil {
		w.unheard(err)
		return nil
	}
	v := w.trial.See(time.Since(w.began), flows[w.step.Release], flows[w.service.From])
	if !v.Bad {
		return nil
	}
	e := steady.ErrWorse.With(v.Why, fmt.Sprintf("steady logs %s --release %d", w.step.Service, w.step.Release))
	e.Service, e.Release = w.step.Service, w.step.Release
	return e
}

// unheard logs once that the proxy does not answer: nothing is known then, and
// nothing is wrong.
func (w *window) unheard(err error) {
	if !w.silent {
		w.engine.Log.Warn("ask the proxy in a watch window", "rollout", w.ID, "step", w.step.ID, "err", err)
	}
	w.silent = true
}

// words say how the window went that lasted so long.
func (w *window) words(lasted string) string {
	if w.trial == nil {
		return lasted + " without a failure"
	}
	return lasted + ", " + w.trial.Words()
}

// flowsAt are the flows of a service right before a shift.
type flowsAt struct {
	at    time.Time
	flows map[int]steady.Flow
}

// beforehand notes the flows of what will be watched after the shift.
func (r *run) beforehand(ctx context.Context, shift steady.Step) {
	for _, s := range r.plan.Steps {
		if s.Kind != steady.StepWatch || s.Watch == nil || !slices.Contains(s.Needs, shift.ID) {
			continue
		}
		flows, err := r.engine.Router.Flows(ctx, r.Project, s.Service)
		if err != nil {
			r.engine.Log.Warn("ask the proxy before a shift", "rollout", r.ID, "step", shift.ID, "err", err)
			continue
		}
		r.mu.Lock()
		if r.flows == nil {
			r.flows = map[string]flowsAt{}
		}
		r.flows[s.ID] = flowsAt{time.Now(), flows}
		r.mu.Unlock()
	}
}

// noted is what beforehand noted for a watch.
func (r *run) noted(watch steady.Step) (map[int]steady.Flow, time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.flows[watch.ID]
	return n.flows, n.at, ok
}

// seenBy adds to why a release was taken back how many had seen it in the end.
func seenBy(e *steady.Error, state string, receipt *steady.Receipt) *steady.Error {
	if e == nil || e.Code != steady.ErrWorse.Code || state != steady.RolloutRolledBack {
		return e
	}
	for _, s := range receipt.Services {
		c, served := s.Releases[e.Release]
		if s.Service != e.Service || !served {
			continue
		}
		told := *e
		told.Text += fmt.Sprintf("; until all were back at release %d it had taken %d requests, of which %d failed", s.From, c.Requests, c.Errors+c.Lost)
		return &told
	}
	return e
}

// alive says what has become of a replica. restarts are how often each had been
// restarted when first seen: those of a replica that is older than this rollout are
// none of its business.
func (r *run) alive(ctx context.Context, name string, restarts map[string]int) error {
	c, err := r.engine.Runtime.Replica(ctx, name)
	switch {
	case errors.Is(err, steady.ErrNoReplica): // of a later batch
		return nil
	case errors.Is(err, steady.ErrNoEngine): // nothing is known, and nothing is wrong
		return nil
	case err != nil:
		return err
	}
	if _, seen := restarts[name]; !seen && c.Rollout != r.ID {
		restarts[name] = c.Restarts
	}
	p, _ := r.plan.Of(c.Service)
	before := p.Before
	if before == nil || c.Release != p.To {
		before = new(steady.Condition)
	}
	what := ""
	switch {
	case c.OOM && !before.OOM:
		what = "ran out of memory"
	case c.Restarts > restarts[name]+mayRestart(before, time.Since(c.Created)):
		what = "was restarted by the Engine"
	case c.Ended() && r.mayEnd(ctx, c):
		return nil
	case c.State == steady.StateExited, c.State == steady.StateDead:
		what = fmt.Sprintf("exited with code %d", c.ExitCode)
	case c.Health == steady.HealthUnhealthy && !before.Unhealthy:
		what = "turned unhealthy"
		if c.Check != "" {
			what += ", as its healthcheck says: " + c.Check + ","
		}
	default:
		return nil
	}
	tail, _ := r.engine.Runtime.Tail(ctx, name, 10)
	e := steady.ErrExited.With(fmt.Sprintf("%s %s during the watch window", name, what), fmt.Sprintf("steady logs %s --release %d", c.Service, c.Release))
	e.Tail = tail
	return e
}

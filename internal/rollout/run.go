package rollout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// errSuspended ends a worker whose engine stops: nothing is undone, the next Run
// goes on.
var errSuspended = errors.New("suspended")

// run is one rollout under way.
type run struct {
	steady.Rollout
	engine  *Engine
	request Request
	cancel  context.CancelCauseFunc
	beaten  time.Time // last heartbeat; under Engine.mu
	past    bool      // past the point of no return; under Engine.mu
	step    atomic.Pointer[string]

	stages stages

	plan    steady.Plan
	targets map[string]steady.Release // by service, with their images
	ledger  ledger

	mu      sync.Mutex
	drained map[string]steady.Drained
	flows   map[string]flowsAt        // by watch, right before its shift
	kept    int                       // bytes of logs of replicas that an undo has removed
	once    map[string]steady.Release // by replica: those that may run to their end
	ranOut  map[string]int            // by service: the release that did
	reached map[string][]steady.Way   // by replica: on which it accepted when it became ready
	seen    map[string]bool           // steps begun
	refused []string                  // shifts that led nobody anywhere
	astray  []string                  // services that an undo's common shift could not take back
	former  map[string]bool           // steps that a daemon had begun which died; nil where none did
	back    map[string]steady.Route   // by service: put in force by an undo, and perhaps not stored yet

	backlog backlog
	took    bool // the new release may have taken traffic: a daemon that knows of no undo would go on with the rollout
}

// work takes the rollout from its acceptance to its end.
func (r *run) work(ctx context.Context) {
	r.drained = map[string]steady.Drained{}
	defer r.count(ctx)()
	err := r.prepare(ctx)
	if err == nil {
		err = r.carry(ctx, r.plan, nil)
	}
	if err != nil && ctx.Err() != nil { // whatever broke, it broke because of that
		err = context.Cause(ctx)
	}
	r.finish(ctx, err)
}

// prepare brings the images, then plans: only then is it known what changes.
func (r *run) prepare(ctx context.Context) error {
	if r.Kind == steady.KindDown {
		in, err := r.engine.input(ctx, r.request)
		if err != nil {
			return err
		}
		return r.decided(ctx, plan.Down(in, r.request.Volumes))
	}
	if err := r.images(ctx); err != nil {
		return err
	}
	in, err := r.engine.input(ctx, r.request)
	if err != nil {
		return err
	}
	p, err := plan.Build(in)
	if err != nil {
		return err
	}
	if err := r.decided(ctx, r.expect(ctx, p, in.Observed)); err != nil {
		return err
	}
	return r.portsFree(ctx)
}

// images carries out the pull and build steps of a first plan and notes what
// every target resolved to.
func (r *run) images(ctx context.Context) error {
	in, err := r.engine.input(ctx, r.request)
	if err != nil {
		return err
	}
	first, err := plan.Build(in)
	if err != nil {
		return err
	}
	r.plan = first // for the words of a failure; the one in force comes later
	r.learn()
	var bring []steady.Step
	for _, s := range first.Steps {
		if s.Kind == steady.StepPull || s.Kind == steady.StepBuild {
			bring = append(bring, s)
		}
	}
	if len(bring) > 0 {
		if err := r.carry(ctx, steady.Plan{Project: r.Project, Steps: bring}, nil); err != nil {
			return err
		}
		if in, err = r.engine.input(ctx, r.request); err != nil { // a build may have made an image for others too
			return err
		}
	}
	for i := range r.request.Targets {
		r.request.Targets[i].Bring = "" // it is back
	}
	if err := r.resolve(ctx, in.Observed); err != nil {
		return err
	}
	r.keepImages(ctx)
	return nil
}

// resolve completes every target with the image that is there now.
func (r *run) resolve(ctx context.Context, seen steady.Observed) error {
	for i := range r.request.Targets {
		t := &r.request.Targets[i].Release
		r.mu.Lock()
		img := r.targets[t.Service].Image
		r.mu.Unlock()
		if img.ID == "" {
			img = seen.Images[t.Spec.Image]
		}
		if t.Image.ID != "" || img.ID == "" {
			continue
		}
		t.Image = img
		if t.Number == 0 {
			continue
		}
		if err := r.engine.Journal.Image(ctx, r.Project, t.Service, t.Number, img); err != nil {
			return err
		}
	}
	r.learn()
	return nil
}

// learn indexes the targets by service.
func (r *run) learn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.targets = map[string]steady.Release{}
	for _, t := range r.request.Targets {
		r.targets[t.Release.Service] = t.Release
	}
}

// decided stores the plan in force and shows it.
func (r *run) decided(ctx context.Context, p steady.Plan) error {
	r.plan = p
	if err := r.engine.Journal.Planned(ctx, r.ID, p); err != nil {
		return err
	}
	return r.emit(ctx, steady.Event{Kind: steady.EventPlanned, Plan: &p})
}

// portsFree asks early what would else fail at the shift: can we listen there?
// A port that an old container of the service publishes frees itself on the way.
func (r *run) portsFree(ctx context.Context) error {
	var routes []steady.Route
	for _, s := range r.plan.Steps {
		for _, route := range s.Routes {
			p, _ := r.plan.Of(route.Service)
			adopts := p.Strategy == steady.StrategyAdopt || p.Strategy == steady.StrategyStopFirst && p.From == 0
			half := slices.ContainsFunc(r.plan.Before, func(b steady.Route) bool { return b.Service == route.Service && b.Redirect })
			if !adopts && !half {
				routes = append(routes, route)
			}
		}
	}
	if len(routes) == 0 {
		return nil
	}
	return r.engine.Router.Free(ctx, routes)
}

// finish undoes what failed and writes the end down.
func (r *run) finish(ctx context.Context, err error) {
	if errors.Is(err, errSuspended) || r.engine.base.Err() != nil && err != nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if err == nil {
		r.noteEnded(ctx, r.writeLate)
		r.end(ctx, r.done(), nil)
		return
	}
	r.engine.Log.Warn("rollout failed", "project", r.Project, "rollout", r.ID, "err", err)
	r.undo(ctx, err)
}

func (r *run) done() string {
	if r.plan.Changes() {
		return steady.RolloutDone
	}
	return steady.RolloutUnchanged
}

// end stores the final state, then says it.
func (r *run) end(ctx context.Context, state string, cause error) {
	r.sweepHooks(ctx, undoAgain...) // nobody comes back for what is left then
	r.open(ctx)
	receipt := r.receipt(ctx)
	r.engine.mu.Lock()
	r.State, r.Ended, r.Error = state, time.Now().UTC(), seenBy(r.explain(cause), state, receipt)
	receipt.Took = r.Ended.Sub(r.Started)
	r.Receipt = receipt
	brief := receipt.Brief()
	r.engine.mu.Unlock()
	kind := steady.EventFailed
	if state == steady.RolloutDone || state == steady.RolloutUnchanged {
		kind = steady.EventDone
	}
	r.update(ctx)
	r.dropUnserved(ctx, state)
	if !r.backlog.behind() {
		r.engine.release(r) // before it is told: who hears of the end may deploy again at once
	}
	r.tellEnd(ctx, steady.Event{Kind: kind, State: state, Receipt: &brief, Error: r.Error, Took: r.Ended.Sub(r.Started)})
	r.pruneAfter(state)
}

// update stores the rollout's state, and in the end its receipt.
func (r *run) update(ctx context.Context) {
	now := r.Rollout
	r.writeLate(ctx, write{what: "state " + now.State, do: func(ctx context.Context) error { return r.engine.Journal.Update(ctx, now) }})
}

// tellEnd writes the last event. A rollout whose end is not stored keeps its lease until it
// is: the next one would find the store as it was before.
func (r *run) tellEnd(ctx context.Context, e steady.Event) {
	_ = r.emit(ctx, e) // what cannot be written now is written later
	if !r.backlog.behind() {
		return
	}
	r.engine.mu.Lock()
	r.engine.runs[r.ID] = r
	r.engine.mu.Unlock()
	r.caughtUp()
	r.engine.release(r)
}

// explain adds to an error which release still serves.
func (r *run) explain(err error) *steady.Error {
	e := steady.AsError(err)
	if e == nil {
		return nil
	}
	c := *e
	if s, ok := r.plan.Of(c.Service); ok && c.Serving == 0 {
		c.Release, c.Serving = s.To, s.From
	}
	return &c
}

package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// undo takes the rollout back after cause, or leaves it as it stands where the
// file says pause.
func (r *run) undo(ctx context.Context, cause error) {
	begun, err := r.begun(ctx)
	if err != nil {
		r.end(ctx, steady.RolloutFailed, errors.Join(cause, err))
		return
	}
	if r.Kind == steady.KindDown {
		r.end(ctx, steady.RolloutFailed, cause)
		return
	}
	if r.pauses(ctx, cause, begun) {
		r.end(ctx, steady.RolloutPaused, cause)
		return
	}
	r.engine.mu.Lock()
	r.State, r.Error = steady.RolloutUndoing, r.explain(cause)
	r.engine.mu.Unlock()
	r.update(ctx) // where the store is full, say, containers are put right all the same
	_ = r.emit(ctx, steady.Event{Kind: steady.EventUndo, Error: r.Error})
	r.sweepHooks(ctx) // the plan that follows knows nothing of them
	back := plan.Undo(r.plan, begun)
	r.writeLate(ctx, write{what: "plan of the undo", do: func(ctx context.Context) error { return r.engine.Journal.Planned(ctx, r.ID, back) }})
	if r.took = shifted(r.plan, begun); r.took && !r.known(ctx, back) {
		return
	}
	r.takeBack(ctx, back, begun, cause)
}

// known waits until the store knows that the rollout is undone, before any new replica
// goes that may take traffic: a daemon which is started then must not go on with the
// rollout. Meanwhile the old replicas that still run take the traffic. false: the engine
// stops.
func (r *run) known(ctx context.Context, back steady.Plan) bool {
	if !r.backlog.behind() {
		return true
	}
	i := slices.IndexFunc(back.Steps, func(s steady.Step) bool { return s.Kind == steady.StepShift && len(s.Needs) == 0 && s.Service == "" })
	if i >= 0 {
		if err := r.routeBack(ctx, back.Steps[i].Routes); err != nil {
			r.engine.Log.Warn("lead traffic back before that can be stored", "rollout", r.ID, "err", err)
		}
	}
	return r.caughtUp()
}

// takeBack carries the way back out; the forward plan stays r.plan, for the
// receipt and the final words.
func (r *run) takeBack(ctx context.Context, back steady.Plan, done map[string]bool, cause error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(r.engine.base, func() { cancel(errSuspended) })
	defer stop()
	err := r.carry(ctx, back, done)
	if errors.Is(err, errSuspended) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		r.end(ctx, steady.RolloutFailed, errors.Join(cause, fmt.Errorf("undo: %w", err)))
		return
	}
	r.end(ctx, stateAfterUndo(back, cause), cause)
}

// stateAfterUndo tells what a person must know: was the new release seen?
func stateAfterUndo(back steady.Plan, cause error) string {
	served := slices.ContainsFunc(back.Steps, func(s steady.Step) bool { return s.Cause == plan.CauseServed })
	switch {
	case errors.Is(cause, steady.ErrAborted):
		return steady.RolloutAborted
	case served:
		return steady.RolloutRolledBack
	}
	return steady.RolloutFailed
}

// begun lists the steps begun so far, but for shifts that led nobody anywhere. Where the journal cannot be read, what is
// remembered must do.
func (r *run) begun(ctx context.Context) (map[string]bool, error) {
	_, begun, _, err := r.engine.Journal.Progress(ctx, r.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		begun = map[string]bool{}
	}
	for id := range r.seen {
		begun[id] = true
	}
	for _, id := range r.refused {
		delete(begun, id)
	}
	return begun, nil
}

// pauses says whether the failed service's failure_action keeps the rollout as it
// stands. Before its new release takes traffic nothing is ever kept, nor while another
// service is between its old replicas and its new ones, where nobody serves it, nor
// while a canary has a share, with which nobody would go on.
func (r *run) pauses(ctx context.Context, cause error, begun map[string]bool) bool {
	s, ok := r.plan.Of(steady.AsError(cause).Service)
	if !ok || s.OnFail != steady.Pause && s.OnFail != steady.Continue || errors.Is(cause, steady.ErrAborted) {
		return false
	}
	routes, err := r.engine.Router.Routes(ctx, r.Project)
	if err != nil {
		r.engine.Log.Warn("read the routes of what is to pause", "rollout", r.ID, "err", err)
		return false
	}
	if slices.ContainsFunc(routes, func(t steady.Route) bool { return t.Split != nil }) {
		return false
	}
	return r.moved(s, routes, begun) && !slices.ContainsFunc(r.plan.Services, func(o steady.ServicePlan) bool {
		gone := slices.ContainsFunc(r.plan.Steps, func(st steady.Step) bool {
			return st.Service == o.Service && st.Kind == steady.StepStop && st.Release != o.To && begun[st.ID]
		})
		between := o.Strategy == steady.StrategyHold || o.Strategy == steady.StrategyStopFirst
		return between && (gone || withdrawn(o.Service, routes)) && !r.moved(o, routes, begun)
	})
}

// moved says whether the new release of the service takes its traffic.
func (r *run) moved(s steady.ServicePlan, routes []steady.Route, begun map[string]bool) bool {
	in := func(all []steady.Route) bool {
		return slices.ContainsFunc(all, func(t steady.Route) bool {
			return t.Service == s.Service && t.Release == s.To && (len(t.Replicas) > 0 || s.Replicas == 0)
		})
	}
	return in(routes) && slices.ContainsFunc(r.plan.Steps, func(st steady.Step) bool {
		return st.Kind == steady.StepShift && begun[st.ID] && in(st.Routes)
	})
}

// withdrawn says whether nobody takes the service's traffic.
func withdrawn(service string, routes []steady.Route) bool {
	return slices.ContainsFunc(routes, func(t steady.Route) bool { return t.Service == service && len(t.Replicas) == 0 })
}

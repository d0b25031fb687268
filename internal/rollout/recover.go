package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// recover takes up what a crash left: past the commit point it goes on, before
// it goes back.
func (e *Engine) recover(ctx context.Context) error {
	left, err := e.Journal.Unfinished(ctx)
	if err != nil {
		return fmt.Errorf("list unfinished rollouts: %w", err)
	}
	if err := e.remember(ctx, left); err != nil {
		return err
	}
	slices.Reverse(left) // the newest first: only its end can be still to come
	for _, was := range left {
		r := &run{engine: e, Rollout: was, drained: map[string]steady.Drained{}, request: Request{Kind: was.Kind, Project: was.Project}}
		p, begun, done, err := e.Journal.Progress(ctx, was.ID)
		if err != nil {
			return fmt.Errorf("read rollout %d: %w", was.ID, err)
		}
		events, err := e.Journal.Events(ctx, was.ID, 0)
		if err != nil {
			return fmt.Errorf("read events of rollout %d: %w", was.ID, err)
		}
		if n := len(events); n > 0 {
			r.backlog.seq = events[n-1].Seq
		}
		if err := r.recall(ctx); err != nil {
			return err
		}
		if holder := e.regain(r); holder != nil {
			e.Log.Warn("the end of a rollout was never stored", "rollout", was.ID, "later", holder.Rollout)
			e.workers.Go(func() {
				r.end(ctx, steady.RolloutFailed, steady.ErrStore.With("how the rollout ended could not be stored", "steady status"))
			})
			continue
		}
		e.Log.Info("rollout taken up again", "project", was.Project, "rollout", was.ID, "state", was.State)
		e.spawn(r, func(ctx context.Context) { r.takeUp(ctx, p, begun, done) })
	}
	return nil
}

// takeUp goes on with a rollout whose daemon died.
func (r *run) takeUp(ctx context.Context, p steady.Plan, begun, done map[string]bool) {
	r.plan, r.seen, r.former = p, begun, maps.Clone(begun)
	defer r.count(ctx)()
	r.engine.mu.Lock()
	r.past = removing(p, begun)
	r.engine.mu.Unlock()
	cause := error(steady.ErrInternal.With("the daemon was stopped in the middle of the rollout", "steady deploy again"))
	switch {
	case r.State == steady.RolloutUndoing:
		if r.Error != nil {
			cause = r.Error
		}
		r.took = true    // who knows
		if !undoing(p) { // died between saying so and planning it
			p = plan.Undo(p, begun)
		}
		r.takeBack(context.WithoutCancel(ctx), p, done, cause)
	case r.Kind == steady.KindDown && len(p.Steps) > 0, shifted(p, begun), migrating(p, begun):
		r.finish(ctx, r.carry(ctx, p, done))
	default:
		r.finish(ctx, cause)
	}
}

// removing says whether old replicas were being removed.
func removing(p steady.Plan, begun map[string]bool) bool {
	return !undoing(p) && slices.ContainsFunc(p.Steps, func(s steady.Step) bool { return ends(s) && begun[s.ID] })
}

func undoing(p steady.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s steady.Step) bool { return strings.HasPrefix(s.ID, "undo/") })
}

// shifted says whether a new release was about to take traffic: from there on
// either answer is right, and going on is the shorter way. A withdrawal alone is
// no shift.
func shifted(p steady.Plan, begun map[string]bool) bool {
	return slices.ContainsFunc(p.Steps, func(s steady.Step) bool {
		return s.Kind == steady.StepShift && begun[s.ID] && slices.ContainsFunc(s.Routes, func(t steady.Route) bool { return len(t.Replicas) > 0 })
	})
}

// Suspended says whether err means that the engine stopped, not that the rollout
// failed.
func Suspended(err error) bool { return errors.Is(err, errSuspended) }

package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// carry carries the steps out, side by side where they do not need each other.
// The first failure keeps every further step from beginning and interrupts those
// under way; it returns when all have ended. Steps in done are skipped.
func (r *run) carry(ctx context.Context, p steady.Plan, done map[string]bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := map[string]chan struct{}{}
	for _, s := range p.Steps {
		ended[s.ID] = make(chan struct{})
	}
	var all sync.WaitGroup
	for _, s := range p.Steps {
		if done[s.ID] {
			close(ended[s.ID])
			continue
		}
		all.Go(func() {
			if !await(ctx, s.Needs, ended) {
				return
			}
			if err := r.one(ctx, s); err != nil {
				cancel(err)
				return
			}
			close(ended[s.ID])
		})
	}
	all.Wait()
	if ctx.Err() == nil {
		return nil
	}
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		return errSuspended
	}
	return err
}

// await waits for the steps needed; false when the rollout failed meanwhile.
func await(ctx context.Context, needs []string, ended map[string]chan struct{}) bool {
	for _, n := range needs {
		c, ok := ended[n]
		if !ok {
			continue // done by an earlier plan of the same rollout
		}
		select {
		case <-c:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// one takes one step, with the journal around it.
func (r *run) one(ctx context.Context, s steady.Step) error {
	r.step.Store(&s.ID)
	if err := r.begin(ctx, s); err != nil {
		return err
	}
	r.crash(s.Kind, "before")
	began := time.Now()
	said, err := r.take(ctx, s)
	took := time.Since(began)
	if err != nil && r.tolerable(ctx, s) {
		r.engine.Log.Warn("step left undone", "rollout", r.ID, "step", s.ID, "err", err)
		said, err = said.text("left as it is: "+err.Error()), nil
	}
	r.crash(s.Kind, "after")
	if err != nil {
		err = r.blame(s, err)
	}
	jerr := r.engine.Journal.End(context.WithoutCancel(ctx), r.ID, s.ID, err)
	if err = errors.Join(err, r.bearable(s, jerr)); err != nil {
		return err
	}
	ev := r.about(s, steady.EventStep)
	ev.Text, ev.Drained, ev.Took = said.what, said.drained, took
	return r.bearable(s, r.emit(ctx, ev))
}

func (r *run) begin(ctx context.Context, s steady.Step) error {
	r.mu.Lock()
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[s.ID] = true
	r.mu.Unlock()
	if s.Kind == steady.StepRemove && r.State == steady.RolloutRunning {
		r.engine.mu.Lock()
		r.past = true
		r.engine.mu.Unlock()
	}
	if err := r.engine.Journal.Begin(ctx, r.ID, s.ID); err != nil {
		return r.bearable(s, fmt.Errorf("journal %s: %w", s.ID, err))
	}
	return r.bearable(s, r.emit(ctx, r.about(s, steady.EventBegun)))
}

// bearable lets an undo go on where the journal cannot be written: containers
// must be put right even on a full disk.
func (r *run) bearable(s steady.Step, err error) error {
	if err == nil || r.State != steady.RolloutUndoing {
		return err
	}
	r.engine.Log.Error("journal of an undo", "rollout", r.ID, "step", s.ID, "err", err)
	return nil
}

// tolerable says whether a failure of the step must not undo the rollout: what
// tidies up after all is shifted and watched.
func (r *run) tolerable(ctx context.Context, s steady.Step) bool {
	if ctx.Err() != nil {
		return false
	}
	return s.Kind == steady.StepRemove || s.Kind == steady.StepClean
}

// blame names the step's service in the error, so that a person knows whose
// failure it is.
func (r *run) blame(s steady.Step, err error) error {
	e := steady.AsError(err)
	c := *e
	if c.Service == "" {
		c.Service, c.Release = s.Service, s.Release
	}
	return &c
}

func (r *run) crash(step, when string) {
	if r.engine.Crash != nil {
		r.engine.Crash(step, when)
	}
}

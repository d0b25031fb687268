package rollout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// carry carries the steps out, side by side where they do not need each other.
// The first failure keeps every further step from beginning and interrupts those
// under way; in an undo it only keeps back the steps that need the failed one, as
// what can be put right must be. It returns when all have ended. Steps in done are
// skipped.
func (r *run) carry(ctx context.Context, p steady.Plan, done map[string]bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := map[string]chan struct{}{}
	for _, s := range p.Steps {
		ended[s.ID] = make(chan struct{})
	}
	var all sync.WaitGroup
	var broken failures
	for _, s := range p.Steps {
		if done[s.ID] {
			close(ended[s.ID])
			continue
		}
		all.Go(func() {
			if !await(ctx, s.Needs, ended) {
				return
			}
			if err := r.unlessBroken(ctx, s, &broken); err != nil {
				cancel(err)
				return
			}
			close(ended[s.ID])
		})
	}
	all.Wait()
	if ctx.Err() == nil {
		return errors.Join(broken.why...)
	}
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		return errSuspended
	}
	return err
}

// unlessBroken takes a step whose needs have ended. In an undo it returns nil and
// notes what failed.
func (r *run) unlessBroken(ctx context.Context, s steady.Step, broken *failures) error {
	if broken.among(s) {
		broken.add(s.ID, nil, nil)
		return nil
	}
	err := r.again(ctx, s)
	if err == nil || r.State != steady.RolloutUndoing {
		return err
	}
	var only []string
	if s.Kind == steady.StepShift && len(s.Routes) > 1 {
		r.mu.Lock()
		only = r.astray
		r.mu.Unlock()
	}
	broken.add(s.ID, only, err)
	return nil
}

// failures are the steps of an undo that failed or need one that did.
type failures struct {
	mu    sync.Mutex
	steps map[string][]string // ID → the services it failed for; none: all
	why   []error
}

func (f *failures) add(step string, services []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.steps == nil {
		f.steps = map[string][]string{}
	}
	f.steps[step] = services
	if err != nil {
		f.why = append(f.why, err)
	}
}

// among says whether one that the step needs has failed for its service.
func (f *failures) among(s steady.Step) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(s.Needs, func(n string) bool {
		services, failed := f.steps[n]
		return failed && (len(services) == 0 || s.Service == "" || slices.Contains(services, s.Service))
	})
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
		return r.unwritten(s, err)
	}
	r.crash(s.Kind, "before")
	began := time.Now()
	said, err := r.take(ctx, s)
	took := time.Since(began)
	if err != nil && r.tolerable(ctx, s) {
		r.engine.Log.Warn("step left undone", "rollout", r.ID, "step", s.ID, "err", err)
		said, err = said.text(leaving(s)+err.Error()), nil
	}
	r.crash(s.Kind, "after")
	if err != nil {
		err = r.blame(s, err)
	}
	failed := err
	jerr := r.write(context.WithoutCancel(ctx), write{what: "end of step " + s.ID, do: func(ctx context.Context) error { return r.engine.Journal.End(ctx, r.ID, s.ID, failed) }})
	if err = errors.Join(err, r.unwritten(s, jerr)); err != nil {
		return err
	}
	r.sweepHook(ctx, s)
	ev := r.about(s, steady.EventStep)
	ev.Text, ev.Warning, ev.Drained, ev.Took = said.what, said.warning, said.drained, took
	return r.unwritten(s, r.emit(ctx, ev))
}

// unwritten is the error of a step that the journal did not take: its service is the one
// that is not deployed.
func (r *run) unwritten(s steady.Step, err error) error {
	if !errors.Is(err, steady.ErrStore) {
		return err
	}
	if s.Service == "" && len(r.plan.Services) == 1 {
		s.Service, s.Release = r.plan.Services[0].Service, r.plan.Services[0].To
	}
	return r.blame(s, err)
}

// leaving says what a failure that ends nothing means.
func leaving(s steady.Step) string {
	if last(s) {
		return "failed, which changes nothing: "
	}
	return "left as it is: "
}

func (r *run) begin(ctx context.Context, s steady.Step) error {
	r.mu.Lock()
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[s.ID] = true
	r.mu.Unlock()
	if ends(s) && r.State == steady.RolloutRunning && !r.passes(ctx) {
		return context.Cause(ctx)
	}
	err := r.write(ctx, write{what: "begin of step " + s.ID, do: func(ctx context.Context) error { return r.engine.Journal.Begin(ctx, r.ID, s.ID) }})
	if err != nil {
		return err
	}
	return r.emit(ctx, r.about(s, steady.EventBegun))
}

// tolerable says whether a failure of the step must not end the rollout: what
// tidies up after all is shifted and watched, the hook after, and in an undo the probe of an old
// replica, as one that is slow to come back is better than none.
func (r *run) tolerable(ctx context.Context, s steady.Step) bool {
	if ctx.Err() != nil {
		return false
	}
	undone := r.State == steady.RolloutUndoing
	return ends(s) && !undone || s.Kind == steady.StepClean || s.Kind == steady.StepProbe && undone
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

// passes takes the rollout past the point of no return, unless it was aborted just
// before: an abort and the first removal never both come through.
func (r *run) passes(ctx context.Context) bool {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	r.past = r.past || ctx.Err() == nil
	return r.past
}

func (r *run) crash(step, when string) {
	if r.engine.Crash != nil {
		r.engine.Crash(step, when)
	}
}

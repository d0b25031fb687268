package rollout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gesalpai.ch/steady"
)

// Bounds of what is kept of a hook's output: its events are in the store.
const (
	hookLines = 2000 // lines told
	hookTail  = 20   // last lines in the error of one that failed
	hookLine  = 4096 // bytes of a line
)

// stopHookWithin bounds the end of a hook's container whose time is up, besides the
// service's stop_grace_period.
const stopHookWithin = time.Minute

// hook is one hook being run.
type hook struct {
	*run
	steady.Hook
	step    steady.Step
	release steady.Release
	told    int
	tail    []string
}

// errHookLate ends a hook whose time is up.
var errHookLate = errors.New("its time is up")

// runHook runs the step's hook to its end. After a crash its container is taken up
// again where it is one, and the rest is run again if that may be.
func (r *run) runHook(ctx context.Context, s steady.Step, of steady.Release) (said, error) {
	hooks := of.Spec.Hooks
	if s.Whole {
		hooks = of.Spec.ProjectHooks
	}
	declared := hooks.At(s.Hook)
	if declared == nil {
		return said{}, fmt.Errorf("step %s: %s has no such hook", s.ID, of.Ref())
	}
	h := &hook{run: r, Hook: *declared, step: s, release: of}
	if h.On == steady.HookHost && r.former[s.ID] && s.Hook != steady.HookStop {
		return said{}, h.fails("was on the host when the daemon was stopped, and whether it came to its end is not known", "see what it has done, then steady deploy again")
	}
	began := time.Now()
	timed, cancel := context.WithTimeoutCause(ctx, h.Timeout, errHookLate)
	defer cancel()
	code, err := h.carryOut(timed)
	switch {
	case ctx.Err() != nil:
		return said{}, context.Cause(ctx)
	case errors.Is(err, errHookLate):
		return said{}, h.late(err)
	case err != nil:
		return said{}, h.fails("could not run: "+err.Error(), "steady deploy "+s.Service)
	case code != 0:
		return said{}, h.fails(fmt.Sprintf("exited with code %d", code), "mend it, then steady deploy again")
	}
	return said{what: fmt.Sprintf("%s: %s, %s", s.Hook, h.Program(), time.Since(began).Round(100*time.Millisecond))}, nil
}

// carryOut runs the command at its place and gives its exit code.
func (h *hook) carryOut(ctx context.Context) (int, error) {
	switch h.On {
	case steady.HookHost:
		if h.engine.Host == nil {
			return 0, errors.New("there is no host to run it on")
		}
		return h.engine.Host.Run(ctx, h.release.Spec.WorkingDir, h.Command, h.environment(), nil, func(l string) { h.tell(ctx, l) })
	case steady.HookExec:
		return h.engine.Runtime.RunIn(ctx, h.step.Replica, h.Command, h.environment(), func(l string) { h.tell(ctx, l) })
	}
	return h.container(ctx)
}

// late is the error of a hook whose time was up. A second error says that it could not
// be stopped.
func (h *hook) late(err error) error {
	what := fmt.Sprintf("did not end within %s and was stopped", h.Timeout)
	if both, ok := err.(interface{ Unwrap() []error }); ok && len(both.Unwrap()) > 1 {
		what = fmt.Sprintf("did not end within %s: %v", h.Timeout, both.Unwrap()[1])
	}
	return h.fails(what, "x-steady.hooks."+h.step.Hook+".timeout gives it more time")
}

// container runs the command in a one-off container, or waits for the one that is
// there already: whatever happens to the daemon, it runs once.
func (h *hook) container(ctx context.Context) (int, error) {
	rt, name := h.engine.Runtime, h.name()
	c, err := rt.Oneoff(ctx, h.release, steady.Oneoff{Name: name, Command: h.Command, Shell: h.Shell, Env: h.environment(), Rollout: h.ID})
	if err != nil {
		return 0, err
	}
	if c.State == steady.StateCreated {
		err = rt.Start(ctx, name)
	} else {
		h.tell(ctx, "(it went on while no daemon was there; all it has said)")
	}
	if c.Running() { // its time began then
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, c.Started.Add(h.Timeout), errHookLate)
		defer cancel()
	}
	if err == nil {
		err = rt.Follow(ctx, name, func(l string) { h.tell(ctx, l) })
	}
	if err != nil && ctx.Err() == nil {
		h.engine.Log.Warn("follow a hook", "rollout", h.ID, "step", h.step.ID, "err", err) // its end counts, not its words
	}
	code, err := rt.Wait(ctx, name)
	if ctx.Err() != nil {
		return 0, errors.Join(context.Cause(ctx), h.halt(ctx))
	}
	if err != nil { // its end is not known: nothing may run on behind our back
		return 0, errors.Join(err, h.halt(ctx))
	}
	return code, nil
}

// halt stops the hook's container, unless only the daemon stops: the next one
// takes it up again.
func (h *hook) halt(ctx context.Context) error {
	if h.engine.base.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.release.Spec.StopGrace+stopHookWithin)
	defer cancel()
	return h.engine.Runtime.Stop(ctx, h.name())
}

func (h *hook) name() string { return h.run.hookName(h.step) }

// hookName names the container of a step's hook. Each old replica has its own.
func (r *run) hookName(s steady.Step) string {
	moment := s.Hook
	if s.Number > 0 {
		moment += "-" + strconv.Itoa(s.Number)
	}
	return steady.HookName(r.Project, s.Service, moment, r.ID)
}

// environment is what a hook gets to know of the rollout.
func (h *hook) environment() []string {
	p, _ := h.plan.Of(h.step.Service)
	out := []string{
		"STEADY_PROJECT=" + h.Project,
		"STEADY_ROLLOUT=" + strconv.FormatInt(h.ID, 10),
		"STEADY_KIND=" + h.Kind,
		"STEADY_WHO=" + h.Who,
		"STEADY_HOOK=" + h.step.Hook,
	}
	if h.step.Whole {
		return append(out, "STEADY_RELEASE="+strconv.Itoa(h.step.Release))
	}
	out = append(out, "STEADY_SERVICE="+h.step.Service, "STEADY_RELEASE="+strconv.Itoa(p.To), "STEADY_FROM_RELEASE="+strconv.Itoa(p.From))
	if h.step.Replica != "" {
		out = append(out, "STEADY_REPLICA="+h.step.Replica)
	}
	return out
}

// tell makes a line an event, as long as there are not too many, and keeps the last.
func (h *hook) tell(ctx context.Context, line string) {
	line = line[:min(len(line), hookLine)]
	h.tail = append(h.tail, line)
	if len(h.tail) > hookTail {
		h.tail = h.tail[1:]
	}
	h.told++
	if h.told == hookLines+1 {
		line = "(it says more, which is not kept)"
	}
	if h.told <= hookLines+1 {
		h.progress(ctx, h.step, line)
	}
}

// fails is the error of the hook, with the last it said.
func (h *hook) fails(what, hint string) error {
	subject := h.Project + "/" + h.step.Service
	if h.step.Whole {
		subject = h.Project
	}
	e := steady.ErrHook.With(fmt.Sprintf("hook %s of %s (%s) %s", h.step.Hook, subject, h.Program(), what), hint)
	e.Tail = h.tail
	return e
}

// sweepHook removes the container of a hook that has succeeded, once the journal
// says so: until then it says that the hook has run. What the Engine refuses is tried
// again after each of the waits.
func (r *run) sweepHook(ctx context.Context, s steady.Step, waits ...time.Duration) {
	if s.Kind != steady.StepHook {
		return
	}
	ctx = context.WithoutCancel(ctx)
	remove := func() error {
		ours, err := r.made(ctx, r.hookName(s))
		if err != nil || !ours {
			return err
		}
		return r.engine.Runtime.Remove(ctx, r.hookName(s))
	}
	err := remove()
	for i := 0; err != nil && i < len(waits); i++ {
		_ = pause(ctx, waits[i])
		err = remove()
	}
	if err != nil {
		r.engine.Log.Warn("remove the container of a hook", "rollout", r.ID, "step", s.ID, "err", err)
	}
}

// sweepHooks removes what is left of all hooks, once nothing is run any more that
// could take it up.
func (r *run) sweepHooks(ctx context.Context, waits ...time.Duration) {
	for _, s := range r.plan.Steps {
		if r.was(s) {
			r.sweepHook(ctx, s, waits...)
		}
	}
}

// migrating says whether a hook before had begun when the daemon died: what it has
// done stays done, so the rollout goes on with it rather than back without it.
func migrating(p steady.Plan, begun map[string]bool) bool {
	for _, s := range p.Steps {
		if s.Kind == steady.StepHook && s.Hook == steady.HookBefore && begun[s.ID] {
			return true
		}
	}
	return false
}

// last says whether the step is the hook that comes after all is done: it is past
// the point of no return, and its failure changes nothing.
func last(s steady.Step) bool { return s.Kind == steady.StepHook && s.Hook == steady.HookAfter }

// ends says whether the step is past the point of no return: all is shifted and
// watched, and what is left only tidies up.
func ends(s steady.Step) bool {
	return s.Kind == steady.StepRemove || s.Kind == steady.StepForget || s.Kind == steady.StepWarm || last(s)
}

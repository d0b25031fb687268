package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// said is what a step tells of itself.
type said struct {
	what    string
	warning string // what is not as it should be, though the step is done
	drained *steady.Drained
}

func (s said) text(t string) said { s.what = t; return s }

// take does the step. Every case may be repeated after a crash.
func (r *run) take(ctx context.Context, s steady.Step) (said, error) {
	rt := r.engine.Runtime
	if s.Own {
		if ours, err := r.made(ctx, s.Replica); err != nil || !ours {
			return said{what: s.Replica + " is left: this rollout did not make it"}, err
		}
	}
	switch s.Kind {
	case steady.StepPull, steady.StepBuild:
		return r.bring(ctx, s)
	case steady.StepClean:
		return said{}, r.clean(ctx, s)
	case steady.StepStart:
		if r.hasRun(ctx, s) {
			return said{what: s.Replica + " had run already"}, nil
		}
		return said{what: s.Replica}, rt.Start(ctx, s.Replica)
	case steady.StepStop:
		if r.State == steady.RolloutUndoing && r.leadsTo(ctx, s) {
			return said{what: s.Replica + " takes traffic again already"}, nil
		}
		return said{what: s.Replica}, rt.Stop(ctx, s.Replica)
	case steady.StepRemove:
		r.keepLog(ctx, s)
		return said{what: s.Replica}, rt.Remove(ctx, s.Replica)
	case steady.StepForget:
		return said{}, rt.Forget(ctx, r.Project, s.Service)
	case steady.StepWait:
		return r.completed(ctx, s)
	case steady.StepShift:
		return r.shift(ctx, s)
	case steady.StepWatch:
		return r.watch(ctx, s)
	case steady.StepDrain:
		return r.drain(ctx, s)
	case steady.StepWarm:
		return r.keep(ctx, s)
	case steady.StepDelay:
		return said{what: s.For.String()}, pause(ctx, s.For)
	}
	release, err := r.release(ctx, s)
	if err != nil {
		return said{}, err
	}
	switch s.Kind {
	case steady.StepPrepare:
		return said{}, rt.Prepare(ctx, release.Spec)
	case steady.StepHolder:
		h, err := rt.Hold(ctx, release.Spec)
		return said{what: h.Name}, err
	case steady.StepCreate:
		return said{what: s.Replica}, r.create(ctx, s, release)
	case steady.StepProbe:
		return r.ready(ctx, s, release)
	case steady.StepAlias:
		if r.ended(s.Replica) {
			return said{}, nil
		}
		return said{what: s.Replica}, rt.Name(ctx, release, s.Replica)
	case steady.StepHook:
		return r.runHook(ctx, s, release)
	}
	return said{}, fmt.Errorf("step %s: unknown kind %q", s.ID, s.Kind)
}

// made says whether the container is one that this rollout made, or is gone.
func (r *run) made(ctx context.Context, name string) (bool, error) {
	c, err := r.engine.Runtime.Replica(ctx, name)
	if errors.Is(err, steady.ErrNoReplica) {
		return true, nil
	}
	return c.Rollout == r.ID, err
}

// leadsTo says whether traffic goes to the step's replica: an undo that a former daemon
// could not store has led it back there.
func (r *run) leadsTo(ctx context.Context, s steady.Step) bool {
	routes, err := r.engine.Router.Routes(ctx, r.Project)
	return err == nil && slices.ContainsFunc(routes, func(t steady.Route) bool {
		return t.Service == s.Service && slices.Contains(t.Replicas, s.Replica)
	})
}

// isBack says whether a shift takes a service's traffic away from the new release that
// the old one has again: see leadsTo.
func (r *run) isBack(ctx context.Context, s steady.Step) bool {
	if len(s.Routes) != 1 || len(s.Routes[0].Replicas) > 0 || s.Routes[0].Gone || s.Routes[0].Redirect {
		return false
	}
	of := func(t steady.Route) bool { return t.Service == s.Routes[0].Service }
	routes, err := r.engine.Router.Routes(ctx, r.Project)
	i, j := slices.IndexFunc(routes, of), slices.IndexFunc(r.plan.Before, of)
	return err == nil && i >= 0 && j >= 0 && len(routes[i].Replicas) > 0 && slices.Equal(routes[i].Replicas, r.plan.Before[j].Replicas)
}

// release finds what the step's replica is made of: the rollout's target, or an
// older release when it is being undone.
func (r *run) release(ctx context.Context, s steady.Step) (steady.Release, error) {
	r.mu.Lock()
	t, ok := r.targets[s.Service]
	r.mu.Unlock()
	if ok && t.Number == s.Release && t.Image.ID != "" {
		return t, nil
	}
	return r.engine.Journal.Release(ctx, r.Project, s.Service, s.Release)
}

func (r *run) bring(ctx context.Context, s steady.Step) (said, error) {
	r.mu.Lock()
	t := r.targets[s.Service]
	r.mu.Unlock()
	if s.Kind == steady.StepPull && t.Image.ID != "" {
		return r.bringBack(ctx, s, t)
	}
	get := r.engine.Runtime.Pull
	if s.Kind == steady.StepBuild {
		get = r.engine.Runtime.Build
	}
	img, err := get(ctx, t.Spec, func(line string) { r.progress(ctx, s, line) })
	if err != nil {
		return said{}, err
	}
	r.mu.Lock()
	t.Image = img
	r.targets[s.Service] = t
	r.mu.Unlock()
	if img.Digest != "" {
		return said{what: img.Digest}, nil
	}
	return said{what: img.ID}, nil
}

func (r *run) completed(ctx context.Context, s steady.Step) (said, error) {
	code, err := r.engine.Runtime.Wait(ctx, s.Replica)
	if err != nil {
		return said{}, err
	}
	if code == 0 {
		return said{what: s.Replica + " completed"}, nil
	}
	tail, _ := r.engine.Runtime.Tail(ctx, s.Replica, 10)
	e := steady.ErrExited.With(fmt.Sprintf("%s exited with code %d, and others wait for it to complete", s.Replica, code),
		fmt.Sprintf("steady logs %s --release %d", s.Service, s.Release))
	e.Tail = tail
	return said{}, e
}

func (r *run) shift(ctx context.Context, s steady.Step) (said, error) {
	if r.State == steady.RolloutUndoing && r.isBack(ctx, s) {
		return said{what: s.Routes[0].Service + " is served as before already"}, nil
	}
	if err := r.stillRun(ctx, s.Routes); err != nil {
		r.refuse(s)
		return said{}, err
	}
	if s.Stage == nil {
		r.leaveStages(ctx)
	}
	r.beforehand(ctx, s)
	ran := r.withoutEnded(ctx, &s)
	put := func() error { return r.engine.Router.Route(ctx, s.Routes) }
	if r.State == steady.RolloutUndoing {
		put = func() error { return r.goBack(ctx, s) }
	}
	if err := put(); err != nil {
		return said{}, err
	}
	if err := r.enterStage(ctx, s); err != nil {
		return said{}, err
	}
	if s.Cause == plan.CauseDisowned {
		return said{what: s.Routes[0].Service + ": " + s.Cause}, nil
	}
	r.shifted(ctx, s)
	var parts []string
	for _, t := range s.Routes {
		switch {
		case ran[t.Service]:
			parts = append(parts, t.Service+" has run")
		case t.Gone:
			parts = append(parts, t.Service+" withdrawn")
		case t.Hold != nil:
			parts = append(parts, t.Service+" held")
		case t.Split != nil:
			parts = append(parts, fmt.Sprintf("%s of %s to release %d", steady.PercentText(t.Split.Percent), t.Service, t.Split.Release))
		case len(t.Replicas) == 0:
			parts = append(parts, t.Service+" withdrawn from release "+strconv.Itoa(t.Release))
		case len(t.Ports)+len(t.Rules) == 0:
			parts = append(parts, fmt.Sprintf("%s to release %d", t.Service, t.Release))
		default:
			parts = append(parts, fmt.Sprintf("%s to release %d, %s", t.Service, t.Release, upstreams(len(t.Replicas))))
		}
	}
	return said{what: strings.Join(parts, "; ")}, nil
}

func upstreams(n int) string {
	if n == 1 {
		return "1 upstream"
	}
	return fmt.Sprintf("%d upstreams", n)
}

func (r *run) drain(ctx context.Context, s steady.Step) (said, error) {
	clocks := steady.Drain{Requests: steady.DefaultDrainRequests, Streams: steady.DefaultDrainStreams}
	number := s.Release
	if number == 0 { // not ours, so the file knows best that takes it over
		p, _ := r.plan.Of(s.Service)
		number = p.To
	}
	if of, err := r.engine.Journal.Release(ctx, r.Project, s.Service, number); err == nil {
		clocks = of.Spec.Drain
		if s.Brief {
			clocks = of.Spec.BriefDrain()
		}
	}
	if s.Brief {
		clocks.Streams = 0
	}
	d, err := r.engine.Router.Drain(ctx, []string{s.Replica}, clocks)
	if err == nil && s.Direct {
		var direct steady.Drained
		direct, err = r.engine.Router.Leave(ctx, r.Project+"/"+s.Service, s.Replica, clocks)
		d = d.Plus(direct)
	}
	if err != nil {
		return said{}, err
	}
	r.mu.Lock()
	r.drained[s.Service] = r.drained[s.Service].Plus(d)
	r.mu.Unlock()
	return said{what: s.Replica, drained: &d}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package rollout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// said is what a step tells of itself.
type said struct {
	what    string
	drained *steady.Drained
}

func (s said) text(t string) said { s.what = t; return s }

// take does the step. Every case may be repeated after a crash.
func (r *run) take(ctx context.Context, s steady.Step) (said, error) {
	rt := r.engine.Runtime
	switch s.Kind {
	case steady.StepPull, steady.StepBuild:
		return r.bring(ctx, s)
	case steady.StepClean:
		return said{}, rt.Clean(ctx, r.Project, s.Volumes)
	case steady.StepStart:
		return said{what: s.Replica}, rt.Start(ctx, s.Replica)
	case steady.StepStop:
		return said{what: s.Replica}, rt.Stop(ctx, s.Replica)
	case steady.StepRemove:
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
		_, err := rt.Create(ctx, release, s.Number, r.ID)
		return said{what: s.Replica}, err
	case steady.StepProbe:
		how, err := r.engine.Prober.Ready(ctx, s.Replica, release.Spec.Probe)
		return said{what: how}, err
	case steady.StepAlias:
		return said{what: s.Replica}, rt.Name(ctx, release, s.Replica)
	}
	return said{}, fmt.Errorf("step %s: unknown kind %q", s.ID, s.Kind)
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
	if err := r.stillRun(ctx, s.Routes); err != nil {
		return said{}, err
	}
	if err := r.engine.Router.Route(ctx, s.Routes); err != nil {
		return said{}, err
	}
	r.shifted(ctx, s)
	var parts []string
	for _, t := range s.Routes {
		switch {
		case t.Gone:
			parts = append(parts, t.Service+" withdrawn")
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

// stillRun fails when a replica that this rollout has made died between its probe
// and the shift. Old ones that have died are left out by the router.
func (r *run) stillRun(ctx context.Context, routes []steady.Route) error {
	for _, t := range routes {
		for _, name := range t.Replicas {
			c, err := r.engine.Runtime.Replica(ctx, name)
			if err != nil || c.Rollout != r.ID || c.Running() || len(t.Ports)+len(t.Rules) == 0 {
				continue
			}
			tail, _ := r.engine.Runtime.Tail(ctx, name, 10)
			e := steady.ErrExited.With(fmt.Sprintf("%s exited with code %d after it had been ready", name, c.ExitCode), fmt.Sprintf("steady logs %s --release %d", c.Service, c.Release))
			e.Service, e.Release, e.Tail = t.Service, t.Release, tail
			return e
		}
	}
	return nil
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

// watch lets the new release serve for a while; a replica that dies or turns
// unhealthy meanwhile fails it.
func (r *run) watch(ctx context.Context, s steady.Step) (said, error) {
	p, _ := r.plan.Of(s.Service)
	release := steady.Release{Project: r.Project, Service: s.Service, Number: s.Release}
	end := time.Now().Add(s.For)
	restarts := map[string]int{}
	for {
		for n := range p.Replicas {
			err := r.alive(ctx, release.ReplicaName(n+1), restarts)
			if err != nil && p.OnFail == steady.Continue {
				return said{what: err.Error() + "; failure_action: continue"}, nil
			}
			if err != nil {
				return said{}, err
			}
		}
		left := time.Until(end)
		if left <= 0 {
			return said{what: s.For.String() + " without a failure"}, nil
		}
		if err := pause(ctx, min(left, 250*time.Millisecond)); err != nil {
			return said{}, err
		}
	}
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
	what := ""
	switch {
	case c.OOM:
		what = "ran out of memory"
	case c.Restarts > restarts[name]:
		what = "was restarted by the Engine"
	case c.State == steady.StateExited, c.State == steady.StateDead:
		what = fmt.Sprintf("exited with code %d", c.ExitCode)
	case c.Health == steady.HealthUnhealthy:
		what = "turned unhealthy"
	default:
		return nil
	}
	tail, _ := r.engine.Runtime.Tail(ctx, name, 10)
	e := steady.ErrExited.With(fmt.Sprintf("%s %s during the watch window", name, what), fmt.Sprintf("steady logs %s --release %d", c.Service, c.Release))
	e.Tail = tail
	return e
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

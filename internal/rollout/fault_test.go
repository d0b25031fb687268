package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"gesalpai.ch/steady"
)

// What becomes of the n-th call that a rollout makes.
const (
	failsBefore = "fails before it had an effect"
	failsAfter  = "fails after it had its effect"
	diesBefore  = "is never made: the daemon dies before it"
	diesAfter   = "is the last one: the daemon dies after it"
	aborted     = "comes just after somebody has aborted the rollout"
	kills       = "comes just after a new replica has died"
	killsOld    = "comes just after an old replica has died"
)

// errFault is the error of the call that fails, errDead that of every call of a
// daemon that has died: nothing of it reaches the world any more.
var (
	errFault = errors.New("the Engine stumbled")
	errDead  = errors.New("this daemon is dead")
)

// wire stands between one engine and the place, as the daemon's sockets do: one of
// its calls goes wrong, and it writes down what must never be seen.
type wire struct {
	*place
	at    int // the call that goes wrong; the rest are as ever
	how   string
	new   int // the release that the rollout goes to
	fills int // so many writes after the rollout is accepted the disk is full; 0: never
	abort func()
	died  context.CancelFunc

	mu     sync.Mutex
	n      int
	on     bool // the rollout is accepted
	dead   bool
	wrong  []string // what must never be seen
	last   string   // the call that went wrong
	killed string   // who died then
	ready  map[string]bool
}

func (w *wire) do(call string, f func() error) error {
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return errDead
	}
	hit := w.on && w.n == w.at
	if w.on {
		w.n++
	}
	if hit {
		w.last = call
		w.dead = w.how == diesBefore
	}
	w.mu.Unlock()
	if !hit {
		return f()
	}
	switch w.how {
	case failsBefore:
		return errFault
	case diesBefore:
		w.died()
		return errDead
	case aborted:
		w.abort()
		return f()
	case kills, killsOld:
		w.kill(w.how == kills)
		return f()
	}
	err := f()
	if w.how == failsAfter {
		return errors.Join(errFault, err)
	}
	w.mu.Lock()
	w.dead = true
	w.mu.Unlock()
	w.died()
	return errDead
}

// kill has one of the replicas that the rollout has made die, or one of the others.
func (w *wire) kill(new bool) {
	w.place.mu.Lock()
	defer w.place.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.replicas)) {
		if c := w.replicas[name]; c.Running() && !w.aside[name] && (c.Release == w.new) == new {
			w.killed = name
			c.State, c.ExitCode = steady.StateExited, 137
			w.replicas[name] = c
			return
		}
	}
}

func (w *wire) never(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, a...))
}

// The calls of Runtime that change something.

func (w *wire) Prepare(ctx context.Context, s steady.Spec) error {
	return w.do("prepare "+s.Service, func() error { return w.place.Prepare(ctx, s) })
}

func (w *wire) Create(ctx context.Context, r steady.Release, n int, id int64) (c steady.Replica, err error) {
	err = w.do("create "+r.ReplicaName(n), func() error { c, err = w.place.Create(ctx, r, n, id); return err })
	return c, err
}

func (w *wire) Start(ctx context.Context, name string) error {
	return w.do("start "+name, func() error { return w.place.Start(ctx, name) })
}

func (w *wire) Name(ctx context.Context, r steady.Release, name string) error {
	return w.do("name "+name, func() error { return w.place.Name(ctx, r, name) })
}

func (w *wire) Hold(ctx context.Context, s steady.Spec) (h steady.Holder, err error) {
	err = w.do("hold "+s.Service, func() error { h, err = w.place.Hold(ctx, s); return err })
	return h, err
}

func (w *wire) Forget(ctx context.Context, project, service string) error {
	return w.do("forget "+service, func() error { return w.place.Forget(ctx, project, service) })
}

func (w *wire) Stop(ctx context.Context, name string) error {
	return w.do("stop "+name, func() error {
		w.serves(name, "stopped")
		return w.place.Stop(ctx, name)
	})
}

func (w *wire) Remove(ctx context.Context, name string) error {
	return w.do("remove "+name, func() error {
		w.serves(name, "removed")
		return w.place.Remove(ctx, name)
	})
}

func (w *wire) Clean(ctx context.Context, project string, volumes bool) error {
	return w.do("clean", func() error { return w.place.Clean(ctx, project, volumes) })
}

// serves notes that what takes traffic must not be treated so.
func (w *wire) serves(name, done string) {
	w.place.mu.Lock()
	defer w.place.mu.Unlock()
	c := w.replicas[name]
	r := w.inForce()[c.Service]
	if c.Running() && slices.Contains(r.Replicas, name) && (len(r.Ports) > 0 || r.Held) {
		w.never("%s was %s while it took traffic", name, done)
	}
	if c.Running() && slices.Contains(r.Elders, name) && c.Release != w.new { // a new one by that name is no elder to the router
		w.never("%s was %s while it was asked for assets", name, done)
	}
}

// Route is watched: nobody is ever sent to who was not asked, or does not run.
func (w *wire) Route(ctx context.Context, routes []steady.Route) error {
	return w.do("route", func() error {
		w.place.mu.Lock()
		for _, r := range routes {
			for _, name := range r.Replicas {
				if c := w.replicas[name]; c.Release == w.new && !w.asked(name) {
					w.never("%s takes traffic and was never asked whether it can", name)
				}
			}
		}
		for _, r := range routes {
			if r.Hold != nil && len(r.Replicas) > 0 {
				w.never("the gate of %s was shut before %v", r.Service, r.Replicas)
			}
		}
		w.place.mu.Unlock()
		return w.place.Route(ctx, routes)
	})
}

func (w *wire) asked(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready[name]
}

func (w *wire) Ready(ctx context.Context, name string, p steady.Probe) (how string, err error) {
	err = w.do("probe "+name, func() error { how, err = w.place.Ready(ctx, name, p); return err })
	if err == nil {
		w.mu.Lock()
		w.ready[name] = true
		w.mu.Unlock()
	}
	return how, err
}

func (w *wire) ServeUnstored(ctx context.Context, routes []steady.Route) error {
	return w.do("serve unstored", func() error { return w.place.ServeUnstored(ctx, routes) })
}

func (w *wire) Drain(ctx context.Context, names []string, clocks steady.Drain) (d steady.Drained, err error) {
	err = w.do(fmt.Sprint("drain ", names), func() error { d, err = w.place.Drain(ctx, names, clocks); return err })
	return d, err
}

func (w *wire) Leave(ctx context.Context, service, name string, clocks steady.Drain) (d steady.Drained, err error) {
	err = w.do("leave "+name, func() error { d, err = w.place.Leave(ctx, service, name, clocks); return err })
	return d, err
}

// The calls that hooks are.

func (w *wire) Oneoff(ctx context.Context, r steady.Release, o steady.Oneoff) (c steady.Replica, err error) {
	err = w.do("oneoff "+o.Name, func() error { c, err = w.place.Oneoff(ctx, r, o); return err })
	return c, err
}

func (w *wire) Follow(ctx context.Context, name string, say func(string)) error {
	return w.do("follow "+name, func() error { return w.place.Follow(ctx, name, say) })
}

func (w *wire) Wait(ctx context.Context, name string) (code int, err error) {
	err = w.do("wait "+name, func() error { code, err = w.place.Wait(ctx, name); return err })
	return code, err
}

func (w *wire) RunIn(ctx context.Context, name string, argv, env []string, say func(string)) (code int, err error) {
	err = w.do("run in "+name, func() error { code, err = w.place.RunIn(ctx, name, argv, env, say); return err })
	return code, err
}

func (w *wire) Run(ctx context.Context, dir string, argv, env []string, in io.Reader, say func(string)) (code int, err error) {
	err = w.do("run on the host", func() error { code, err = w.place.Run(ctx, dir, argv, env, in, say); return err })
	return code, err
}

// The journal's calls.

func (w *wire) KeepWarm(ctx context.Context, k steady.Warm) error {
	return w.do("keep "+k.Service, func() error { return w.place.KeepWarm(ctx, k) })
}

func (w *wire) Cool(ctx context.Context, k steady.Warm) error {
	return w.do("cool "+k.Service, func() error { return w.place.Cool(ctx, k) })
}

func (w *wire) PutStage(ctx context.Context, id int64, s steady.Stage) error {
	return w.do(fmt.Sprint("stage ", s.Number), func() error { return w.place.PutStage(ctx, id, s) })
}

func (w *wire) Accept(ctx context.Context, r *steady.Rollout, made []steady.Release) error {
	err := w.place.Accept(ctx, r, made)
	w.place.mu.Lock()
	w.place.fullIn = w.fills
	w.place.mu.Unlock()
	w.mu.Lock()
	w.on = true
	w.mu.Unlock()
	return err
}

func (w *wire) Contents(ctx context.Context, r steady.Release) error {
	return w.do("contents "+r.Service, func() error { return w.place.Contents(ctx, r) })
}

func (w *wire) Planned(ctx context.Context, id int64, p steady.Plan) error {
	return w.do("planned", func() error { return w.place.Planned(ctx, id, p) })
}

func (w *wire) Begin(ctx context.Context, id int64, step string) error {
	return w.do("begin "+step, func() error { return w.place.Begin(ctx, id, step) })
}

func (w *wire) End(ctx context.Context, id int64, step string, failed error) error {
	return w.do("end "+step, func() error { return w.place.End(ctx, id, step, failed) })
}

func (w *wire) Event(ctx context.Context, e *steady.Event) error {
	if w.gone() {
		return errDead
	}
	return w.place.Event(ctx, e)
}

func (w *wire) Update(ctx context.Context, r steady.Rollout) error {
	if w.gone() {
		return errDead
	}
	return w.place.Update(ctx, r)
}

func (w *wire) gone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// wired gives the wire the Journal's Image, which Runtime's of the same name hides.
type wired struct{ *wire }

func (w wired) Image(_ context.Context, _, service string, number int, img steady.Image) error {
	return w.do("journal image", func() error {
		defer w.note("journal image")()
		if err := w.store(); err != nil {
			return err
		}
		w.journalImage(service, number, img)
		return nil
	})
}

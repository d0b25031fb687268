package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

var _ rollout.Host = (*place)(nil)

func (p *place) Oneoff(_ context.Context, r steady.Release, o steady.Oneoff) (steady.Replica, error) {
	defer p.note("oneoff %s %v", o.Name, o.Command)()
	if c, ok := p.replicas[o.Name]; ok {
		if c.Rollout != o.Rollout {
			return c, fmt.Errorf("%s is of another rollout", o.Name)
		}
		return c, nil
	}
	if o.Command[0] == "exit" {
		p.exit[o.Name] = 3
	}
	p.aside[o.Name], p.projects[o.Name] = true, r.Project
	p.replicas[o.Name] = steady.Replica{ID: "id-" + o.Name, Name: o.Name, Service: r.Service, Release: r.Number, Rollout: o.Rollout,
		Image: r.Image.ID, State: steady.StateCreated, Restart: "no"}
	return p.replicas[o.Name], nil
}

func (p *place) Follow(ctx context.Context, name string, say func(string)) error {
	unlock := p.note("follow %s", name)
	_, there := p.replicas[name]
	unlock()
	if !there {
		return steady.ErrNoReplica
	}
	return p.speak(ctx, name, say)
}

// speak says three lines and waits where something is in the way.
func (p *place) speak(ctx context.Context, what string, say func(string)) error {
	for _, l := range []string{"one", "two", "three"} {
		say(l)
	}
	p.mu.Lock()
	gate := p.blocked[what]
	p.mu.Unlock()
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *place) RunIn(ctx context.Context, name string, argv, env []string, say func(string)) (int, error) {
	unlock := p.note("run %v in %s", argv, name)
	_, there := p.replicas[name]
	unlock()
	if !there {
		return 0, steady.ErrNoReplica
	}
	return p.command(ctx, argv, env, say)
}

func (p *place) Run(ctx context.Context, dir string, argv, env []string, _ io.Reader, say func(string)) (int, error) {
	p.note("run %v on the host, in %s", argv, dir)()
	return p.command(ctx, argv, env, say)
}

// command exits with 3 where it ends in "exit"; "serve" never ends by itself.
func (p *place) command(ctx context.Context, argv, env []string, say func(string)) (int, error) {
	p.mu.Lock()
	p.calls = append(p.calls, "environment "+strings.Join(env, " "))
	p.mu.Unlock()
	if err := p.speak(ctx, argv[0], say); err != nil {
		return 0, err
	}
	word := argv[len(argv)-1]
	if word == "chatter" {
		for i := range 3000 {
			say(strings.Repeat("x", 5000) + strconv.Itoa(i))
		}
		return 3, nil
	}
	if word == "serve" {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if word == "exit" {
		return 3, nil
	}
	return 0, nil
}

func with(h steady.Hooks) func(*steady.Spec) {
	return func(s *steady.Spec) { s.Hooks, s.WorkingDir = &h, "/srv/shop" }
}

func hookOf(on string, argv ...string) *steady.Hook {
	return &steady.Hook{Command: argv, On: on, Timeout: time.Minute}
}

// heard lists the calls made since the last time that concern hooks, creation and
// stops, in order.
func (p *place) heard(of ...string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, c := range p.calls {
		if slices.ContainsFunc(of, func(prefix string) bool { return strings.HasPrefix(c, prefix) }) {
			out = append(out, c)
		}
	}
	p.calls = nil
	return out
}

func bootHost(t *testing.T, p *place) *daemon {
	t.Helper()
	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	e.Host = p
	return start(t, e)
}

func TestHooks_RunAtTheirMoments(t *testing.T) {
	p := newPlace()
	d := bootHost(t, p)
	hooks := with(steady.Hooks{Before: hookOf(steady.HookContainer, "migrate"), Stop: hookOf(steady.HookExec, "leave"), After: hookOf(steady.HookHost, "announce")})
	if r := d.deploy(t, p, request(spec("api", "v1", hooks))); r.State != steady.RolloutDone {
		t.Fatalf("first deploy: %s, %v", r.State, r.Error)
	}
	p.heard()
	r := d.deploy(t, p, request(spec("api", "v2", hooks)))
	if r.State != steady.RolloutDone {
		t.Fatalf("%s, %v", r.State, r.Error)
	}
	got := p.heard("oneoff", "create", "drain", "run", "stop", "remove", "environment")
	want := []string{
		"oneoff shop-api-hook-before-2 [migrate]", "remove shop-api-hook-before-2",
		"create shop-api-2-1",
		"drain [shop-api-1-1]",
		"run [leave] in shop-api-1-1",
		"environment STEADY_PROJECT=shop STEADY_ROLLOUT=2 STEADY_KIND=deploy STEADY_WHO= STEADY_HOOK=stop STEADY_SERVICE=api STEADY_RELEASE=2 STEADY_FROM_RELEASE=1 STEADY_REPLICA=shop-api-1-1",
		"remove shop-api-hook-stop-1-2",
		"stop shop-api-1-1",
		"remove shop-api-1-1",
		"run [announce] on the host, in /srv/shop",
		"environment STEADY_PROJECT=shop STEADY_ROLLOUT=2 STEADY_KIND=deploy STEADY_WHO= STEADY_HOOK=after STEADY_SERVICE=api STEADY_RELEASE=2 STEADY_FROM_RELEASE=1",
		"remove shop-api-hook-after-2", "remove shop-api-hook-before-2", "remove shop-api-hook-stop-1-2", "remove shop-api-hook-after-2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("calls\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if lines := p.lines(r.ID, "api/hook/before"); !slices.Equal(lines, []string{"one", "two", "three"}) {
		t.Errorf("its output %q", lines)
	}
}

// lines are what a step told.
func (p *place) lines(rollout int64, step string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, e := range p.events[rollout] {
		if e.StepID == step && e.Kind == steady.EventProgress {
			out = append(out, e.Text)
		}
	}
	return out
}

func TestHooks_AFailureBeforeChangesNothing(t *testing.T) {
	p := newPlace()
	d := bootHost(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.heard()
	r := d.deploy(t, p, request(spec("api", "v2", with(steady.Hooks{Before: hookOf(steady.HookContainer, "exit")}))))
	if r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrHook) || !slices.Equal(r.Error.Tail, []string{"one", "two", "three"}) {
		t.Fatalf("%s, %+v", r.State, r.Error)
	}
	if want := "hook before of shop/api (exit) exited with code 3"; r.Error.Text != want || r.Error.Serving != 1 {
		t.Errorf("error %+v, want %q", r.Error, want)
	}
	if got := p.heard("create", "stop", "route"); len(got) > 0 {
		t.Errorf("calls %v", got)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestHooks_WhatTheySayIsBounded(t *testing.T) {
	p := newPlace()
	d := bootHost(t, p)
	r := d.deploy(t, p, request(spec("api", "v1", with(steady.Hooks{Before: hookOf(steady.HookHost, "chatter")}))))
	lines := p.lines(r.ID, "api/hook/before")
	if len(lines) != 2001 || lines[2000] != "(it says more, which is not kept)" || len(lines[10]) != 4096 || len(r.Error.Tail) != 20 {
		t.Errorf("%d lines kept, the last %.40q, the eleventh of %d bytes, %d in the error", len(lines), lines[len(lines)-1], len(lines[10]), len(r.Error.Tail))
	}
}

func TestHooks_AFailureOfStopUndoes(t *testing.T) {
	p := newPlace()
	d := bootHost(t, p)
	d.deploy(t, p, request(spec("api", "v1", with(steady.Hooks{Stop: hookOf(steady.HookExec, "exit")}))))
	r := d.deploy(t, p, request(spec("api", "v2")))
	if r.State != steady.RolloutRolledBack || !errors.Is(r.Error, steady.ErrHook) {
		t.Fatalf("%s, %+v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestHooks_AFailureAfterIsToldAndChangesNothing(t *testing.T) {
	p := newPlace()
	d := bootHost(t, p)
	r := d.deploy(t, p, request(spec("api", "v1", with(steady.Hooks{After: hookOf(steady.HookHost, "exit")}))))
	if r.State != steady.RolloutDone {
		t.Fatalf("%s, %v", r.State, r.Error)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	told := slices.ContainsFunc(p.events[r.ID], func(e steady.Event) bool {
		return e.Kind == steady.EventStep && e.Text == "failed, which changes nothing: hook after of shop/api (exit) exited with code 3"
	})
	if !told {
		t.Errorf("events %+v", p.events[r.ID])
	}
}

func TestHooks_OneThatTakesTooLongIsStopped(t *testing.T) {
	for _, on := range []string{steady.HookContainer, steady.HookHost} {
		p := newPlace()
		p.blocked["shop-api-hook-before-2"], p.blocked["serve"] = make(chan struct{}), make(chan struct{})
		d := bootHost(t, p)
		d.deploy(t, p, request(spec("api", "v1")))
		h := hookOf(on, "serve")
		h.Timeout = 10 * time.Millisecond
		r := d.deploy(t, p, request(spec("api", "v2", with(steady.Hooks{Before: h}))))
		if want := "hook before of shop/api (serve) did not end within 10ms and was stopped"; r.State != steady.RolloutFailed || r.Error.Text != want {
			t.Errorf("%s: %s, %v, want %q", on, r.State, r.Error, want)
		}
		if got := p.heard("stop shop-api-hook"); on == steady.HookContainer && len(got) != 1 {
			t.Errorf("calls %v", got)
		}
		if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
			t.Errorf("%s: containers %v", on, got)
		}
	}
}

// hookBegun waits until the hook has said its lines.
func (d *daemon) hookBegun(t *testing.T, p *place, id int64) {
	t.Helper()
	for late := time.After(soon); ; {
		changed := d.Changed(id) // before looking: no event falls between
		if len(p.lines(id, "api/hook/before")) >= 3 {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("the hook did not begin")
		}
	}
}

// interrupt boots, deploys v1, and stops the daemon in the middle of the hook of v2.
func interrupt(t *testing.T, p *place, h *steady.Hook) rollout.Request {
	t.Helper()
	d := bootHost(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.heard()
	q := request(spec("api", "v2", with(steady.Hooks{Before: h})))
	id := d.accept(t, p, q).ID
	d.hookBegun(t, p, id)
	d.stop()
	return q
}

func TestHooks_AContainerThatADaemonLeftIsTakenUpAgain(t *testing.T) {
	for name, ends := range map[string]bool{"while no daemon is there": true, "under the next daemon": false} {
		t.Run(name, func(t *testing.T) {
			const hook = "shop-api-hook-before-2"
			p := newPlace()
			gate := make(chan struct{})
			p.blocked[hook] = gate
			interrupt(t, p, hookOf(steady.HookContainer, "migrate"))
			if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", hook + "+"}) {
				t.Fatalf("containers %v", got)
			}
			if ends {
				p.mu.Lock()
				_ = p.set(hook, func(c *steady.Replica) { c.State = steady.StateExited })
				p.mu.Unlock()
			}
			close(gate)
			d := bootHost(t, p)
			if r := d.await(t, p, 2); r.State != steady.RolloutDone {
				t.Fatalf("%s, %v", r.State, r.Error)
			}
			if got := p.heard("start shop-api-hook", "stop shop-api-hook"); !slices.Equal(got, []string{"start " + hook}) {
				t.Errorf("calls %v", got)
			}
			if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1+"}) {
				t.Errorf("containers %v", got)
			}
		})
	}
}

func TestHooks_TheTimeOfOneThatIsTakenUpAgainBeganWithIt(t *testing.T) {
	const hook = "shop-api-hook-before-2"
	p := newPlace()
	p.blocked[hook] = make(chan struct{})
	interrupt(t, p, hookOf(steady.HookContainer, "migrate"))
	p.mu.Lock()
	_ = p.set(hook, func(c *steady.Replica) { c.Started = c.Started.Add(-2 * time.Minute) })
	p.mu.Unlock()
	if r := bootHost(t, p).await(t, p, 2); r.State != steady.RolloutFailed || !strings.Contains(r.Error.Text, "did not end within 1m0s and was stopped") {
		t.Errorf("%s, %v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

// A daemon that is stopped while it undoes leaves nothing of the hook behind either.
// The undo may be faster than the stop, so it is tried until it is not.
func TestHooks_AnUndoThatIsBrokenOffLeavesNothing(t *testing.T) {
	for range 200 {
		p := newPlace()
		id := undoBrokenOff(t, p)
		broken := !p.state(id).Final()
		if broken {
			bootHost(t, p).await(t, p, id)
		}
		if r := p.state(id); r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrHook) {
			t.Fatalf("%s, %v", r.State, r.Error)
		}
		if got := p.containers(); len(got) > 0 {
			t.Fatalf("containers %v", got)
		}
		if broken {
			return
		}
	}
	t.Fatal("no undo was broken off")
}

// undoBrokenOff deploys what is undone because of a hook, and stops the daemon meanwhile.
func undoBrokenOff(t *testing.T, p *place) int64 {
	t.Helper()
	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	p.on["stop shop-db-1-1"] = func() {
		delete(p.on, "stop shop-db-1-1")
		cancel()
	}
	db := spec("db", "v1", func(s *steady.Spec) { s.Ports = nil })
	api := spec("api", "v1", with(steady.Hooks{Before: hookOf(steady.HookContainer, "exit")}), func(s *steady.Spec) {
		s.DependsOn = []steady.Dependency{{Service: "db"}}
	})
	id := (&daemon{Engine: e}).accept(t, p, request(db, api)).ID
	running.Wait()
	return id
}

func TestHooks_OnTheHostNobodyKnowsAfterACrash(t *testing.T) {
	p := newPlace()
	p.blocked["migrate"] = make(chan struct{})
	interrupt(t, p, hookOf(steady.HookHost, "migrate"))
	d := bootHost(t, p)
	r := d.await(t, p, 2)
	if r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrHook) || !strings.Contains(r.Error.Text, "whether it came to its end is not known") {
		t.Fatalf("%s, %v", r.State, r.Error)
	}
	if got := p.heard("run"); len(got) != 1 {
		t.Errorf("calls %v", got)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestHooks_AnAbortStopsTheHook(t *testing.T) {
	p := newPlace()
	p.blocked["shop-api-hook-before-2"] = make(chan struct{})
	d := bootHost(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	id := d.accept(t, p, request(spec("api", "v2", with(steady.Hooks{Before: hookOf(steady.HookContainer, "migrate")})))).ID
	d.hookBegun(t, p, id)
	if err := d.Abort("shop", id); err != nil {
		t.Fatal(err)
	}
	if r := d.await(t, p, id); r.State != steady.RolloutAborted {
		t.Errorf("%s, %v", r.State, r.Error)
	}
	if got := p.heard("stop shop-api-hook"); len(got) != 1 {
		t.Errorf("calls %v", got)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

// stubborn is a place whose Engine refuses the first removals of a hook's container.
type stubborn struct {
	*place
	refuses atomic.Int32
}

func (s *stubborn) Remove(ctx context.Context, name string) error {
	if strings.Contains(name, "-hook-") && s.refuses.Add(-1) >= 0 {
		return errors.New("the Engine stumbled")
	}
	return s.place.Remove(ctx, name)
}

func TestHooks_AContainerThatTheEngineDoesNotRemoveAtOnceIsNotLeft(t *testing.T) {
	p := newPlace()
	rt := &stubborn{place: p}
	rt.refuses.Store(2) // behind the step, and at the end
	d := start(t, rollout.New(rt, p, p, journal{p}, slog.New(slog.DiscardHandler)))
	r := d.deploy(t, p, request(spec("api", "v1", with(steady.Hooks{Before: hookOf(steady.HookContainer, "true")}))))
	if got := p.containers(); r.State != steady.RolloutDone || !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("%s: containers %v", r.State, got)
	}
}

package rollout_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// once makes a service that nobody comes to, whose containers end as the test says.
func once(s *steady.Spec) { s.Ports, s.Restart = nil, "no" }

// ends has a container exit as soon as it is probed; the prober tells so.
func (p *place) ends(name string, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sick[name] = steady.ErrExited.With(name+" exited", "")
	p.on["probe "+name] = func() {
		c := p.replicas[name]
		c.State, c.ExitCode = steady.StateExited, code
		p.replicas[name] = c
	}
}

func TestOnce_ExitCode0IsDoneAndRunsOncePerRelease(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.ends("shop-init-1-1", 0)
	q := request(spec("web", "v1"), spec("init", "v1", once))
	if r := d.deploy(t, p, q); r.State != steady.RolloutDone || p.route("init") != "1 []" {
		t.Fatalf("%s, %+v, route %s", r.State, r.Error, p.route("init"))
	}
	if r := d.deploy(t, p, request(spec("web", "v2"), spec("init", "v1", once))); r.State != steady.RolloutDone || p.route("init") != "1 []" {
		t.Errorf("with another web: %s, %+v, route %s", r.State, r.Error, p.route("init"))
	}
	p.ends("shop-init-3-1", 0)
	if r := d.deploy(t, p, request(spec("init", "v3", once))); r.State != steady.RolloutDone || p.route("init") != "3 []" {
		t.Errorf("a new release: %s, %+v, route %s", r.State, r.Error, p.route("init"))
	}
	if got := p.count("start shop-init-1-1") + p.count("start shop-init-3-1"); got != 2 {
		t.Errorf("started %d times, want once per release", got)
	}
	if got := p.containers(); slices.Contains(got, "shop-init-1-1") {
		t.Errorf("the old release's container is left: %v", got)
	}
	// A rollback goes back to a release that has run, and does not run it again.
	was, _ := p.Release(t.Context(), "shop", "init", 1)
	back := request()
	back.Kind = steady.KindRollback
	back.Targets = []plan.Target{{Asked: true, Release: was}}
	if r := d.deploy(t, p, back); r.State != steady.RolloutDone || p.route("init") != "1 []" || p.count("start shop-init-1-1") != 1 {
		t.Errorf("rollback: %s, %+v, route %s, calls %v", r.State, r.Error, p.route("init"), p.calls)
	}
}

func TestOnce_AnotherExitCodeFailsTheRollout(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.ends("shop-init-1-1", 3)
	if r := d.deploy(t, p, request(spec("init", "v1", once))); r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrExited) {
		t.Errorf("%s, %+v", r.State, r.Error)
	}
}

func TestOnce_OneThatFailsAfterItWasReadyFailsTheRolloutBeforeTheShift(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("web", "v1")))
	gate := make(chan struct{})
	p.blocked["shop-web-2-1"] = gate
	r := d.accept(t, p, request(spec("web", "v2"), spec("init", "v1", once)))
	eventually(t, func() bool { return p.route("init") != "none" })
	p.mu.Lock()
	c := p.replicas["shop-init-2-1"]
	c.State, c.ExitCode = steady.StateExited, 3
	p.replicas["shop-init-2-1"] = c
	p.mu.Unlock()
	close(gate)
	if end := d.await(t, p, r.ID); end.State != steady.RolloutFailed || end.Error.Service != "init" || p.route("web") != "1 [shop-web-1-1]" {
		t.Errorf("%s, %+v, %s", end.State, end.Error, p.route("web"))
	}
}

func TestOnce_AWorkerWhoseNewReleaseExitsAtOnceIsNoOneShot(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("worker", "v1", once)))
	p.ends("shop-worker-2-1", 0)
	r := d.deploy(t, p, request(spec("worker", "v2", once)))
	if r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrExited) || p.route("worker") != "1 [shop-worker-1-1]" {
		t.Errorf("%s, %+v, %s", r.State, r.Error, p.route("worker"))
	}
}

func TestOnce_OneWhoseLastReleaseEndedIsWaitedFor(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.ends("shop-init-1-1", 0)
	patient := func(s *steady.Spec) { s.Probe.Deadline = soon }
	d.deploy(t, p, request(spec("init", "v1", once, patient)))
	r := d.accept(t, p, request(spec("init", "v2", once, patient)))
	eventually(t, func() bool { return p.called("probe shop-init-2-1") })
	time.AfterFunc(300*time.Millisecond, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		c := p.replicas["shop-init-2-1"]
		c.State, c.ExitCode = steady.StateExited, 4
		p.replicas["shop-init-2-1"] = c
	})
	if end := d.await(t, p, r.ID); end.State != steady.RolloutFailed || end.Error.Text != "shop-init-2-1 exited with code 4" {
		t.Errorf("%s, %+v", end.State, end.Error)
	}
}

func (p *place) count(call string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, c := range p.calls {
		if c == call {
			n++
		}
	}
	return n
}

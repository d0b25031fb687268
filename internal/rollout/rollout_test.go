package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/internal/rollout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ rollout.Runtime = (*place)(nil)
	_ rollout.Router  = (*place)(nil)
	_ rollout.Prober  = (*place)(nil)
	_ rollout.Journal = journal{}
)

// daemon is an engine that runs until it is stopped.
type daemon struct {
	*rollout.Engine
	stop func()
}

func boot(t *testing.T, p *place) *daemon {
	t.Helper()
	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	return start(t, e)
}

func start(t *testing.T, e *rollout.Engine) *daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	d := &daemon{Engine: e, stop: func() { cancel(); wg.Wait() }}
	t.Cleanup(d.stop)
	return d
}

func spec(service, version string, cs ...func(*steady.Spec)) steady.Spec {
	s := steady.Spec{Project: "shop", Service: service, Image: "shop/" + service + ":" + version, Replicas: 1,
		Networks: []steady.Network{{Name: "shop_default"}}, Update: steady.Update{FailureAction: steady.Rollback},
		Ports: []steady.Port{{Published: 8000, Target: 8000, Transport: "tcp"}}}
	for _, c := range cs {
		c(&s)
	}
	return s
}

func request(specs ...steady.Spec) rollout.Request {
	q := rollout.Request{Kind: steady.KindDeploy, Project: "shop"}
	for _, s := range specs {
		q.Targets = append(q.Targets, plan.Target{Asked: true, Release: steady.Release{Project: "shop", Service: s.Service, Spec: s, Digest: s.Digest()}})
	}
	return q
}

// deploy accepts a request, retrying while the engine boots, and waits for its end.
func (d *daemon) deploy(t *testing.T, p *place, q rollout.Request) steady.Rollout {
	t.Helper()
	return d.await(t, p, d.accept(t, p, q).ID)
}

func (d *daemon) accept(t *testing.T, p *place, q rollout.Request) steady.Rollout {
	t.Helper()
	for _, tg := range q.Targets {
		p.mu.Lock()
		p.images[tg.Release.Spec.Image] = steady.Image{Ref: tg.Release.Spec.Image, ID: "id-" + tg.Release.Spec.Image}
		p.mu.Unlock()
	}
	q.Options.WaitLock = soon
	r, err := d.Accept(t.Context(), q)
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	return r
}

func (d *daemon) await(t *testing.T, p *place, id int64) steady.Rollout {
	t.Helper()
	late := time.After(soon)
	for {
		changed := d.Changed(id)
		p.mu.Lock()
		evs := p.events[id]
		ended := len(evs) > 0 && evs[len(evs)-1].Last()
		p.mu.Unlock()
		if ended {
			return p.state(id)
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("rollout %d did not end; calls: %v", id, p.calls)
		}
	}
}

func TestRollout_ReplacesTheServingReleaseAndLeavesNothing(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	if r := d.deploy(t, p, request(spec("api", "v1"))); r.State != steady.RolloutDone {
		t.Fatalf("first deploy: %s, %v", r.State, r.Error)
	}
	p.mu.Lock()
	p.calls = nil
	p.mu.Unlock()
	r := d.deploy(t, p, request(spec("api", "v2")))
	if r.State != steady.RolloutDone || r.Receipt == nil || r.Receipt.Services[0].Drained.Requests != 3 {
		t.Fatalf("second deploy: %+v", r)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1+"}) {
		t.Errorf("containers %v", got)
	}
	if got := p.route("api"); got != "2[shop-api-2-1]" && got != "2 [shop-api-2-1]" {
		t.Errorf("route %s", got)
	}
	order := []string{"hold api", "create shop-api-2-1", "start shop-api-2-1", "probe shop-api-2-1", "route", "drain [shop-api-1-1]", "stop shop-api-1-1", "remove shop-api-1-1"}
	if got := slices.DeleteFunc(slices.Clone(p.calls), func(c string) bool { return !slices.Contains(order, c) }); !slices.Equal(got, order) {
		t.Errorf("calls %v\nwant  %v", got, order)
	}
}

func TestRollout_UnchangedTouchesNothing(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.deploy(t, p, request(spec("api", "v1")))
	if r.State != steady.RolloutUnchanged || len(p.releases) != 1 {
		t.Errorf("state %s, %d releases: want unchanged, 1", r.State, len(p.releases))
	}
}

func TestRollout_FailedProbeLeavesTheOldReleaseServing(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.sick["shop-api-2-1"] = steady.ErrNotReady.With("shop-api-2-1 answered 503", "steady logs")
	r := d.deploy(t, p, request(spec("api", "v2")))
	if r.State != steady.RolloutFailed || r.Error.Serving != 1 || !errors.Is(r.Error, steady.ErrNotReady) {
		t.Errorf("rollout %s, error %+v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestRollout_OneServiceNotReadyShiftsNone(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	both := func(v string) rollout.Request {
		return request(spec("api", v), spec("web", v, func(s *steady.Spec) { s.Ports[0].Published = 8080 }))
	}
	d.deploy(t, p, both("v1"))
	p.sick["shop-web-2-1"] = steady.ErrNotReady.With("no", "")
	if r := d.deploy(t, p, both("v2")); r.State != steady.RolloutFailed {
		t.Errorf("state %s", r.State)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-web-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestRollout_DeathInTheWatchWindowShiftsBack(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	watched := func(s *steady.Spec) { s.Update.Monitor = time.Hour }
	d.deploy(t, p, request(spec("api", "v1")))
	q := request(spec("api", "v2", watched))
	r := d.accept(t, p, q)
	eventually(t, func() bool { return p.route("api") == "2 [shop-api-2-1]" })
	p.mu.Lock()
	c := p.replicas["shop-api-2-1"]
	c.State, c.ExitCode = steady.StateExited, 9
	p.replicas["shop-api-2-1"] = c
	p.mu.Unlock()
	end := d.await(t, p, r.ID)
	if end.State != steady.RolloutRolledBack || end.Error.Tail == nil {
		t.Errorf("state %s, error %+v", end.State, end.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) || p.route("api") != "1 [shop-api-1-1]" {
		t.Errorf("containers %v, route %s", got, p.route("api"))
	}
}

func TestRollout_AbortUndoes(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.blocked["shop-api-2-1"] = make(chan struct{})
	r := d.accept(t, p, request(spec("api", "v2")))
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return slices.Contains(p.calls, "probe shop-api-2-1") })
	_, err := d.Accept(t.Context(), request(spec("api", "v3")))
	if !errors.Is(err, steady.ErrBusy) {
		t.Errorf("second deploy: %v, want ErrBusy", err)
	}
	if err := d.Abort("shop", 0); err != nil {
		t.Fatal(err)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutAborted {
		t.Errorf("state %s", end.State)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestRollout_TakenPortFailsBeforeAnythingIsMade(t *testing.T) {
	p := newPlace()
	p.taken[8000] = "caddy (pid 7)"
	d := boot(t, p)
	r := d.deploy(t, p, request(spec("api", "v1")))
	if r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrPortTaken) || len(p.containers()) != 0 {
		t.Errorf("rollout %s %v, containers %v", r.State, r.Error, p.containers())
	}
}

func TestRollout_FullStoreUndoesAllTheSame(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.blocked["shop-api-2-1"] = make(chan struct{})
	d.accept(t, p, request(spec("api", "v2")))
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return slices.Contains(p.calls, "probe shop-api-2-1") })
	p.mu.Lock()
	p.full = true
	p.mu.Unlock()
	close(p.blocked["shop-api-2-1"])
	eventually(t, func() bool { return slices.Equal(p.containers(), []string{"shop-api-1-1+"}) })
	d.stop()
}

func TestRollout_JobThatFailsFailsTheRollout(t *testing.T) {
	p := newPlace()
	p.exit["shop-migrate-1-1"] = 3
	d := boot(t, p)
	job := spec("migrate", "v1", func(s *steady.Spec) { s.Job, s.Ports = true, nil })
	r := d.deploy(t, p, request(job, spec("api", "v1", func(s *steady.Spec) {
		s.DependsOn = []steady.Dependency{{Service: "migrate", Condition: "service_completed_successfully"}}
	})))
	if r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrExited) || len(p.containers()) != 0 {
		t.Errorf("rollout %s %v, containers %v", r.State, r.Error, p.containers())
	}
}

// TestRollout_CrashAtEveryStepEndsWithOneRelease kills the engine before and
// after each step of a two-service rollout, then starts another on what is left.
func TestRollout_CrashAtEveryStepEndsWithOneRelease(t *testing.T) {
	kinds := []string{steady.StepPrepare, steady.StepCreate, steady.StepStart, steady.StepProbe, steady.StepHolder, steady.StepShift, steady.StepDrain, steady.StepStop, steady.StepRemove}
	for _, kind := range kinds {
		for _, when := range []string{"before", "after"} {
			t.Run(kind+":"+when, func(t *testing.T) { crashThenRestart(t, kind, when) })
		}
	}
}

func crashThenRestart(t *testing.T, kind, when string, api ...func(*steady.Spec)) *place {
	p := newPlace()
	both := func(v string) rollout.Request {
		return request(spec("api", v, api...), spec("db", v, func(s *steady.Spec) { s.Ports[0].Published, s.State = 5432, []string{"data"} }))
	}
	first := boot(t, p)
	first.deploy(t, p, both("v1"))
	first.stop()

	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	died := make(chan struct{})
	var once sync.Once
	dead := context.Background()
	e.Crash = func(k, w string) {
		if k == kind && w == when {
			once.Do(func() { close(died) })
			<-dead.Done() // never: as if the process had gone
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	dead = ctx
	go func() { _ = e.Run(ctx) }()
	second := &daemon{Engine: e}
	r := second.accept(t, p, both("v2"))
	select {
	case <-died:
	case <-time.After(soon):
		t.Fatalf("step %s was never taken", kind)
	}
	cancel()
	eventually(t, func() bool { return e.Running("shop") == nil })

	third := boot(t, p)
	end := third.await(t, p, r.ID)
	want := map[string]string{steady.RolloutDone: "2", steady.RolloutFailed: "1", steady.RolloutRolledBack: "1"}[end.State]
	for _, s := range []string{"api", "db"} {
		if got := p.route(s); got != fmt.Sprintf("%s [shop-%s-%s-1]", want, s, want) {
			t.Errorf("%s: %s routes to %s\ncalls %v", end.State, s, got, p.calls)
		}
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-" + want + "-1+", "shop-db-" + want + "-1+"}) {
		t.Errorf("%s: containers %v", end.State, got)
	}
	return p
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(soon); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it never came to be")
		}
	}
}

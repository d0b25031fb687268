package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

func watched(action string) func(*steady.Spec) {
	return func(s *steady.Spec) { s.Update.Monitor, s.Update.FailureAction = time.Hour, action }
}

// dies makes a running container exit.
func (p *place) dies(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.set(name, func(c *steady.Replica) { c.State, c.ExitCode = steady.StateExited, 9 })
}

func (p *place) called(call string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.calls, call)
}

// when arranges what happens at the moment of a call.
func (p *place) when(call string, do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on[call] = do
}

func TestRollout_PauseLeavesBothReleases(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.accept(t, p, request(spec("api", "v2", watched(steady.Pause))))
	eventually(t, func() bool { return p.route("api") == "2 [shop-api-2-1]" })
	p.dies("shop-api-2-1")
	end := d.await(t, p, r.ID)
	if end.State != steady.RolloutPaused || end.Error == nil {
		t.Errorf("state %s, error %+v", end.State, end.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-api-2-1"}) || p.route("api") != "2 [shop-api-2-1]" {
		t.Errorf("containers %v, route %s", got, p.route("api"))
	}
}

func TestRollout_ContinueGoesOnOverAFailureInTheWatchWindow(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.accept(t, p, request(spec("api", "v2", watched(steady.Continue))))
	eventually(t, func() bool { return p.route("api") == "2 [shop-api-2-1]" })
	p.dies("shop-api-2-1")
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone {
		t.Errorf("state %s, error %+v", end.State, end.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1"}) {
		t.Errorf("containers %v", got)
	}
}

func TestRollout_WatchKnowsNothingBadWhileTheEngineIsAwayAndForgivesOldRestarts(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	short := func(s *steady.Spec) { s.Update.Monitor = time.Millisecond }
	d.deploy(t, p, request(spec("api", "v1", short)))
	p.mu.Lock()
	_ = p.set("shop-api-1-1", func(c *steady.Replica) { c.Restarts = 2 })
	p.fails["look at shop-api-1-2"] = steady.ErrNoEngine
	p.mu.Unlock()
	two := spec("api", "v1", short)
	two.Replicas = 2
	if r := d.deploy(t, p, request(two)); r.State != steady.RolloutDone {
		t.Errorf("state %s, error %+v", r.State, r.Error)
	}
}

func TestRollout_AbortInTheImagesPhaseIsAnAbort(t *testing.T) {
	for _, call := range []string{"observe shop", "pull shop/api:v2"} {
		p := newPlace()
		d := boot(t, p)
		d.deploy(t, p, request(spec("api", "v1")))
		accepted := make(chan struct{})
		p.when("accept", func() {
			delete(p.images, "shop/api:v2")
			p.blocked["observe"], p.blocked["pull shop/api:v2"] = nil, accepted
			if call == "observe shop" {
				p.blocked["observe"] = accepted
			}
			p.calls = nil
		})
		r := d.accept(t, p, request(spec("api", "v2")))
		eventually(t, func() bool { return p.called(call) })
		if err := d.Abort("shop", r.ID); err != nil {
			t.Fatal(err)
		}
		if end := d.await(t, p, r.ID); end.State != steady.RolloutAborted || !errors.Is(end.Error, steady.ErrAborted) {
			t.Errorf("aborted at %q: state %s, error %+v", call, end.State, end.Error)
		}
		if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
			t.Errorf("containers %v", got)
		}
	}
}

func TestRollout_ACrashInTheUndoIsTakenUpAgain(t *testing.T) {
	for _, call := range []string{"drain [shop-api-2-1]", "stop shop-api-2-1", "remove shop-api-2-1"} {
		p := newPlace()
		first := boot(t, p)
		first.deploy(t, p, request(spec("api", "v1")))
		var crash sync.Once
		reached := make(chan struct{})
		r := first.accept(t, p, request(spec("api", "v2", watched(steady.Rollback))))
		eventually(t, func() bool { return p.route("api") == "2 [shop-api-2-1]" })
		p.when(call, func() { crash.Do(func() { close(reached) }) })
		p.dies("shop-api-2-1")
		<-reached
		first.stop()
		second := boot(t, p)
		if end := second.await(t, p, r.ID); end.State != steady.RolloutRolledBack {
			t.Errorf("%s: state %s, error %+v", call, end.State, end.Error)
		}
		if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) || p.route("api") != "1 [shop-api-1-1]" {
			t.Errorf("%s: containers %v, route %s", call, got, p.route("api"))
		}
	}
}

func TestRollout_FullStoreWhileOldReplicasGoDoesNotTurnBack(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	gap := func(s *steady.Spec) { s.Update.Order = steady.StopFirst }
	two := func(v string) steady.Spec { s := spec("api", v, gap); s.Replicas = 2; return s }
	d.deploy(t, p, request(two("v1")))
	p.when("remove shop-api-1-1", func() { p.full = true })
	p.when("remove shop-api-1-2", func() { p.full = true })
	d.accept(t, p, request(two("v2")))
	eventually(t, func() bool { return d.Running("shop") == nil })
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1+", "shop-api-2-2+"}) {
		t.Errorf("containers %v, calls %v", got, p.calls)
	}
	if got := p.route("api"); got != "2 [shop-api-2-1 shop-api-2-2]" {
		t.Errorf("route %s", got)
	}
}

func TestRollout_TooLateToAbortIsKnownAfterACrash(t *testing.T) {
	p := newPlace()
	first := boot(t, p)
	first.deploy(t, p, request(spec("api", "v1")))
	p.mu.Lock()
	p.rollouts[9] = steady.Rollout{ID: 9, Project: "shop", Kind: steady.KindDeploy, Services: []string{"api"}, State: steady.RolloutRunning}
	p.plans[9] = steady.Plan{Project: "shop", Steps: []steady.Step{
		{ID: "shift", Kind: steady.StepShift, Routes: []steady.Route{{Service: "api", Release: 1, Replicas: []string{"shop-api-1-1"}}}},
		{ID: "api/remove/x", Kind: steady.StepRemove, Service: "api", Replica: "x"},
		{ID: "api/probe/slow", Kind: steady.StepProbe, Service: "api", Release: 1, Replica: "slow"}}}
	p.begun[9] = map[string]bool{"shift": true, "api/remove/x": true}
	p.done[9] = map[string]bool{"shift": true, "api/remove/x": true}
	p.blocked["slow"] = make(chan struct{})
	p.mu.Unlock()
	first.stop()
	second := boot(t, p)
	eventually(t, func() bool { return p.called("probe slow") })
	if err := second.Abort("shop", 9); !errors.Is(err, steady.ErrNotRunning) {
		t.Errorf("abort: %v, want too late", err)
	}
	close(p.blocked["slow"])
	second.await(t, p, 9)
}

func TestRollout_AnUndoTakesAnOldReplicaThatIsSlowToComeBack(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	gap := func(s *steady.Spec) { s.Update.Order, s.Ports = steady.StopFirst, nil }
	both := func(v string) rollout.Request {
		return request(spec("db", v, gap), spec("api", v, watched(steady.Rollback)))
	}
	d.deploy(t, p, request(spec("db", "v1", gap), spec("api", "v1")))
	p.mu.Lock()
	p.sick["shop-db-2-1"] = steady.ErrNotReady.With("no", "")
	p.sick["shop-db-1-1"] = steady.ErrNotReady.With("slow to come back", "")
	p.mu.Unlock()
	if r := d.deploy(t, p, both("v2")); r.State != steady.RolloutFailed || !errors.Is(r.Error, steady.ErrNotReady) {
		t.Errorf("state %s, error %+v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-db-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestRollout_AnUndoRightsWhatItCanThoughOneStepFails(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	gap := func(s *steady.Spec) { s.Update.Order, s.Ports = steady.StopFirst, nil }
	d.deploy(t, p, request(spec("db", "v1", gap)))
	p.mu.Lock()
	p.sick["shop-db-2-1"] = steady.ErrNotReady.With("no", "")
	p.fails["start shop-db-1-1"] = errors.New("its network is gone")
	p.mu.Unlock()
	q := request(spec("db", "v2", gap), spec("web", "v2", func(s *steady.Spec) { s.Ports[0].Published = 8080 }))
	r := d.deploy(t, p, q)
	if r.State != steady.RolloutFailed || !strings.Contains(r.Error.Text, "its network is gone") {
		t.Errorf("state %s, error %+v", r.State, r.Error)
	}
	if got := p.containers(); slices.Contains(got, "shop-web-2-1+") {
		t.Errorf("containers %v: web is left behind because db cannot come back", got)
	}
}

func TestAccept_TwoAtOnceLeaveOneAndTellTheOtherWhoRuns(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.blocked["shop-api-2-1"] = make(chan struct{})
	for _, v := range []string{"v2", "v3"} {
		p.images["shop/api:"+v] = steady.Image{ID: v}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var taken []steady.Rollout
	for range 20 {
		all.Go(func() {
			r, err := d.Accept(t.Context(), request(spec("api", "v2")))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken = append(taken, r)
			} else if e := steady.AsError(err); e.Code != steady.ErrBusy.Code || e.Text == "the daemon is starting or stopping" {
				t.Errorf("error %v", err)
			}
		})
	}
	all.Wait()
	if len(taken) != 1 {
		t.Fatalf("%d accepted", len(taken))
	}
	close(p.blocked["shop-api-2-1"])
	d.await(t, p, taken[0].ID)
}

func TestRun_StartsThoughTheEndOfARolloutWasNeverStored(t *testing.T) {
	p := newPlace()
	first := boot(t, p)
	first.deploy(t, p, request(spec("api", "v1")))
	first.stop()
	p.mu.Lock()
	for id := int64(7); id < 9; id++ {
		p.rollouts[id] = steady.Rollout{ID: id, Project: "shop", Kind: steady.KindDeploy, Services: []string{"api"}, State: steady.RolloutRunning}
		p.begun[id], p.done[id] = map[string]bool{}, map[string]bool{}
	}
	p.mu.Unlock()
	d := boot(t, p)
	for id := int64(7); id < 9; id++ {
		if end := d.await(t, p, id); end.State != steady.RolloutFailed {
			t.Errorf("rollout %d: state %s", id, end.State)
		}
	}
}

func TestRollout_AWorkerGetsTheImageThatAnotherServiceBuilds(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	app := func(s *steady.Spec) { s.Image = "shop/app" }
	both := request(spec("worker", "", app, func(s *steady.Spec) { s.Ports = nil }),
		spec("api", "", app, func(s *steady.Spec) { s.Build = &steady.Build{Context: "/src"} }))
	d.deploy(t, p, both)
	both = request(both.Targets[0].Release.Spec, both.Targets[1].Release.Spec)
	both.Options.Build = true
	if r := d.deploy(t, p, both); r.State != steady.RolloutDone {
		t.Fatalf("state %s, error %+v", r.State, r.Error)
	}
	for _, name := range []string{"shop-api-2-1", "shop-worker-2-1"} {
		if got := p.replicas[name].Image; got != "built-shop/app" {
			t.Errorf("%s runs image %q; containers %v", name, got, p.containers())
		}
	}
}

func TestRollout_AnUnchangedServiceStaysThoughItsTagIsMovedMeanwhile(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1"), spec("web", "v1", func(s *steady.Spec) { s.Ports[0].Published = 8080 })))
	p.when("accept", func() { p.images["shop/web:v1"] = steady.Image{ID: "moved"} })
	q := request(spec("api", "v2"), spec("web", "v1", func(s *steady.Spec) { s.Ports[0].Published = 8080 }))
	d.deploy(t, p, q)
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1+", "shop-web-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestRollout_ANewReplicaThatDiesBeforeTheShiftFailsIt(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	two := func(v string) steady.Spec { s := spec("api", v); s.Replicas = 2; return s }
	d.deploy(t, p, request(two("v1")))
	gate := make(chan struct{})
	p.blocked["shop-api-2-2"] = gate
	r := d.accept(t, p, request(two("v2")))
	eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.done[r.ID]["api/probe/shop-api-2-1"]
	})
	p.dies("shop-api-2-1")
	close(gate)
	if end := d.await(t, p, r.ID); end.State == steady.RolloutDone || !errors.Is(end.Error, steady.ErrExited) || end.Error.Tail == nil {
		t.Errorf("state %s, error %+v", end.State, end.Error)
	}
	if got := p.route("api"); got != "1 [shop-api-1-1 shop-api-1-2]" {
		t.Errorf("route %s", got)
	}
}

func TestRollout_WhoHearsOfTheEndMayDeployAgainAtOnce(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	for range 50 {
		r, err := d.Accept(t.Context(), request(spec("api", "v1")))
		if err != nil {
			t.Fatal(err)
		}
		d.await(t, p, r.ID)
	}
}

func TestRollout_WhatComposeMadeIsDrainedByTheFilesClocks(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.mu.Lock()
	p.projects["shop-api-1"] = "shop"
	p.replicas["shop-api-1"] = steady.Replica{ID: "x", Name: "shop-api-1", Service: "api", State: steady.StateRunning,
		Published: []steady.Port{{Published: 8000, Target: 8000, Transport: "tcp"}}}
	p.mu.Unlock()
	r := d.deploy(t, p, request(spec("api", "v1", func(s *steady.Spec) { s.Drain.Requests = 7 * time.Minute })))
	if r.State != steady.RolloutDone || !p.called("leave shop-api-1 7m0s") {
		t.Errorf("%s, %v, calls %v", r.State, r.Error, p.calls)
	}
}

package rollout_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/internal/rollout"
)

func keptFor(d time.Duration) func(*steady.Spec) { return func(s *steady.Spec) { s.Warm = d } }

// back is a rollback of api to a release that there is.
func (p *place) back(to int) rollout.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, _ := p.find("api", to)
	return rollout.Request{Kind: steady.KindRollback, Project: "shop", Targets: []plan.Target{{Asked: true, Release: r}}}
}

func (p *place) forgetCalls() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

func TestWarm_ARollbackOnlyShifts(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1", keptFor(time.Hour))))
	d.deploy(t, p, request(spec("api", "v2", keptFor(time.Hour))))
	both := []string{"shop-api-1-1+", "shop-api-2-1+"}
	if got := p.containers(); !slices.Equal(got, both) {
		t.Fatalf("containers %v", got)
	}
	p.forgetCalls()
	if r := d.deploy(t, p, p.back(1)); r.State != steady.RolloutDone {
		t.Fatalf("state %s, %+v", r.State, r.Error)
	}
	if got := p.containers(); !slices.Equal(got, both) || p.route("api") != "1 [shop-api-1-1]" {
		t.Errorf("containers %v, route %s", got, p.route("api"))
	}
	for _, call := range []string{"create shop-api-1-1", "start shop-api-1-1", "stop shop-api-2-1", "prepare api", "hold api"} {
		if p.called(call) {
			t.Errorf("it did %s", call)
		}
	}
	if !p.called("keep api release 2") {
		t.Error("the one that served is not kept warm in its turn")
	}
}

func TestWarm_TheNextRolloutLeavesOneWarmRelease(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	for _, v := range []string{"v1", "v2", "v3"} {
		d.deploy(t, p, request(spec("api", v, keptFor(time.Hour))))
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1+", "shop-api-3-1+"}) {
		t.Errorf("containers %v", got)
	}
	d.deploy(t, p, request(spec("api", "v4")))
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-4-1+"}) || len(p.kept) > 0 {
		t.Errorf("containers %v, kept %v", got, p.kept)
	}
}

func TestWarm_ItIsRetiredWhenItsTimeIsOver(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.when("keep api release 1", func() {
		if !p.replicas["shop-api-1-1"].Running() {
			t.Error("it is kept and does not run")
		}
	})
	d.deploy(t, p, request(spec("api", "v2", keptFor(50*time.Millisecond))))
	eventually(t, func() bool {
		return slices.Equal(p.containers(), []string{"shop-api-2-1+"}) && p.called("cool api release 1")
	})
	if !p.called("drain [shop-api-1-1]") || p.route("api") != "2 [shop-api-2-1]" {
		t.Errorf("calls %v", p.calls)
	}
}

func TestWarm_TheNextDaemonRetiresIt(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	d.deploy(t, p, request(spec("api", "v2", keptFor(time.Hour))))
	d.stop()
	p.mu.Lock()
	w := p.kept["api"]
	w.Until = time.Time{} // a daemon died while it stopped it
	p.kept["api"] = w
	p.mu.Unlock()
	boot(t, p)
	eventually(t, func() bool { return slices.Equal(p.containers(), []string{"shop-api-2-1+"}) })
	if p.called("drain [shop-api-1-1]") {
		t.Error("it was drained again")
	}
}

func TestWarm_ARollbackNeedNotWaitForTheDrainOfWhatIsRetired(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.blocked["drain shop-api-1-1"] = make(chan struct{}) // for ever
	d.deploy(t, p, request(spec("api", "v1", keptFor(time.Hour))))
	d.deploy(t, p, request(spec("api", "v2", keptFor(50*time.Millisecond))))
	eventually(t, func() bool { return p.called("drain [shop-api-1-1]") })
	q := p.back(1)
	p.forgetCalls()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	r, err := d.Accept(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone || p.route("api") != "1 [shop-api-1-1]" {
		t.Errorf("state %s, %+v; route %s", end.State, end.Error, p.route("api"))
	}
	if p.called("start shop-api-1-1") || p.called("stop shop-api-1-1") {
		t.Errorf("calls %v", p.calls)
	}
}

func TestWarm_WhatServesIsNeverRetired(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	d.stop()
	p.mu.Lock()
	p.kept["api"] = steady.Warm{Project: "shop", Service: "api", Release: 1, Until: time.Now()}
	p.mu.Unlock()
	boot(t, p)
	eventually(t, func() bool { return p.called("cool api release 1") })
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestWarm_ACrashAtItsStepEndsAsIfThereWereNone(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		p := newPlace()
		first := boot(t, p)
		first.deploy(t, p, request(spec("api", "v1")))
		first.stop()
		e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		died := make(chan struct{})
		var once sync.Once
		e.Crash = func(step, w string) {
			if step == steady.StepWarm && w == when {
				once.Do(func() { close(died) })
				<-ctx.Done()
			}
		}
		go func() { _ = e.Run(ctx) }()
		r := (&daemon{Engine: e}).accept(t, p, request(spec("api", "v2", keptFor(time.Hour))))
		select {
		case <-died:
		case <-time.After(soon):
			t.Fatal("nothing was to be kept warm")
		}
		cancel()
		eventually(t, func() bool { return e.Running("shop") == nil })
		next := boot(t, p)
		if end := next.await(t, p, r.ID); end.State != steady.RolloutDone || p.kept["api"].Release != 1 {
			t.Errorf("%s: state %s, %+v; kept %+v", when, end.State, end.Error, p.kept)
		}
		next.stop()
		if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-api-2-1+"}) {
			t.Errorf("%s: containers %v", when, got)
		}
	}
}

// forgetful is a journal that does not take in at first what is kept warm.
type forgetful struct {
	journal
	refuses atomic.Int32
}

func (f *forgetful) KeepWarm(ctx context.Context, w steady.Warm) error {
	if f.refuses.Add(-1) >= 0 {
		return steady.ErrStore
	}
	return f.journal.KeepWarm(ctx, w)
}

func TestWarm_WhatTheStoreDoesNotTakeAtOnceIsRetiredAllTheSame(t *testing.T) {
	p := newPlace()
	j := &forgetful{journal: journal{p}}
	j.refuses.Store(1)
	d := start(t, rollout.New(p, p, p, j, slog.New(slog.DiscardHandler)))
	d.deploy(t, p, request(spec("api", "v1", keptFor(50*time.Millisecond))))
	d.deploy(t, p, request(spec("api", "v2", keptFor(50*time.Millisecond))))
	eventually(t, func() bool { return slices.Equal(p.containers(), []string{"shop-api-2-1+"}) })
}

package plan_test

import (
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func warm(d time.Duration) change { return func(s *steady.Spec) { s.Warm = d } }

// keeps makes a release of the service run besides, kept warm.
func (w *world) keeps(service string, number int, cs ...change) *world {
	r := release(number, service, cs...)
	for n := range r.Spec.Replicas {
		name := r.ReplicaName(n + 1)
		w.in.Observed.Replicas = append(w.in.Observed.Replicas, steady.Replica{ID: name, Name: name, Service: service, Release: number, Number: n + 1,
			State: steady.StateRunning, Image: r.Image.ID})
	}
	w.in.Warm = append(w.in.Warm, steady.Warm{Project: "shop", Service: service, Release: number})
	return w
}

func TestBuild_PlansWhatIsKeptWarm(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    *world
		want string
	}{
		{"the release before is neither drained nor stopped", new(world).moves("api", port(8000), warm(time.Minute)), `
shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  shift api=2[shop-api-2-1] < api/probe/shop-api-2-1
  api/warm < shift
`},
		{"what is wanted runs already: probe and shift, and the other is kept", new(world).moves("api", port(8000), warm(time.Minute), replicas(2), parallel(1)).
			keeps("api", 2, replicas(2)), `
shop/api start-first 1→2: its replicas are still warm: there is only to shift
  api/probe/shop-api-2-1
  api/probe/shop-api-2-2
  shift api=2[shop-api-2-1 shop-api-2-2] < api/probe/shop-api-2-1, api/probe/shop-api-2-2
  api/warm < shift
`},
		{"an older one goes in the end, and its place is taken", new(world).moves("api", port(8000), warm(time.Minute)).keeps("api", 7), `
shop/api start-first 1→2: stateless: the new one stands beside the old one until it is ready (Compose's default would be stop-first)
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  shift api=2[shop-api-2-1] < api/probe/shop-api-2-1
  api/drain/shop-api-7-1 < shift
  api/stop/shop-api-7-1 < api/drain/shop-api-7-1
  api/warm < api/stop/shop-api-7-1
  api/remove/shop-api-7-1 < api/stop/shop-api-7-1
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.w.plans(t, tt.want)
		})
	}
}

func TestBuild_SaysWhyNothingIsKeptWarm(t *testing.T) {
	for name, tt := range map[string]struct {
		w    *world
		says string
	}{
		"one writer":       {new(world).moves("db", port(5432), writes("data"), warm(time.Minute)), "cannot run beside"},
		"a worker":         {new(world).moves("db", warm(time.Minute)), "work of its own"},
		"names on it":      {new(world).moves("db", port(5432), direct, warm(time.Minute)), "calls by name"},
		"nothing asked":    {new(world).moves("db", port(5432)), ""},
		"nothing before":   {new(world).wants("db", port(5432), warm(time.Minute)), ""},
		"it can, and will": {new(world).moves("db", port(5432), warm(time.Minute)), ""},
	} {
		p, err := plan.Build(tt.w.in)
		if err != nil {
			t.Fatal(err)
		}
		s := p.Services[0]
		if tt.says == "" && s.Cold != "" || !strings.Contains(s.Cold, tt.says) || (s.Warm > 0) != (name == "it can, and will") {
			t.Errorf("%s: warm %s, cold %q", name, s.Warm, s.Cold)
		}
	}
}

func TestBuild_WhatIsKeptWarmIsNotTooMany(t *testing.T) {
	w := new(world).moves("api", port(8000)).keeps("api", 7)
	w.in.Targets[0].Release = w.in.Serving["api"]
	p, err := plan.Build(w.in)
	if err != nil || p.Changes() {
		t.Errorf("%v, plan %s: want nothing to do", err, p)
	}
	w.in.Targets[0].Release.Spec.Replicas = 2
	if got := steps(t, w, "api"); len(got) != 5 || got[4] != "api/probe/shop-api-1-2" {
		t.Errorf("steps %v: want one more replica and nothing else", got)
	}
}

func TestBuild_AWarmReplicaThatDiedIsStartedAgain(t *testing.T) {
	w := new(world).moves("api", port(8000), warm(time.Minute)).keeps("api", 2)
	w.in.Observed.Replicas[1].State = steady.StateExited
	if got := strings.Join(steps(t, w, "api"), " "); !strings.Contains(got, "api/start/shop-api-2-1") {
		t.Errorf("steps %s", got)
	}
}

func TestUndo_OfARollbackToAWarmReleaseLeavesItWarm(t *testing.T) {
	w := new(world).moves("api", port(8000), warm(time.Minute), monitor(time.Second)).keeps("api", 2)
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	want := "shop/api start-first 1→2: its replicas are still warm: there is only to shift\n  undo/shift api=1[shop-api-1-1]\n"
	if got := plan.Undo(p, map[string]bool{"api/probe/shop-api-2-1": true, "shift": true, "api/watch/1": true}).String(); got != want {
		t.Errorf("undo:\n%s", got)
	}
}

func TestBuild_ARollbackGoesByRollbackConfig(t *testing.T) {
	back := func(s *steady.Spec) {
		s.Rollback = &steady.Update{Order: steady.StartFirst, FailureAction: steady.Pause, Monitor: time.Minute, Watch: &steady.Watch{Errors: 0.2}}
	}
	w := new(world).moves("api", port(8000), order(steady.StopFirst), back)
	for _, rollback := range []bool{false, true} {
		w.in.Kind = map[bool]string{true: steady.KindRollback, false: steady.KindDeploy}[rollback]
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		s, watches := p.Services[0], 0
		for _, st := range p.Steps {
			if st.Kind == steady.StepWatch && st.For == time.Minute && st.Watch.Errors == 0.2 {
				watches++
			}
		}
		if (s.Strategy == steady.StrategyStartNew && s.OnFail == steady.Pause && watches == 1) != rollback {
			t.Errorf("rollback %t: %+v, %d watches", rollback, s, watches)
		}
	}
}

// Old replicas that shall go so that memory has room for the next batch are not kept.
func TestBuild_NothingIsKeptWarmWithoutRoom(t *testing.T) {
	w := new(world).moves("api", port(8000), replicas(2), order(steady.StartFirst), parallel(1), warm(time.Minute))
	limited(w, 64)
	for host, keeps := range map[int64]bool{4 * 64: true, 4*64 - 1: false} {
		w.in.Observed.Memory = host
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		s := p.Services[0]
		if (s.Warm > 0) != keeps || (s.Cold == "") != keeps {
			t.Errorf("with %d bytes: warm %s, cold %q", host, s.Warm, s.Cold)
		}
		if !keeps && !behind(p, "api/create/shop-api-2-2", "api/stop/shop-api-1-1") {
			t.Errorf("a batch comes before there is room:\n%s", p)
		}
	}
}

package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func canary(steps ...float64) change {
	return func(s *steady.Spec) { s.Canary = &steady.Canary{Steps: steps, Every: time.Minute, Cookie: "at"} }
}

func TestCanary_StandsBesideTheOldOneAndGetsMoreStepByStep(t *testing.T) {
	w := new(world).moves("api", port(8000), canary(5, 50), monitor(time.Second))
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	want := `shop/api canary 1→2: x-steady.canary: the new one is tried out beside the old one before it gets all
  api/prepare
  api/holder < api/prepare
  api/create/shop-api-2-1 < api/holder
  api/start/shop-api-2-1 < api/create/shop-api-2-1
  api/probe/shop-api-2-1 < api/start/shop-api-2-1
  canary/1 api=1[shop-api-1-1 shop-api-2-1] < api/probe/shop-api-2-1
  api/canary/1 < canary/1
  canary/2 api=1[shop-api-1-1 shop-api-2-1] < api/canary/1
  api/canary/2 < canary/2
  shift api=2[shop-api-2-1] < api/canary/2
  api/watch/1 < shift
  api/drain/shop-api-1-1 < api/watch/1
  api/stop/shop-api-1-1 < api/drain/shop-api-1-1
  api/remove/shop-api-1-1 < api/stop/shop-api-1-1
`
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	for _, s := range p.Steps {
		if s.ID == "canary/2" && *s.Routes[0].Split != (steady.Split{Release: 2, Percent: 50, Cookie: "at"}) {
			t.Errorf("split %+v", s.Routes[0].Split)
		}
		if s.ID == "shift" && s.Routes[0].Split != nil {
			t.Error("the common shift leaves a split")
		}
	}
}

func TestCanary_ServicesTakeTheirStepsTogether(t *testing.T) {
	w := new(world).moves("api", port(8000), canary(5, 50)).moves("web", port(8001), canary(10)).moves("worker", direct)
	w.in.Targets[1].Release.Spec.Canary.Every = time.Hour
	w.in.Targets[1].Release.Spec.Canary.Manual = true
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, p)
	at := func(id string) steady.Step {
		i := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.ID == id })
		if i < 0 {
			t.Fatalf("no step %s\n%s", id, p)
		}
		return p.Steps[i]
	}
	first, second, all := at("canary/1"), at("canary/2"), at("shift")
	if s := first.Stage; s.Number != 1 || s.Of != 2 || s.For != time.Hour || !s.Manual || s.Share() != "api 5 %, web 10 %" {
		t.Errorf("stage %+v", s)
	}
	if got := second.Stage.String(); got != "release 2: step 2 of 2, api 50 %, web 10 %" {
		t.Errorf("stage %q", got)
	}
	if !slices.Equal(second.Needs, []string{"api/canary/1", "web/canary/1"}) || !slices.Contains(all.Needs, "api/canary/2") || !slices.Contains(all.Needs, "web/canary/2") || len(all.Routes) != 3 {
		t.Errorf("needs %v, then %v, routes %v", second.Needs, all.Needs, all.Routes)
	}
	if w := at("web/canary/2"); w.Kind != steady.StepWatch || w.For != time.Hour || w.Release != 2 {
		t.Errorf("watch %+v", w)
	}
}

func TestCanary_WhereOldAndNewCannotStandSideBySideThePlanSaysWhy(t *testing.T) {
	foreign := new(world).wants("api", port(8000), canary(5))
	foreign.in.Observed.Replicas = []steady.Replica{{Name: "shop-api-1", Service: "api", State: steady.StateRunning, Published: foreign.in.Targets[0].Release.Spec.Ports}}
	back := new(world).moves("api", port(8000), canary(5))
	back.in.Kind = steady.KindRollback
	dead := new(world).moves("api", port(8000), canary(5))
	dead.in.Routes[0].Replicas = []string{"shop-api-0-1"}
	for name, tt := range map[string]struct {
		w        *world
		strategy string
		why      string
	}{
		"first":                {new(world).wants("api", port(8000), canary(5)), steady.StrategyStart, ""},
		"stop-first":           {new(world).moves("api", port(8000), canary(5), order(steady.StopFirst)), steady.StrategyHold, "it needs old and new side by side"},
		"state":                {new(world).moves("api", port(8000), canary(5), writes("data")), steady.StrategyHold, "it needs old and new side by side"},
		"job":                  {new(world).moves("api", canary(5), job), steady.StrategyJob, "a job takes no traffic"},
		"no traffic":           {new(world).moves("api", canary(5), direct), steady.StrategyOverlap, "no traffic of it comes through steady"},
		"other ports":          {new(world).wants("api", port(9000), canary(5)).has("api", port(8000)), steady.StrategyStartNew, "ports or routes are others than before"},
		"docker compose's":     {foreign, steady.StrategyAdopt, "the old one is not steady's yet"},
		"rollback":             {back, steady.StrategyStartNew, "a rollback goes at once"},
		"nobody serves":        {dead, steady.StrategyStartNew, "no earlier release serves"},
		"calls from within":    {new(world).moves("api", canary(5)), steady.StrategyCanary, ""},
		"several at a time":    {new(world).moves("api", port(8000), canary(5), replicas(3), parallel(1)), steady.StrategyCanary, ""},
		"it was no canary yet": {new(world).wants("api", port(8000), canary(5)).has("api", port(8000)), steady.StrategyCanary, ""},
	} {
		p, err := plan.Build(tt.w.in)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := p.Of("api")
		if s.Strategy != tt.strategy || !strings.HasSuffix(s.Cause, "; no canary: "+tt.why) && tt.why != "" || tt.why == "" && strings.Contains(s.Cause, "no canary") {
			t.Errorf("%s: %s, %s", name, s.Strategy, s.Cause)
		}
		if shares := slices.ContainsFunc(p.Steps, func(s steady.Step) bool { return s.Stage != nil }); shares != (tt.strategy == steady.StrategyCanary) {
			t.Errorf("%s:\n%s", name, p)
		}
	}
}

func TestCanary_TheOldReleaseServesUntilAllGoesToTheNewOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyWorld(t)
		p, err := plan.Build(in)
		if err != nil {
			t.Fatal(err)
		}
		whole, watched := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.ID == "shift" }), 0
		for i, s := range p.Steps {
			if s.Stage == nil {
				continue
			}
			if i > whole {
				t.Fatalf("%s comes after the common shift\n%s", s.ID, p)
			}
			if s.Kind == steady.StepWatch {
				watched++
			}
			for _, r := range s.Routes {
				now := in.Routes[slices.IndexFunc(in.Routes, func(o steady.Route) bool { return o.Service == r.Service })]
				if r.Release != now.Release || !slices.Equal(r.Replicas[:len(now.Replicas)], now.Replicas) || len(r.Replicas) <= len(now.Replicas) || r.Split == nil {
					t.Fatalf("%s routes %+v, in force is %+v", s.ID, r, now)
				}
				watched--
			}
		}
		if watched != 0 {
			t.Fatalf("not every stage of every service is watched\n%s", p)
		}
	})
}

package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// A drill takes what serves onto itself, at once: nothing is tried out, migrated or
// told, and the release that is kept warm stays what a rollback goes back to.
func TestBuild_ADrillOnlyReplacesAndLeavesWhatIsWarm(t *testing.T) {
	w := new(world).moves("api", port(8000), canary(5, 50), warm(time.Minute), assets("/static/*"), monitor(time.Second),
		hooked(steady.HookBefore, steady.HookContainer), hooked(steady.HookStop, steady.HookExec), hooked(steady.HookAfter, steady.HookHost),
		projectHooked(steady.HookBefore), projectHooked(steady.HookAfter)).keeps("api", 7)
	w.in.Kind = steady.KindDrill
	w.in.Routes[0].Elders, w.in.Routes[0].Assets = []string{"shop-api-7-1"}, []string{"/static/*"}
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Services[0]; s.Strategy != steady.StrategyStartNew || !strings.Contains(s.Cause, "a drill goes at once") || s.Warm > 0 {
		t.Errorf("%+v", s)
	}
	if got := of(p, steady.StepHook); len(got) != 1 || got[0].Hook != steady.HookStop {
		t.Errorf("hooks %v: want the one before the stop of what is really stopped\n%s", got, p)
	}
	if slices.ContainsFunc(p.Steps, func(s steady.Step) bool { return s.Replica == "shop-api-7-1" || s.Kind == steady.StepWarm }) {
		t.Errorf("what is warm is touched:\n%s", p)
	}
	want := map[string][]string{
		"shift":        {"shop-api-7-1", "shop-api-1-1", "/static/*"},
		"api/disown/1": {"shop-api-7-1", "/static/*"},
	}
	for step, elders := range lenders(p) {
		if !slices.Equal(elders, want[step]) {
			t.Errorf("%s asks %v, want %v", step, elders, want[step])
		}
	}
}

// A scaling makes no other release, so the one before is asked for its assets on.
func TestBuild_AScalingGoesOnAskingWhatIsWarmForAssets(t *testing.T) {
	w := new(world).moves("api", port(8000), assets("/static/*"), warm(time.Minute)).keeps("api", 7)
	w.in.Targets[0].Release = w.in.Serving["api"]
	w.in.Targets[0].Release.Spec.Replicas = 2
	w.in.Routes[0].Elders, w.in.Routes[0].Assets = []string{"shop-api-7-1", "shop-api-7-2"}, []string{"/static/*"}
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	if got := lenders(p); !slices.Equal(got["shift"], []string{"shop-api-7-1", "/static/*"}) { // 7-2 is not there
		t.Errorf("asked: %v\n%s", got, p)
	}
}
